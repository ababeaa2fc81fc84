//! The graph of a job's tasks: each to the right of those that it waits for.

use std::collections::BTreeMap;

use tributary_core::Result;

use crate::Task;
use crate::canvas::{DARK, GRID, PALE, Place, picture};
use crate::cut;

const BOX: (f64, f64) = (150.0, 38.0);
const GAP: (f64, f64) = (46.0, 14.0);

/// Characters of a name that fit a box.
const NAME: usize = 20;

/// The picture.
pub(crate) fn svg(tasks: &[Task]) -> Result<String> {
    let places = places(tasks);
    let columns = places.values().map(|(column, _)| column + 1).max().unwrap_or(1) as f64;
    let rows = places.values().map(|(_, row)| row + 1).max().unwrap_or(1) as f64;
    let size = (columns * (BOX.0 + GAP.0) - GAP.0 + 2.0, rows * (BOX.1 + GAP.1) - GAP.1 + 2.0);
    let corner = |(column, row): (usize, usize)| {
        (1.0 + column as f64 * (BOX.0 + GAP.0), 1.0 + row as f64 * (BOX.1 + GAP.1))
    };
    picture(size, |canvas| {
        for task in tasks {
            let Some(to) = places.get(task.name.as_str()).map(|place| corner(*place)) else { continue };
            for before in &task.after {
                let Some(from) = places.get(before.as_str()).map(|place| corner(*place)) else { continue };
                let (from, to) = ((from.0 + BOX.0, from.1 + BOX.1 / 2.0), (to.0, to.1 + BOX.1 / 2.0));
                let middle = to.0 - GAP.0 / 2.0;
                canvas.line(&[from, (middle, from.1), (middle, to.1), to], PALE, 1.0)?;
            }
        }
        for task in tasks {
            let Some((x, y)) = places.get(task.name.as_str()).map(|place| corner(*place)) else { continue };
            canvas.fill((x, y), BOX, GRID)?;
            let left = x + 8.0;
            canvas.text(cut(&task.name, NAME).0, 12.0, DARK, Place::Left, (left, y + 12.0))?;
            canvas.text(cut(&task.component, NAME + 4).0, 10.0, PALE, Place::Left, (left, y + 27.0))?;
        }
        Ok(())
    })
}

/// Column and row of each task: the column after that of the last one it waits for.
fn places(tasks: &[Task]) -> BTreeMap<&str, (usize, usize)> {
    let mut columns: BTreeMap<&str, usize> = tasks.iter().map(|task| (task.name.as_str(), 0)).collect();
    // As often as the longest way can be: a task moves right of those before it.
    for _ in 0..columns.len() {
        for task in tasks {
            let before = task.after.iter().filter_map(|before| columns.get(before.as_str()));
            let column = before.map(|column| column + 1).max().unwrap_or(0);
            columns.insert(&task.name, column.min(tasks.len()));
        }
    }
    let mut used: BTreeMap<usize, usize> = BTreeMap::new();
    let mut places = BTreeMap::new();
    for task in tasks {
        let column = columns[task.name.as_str()];
        if !places.contains_key(task.name.as_str()) {
            let row = used.entry(column).or_default();
            places.insert(task.name.as_str(), (column, *row));
            *row += 1;
        }
    }
    places
}
