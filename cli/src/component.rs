//! `component`.

use std::process::ExitCode;

use crate::args::Component;
use crate::exit::Failure;
use crate::{job, render};

pub(crate) fn run(command: &Component) -> Result<ExitCode, Failure> {
    match command {
        Component::List { json: true } => {
            let all = tributary_components::all();
            render::json(&all.iter().map(|c| c.definition().name).collect::<Vec<_>>())?;
        }
        Component::List { json: false } => {
            let all = tributary_components::all();
            let row = |c: &std::sync::Arc<dyn tributary_components::Component>| {
                let definition = c.definition();
                let stages: Vec<&str> = definition.stages.iter().map(|s| s.as_str()).collect();
                let (roles, stages) = (definition.roles.join(" "), stages.join(" "));
                vec![definition.name.to_string(), roles, stages, definition.description.to_string()]
            };
            render::table(
                &["component", "roles", "stages", "what it does"],
                &all.iter().map(row).collect::<Vec<_>>(),
            )?;
        }
        Component::Describe { name, json } => {
            let component = job::component(name)?;
            match json {
                true => render::json(&component.definition().to_json())?,
                false => render::line(component.definition().to_string())?,
            }
        }
    }
    Ok(ExitCode::SUCCESS)
}
