//! The DSL as written: components, their modules, and how they are wired.

use std::collections::BTreeMap;

use tributary_document::{Item, Keys, quoted};

use crate::table::{self, Module};

/// As many as a job has tasks at most.
const MOST_COMPONENTS: usize = 1000;
/// Names of data inputs, and what each is for.
const INPUTS: [(&str, Use); 5] = [
    ("data", Use::Data),
    ("train_data", Use::Train),
    ("validate_data", Use::Validate),
    ("eval_data", Use::Validate),
    ("test_data", Use::Test),
];

/// What an input is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Use {
    Data,
    Train,
    Validate,
    Test,
}

/// `components`, by name and in the order written.
pub(crate) struct Dsl<'a> {
    pub(crate) components: Vec<Component<'a>>,
    places: BTreeMap<&'a str, usize>,
}

/// `components.<name>`.
pub(crate) struct Component<'a> {
    pub(crate) item: Item<'a>,
    pub(crate) name: &'a str,
    /// Nothing if there is none, which is reported.
    pub(crate) module: Option<&'static Module>,
    pub(crate) data: Vec<(Use, Item<'a>, Vec<Reference<'a>>)>,
    pub(crate) model: Vec<Reference<'a>>,
    pub(crate) isometric: Vec<Reference<'a>>,
    /// Names of data outputs.
    pub(crate) outputs: Vec<&'a str>,
    /// Names of model outputs.
    pub(crate) models: Vec<&'a str>,
}

/// `"component.output"`.
#[derive(Clone)]
pub(crate) struct Reference<'a> {
    pub(crate) item: Item<'a>,
    pub(crate) component: &'a str,
    pub(crate) output: &'a str,
}

impl<'a> Dsl<'a> {
    pub(crate) fn read(root: &Item<'a>) -> Self {
        let components = root.map(|keys| {
            keys.take("provider");
            // Version 1.x of some tools write it here, too.
            keys.take("dsl_version");
            let item = keys.required("components");
            let components = item.entries();
            if item.is_given() && !(1..=MOST_COMPONENTS).contains(&components.len()) {
                item.problem(format!("expected 1 to {MOST_COMPONENTS} components, got {}", components.len()));
            }
            components.into_iter().take(MOST_COMPONENTS)
        });
        let components: Vec<_> = components.map(|(name, item)| component(name, item)).collect();
        let places = components.iter().enumerate().map(|(at, component)| (component.name, at)).collect();
        let dsl = Self { components, places };
        dsl.check();
        dsl
    }

    pub(crate) fn get(&self, name: &str) -> Option<&Component<'a>> {
        self.places.get(name).map(|at| &self.components[*at])
    }

    pub(crate) fn names(&self) -> impl Iterator<Item = &'a str> {
        self.components.iter().map(|component| component.name)
    }

    /// Whether every reference leads to an output that is declared.
    fn check(&self) {
        for component in &self.components {
            let data = component.data.iter().flat_map(|(_, _, references)| references);
            data.for_each(|reference| self.check_reference(reference, "data"));
            let models = component.model.iter().chain(&component.isometric);
            models.for_each(|reference| self.check_reference(reference, "model"));
        }
    }

    fn check_reference(&self, reference: &Reference<'a>, group: &str) {
        let Reference { item, component, output } = reference;
        let Some(made_by) = self.get(component) else {
            return item.unknown("component", component, self.names());
        };
        let (of_group, others) = match group {
            "data" => (&made_by.outputs, &made_by.models),
            _ => (&made_by.models, &made_by.outputs),
        };
        if of_group.contains(output) {
            return;
        }
        let message = format!("{component} declares no {group} output {}", quoted(output));
        let help = match others.contains(output) {
            true => {
                Some(format!("it is one of its {} outputs", if group == "data" { "model" } else { "data" }))
            }
            false => item.suggestion(output, of_group.iter().copied()),
        };
        item.problem_with(message, help);
    }
}

fn component<'a>(name: &'a str, item: Item<'a>) -> Component<'a> {
    if !item.is_given() {
        item.problem("expected a component, got null");
    }
    item.map(|keys| {
        keys.take("provider");
        keys.take("need_deploy").bool();
        let (data, model, isometric) = keys.take("input").map(inputs);
        let (outputs, models) = keys.take("output").map(|keys| {
            refuse_cache(keys);
            (names(&keys.take("data")), names(&keys.take("model")))
        });
        let module = keys.required("module");
        let module = module.text().and_then(|name| table::find(name, &module));
        Component { item: item.clone(), name, module, data, model, isometric, outputs, models }
    })
}

type Inputs<'a> = (Vec<(Use, Item<'a>, Vec<Reference<'a>>)>, Vec<Reference<'a>>, Vec<Reference<'a>>);

fn inputs<'a>(keys: &mut Keys<'a>) -> Inputs<'a> {
    refuse_cache(keys);
    let data = keys.take("data").map(|keys| {
        let mut data = Vec::new();
        for (name, what_for) in INPUTS {
            let item = keys.take(name);
            if item.is_given() {
                data.push((what_for, item.clone(), references(&item)));
            }
        }
        data
    });
    (data, references(&keys.take("model")), references(&keys.take("isometric_model")))
}

fn refuse_cache(keys: &mut Keys<'_>) {
    let cache = keys.take("cache");
    if cache.is_given() {
        cache.problem_with("an intersection keeps no cache", "leave it out".to_owned());
    }
}

fn references<'a>(item: &Item<'a>) -> Vec<Reference<'a>> {
    item.non_empty_list().into_iter().filter_map(reference).collect()
}

fn reference(item: Item<'_>) -> Option<Reference<'_>> {
    let text = item.text()?;
    match text.split_once('.') {
        Some((component, output)) if !component.is_empty() && !output.is_empty() => {
            Some(Reference { component, output, item })
        }
        _ => {
            item.problem(format!("expected component.output, got {}", quoted(text)));
            None
        }
    }
}

fn names<'a>(item: &Item<'a>) -> Vec<&'a str> {
    let mut names = Vec::new();
    for item in item.list() {
        let Some(name) = item.text() else { continue };
        if names.contains(&name) {
            item.problem(format!("output {} again", quoted(name)));
        }
        names.push(name);
    }
    names
}
