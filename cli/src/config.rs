//! `config`.

use std::process::ExitCode;

use tributary_runtime::Home;

use crate::args::Config;
use crate::exit::Failure;
use crate::render;

pub(crate) fn run(home: &Home, command: &Config) -> Result<ExitCode, Failure> {
    match command {
        Config::Reference => render::line(tributary_runtime::reference::page().trim_end())?,
        Config::Show { party, json } => {
            let settings = home.party_settings(&tributary_service::party(home, party.party.as_deref())?)?;
            let values: Vec<_> = settings.iter().collect();
            if *json {
                let map = values.iter().map(|(name, s)| (name.to_string(), s.value.clone().into()));
                render::json(&map.collect::<serde_json::Map<_, _>>())?;
            } else {
                let row = |(name, setting): &(&str, &tributary_runtime::settings::Setting)| {
                    let from = setting.file.clone().unwrap_or_else(|| "default".into());
                    vec![name.to_string(), setting.value.clone(), from]
                };
                render::table(&["key", "value", "set by"], &values.iter().map(row).collect::<Vec<_>>())?;
            }
        }
    }
    Ok(ExitCode::SUCCESS)
}
