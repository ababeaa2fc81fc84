//! A whole training, as the guest leads it.

use std::ops::Range;

use rand::Rng;
use tributary_boost::encrypted::{EncryptGradients, EncryptParams, Sharing};
use tributary_boost::{Gradients, Objective, Quantised, Scale, Targets, quantise, sampling};
use tributary_component::task::Task;
use tributary_core::computing::{Blob, BlobRef};
use tributary_core::federation::FederationExt;
use tributary_core::kernel::KernelCall;
use tributary_core::ops::rows::{Comparison, Predicate, Value};
use tributary_core::{Error, Party, Result, Role, Table};
use tributary_paillier::{Additive, Encrypt, ProvenKey, PublicKey, SecretKey};

use super::super::columns::{BinnedRows, OwnColumns};
use super::super::messages::{Begins, ModelId, Told, Written};
use super::super::model::{GuestModel, GuestTree, KnownHost};
use super::super::parameters::Parameters;
use super::super::{Scope, kept, measure, rows, walk};
use super::tree::Growing;

/// What a training gives.
pub(in crate::hetero_secureboost) struct Trained {
    /// The guest's part of the model.
    pub model: GuestModel,
    /// Of the rows that were trained on, by output.
    pub scores: Vec<Vec<f64>>,
    /// Of the rows to validate on.
    pub validated: Option<Vec<Vec<f64>>>,
}

/// The guest's key of one attempt, which decrypts sums.
pub(super) struct OwnKey {
    pub public: PublicKey,
    pub secret: BlobRef,
    proven: ProvenKey,
}

/// A training that has begun.
pub(super) struct Training<'a> {
    pub scope: &'a Scope<'a>,
    pub parameters: Parameters,
    pub objective: Objective,
    pub hosts: Vec<Party>,
    /// What each host told.
    pub told: Vec<Told>,
    pub key: Option<OwnKey>,
    /// All rows.
    pub rows: BinnedRows,
    pub targets: Targets,
    pub model: GuestModel,
    /// Trees of the model that trees are added to.
    before: usize,
}

impl OwnKey {
    async fn make(task: &Task, parameters: &Parameters) -> Result<Self> {
        let bits = parameters.he_param.bits().map_err(|e| Error::bug("a key that was checked").because(e))?;
        if bits.is_weak() {
            task.warn(format!("a key of {bits} is weak; use 2048"));
        }
        task.note(format!("making a key of {bits}"));
        let key =
            SecretKey::generate(bits, &mut rand::rng()).map_err(|e| Error::bug("make a key").because(e))?;
        let proven = ProvenKey::new(&key, &task.proof_context(&task.own));
        let proven = proven.map_err(|e| Error::bug("prove own key").because(e))?;
        let secret = task.computing.put_blob(Blob::secret(key.to_bytes().expose().to_vec())).await?;
        Ok(Self { public: key.public().clone(), secret, proven })
    }
}

/// How sums over so many rows share plaintexts.
pub(in crate::hetero_secureboost) fn sharing(
    pairs: bool,
    packs: bool,
    rows: u64,
    key: &PublicKey,
) -> Result<Sharing> {
    Ok(Sharing { packing: quantise::packing(rows, key.plaintext_bits())?, pairs, packs })
}

/// Trains on a table, and measures on another, if there is one.
pub(in crate::hetero_secureboost) async fn fit(
    scope: &Scope<'_>,
    table: &Table,
    validate: Option<&Table>,
    warm: Option<GuestModel>,
) -> Result<Trained> {
    let mut training = Training::begin(scope, table, validate, warm).await?;
    let mut scores = training.known_scores("train", &training.rows).await?;
    let mut validation = match validate {
        Some(table) => {
            let rows = BinnedRows::keep(&training.model.columns.assign(table)?).await?;
            let (targets, _) = super::targets(table, training.objective).await?;
            let scores = training.known_scores("validate", &rows).await?;
            Some((rows, targets, scores))
        }
        None => None,
    };
    let outputs = training.objective.outputs();
    for (round, loss) in (0..).zip(&training.model.losses) {
        scope.task.progress.metric(measure::loss(round, *loss));
    }
    for round in training.done() / outputs..training.parameters.num_trees as usize {
        let trees = training.round(round, &mut scores).await?;
        let loss = training.objective.loss(&scores, &training.targets);
        training.model.losses.push(loss);
        // A round is kept as a whole: within one, gradients are those of its beginning.
        if scope.resumes {
            kept::write(scope.task, training.rows.count(), &training.model)?;
        }
        scope.task.note(format!("tree {} of {}: loss {loss:.6}", round + 1, training.parameters.num_trees));
        scope.task.progress.metric(measure::loss(training.model.losses.len() as u64 - 1, loss));
        if let Some((rows, targets, scores)) = &mut validation {
            *scores = training.scores_after(&format!("validate.{round}"), rows, trees, scores).await?;
            let metric = measure::validated(round as u64, training.objective, scores, targets);
            scope.task.progress.metric(metric);
        }
    }
    let validated = validation.map(|(_, _, scores)| scores);
    Ok(Trained { model: training.model, scores, validated })
}

impl<'a> Training<'a> {
    async fn begin(
        scope: &'a Scope<'a>,
        table: &Table,
        validate: Option<&Table>,
        warm: Option<GuestModel>,
    ) -> Result<Self> {
        let task = scope.task;
        let parameters: Parameters = task.parameters()?;
        let objective = parameters.objective();
        let (targets, classes) = super::targets(table, objective).await?;
        let count = targets.labels.len() as u64;
        // Those of a model in its order, which its trees count by.
        let hosts: Vec<Party> = match &warm {
            Some(warm) => warm.hosts.iter().map(|host| host.party.clone()).collect(),
            None => task.others(&Role::host()),
        };
        if count == 0 {
            return Err(Error::invalid("trees cannot be trained on no rows"));
        }
        if let Some(warm) = &warm {
            super::expect_hosts(task, warm)?;
        }
        let mut told = Vec::new();
        for host in &hosts {
            let one: Told = task.federation.pull_message(&scope.slot("told", "begin"), host).await?;
            one.check(host, count)?;
            told.push(one);
        }
        expect_same(validate, &warm, &hosts, &told).await?;
        let before = warm.as_ref().map_or(0, |warm| warm.trees.len());
        let known = kept_model(scope, count, &told, before);
        let from = known.as_ref().map_or(0, |known| known.trees.len() - before);
        let model = match (known, warm) {
            (Some(known), _) => {
                task.note(format!("goes on after {from} trees that all parties have kept"));
                known
            }
            (None, warm) => {
                new_model(task, table, &parameters, &targets, classes, (&hosts, &told), warm).await?
            }
        };
        expect_fits(&model, objective)?;
        let own = parameters.complete_secure as usize * objective.outputs();
        let uses_hosts = !hosts.is_empty() && (own as u64) < parameters.trees();
        let key = if uses_hosts { Some(OwnKey::make(task, &parameters).await?) } else { None };
        let rows = BinnedRows::keep(&model.columns.assign(table)?).await?;
        let training = Self { scope, parameters, objective, hosts, told, key, rows, targets, model, before };
        training.tell(from as u32, own as u32).await?;
        Ok(training)
    }

    async fn tell(&self, from: u32, own: u32) -> Result<()> {
        let parameters = &self.parameters;
        let trees = parameters.trees() as u32;
        let begins = Begins {
            model: self.model.id,
            key: self.key.as_ref().map(|key| key.proven.clone()),
            trees,
            own: own.min(trees),
            from,
            sampled_from: parameters.sampled_from(),
            pairs: parameters.gh_pack,
            packs: parameters.split_info_pack,
        };
        self.scope.tell("begins", "begin", &self.hosts, &begins).await
    }

    /// Trees of this training that are done.
    fn done(&self) -> usize {
        self.model.trees.len() - self.before
    }

    /// Scores of rows by the trees that there are.
    async fn known_scores(&self, at: &str, rows: &BinnedRows) -> Result<Vec<Vec<f64>>> {
        let trees = self.model.trees.len();
        if trees == 0 {
            return Ok(vec![vec![self.model.init_score; rows.count() as usize]; self.objective.outputs()]);
        }
        rows::numbers(&walk::scores(self.scope, at, rows, &self.model, 0..trees, None).await?).await
    }

    async fn scores_after(
        &self,
        at: &str,
        rows: &BinnedRows,
        trees: Range<usize>,
        scores: &[Vec<f64>],
    ) -> Result<Vec<Vec<f64>>> {
        let before = score_table(self.scope.task, scores, rows).await?;
        let after = walk::scores(self.scope, at, rows, &self.model, trees, Some(before)).await?;
        rows::numbers(&after).await
    }

    /// One tree for each output. Gives their places in the model.
    async fn round(&mut self, round: usize, scores: &mut Vec<Vec<f64>>) -> Result<Range<usize>> {
        let outputs = self.objective.outputs();
        let gradients = self.objective.gradients(scores, &self.targets);
        let first = self.before + round * outputs;
        for (output, gradients) in gradients.iter().enumerate() {
            self.tree(round, output, gradients, scores).await?;
        }
        Ok(first..self.model.trees.len())
    }

    async fn tree(
        &mut self,
        round: usize,
        output: usize,
        gradients: &Gradients,
        scores: &mut Vec<Vec<f64>>,
    ) -> Result<()> {
        let number = self.done();
        let with_hosts = self.key.is_some() && round >= self.parameters.complete_secure as usize;
        let at = format!("tree.{number}");
        let rates = self.parameters.rates(round as u32);
        let sampled = rates.map(|rates| sampling::sample(rates, gradients, (self.before + number) as u64));
        let (rows, gradients) = match &sampled {
            Some((taken, gradients)) => (self.sample(&at, taken, with_hosts).await?, gradients),
            None => (self.rows.clone(), gradients),
        };
        let scale = Scale::of(gradients);
        let quantised = scale.quantise(gradients);
        if with_hosts {
            self.send_gradients(&at, &quantised, &rows).await?;
        }
        let (tree, leaves) =
            Growing::new(self, &at, &rows, quantised, scale, with_hosts).await?.grow().await?;
        self.model.trees.push(GuestTree { rate: self.parameters.learning_rate, tree });
        let place = self.model.trees.len() - 1;
        if with_hosts {
            self.hear_written(&at, number as u32 + 1).await?;
        }
        match sampled {
            None => {
                let weights = self.model.weights(place);
                for (score, leaf) in scores[output].iter_mut().zip(leaves) {
                    *score += weights.get(usize::from(leaf)).copied().unwrap_or_default();
                }
            }
            Some(_) => {
                let rows = self.rows.clone();
                *scores = self.scores_after(&format!("{at}.all"), &rows, place..place + 1, scores).await?;
            }
        }
        Ok(())
    }

    /// The rows that are sampled, in order; hosts are told which.
    async fn sample(&self, at: &str, taken: &[bool], with_hosts: bool) -> Result<BinnedRows> {
        let flags = rows::sampled(self.scope.task, taken, &self.rows.ranges).await?;
        if with_hosts {
            let slot = self.scope.slot("sampled", at);
            self.scope.task.federation.push_table(&slot, &self.hosts, &flags).await?;
        }
        sampled(&self.rows, &flags).await
    }

    async fn send_gradients(&self, at: &str, quantised: &Quantised, rows: &BinnedRows) -> Result<()> {
        let Some(key) = &self.key else { return Err(Error::bug("gradients without a key")) };
        let (task, parameters) = (self.scope.task, &self.parameters);
        let sharing = sharing(parameters.gh_pack, parameters.split_info_pack, rows.count(), &key.public)?;
        let params = EncryptParams { public_key: key.public.to_bytes(), sharing, rows: rows.count() };
        let call = KernelCall::map::<EncryptGradients>(&params)?.with_blob(key.secret.clone());
        let plain = super::super::rows::gradients(task, quantised, &rows.ranges).await?;
        let encrypted = plain.map(call)?.keep().await?;
        task.federation.push_table(&self.scope.slot("gradients", at), &self.hosts, &encrypted).await
    }

    async fn hear_written(&self, at: &str, trees: u32) -> Result<()> {
        for host in &self.hosts {
            let slot = self.scope.slot("written", at);
            let written: Written = self.scope.task.federation.pull_message(&slot, host).await?;
            if written.trees != trees {
                let text = format!("{host} has kept {} trees, expected {trees}", written.trees);
                return Err(Error::new(tributary_core::ErrorKind::Corrupt, text));
            }
        }
        Ok(())
    }
}

/// The rows of a table in bins that are flagged, in order.
pub(in crate::hetero_secureboost) async fn sampled(rows: &BinnedRows, flags: &Table) -> Result<BinnedRows> {
    let columns: Vec<String> = rows.table.schema().fields().iter().map(|field| field.name.clone()).collect();
    let beside = rows.table.zip(flags)?;
    let flag = beside.schema().fields().last().map(|field| field.name.clone()).unwrap_or_default();
    let taken = Predicate { column: flag, comparison: Comparison::Eq, value: Value::Int(1) };
    BinnedRows::keep(&beside.filter(&taken)?.select(columns)?).await
}

async fn score_table(task: &Task, scores: &[Vec<f64>], rows: &BinnedRows) -> Result<Table> {
    use arrow_array::{ArrayRef, Float64Array};
    let columns = scores.iter().map(|of| std::sync::Arc::new(Float64Array::from(of.clone())) as ArrayRef);
    let schema = tributary_boost::walk::score_schema(scores.len())?;
    rows::table(task, &schema, columns.collect(), &rows.ranges).await
}

/// The model that an earlier attempt left, if all hosts have at least its trees.
fn kept_model(scope: &Scope<'_>, rows: u64, told: &[Told], before: usize) -> Option<GuestModel> {
    let known: GuestModel = scope.resumes.then(|| kept::read(scope.task, rows)).flatten()?;
    let trees = known.trees.len().checked_sub(before)? as u32;
    let has = |told: &Told| told.kept.is_some_and(|(id, has)| id == known.id && has >= trees);
    told.iter().all(has).then_some(known)
}

async fn new_model(
    task: &Task,
    table: &Table,
    parameters: &Parameters,
    targets: &Targets,
    classes: Vec<f64>,
    (hosts, told): (&[Party], &[Told]),
    warm: Option<GuestModel>,
) -> Result<GuestModel> {
    let mut id = ModelId::default();
    rand::rng().fill(&mut id[..]);
    if let Some(warm) = warm {
        return Ok(GuestModel { id, ..warm });
    }
    let objective = parameters.objective();
    let columns = OwnColumns::find(task, table, parameters.max_bin).await?;
    let known = |(party, told): (&Party, &Told)| KnownHost {
        party: party.clone(),
        columns: told.columns.iter().map(|column| column.position).collect(),
    };
    let known = hosts.iter().zip(told).map(known).collect();
    Ok(GuestModel::new(id, objective, classes, objective.first_score(targets), columns, known))
}

fn expect_fits(model: &GuestModel, objective: Objective) -> Result<()> {
    match model.objective == objective {
        true => Ok(()),
        false => Err(Error::invalid(format!(
            "warm_start_model predicts {:?}, and the training {objective:?}; its objective and num_class must be the same",
            model.objective
        ))),
    }
}

/// `InvalidInput` unless hosts have the same inputs as the guest, and parts of the same model.
async fn expect_same(
    validate: Option<&Table>,
    warm: &Option<GuestModel>,
    hosts: &[Party],
    told: &[Told],
) -> Result<()> {
    let validated = match validate {
        Some(table) => Some(table.count().await?),
        None => None,
    };
    let own = warm.as_ref().map(|warm| (warm.id, warm.trees.len() as u32));
    for (host, told) in hosts.iter().zip(told) {
        if told.validated != validated {
            let text =
                format!("{host} has {:?} rows of validate_data, expected {validated:?}", told.validated);
            return Err(Error::invalid(format!("{text}; give it to all parties, from psi")));
        }
        if told.warm != own {
            return Err(Error::invalid(format!(
                "warm_start_model of {host} is not a part of the same model; take all parts from one training"
            )));
        }
    }
    Ok(())
}
