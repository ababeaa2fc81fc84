//! A whole training, as a host follows it.

use tributary_boost::encrypted::gradient_schema;
use tributary_boost::histogram::{AddUp, AddUpParams};
use tributary_component::task::Task;
use tributary_core::federation::FederationExt;
use tributary_core::kernel::KernelCall;
use tributary_core::{Error, ErrorKind, Party, Result, Table};
use tributary_paillier::PublicKey;

use super::super::columns::{BinnedRows, OwnColumn, OwnColumns, least_rows};
use super::super::guest::{sampled, sharing};
use super::super::messages::{Begins, Told, ToldColumn, Written};
use super::super::model::HostModel;
use super::super::parameters::Parameters;
use super::super::{Scope, kept, rows, walk};
use super::level::Following;

/// A training that has begun.
pub(super) struct Training<'a> {
    pub scope: &'a Scope<'a>,
    pub guest: Party,
    pub begins: Begins,
    /// Rows of this party that are behind every sum, at least.
    pub least: u64,
    /// Levels of a tree, at most.
    pub max_depth: u32,
    /// Trees of the model that trees are added to.
    pub before: usize,
    /// Rows by bin of the table that the rows of trees are a part of; none if they are all of it.
    pub whole: Option<Vec<u32>>,
    pub model: HostModel,
}

/// Takes part in the training of a model, and gives its part.
pub(in crate::hetero_secureboost) async fn fit(
    scope: &Scope<'_>,
    table: &Table,
    validate: Option<&Table>,
    warm: Option<HostModel>,
) -> Result<HostModel> {
    let task = scope.task;
    let parameters: Parameters = task.parameters()?;
    let (mut training, key) = begin(scope, table, validate, warm, &parameters).await?;
    let all = BinnedRows::keep_for_sums(task, &training.model.columns, table).await?;
    training.whole = match scope.whole {
        Some(table) => {
            Some(training.count(&BinnedRows::keep(&training.model.columns.assign(table)?).await?).await?)
        }
        None if training.begins.sampled_from.is_some() => Some(training.count(&all).await?),
        None => None,
    };
    if !training.model.trees.is_empty() {
        // Trees of this training were booked with its sums.
        training.warm().release_answers(task, scope.input, table, 0).await?;
        walk::answer(scope, "train", &all, &training.model).await?;
    }
    let validated = match validate {
        Some(table) => {
            // An answer for each row that comes to a division: no more than divisions there can be.
            let new = parameters.trees().saturating_mul((1 << parameters.max_depth) - 1);
            training.warm().release_answers(task, "validate_data", table, new).await?;
            let rows = BinnedRows::keep(&training.model.columns.assign(table)?).await?;
            if !training.model.trees.is_empty() {
                walk::answer(scope, "validate", &rows, &training.model).await?;
            }
            Some(rows)
        }
        None => None,
    };
    let outputs = parameters.objective().outputs() as u32;
    for number in training.begins.from..training.begins.trees {
        training.tree(number, &all, key.as_ref()).await?;
        if let Some(rows) = validated.as_ref().filter(|_| (number + 1).is_multiple_of(outputs)) {
            walk::answer(scope, &format!("validate.{}", number / outputs), rows, &training.model).await?;
        }
    }
    Ok(training.model)
}

async fn begin<'a>(
    scope: &'a Scope<'a>,
    table: &Table,
    validate: Option<&Table>,
    warm: Option<HostModel>,
    parameters: &Parameters,
) -> Result<(Training<'a>, Option<PublicKey>)> {
    let (task, guest, count) = (scope.task, scope.task.guest()?, table.count().await?);
    let before = warm.as_ref().map_or(0, |warm| warm.trees.len());
    let known: Option<HostModel> = scope.resumes.then(|| kept::read(task, count)).flatten();
    let known = known.filter(|known| known.trees.len() >= before);
    let has = known.as_ref().map_or(0, |known| (known.trees.len() - before) as u64);
    // Booked before anything about the columns leaves.
    let own = u64::from(parameters.complete_secure) * parameters.objective().outputs() as u64;
    let with_hosts = |done: u64| parameters.trees().saturating_sub(done.max(own));
    let sums = |bins: u64| parameters.sums(with_hosts(has), bins);
    let columns = match (&known, &warm) {
        (Some(HostModel { columns, .. }), _) | (None, Some(HostModel { columns, .. })) => {
            columns
                .release_again(task, scope.input, table, &|column| sums(OwnColumns::bins_of(column)))
                .await?;
            columns.clone()
        }
        (None, None) => OwnColumns::release(task, scope.input, table, parameters.max_bin, &sums).await?,
    };
    let validated = match validate {
        Some(table) => Some(table.count().await?),
        None => None,
    };
    let told = Told {
        rows: count,
        columns: columns.0.iter().map(told).collect(),
        kept: known.as_ref().map(|known| (known.id, has as u32)),
        warm: warm.as_ref().map(|warm| (warm.id, before as u32)),
        validated,
    };
    let to = std::slice::from_ref(&guest);
    task.federation.push_message(&scope.slot("told", "begin"), to, &told).await?;
    let begins: Begins = task.federation.pull_message(&scope.slot("begins", "begin"), &guest).await?;
    let key = check(task, &guest, &begins, parameters, has)?;
    let from = begins.from as usize;
    let mut model = match (known, warm) {
        (Some(known), _) if from > 0 => known,
        (_, Some(warm)) => HostModel { id: begins.model, ..warm },
        (_, None) => HostModel::new(begins.model, columns),
    };
    if from > 0 && model.id != begins.model {
        return Err(wrong(&guest, "to go on with another training"));
    }
    model.trees.truncate(before + from);
    if (from as u64) < has {
        let trees = with_hosts(from as u64) - with_hosts(has);
        let more = |column: &OwnColumn| parameters.sums(trees, OwnColumns::bins_of(column));
        model.columns.release_again(task, scope.input, table, &more).await?;
    }
    let least = least_rows(task, scope.input, &guest, table).await?;
    let max_depth = parameters.max_depth;
    Ok((Training { scope, guest, begins, least, max_depth, before, whole: None, model }, key))
}

fn told(column: &OwnColumn) -> ToldColumn {
    let bins = column.cuts.bins() as u16;
    ToldColumn { position: column.position, bins, is_category: column.categories.is_some() }
}

fn wrong(guest: &Party, what: &str) -> Error {
    Error::new(ErrorKind::Corrupt, format!("{guest} wants {what}"))
}

/// The key, if hosts take part at all. `Corrupt` or `Denied` for a training that is not that of the job.
fn check(
    task: &Task,
    guest: &Party,
    begins: &Begins,
    parameters: &Parameters,
    has: u64,
) -> Result<Option<PublicKey>> {
    let own = u64::from(parameters.complete_secure) * parameters.objective().outputs() as u64;
    let trees = parameters.trees();
    if u64::from(begins.trees) != trees || u64::from(begins.own) != own.min(trees) {
        return Err(wrong(guest, "other trees than the job says"));
    }
    let pairs_and_packs = [begins.pairs, begins.packs] == [parameters.gh_pack, parameters.split_info_pack];
    if begins.sampled_from != parameters.sampled_from() || !pairs_and_packs {
        return Err(wrong(guest, "another way of training than the job says"));
    }
    if u64::from(begins.from) > has.min(trees) {
        return Err(wrong(guest, "to go on after trees that this party has not kept"));
    }
    let Some(proven) = &begins.key else {
        return match own >= trees {
            true => Ok(None),
            false => Err(wrong(guest, "trees with hosts, and sends no key")),
        };
    };
    let unusable =
        |e| Error::new(ErrorKind::Corrupt, format!("{guest} sent a key that is not usable")).because(e);
    let key = proven.open(&task.proof_context(guest)).map_err(unusable)?;
    let bits = parameters.he_param.bits().map_err(|e| Error::bug("a key that was checked").because(e))?;
    match key.size() == bits {
        true => Ok(Some(key)),
        false => {
            let text = format!("{guest} sent a key of {}, the job says {bits}", key.size());
            Err(Error::new(ErrorKind::Denied, text))
        }
    }
}

impl Training<'_> {
    /// The model that trees are added to.
    fn warm(&self) -> HostModel {
        let mut warm = self.model.clone();
        warm.trees.truncate(self.before);
        warm
    }

    /// Rows by bin.
    async fn count(&self, rows: &BinnedRows) -> Result<Vec<u32>> {
        let (task, columns) = (self.scope.task, self.model.columns.binned());
        let nodes = rows::nodes(task, vec![0; rows.count() as usize], &rows.ranges).await?;
        let params = AddUpParams { columns, nodes: 1, with_gradients: false };
        let counted = rows.table.zip(&nodes)?.map(KernelCall::fold::<AddUp>(&params)?)?.collect().await?;
        let counted = AddUp::read(&counted, &params.columns, 1)?;
        Ok(counted.iter().flatten().map(|sum| sum.rows as u32).collect())
    }

    async fn tree(&mut self, number: u32, all: &BinnedRows, key: Option<&PublicKey>) -> Result<()> {
        let at = format!("tree.{number}");
        let with_hosts = number >= self.begins.own;
        let samples = self.begins.sampled_from.is_some_and(|from| number >= from);
        let splits = match (with_hosts, key) {
            (true, Some(key)) => self.follow(&at, samples, all, key).await?,
            _ => Vec::new(),
        };
        self.model.trees.push(splits);
        let trees = self.model.trees.len() - self.before;
        if self.scope.resumes {
            kept::write(self.scope.task, all.count(), &self.model)?;
        }
        if with_hosts {
            let slot = self.scope.slot("written", &at);
            let (written, to) = (Written { trees: trees as u32 }, std::slice::from_ref(&self.guest));
            self.scope.task.federation.push_message(&slot, to, &written).await?;
        }
        match samples {
            true => walk::answer(self.scope, &format!("{at}.all"), all, &self.model).await,
            false => Ok(()),
        }
    }

    async fn follow(
        &self,
        at: &str,
        samples: bool,
        all: &BinnedRows,
        key: &PublicKey,
    ) -> Result<Vec<(u16, tributary_boost::Split)>> {
        let task = self.scope.task;
        let rows = match samples {
            false => all.clone(),
            true => {
                let (slot, schema) = (self.scope.slot("sampled", at), rows::sampled_schema()?);
                let exactly = task.exactly(&self.guest, all.ranges.clone());
                let flags = task
                    .federation
                    .pull_table(&slot, &self.guest, &task.computing, &schema, &exactly)
                    .await?;
                sampled(all, &flags).await?
            }
        };
        let sharing = sharing(self.begins.pairs, self.begins.packs, rows.count(), key)?;
        let (slot, schema) = (self.scope.slot("gradients", at), gradient_schema(key, sharing)?);
        let exactly = task.exactly(&self.guest, rows.ranges.clone());
        let gradients =
            task.federation.pull_table(&slot, &self.guest, &task.computing, &schema, &exactly).await?;
        Following::new(self, at, rows, gradients, key, sharing).follow().await
    }
}
