//! Rows are led through trees: at the end of a tree that not all rows were trained on, after each round for rows to validate on, when a
//! training goes on where another ended, and for predictions.

use std::ops::Range;

use tributary_boost::tree::MAX_DEPTH;
use tributary_boost::walk::{
    AT_ONCE, Answer, AnswerParams, Ask, AskParams, Score, ScoreParams, Walk, WalkParams, answer_schema,
    asked_schema,
};
use tributary_boost::{Fate, Tree};
use tributary_core::federation::FederationExt;
use tributary_core::kernel::KernelCall;
use tributary_core::{Error, ErrorKind, Party, Result, Table};

use super::Scope;
use super::columns::BinnedRows;
use super::messages::Walks;
use super::model::{GuestModel, HostModel};

/// A run of trees that rows go through together.
fn runs(trees: Range<usize>) -> impl Iterator<Item = Range<usize>> {
    trees.clone().step_by(AT_ONCE).map(move |first| first..trees.end.min(first + AT_ONCE))
}

/// The guest's part: scores of rows after some more trees. `scores`: before them, if there were any.
pub(super) async fn scores(
    scope: &Scope<'_>,
    at: &str,
    rows: &BinnedRows,
    model: &GuestModel,
    trees: Range<usize>,
    scores: Option<Table>,
) -> Result<Table> {
    let hosts: Vec<Party> = model.hosts.iter().map(|host| host.party.clone()).collect();
    let of_run =
        |run: Range<usize>| model.trees[run].iter().map(|tree| tree.tree.clone()).collect::<Vec<Tree>>();
    let steps =
        runs(trees.clone()).map(|run| of_run(run).iter().map(Tree::host_steps).max().unwrap_or(0) as u16);
    let steps: Vec<u16> = steps.collect();
    let walks =
        Walks { model: model.id, first: trees.start as u32, steps: steps.clone(), trees: trees.len() as u32 };
    scope.tell("walks", at, &hosts, &walks).await?;
    let mut scores = scores;
    for (number, (run, steps)) in runs(trees).zip(steps).enumerate() {
        let way = Way {
            scope,
            at: format!("{at}.{number}"),
            rows,
            model,
            hosts: &hosts,
            trees: of_run(run.clone()),
        };
        let stood = way.lead(steps).await?;
        let outputs = model.objective.outputs();
        let params = ScoreParams {
            weights: run.clone().map(|tree| model.weights(tree)).collect(),
            first: (run.start % outputs) as u32,
            outputs: outputs as u32,
            start: scores.is_none().then_some(model.init_score),
        };
        let with = scores.map_or(Ok(stood.clone()), |scores| scores.zip(&stood))?;
        scores = Some(with.map(KernelCall::map::<Score>(&params)?)?.keep().await?);
    }
    scores.ok_or_else(|| Error::bug("scores of no trees"))
}

struct Way<'a> {
    scope: &'a Scope<'a>,
    at: String,
    rows: &'a BinnedRows,
    model: &'a GuestModel,
    hosts: &'a [Party],
    trees: Vec<Tree>,
}

impl Way<'_> {
    /// Where rows stand in the end.
    async fn lead(&self, steps: u16) -> Result<Table> {
        let mut stood = self.walk(&self.rows.table, 0)?.keep().await?;
        for step in 0..steps {
            for (host, party) in self.hosts.iter().enumerate() {
                self.ask(&stood, host as u16, party, step).await?;
            }
            let mut beside = self.rows.table.zip(&stood)?;
            for host in self.hosts {
                let slot = self.scope.slot("answers", format!("{}.{step}", self.at));
                let schema = answer_schema(self.trees.len())?;
                let exactly = self.scope.task.exactly(host, self.rows.ranges.clone());
                let task = self.scope.task;
                let answers =
                    task.federation.pull_table(&slot, host, &task.computing, &schema, &exactly).await?;
                beside = beside.zip(&answers)?;
            }
            stood = self.walk(&beside, self.hosts.len() as u16)?.keep().await?;
        }
        Ok(stood)
    }

    fn walk(&self, rows: &Table, hosts: u16) -> Result<Table> {
        let params = WalkParams { columns: self.model.columns.binned(), trees: self.trees.clone(), hosts };
        rows.map(KernelCall::map::<Walk>(&params)?)
    }

    async fn ask(&self, stood: &Table, host: u16, party: &Party, step: u16) -> Result<()> {
        let is_hosts = |fate: &Fate| matches!(fate, Fate::Host { host: of, .. } if *of == host);
        let of_tree = |tree: &Tree| {
            let nodes = (0..).zip(&tree.nodes).filter(|(_, node)| is_hosts(&node.fate));
            nodes.map(|(number, _)| number).collect()
        };
        let params = AskParams { nodes: self.trees.iter().map(of_tree).collect() };
        let asked = stood.map(KernelCall::map::<Ask>(&params)?)?.keep().await?;
        let slot = self.scope.slot("asked", format!("{}.{step}", self.at));
        self.scope.task.federation.push_table(&slot, std::slice::from_ref(party), &asked).await
    }
}

/// A host's part.
pub(super) async fn answer(scope: &Scope<'_>, at: &str, rows: &BinnedRows, model: &HostModel) -> Result<()> {
    let (task, guest) = (scope.task, scope.task.guest()?);
    let walks: Walks = task.federation.pull_message(&scope.slot("walks", at), &guest).await?;
    let trees = check(&guest, &walks, model)?;
    for (number, (run, steps)) in runs(trees).zip(walks.steps).enumerate() {
        let splits = model.trees[run.clone()].to_vec();
        let params = AnswerParams { columns: model.columns.binned(), splits };
        for step in 0..steps {
            let place = format!("{at}.{number}.{step}");
            let exactly = task.exactly(&guest, rows.ranges.clone());
            let (slot, schema) = (scope.slot("asked", &place), asked_schema(run.len())?);
            let asked = task.federation.pull_table(&slot, &guest, &task.computing, &schema, &exactly).await?;
            let answers = rows.table.zip(&asked)?.map(KernelCall::map::<Answer>(&params)?)?.keep().await?;
            let to = std::slice::from_ref(&guest);
            task.federation.push_table(&scope.slot("answers", &place), to, &answers).await?;
        }
    }
    Ok(())
}

/// The trees that a guest wants to lead rows through. `Corrupt` for what no honest guest wants, `InvalidInput` for another model.
fn check(guest: &Party, walks: &Walks, model: &HostModel) -> Result<Range<usize>> {
    if walks.model != model.id {
        return Err(Error::invalid(format!(
            "the models of this party and of {guest} are parts of different ones; take both from one training"
        )));
    }
    let first = walks.first as usize;
    let trees = first..first.saturating_add(walks.trees as usize);
    let fits = trees.end <= model.trees.len()
        && walks.steps.len() == trees.len().div_ceil(AT_ONCE)
        && walks.steps.iter().all(|steps| u32::from(*steps) <= MAX_DEPTH);
    match fits {
        true => Ok(trees),
        false => Err(Error::new(
            ErrorKind::Corrupt,
            format!("{guest} wants to lead rows through trees that are not there"),
        )),
    }
}
