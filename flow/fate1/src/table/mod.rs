//! What modules of FATE 1 and their parameters become here. This table is the documentation, too: `docs/fate1.md` is written from it.
//!
//! A parameter that changes what a job computes is kept, changed or refused; only what is about speed, or about how FATE does
//! its work, may have no effect, and is then told. A default of FATE 1 that differs from ours is written into the job.

mod boost;
mod data;
mod features;

use serde_json::Value;
use tributary_document::{Item, quoted};

use crate::parameters::Taken;

pub(crate) use data::READER;

/// A module that something here does the same as.
pub(crate) struct Module {
    /// As DSLs name it.
    pub(crate) name: &'static str,
    /// What it becomes.
    pub(crate) component: &'static str,
    pub(crate) shape: Shape,
    /// Whether it runs at the guest alone.
    pub(crate) at_guest: bool,
    /// What a reader of the table should know.
    pub(crate) about: &'static str,
    pub(crate) rules: &'static [Rule],
}

/// How it is wired.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Shape {
    /// Done elsewhere: what is wired to it is wired to its input.
    Folded,
    /// One stage.
    Simple {
        input: Option<&'static str>,
        /// Whether the input is a list.
        multi: bool,
        /// Outputs in the order of FATE 1, and the names that they have there if these are fixed. Without any, its rows
        /// are those of its input.
        outputs: &'static [(&'static str, &'static str)],
        model: Option<&'static str>,
    },
    /// Trained, and applied.
    Fitted {
        /// Output of training.
        model: &'static str,
        /// Input for models of other modules.
        isometric: Option<&'static str>,
        /// Whether it learns: takes rows to validate, a model to go on from, and folds.
        learns: bool,
    },
}

/// A parameter of FATE 1. Those of a parameter that is a map have its name before theirs: `tree_param.max_depth`.
pub(crate) struct Rule {
    pub(crate) name: &'static str,
    pub(crate) becomes: Becomes,
    /// What FATE 1 takes if it is not given, where ours differs: our parameter, and JSON.
    pub(crate) default: Option<(&'static str, &'static str)>,
}

pub(crate) enum Becomes {
    /// The same under this name.
    Kept(&'static str),
    /// The same under this name; -1, all columns, is what ours does anyway.
    Columns(&'static str),
    /// Under this name, one of these words, or a list of them: theirs and ours.
    Words(&'static str, &'static [(&'static str, &'static str)]),
    /// Something else, as this says.
    Changed(fn(&Item<'_>, &mut Taken), &'static str),
    /// Nothing, for this reason, which is told.
    NoEffect(&'static str),
    /// Only these values, in JSON, which are what ours does anyway; what to do about others.
    Only(&'static [&'static str], &'static str),
    /// Refused: what to do.
    Refused(&'static str),
}

impl Rule {
    const fn new(name: &'static str, becomes: Becomes) -> Self {
        Self { name, becomes, default: None }
    }

    /// What FATE 1 takes if it is not given.
    const fn or(mut self, ours: &'static str, json: &'static str) -> Self {
        self.default = Some((ours, json));
        self
    }
}

/// Every module has it.
const NEED_RUN: Rule = Rule::new("need_run", Becomes::Only(&["true"], "leave the component out of the DSL"));

/// Modules that something here does the same as.
pub(crate) const MODULES: [&Module; 15] = [
    &READER,
    &data::DATA_TRANSFORM,
    &data::DATA_IO,
    &data::INTERSECTION,
    &data::UNION,
    &data::HETERO_DATA_SPLIT,
    &data::FEDERATED_SAMPLE,
    &data::DATA_STATISTICS,
    &features::FEATURE_SCALE,
    &features::HETERO_FEATURE_BINNING,
    &features::HETERO_FEATURE_SELECTION,
    &boost::HETERO_SECURE_BOOST,
    &boost::HETERO_SECURE_BOOSTING_TREE,
    &boost::EVALUATION,
    &data::SECURE_ADD_EXAMPLE,
];

/// Modules of FATE 1 that nothing here does the same as, and what to do instead.
pub(crate) const OTHERS: [(&str, &str); 31] = [
    ("HeteroPearson", "no component here correlates columns of several parties yet; leave it out"),
    ("HeteroLR", "train trees, with HeteroSecureBoost"),
    ("HeteroSSHELR", "train trees, with HeteroSecureBoost"),
    ("HeteroLinR", "train trees, with HeteroSecureBoost and the objective lse"),
    ("HeteroSSHELinR", "train trees, with HeteroSecureBoost and the objective lse"),
    ("HeteroPoisson", "train trees, with HeteroSecureBoost and the objective lse"),
    ("HeteroSSHEPoisson", "train trees, with HeteroSecureBoost and the objective lse"),
    ("HeteroFastSecureBoost", "use HeteroSecureBoost, with complete_secure"),
    ("HeteroNN", "no component here trains neural networks"),
    ("HeteroFTL", "no component here trains neural networks"),
    ("FTL", "no component here trains neural networks"),
    ("HeteroKmeans", "no component here finds clusters"),
    ("HomoLR", "no component here trains on rows of several parties with the same columns"),
    ("HomoNN", "no component here trains on rows of several parties with the same columns"),
    ("HomoSecureBoost", "no component here trains on rows of several parties with the same columns"),
    ("HomoFeatureBinning", "no component here bins rows of several parties with the same columns"),
    ("HomoDataSplit", "use HeteroDataSplit, if the parties' rows are the same"),
    ("HomoOneHotEncoder", "encode the columns before the upload"),
    ("OneHotEncoder", "encode the columns before the upload"),
    ("FeatureImputation", "fill missing values before the upload; trees take them as they are"),
    ("FeldmanVerifiableSum", "no component here does the same"),
    ("SampleWeight", "upload the weights as a column, with --weight"),
    ("LabelTransform", "give labels their values before the upload"),
    ("ColumnExpand", "add the columns before the upload"),
    ("LocalBaseline", "no component here trains at one party alone"),
    ("SBTFeatureTransformer", "no component here gives the leaves of trees as columns"),
    ("PSI", "compare score distributions with Evaluation and the metric psi"),
    ("Scorecard", "scale the scores after a download"),
    ("PositiveUnlabeled", "no component here does the same"),
    ("SecureInformationRetrieval", "no component here does the same"),
    ("ModelLoader", "a predict job names its model in job_parameters"),
];

/// A module by its name; one that there is not is reported. FATE does not distinguish case here.
pub(crate) fn find(name: &str, item: &Item<'_>) -> Option<&'static Module> {
    let found = MODULES.iter().copied().find(|module| module.name.eq_ignore_ascii_case(name));
    if found.is_none() {
        match OTHERS.iter().find(|(other, _)| other.eq_ignore_ascii_case(name)) {
            Some((_, help)) => {
                item.problem_with(format!("module {} is not supported", quoted(name)), (*help).to_owned());
            }
            None => {
                let known = MODULES.iter().map(|module| module.name);
                item.unknown("module", name, known.chain(OTHERS.iter().map(|(other, _)| *other)));
            }
        }
    }
    found
}

/// A scalar as messages show it.
pub(crate) fn shown(value: &Value) -> String {
    match value {
        Value::String(text) => quoted(text),
        Value::Array(_) => "a list".to_owned(),
        Value::Object(_) => "a map".to_owned(),
        scalar => scalar.to_string(),
    }
}
