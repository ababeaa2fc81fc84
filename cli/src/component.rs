//! `component`.

use std::process::ExitCode;
use std::sync::Arc;

use tributary_runtime::Home;

use crate::args::Component;
use crate::exit::Failure;
use crate::render;

pub(crate) fn run(home: &Home, command: &Component) -> Result<ExitCode, Failure> {
    match command {
        Component::List { json: true } => {
            render::json(&home.components().names().collect::<Vec<_>>())?;
        }
        Component::List { json: false } => {
            let row = |c: &Arc<dyn tributary_component::Component>| {
                let definition = c.definition();
                let stages: Vec<&str> = definition.stages.iter().map(|s| s.as_str()).collect();
                let (roles, stages) = (definition.roles.join(" "), stages.join(" "));
                vec![definition.name.to_string(), roles, stages, definition.description.to_string()]
            };
            render::table(
                &["component", "roles", "stages", "what it does"],
                &home.components().iter().map(row).collect::<Vec<_>>(),
            )?;
        }
        Component::Describe { name, json } => {
            let component = tributary_service::component(home, name)?;
            match json {
                true => render::json(&component.definition().to_json())?,
                false => render::line(component.definition().to_string())?,
            }
        }
    }
    Ok(ExitCode::SUCCESS)
}
