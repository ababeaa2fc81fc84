//! `config`.

use std::process::ExitCode;

use serde_json::{Map, Value as Json, json};
use tributary_core::Result;
use tributary_core::settings::{Setting, Value};
use tributary_runtime::{Home, Settings};

use crate::args::Config;
use crate::exit::Failure;
use crate::render;

pub(crate) fn run(home: &Home, command: &Config) -> Result<ExitCode, Failure> {
    match command {
        Config::Reference => render::line(tributary_runtime::reference::page(home.known()).trim_end())?,
        Config::Show { party, json } => {
            let settings =
                home.party_settings(&tributary_service::own_or_known_party(home, party.party.as_deref())?)?;
            match *json {
                true => render::json(&as_json(&settings))?,
                false => show(&settings)?,
            }
            settings.notes().iter().for_each(|note| render::note(format!("note: {note}")));
        }
    }
    Ok(ExitCode::SUCCESS)
}

fn show(settings: &Settings) -> Result<()> {
    let row = |(name, setting): (String, &Setting)| {
        let value = setting.value.as_ref().map_or_else(|| "(not set)".to_owned(), Value::to_string);
        vec![name, value, setting.origin.to_string()]
    };
    render::table(&["key", "value", "set by"], &settings.list().into_iter().map(row).collect::<Vec<_>>())
}

/// Every key with its value (null if it has none) and where it was set. For a secret, only whether it is set.
fn as_json(settings: &Settings) -> Map<String, Json> {
    let value = |value: &Value| match value {
        Value::Int(number) => (*number).into(),
        Value::Duration(duration) => duration.as_secs().into(),
        Value::Bool(value) => (*value).into(),
        other => Json::String(other.to_string()),
    };
    let entry = |(name, setting): (String, &Setting)| {
        (name, json!({"value": setting.value.as_ref().map(value), "set_by": setting.origin.to_string()}))
    };
    settings.list().into_iter().map(entry).collect()
}
