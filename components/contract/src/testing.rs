//! What tests of components need.

#![allow(clippy::unwrap_used, reason = "a test that fails should say where")]

use serde_json::Value;
use tributary_core::Party;
use tributary_document::Step;

use crate::definition::{ParameterProblem, Stage};
use crate::{Assignment, Component};

/// What a component says about parameters that its definition lets through, as `path: message (help)`. Parties by role
/// and id; the first is the one asked. Panics where the definition refuses the parameters.
pub fn problems(
    component: &dyn Component,
    stage: Stage,
    parties: &[(&str, &str)],
    given: Value,
) -> Vec<String> {
    let parties: Vec<Party> = parties.iter().map(|(role, id)| Party::new(*role, *id).unwrap()).collect();
    let checked = component.definition().validate_parameters(stage, given.as_object().unwrap()).unwrap();
    let assignment = Assignment { stage, own: &parties[0], parties: &parties, parameters: &checked.values };
    component.check(&assignment).unwrap().into_iter().map(shown).collect()
}

fn shown(problem: ParameterProblem) -> String {
    let steps = problem.path.iter().map(|step| match step {
        Step::Key(key) => key.clone(),
        Step::Index(index) => index.to_string(),
    });
    let help = problem.help.map(|help| format!(" ({help})")).unwrap_or_default();
    format!("{}: {}{help}", steps.collect::<Vec<_>>().join("/"), problem.message)
}
