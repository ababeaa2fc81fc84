//! The order of tasks: levels of a graph, or the circle that makes one impossible.

use std::collections::BTreeSet;

use tributary_document::Item;

/// `to` waits for `from`, because of what is written at `item`.
pub(super) struct Edge<'a> {
    pub(super) from: &'a str,
    pub(super) to: &'a str,
    pub(super) item: Item<'a>,
}

/// Tasks in levels; each level waits for earlier ones only. Circles are reported, each once and with all its tasks.
pub(super) fn levels(tasks: &[&str], edges: &[Edge<'_>]) -> Vec<Vec<String>> {
    let mut waiting: Vec<&str> = tasks.to_vec();
    let mut levels = Vec::new();
    let mut open: Vec<&Edge<'_>> = edges.iter().collect();
    while !waiting.is_empty() {
        let undone: BTreeSet<&str> = waiting.iter().copied().collect();
        open.retain(|edge| undone.contains(edge.from));
        let held: BTreeSet<&str> = open.iter().map(|edge| edge.to).collect();
        let (later, ready): (Vec<_>, Vec<_>) = waiting.iter().partition(|task| held.contains(*task));
        waiting = later;
        if ready.is_empty() {
            let circle = circle(&waiting, edges);
            report(&circle, edges);
            waiting.retain(|task| !circle.contains(task));
        } else {
            levels.push(ready.into_iter().map(str::to_owned).collect());
        }
    }
    levels
}

/// A circle among tasks that all wait for another one of them, in the order of the work.
fn circle<'a>(waiting: &[&'a str], edges: &[Edge<'a>]) -> Vec<&'a str> {
    let mut path: Vec<&str> = waiting.first().copied().into_iter().collect();
    while let Some(last) = path.last().copied() {
        let before = edges.iter().find(|edge| edge.to == last && waiting.contains(&edge.from));
        let Some(before) = before.map(|edge| edge.from) else {
            break;
        };
        if let Some(start) = path.iter().position(|task| *task == before) {
            path.drain(..start);
            break;
        }
        path.push(before);
    }
    path.reverse();
    path
}

fn report(circle: &[&str], edges: &[Edge<'_>]) {
    let (Some(first), Some(last)) = (circle.first(), circle.last()) else {
        return;
    };
    let Some(edge) = edges.iter().find(|edge| edge.to == *first && edge.from == *last) else {
        return;
    };
    edge.item.problem(format!("tasks wait for each other: {} → {first}", circle.join(" → ")));
}
