//! From `component.output` of a DSL to the tasks and outputs of schema 2.x.
//!
//! A component of FATE 1 trains or applies by what is wired to it; ours have stages for that. What passes rows on unchanged
//! is left out, or is looked through.

use tributary_document::Item;

use crate::dsl::{Component, Dsl, Reference, Use};
use crate::origins::Side;
use crate::parameters::Stage;
use crate::table::Shape;
use crate::tree::Tree;

/// See the module.
pub(crate) struct Wiring<'d, 'a> {
    pub(crate) dsl: &'d Dsl<'a>,
    /// Whether models come from an earlier job.
    pub(crate) predicts: bool,
    /// Components that make folds.
    pub(crate) folds: Vec<&'a str>,
}

/// A task and one of its outputs.
type Source<'a> = (&'a str, &'static str);

impl<'a> Wiring<'_, 'a> {
    pub(crate) fn stage(&self, component: &Component<'a>) -> Stage {
        let has = |wanted: Use| component.data.iter().any(|(what_for, ..)| *what_for == wanted);
        match component.module.map(|module| module.shape) {
            Some(Shape::Fitted { .. }) if self.predicts => Stage::Predict,
            Some(Shape::Fitted { .. }) if self.folds.contains(&component.name) => Stage::Folds,
            Some(Shape::Fitted { .. }) if has(Use::Train) => Stage::Train,
            Some(Shape::Fitted { .. }) if has(Use::Test) || !component.model.is_empty() => Stage::Predict,
            Some(Shape::Fitted { .. }) => Stage::Train,
            _ => Stage::Default,
        }
    }

    /// `inputs` of a component's task; what it does not take is reported.
    pub(crate) fn inputs(&self, component: &Component<'a>) -> Tree {
        let Some(module) = component.module else { return Tree::map::<String>([]) };
        let (data, model) = match module.shape {
            Shape::Folded => (Vec::new(), Vec::new()),
            Shape::Simple { input, multi, .. } => (self.simple(component, input, multi), Vec::new()),
            Shape::Fitted { isometric, learns, .. } => match self.stage(component) {
                Stage::Predict => (self.predicted(component), self.applied(component)),
                stage => (self.trained(component, stage, learns), self.known(component, isometric, learns)),
            },
        };
        let groups = [("data", data), ("model", model)].into_iter().filter(|(_, inputs)| !inputs.is_empty());
        Tree::map(groups.map(|(group, inputs)| (group, Tree::map(inputs))))
    }

    fn simple(
        &self,
        component: &Component<'a>,
        input: Option<&'static str>,
        multi: bool,
    ) -> Vec<(&'static str, Tree)> {
        for reference in component.model.iter().chain(&component.isometric) {
            reference.item.problem(format!("{} takes no model", component.name));
        }
        let mut inputs = Vec::new();
        for (what_for, item, references) in &component.data {
            match (input, what_for) {
                (Some(input), Use::Data) => inputs.extend(self.channels(input, item, references, multi)),
                (Some(_), _) => item
                    .problem_with(format!("{} takes data alone", component.name), "call it data".to_owned()),
                (None, _) => item.problem(format!("{} takes no data", component.name)),
            }
        }
        inputs
    }

    /// Rows of a component that applies a model.
    fn predicted(&self, component: &Component<'a>) -> Vec<(&'static str, Tree)> {
        let order = [Use::Test, Use::Data, Use::Train];
        let of = |wanted: Use| component.data.iter().find(|(what_for, ..)| *what_for == wanted);
        let found = order.into_iter().find_map(of);
        if let (Some((_, item, _)), false) = (of(Use::Validate), self.predicts) {
            item.problem_with(
                "rows to validate belong to a training",
                "call them data or test_data".to_owned(),
            );
        }
        found
            .and_then(|(_, item, references)| self.channels("test_data", item, references, false))
            .into_iter()
            .collect()
    }

    /// The model that a component applies.
    fn applied(&self, component: &Component<'a>) -> Vec<(&'static str, Tree)> {
        if self.predicts {
            let trained = component.model.first().and_then(|reference| self.trained_by(reference));
            return vec![("input_model", warehouse(trained.unwrap_or(component)))];
        }
        match component.model.as_slice() {
            [] => {
                let item = component.data.first().map_or(&component.item, |(_, item, _)| item);
                item.problem_with("test_data needs a model", "name it in input.model".to_owned());
                Vec::new()
            }
            models => {
                models.iter().for_each(|reference| self.check_module(component, reference));
                self.models("input_model", models, false).into_iter().collect()
            }
        }
    }

    fn trained(&self, component: &Component<'a>, stage: Stage, learns: bool) -> Vec<(&'static str, Tree)> {
        let trains = component.data.iter().any(|(what_for, ..)| *what_for == Use::Train);
        let key = if stage == Stage::Folds { "cv_data" } else { "train_data" };
        let mut inputs = Vec::new();
        for (what_for, item, references) in &component.data {
            match what_for {
                Use::Train => inputs.extend(self.channels(key, item, references, false)),
                Use::Data if !trains => inputs.extend(self.channels(key, item, references, false)),
                Use::Validate if learns && stage == Stage::Train => {
                    inputs.extend(self.channels("validate_data", item, references, false));
                }
                Use::Validate => item.problem(format!("{} takes no rows to validate here", component.name)),
                Use::Data | Use::Test => item.problem_with(
                    format!("{} trains, on train_data", component.name),
                    "apply its model in another component".to_owned(),
                ),
            }
        }
        inputs
    }

    /// Models that a training takes.
    fn known(
        &self,
        component: &Component<'a>,
        isometric: Option<&'static str>,
        learns: bool,
    ) -> Vec<(&'static str, Tree)> {
        let mut inputs = Vec::new();
        for reference in &component.model {
            self.check_module(component, reference);
            if !learns {
                reference.item.problem(format!("{} does not go on from a model", component.name));
            }
        }
        if learns && !component.model.is_empty() {
            inputs.extend(self.models("warm_start_model", &component.model, false));
        }
        match (isometric, component.isometric.as_slice()) {
            (_, []) => {}
            (Some(key), references) => inputs.extend(self.models(key, references, true)),
            (None, [first, ..]) => {
                first.item.problem(format!("{} takes no models of other modules", component.name));
            }
        }
        inputs
    }

    fn check_module(&self, component: &Component<'a>, reference: &Reference<'a>) {
        let of = |component: &Component<'a>| component.module.map(|module| module.component);
        let made_by = self.dsl.get(reference.component);
        if let Some(made_by) = made_by.filter(|made_by| of(made_by).is_some() && of(made_by) != of(component))
        {
            let other = made_by.module.map_or("", |module| module.name);
            let help = "models of other modules go into isometric_model".to_owned();
            reference.item.problem_with(format!("{} is a {other}", reference.component), help);
        }
    }

    fn channels(
        &self,
        key: &'static str,
        item: &Item<'a>,
        references: &[Reference<'a>],
        multi: bool,
    ) -> Option<(&'static str, Tree)> {
        let channel = |reference: &Reference<'a>| {
            let source = self.data_source(reference, self.dsl.components.len())?;
            Some(channel(source, reference))
        };
        self.input(key, item, references.iter().filter_map(channel).collect(), multi)
    }

    fn models(
        &self,
        key: &'static str,
        references: &[Reference<'a>],
        multi: bool,
    ) -> Option<(&'static str, Tree)> {
        let channel = |reference: &Reference<'a>| {
            let trained = self.trained_by(reference)?;
            Some(channel((trained.name, model_of(trained)?), reference))
        };
        let item = &references.first()?.item;
        self.input(key, item, references.iter().filter_map(channel).collect(), multi)
    }

    fn input(
        &self,
        key: &'static str,
        item: &Item<'a>,
        mut channels: Vec<Tree>,
        multi: bool,
    ) -> Option<(&'static str, Tree)> {
        let channel = match (multi, channels.len()) {
            (_, 0) => return None,
            (false, 1) => channels.remove(0),
            _ => Tree::list(channels),
        };
        Some((key, Tree::map([("task_output_artifact", channel)]).from(item, Side::Dsl)))
    }

    /// The task that makes rows; nothing if that cannot be told, which is reported elsewhere.
    fn data_source(&self, reference: &Reference<'a>, steps: usize) -> Option<Source<'a>> {
        let component = self.dsl.get(reference.component)?;
        let at = component.outputs.iter().position(|output| *output == reference.output)?;
        let below = || {
            let (_, _, references) = component.data.first()?;
            match (references.as_slice(), steps) {
                (_, 0) => {
                    reference.item.problem("the components that lead here form a cycle");
                    None
                }
                ([only], _) => self.data_source(only, steps - 1),
                _ => {
                    component.item.problem("takes one source");
                    None
                }
            }
        };
        match component.module?.shape {
            Shape::Folded | Shape::Simple { outputs: [], .. } => below(),
            Shape::Simple { outputs, .. } => {
                let named = outputs.iter().find(|(_, theirs)| *theirs == reference.output);
                match named.or(outputs.get(at)) {
                    Some((ours, _)) => Some((component.name, ours)),
                    None => {
                        let message = format!("{} makes {} outputs of rows", component.name, outputs.len());
                        reference.item.problem(message);
                        None
                    }
                }
            }
            Shape::Fitted { .. } => Some((
                component.name,
                match self.stage(component) {
                    Stage::Predict => "test_output_data",
                    Stage::Folds => "cv_output_datas",
                    Stage::Train | Stage::Default => "train_output_data",
                },
            )),
        }
    }

    /// The component that made a model, through those that applied it.
    fn trained_by(&self, reference: &Reference<'a>) -> Option<&Component<'a>> {
        let mut component = self.dsl.get(reference.component)?;
        for _ in 0..self.dsl.components.len() {
            match component.model.first() {
                Some(from) if self.stage(component) == Stage::Predict => {
                    component = self.dsl.get(from.component)?
                }
                _ => return Some(component),
            }
        }
        reference.item.problem("the components that lead here form a cycle");
        None
    }
}

/// The key of a component's model.
fn model_of(component: &Component<'_>) -> Option<&'static str> {
    match component.module?.shape {
        Shape::Folded => None,
        Shape::Simple { model, .. } => model,
        Shape::Fitted { model, .. } => Some(model),
    }
}

fn channel((task, key): (&str, &'static str), reference: &Reference<'_>) -> Tree {
    let entries = [("producer_task", task), ("output_artifact_key", key)];
    let tree = |value: &str| Tree::scalar(value).from(&reference.item, Side::Dsl);
    Tree::map(entries.map(|(name, value)| (name, tree(value)))).from(&reference.item, Side::Dsl)
}

fn warehouse(component: &Component<'_>) -> Tree {
    let key = model_of(component).unwrap_or_default();
    let channel = [("producer_task", component.name), ("output_artifact_key", key)];
    let channel = Tree::map(channel.map(|(name, value)| (name, Tree::scalar(value))));
    Tree::map([("model_warehouse", channel)]).from(&component.item, Side::Dsl)
}
