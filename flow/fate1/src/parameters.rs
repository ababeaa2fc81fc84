//! A component's parameters as written, for one party or all, and what the table makes of them.

use std::collections::BTreeMap;

use serde_json::Value;
use tributary_document::{Item, quoted};

use crate::origins::Side;
use crate::table::{Becomes, Module, Rule, shown};
use crate::tree::{Content, Tree};

/// Parameters of a component by their place in its table. Later ones replace earlier ones, one by one also within a map.
pub(crate) type Given<'a> = BTreeMap<usize, Item<'a>>;

/// Adds what an entry of the conf says about a component; what the module does not have is reported.
pub(crate) fn add<'a>(
    module: &'static Module,
    entries: impl IntoIterator<Item = (&'a str, Item<'a>)>,
    given: &mut Given<'a>,
) {
    add_under(module, "", entries, given);
}

fn add_under<'a>(
    module: &'static Module,
    prefix: &str,
    entries: impl IntoIterator<Item = (&'a str, Item<'a>)>,
    given: &mut Given<'a>,
) {
    for (key, item) in entries {
        let name = format!("{prefix}{key}");
        let below = format!("{name}.");
        if let Some(at) = module.rules.iter().position(|rule| rule.name == name) {
            given.insert(at, item);
        } else if module.rules.iter().any(|rule| rule.name.starts_with(&below)) {
            add_under(module, &below, item.entries(), given);
        } else {
            let here = module.rules.iter().filter_map(|rule| rule.name.strip_prefix(prefix));
            let here = here.map(|rest| rest.split('.').next().unwrap_or(rest));
            let message = format!("{} has no parameter {}", module.name, quoted(key));
            item.problem_with(message, item.suggestion(key, here));
        }
    }
}

/// When a component runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Stage {
    Default,
    Train,
    Predict,
    Folds,
}

impl Stage {
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Default => "default",
            Self::Train => "train",
            Self::Predict => "predict",
            Self::Folds => "cross_validation",
        }
    }
}

/// What the table makes of a component's parameters.
pub(crate) struct Taken {
    stage: Stage,
    /// Our parameters, in the order of the table.
    values: Vec<(&'static str, Tree)>,
    /// Parameters without effect, and why.
    pub(crate) no_effect: Vec<(&'static str, &'static str)>,
}

impl Taken {
    pub(crate) fn of(module: &'static Module, given: &Given<'_>, stage: Stage) -> Self {
        let mut taken = Self { stage, values: Vec::new(), no_effect: Vec::new() };
        for (at, rule) in module.rules.iter().enumerate() {
            match given.get(&at) {
                Some(item) => taken.take(rule, item),
                None => taken.add_default(rule),
            }
        }
        taken
    }

    fn add_default(&mut self, rule: &Rule) {
        let Some((ours, json)) = rule.default else { return };
        // What a model was trained with is in the model.
        let transforms = ours == "transform_method";
        if self.stage == Stage::Predict && !transforms {
            return;
        }
        let value: Value = serde_json::from_str(json).unwrap_or_default();
        let tree = Tree::of_json(value).comment(format!("{} is not given, and FATE 1 takes this", rule.name));
        self.values.push((ours, tree));
    }

    fn take(&mut self, rule: &'static Rule, item: &Item<'_>) {
        // Null is a value of FATE's for some, and for the rest as if they were not there.
        match &rule.becomes {
            Becomes::Changed(change, _) => change(item, self),
            Becomes::Only(values, help) => only(item, values, help),
            _ if !item.is_given() => {}
            Becomes::Kept(ours) => self.copy(ours, item),
            Becomes::Columns(ours) => match item.json() {
                Some(Value::Number(number)) if number.as_i64() == Some(-1) => {}
                _ => self.copy(ours, item),
            },
            Becomes::Words(ours, words) => self.words(ours, words, item),
            Becomes::NoEffect(why) => self.no_effect.push((rule.name, why)),
            Becomes::Refused(help) => {
                item.problem_with("this parameter is not supported", (*help).to_owned());
            }
        }
    }

    fn words(&mut self, ours: &'static str, words: &[(&str, &str)], item: &Item<'_>) {
        let is_list = matches!(item.json(), Some(Value::Array(_)));
        let word = |item: &Item<'_>| {
            let text = item.text()?;
            let found = words.iter().find(|(theirs, _)| theirs.eq_ignore_ascii_case(text));
            match found {
                Some((_, ours)) => Some(Tree::scalar(*ours).from(item, Side::Conf)),
                None => item
                    .choice::<()>(&words.iter().map(|(theirs, _)| (*theirs, ())).collect::<Vec<_>>())
                    .and(None),
            }
        };
        let trees: Vec<Tree> = item.one_or_many().iter().filter_map(word).collect();
        let tree = if is_list { Some(Tree::list(trees)) } else { trees.into_iter().next() };
        if let Some(tree) = tree {
            self.put(ours, tree.from(item, Side::Conf));
        }
    }

    /// Sets a parameter of ours to what is written.
    pub(crate) fn copy(&mut self, ours: &'static str, item: &Item<'_>) {
        if item.is_given() {
            self.put(ours, Tree::of(item, Side::Conf));
        }
    }

    /// The same, if the component makes folds; otherwise it says nothing.
    pub(crate) fn fold(&mut self, ours: &'static str, item: &Item<'_>) {
        if self.stage == Stage::Folds {
            self.copy(ours, item);
        }
    }

    /// Sets a parameter of ours.
    pub(crate) fn set(&mut self, ours: &'static str, value: impl Into<Value>, item: &Item<'_>) {
        self.put(ours, Tree::of_json(value.into()).from(item, Side::Conf));
    }

    fn put(&mut self, ours: &'static str, tree: Tree) {
        self.values.retain(|(name, _)| *name != ours);
        self.values.push((ours, tree));
    }

    /// Whether a parameter of ours is this text.
    pub(crate) fn is(&self, ours: &str, text: &str) -> bool {
        let value = self.values.iter().find(|(name, _)| *name == ours).map(|(_, tree)| &tree.content);
        value == Some(&Content::Scalar(text.into()))
    }

    /// The parameters, each at its place.
    pub(crate) fn into_parameters(self) -> Vec<(String, Tree)> {
        let mut parameters: Vec<(String, Tree)> = Vec::new();
        for (path, tree) in self.values {
            let Some((record, name)) = path.split_once('.') else {
                parameters.push((path.to_owned(), tree));
                continue;
            };
            let place = parameters.iter().position(|(known, _)| known == record).unwrap_or(parameters.len());
            if place == parameters.len() {
                let mut record_tree = Tree::map::<String>([]);
                record_tree.origin.clone_from(&tree.origin);
                parameters.push((record.to_owned(), record_tree));
            }
            if let Content::Map(map) = &mut parameters[place].1.content {
                map.push((name.to_owned(), tree));
            }
        }
        parameters
    }
}

/// Reports a value that is none of those that say nothing.
fn only(item: &Item<'_>, values: &[&str], help: &str) {
    let Some(value) = item.json() else { return };
    let allowed = || values.iter().filter_map(|json| serde_json::from_str::<Value>(json).ok());
    let same = |one: &Value| match (one.as_f64(), value.as_f64(), one.as_str(), value.as_str()) {
        (Some(one), Some(other), ..) => (one - other).abs() == 0.0,
        (.., Some(one), Some(other)) => one.eq_ignore_ascii_case(other),
        _ => *one == value,
    };
    if value.is_null() || allowed().any(|one| same(&one)) {
        return;
    }
    let expected = allowed().map(|one| shown(&one)).collect::<Vec<_>>().join(" or ");
    item.problem_with(format!("expected {expected}, got {}", shown(&value)), help.to_owned());
}
