//! `limits`: what a party may release to its partners, what it has released, and the operator's reset.

use std::process::ExitCode;

use serde_json::{Map, Value as Json, json};
use tributary_core::settings::{Setting, Value};
use tributary_core::{Error, ErrorKind, PartyId, Result};
use tributary_flow::ledger::{Forget, Released, Releases};
use tributary_runtime::Home;

use crate::args::LimitsCommand;
use crate::exit::Failure;
use crate::render;
use crate::table::full_name;

pub(crate) fn run(home: &Home, command: &LimitsCommand) -> Result<ExitCode, Failure> {
    match command {
        LimitsCommand::Show { party, json } => {
            let party = tributary_service::own_or_known_party(home, party.party.as_deref())?;
            let settings = home.party_settings(&party)?;
            let limits: Vec<_> =
                settings.list().into_iter().filter(|(name, _)| name.starts_with("limits.")).collect();
            let released = Releases::new(&home.party(&party)).list()?;
            match json {
                true => render::json(&json!({"limits": as_json(&limits), "released": released}))?,
                false => show(&limits, &released)?,
            }
        }
        LimitsCommand::Reset { party, table, partner, yes, json } => {
            let party = tributary_service::known_party(home, party.party.as_deref())?;
            let partner = partner.as_ref().map(|id| PartyId::new(id.as_str())).transpose()?;
            let table = table.as_deref().map(full_name).transpose()?;
            let which = Forget { table: table.map(|table| table.to_string()), partner };
            reset(&Releases::new(&home.party(&party)), &party, &which, *yes, *json)?;
        }
    }
    Ok(ExitCode::SUCCESS)
}

fn as_json(limits: &[(String, &Setting)]) -> Json {
    let value = |value: &Value| match value {
        Value::Int(number) => json!(number),
        other => json!(other.to_string()),
    };
    let limit = |(name, setting): &(String, &Setting)| {
        let shown = json!({"value": setting.value.as_ref().map(value), "set_by": setting.origin.to_string()});
        (name.trim_start_matches("limits.").to_owned(), shown)
    };
    Json::Object(limits.iter().map(limit).collect::<Map<_, _>>())
}

fn show(limits: &[(String, &Setting)], released: &[Released]) -> Result<()> {
    let row = |(name, setting): &(String, &Setting)| {
        let value = setting.value.as_ref().map_or_else(String::new, Value::to_string);
        vec![name.clone(), value, setting.origin.to_string()]
    };
    render::table(&["limit", "value", "set by"], &limits.iter().map(row).collect::<Vec<_>>())?;
    render::line("")?;
    match released.is_empty() {
        true => render::line("no partner got anything yet"),
        false => show_released(released),
    }
}

fn show_released(released: &[Released]) -> Result<()> {
    let row = |r: &Released| {
        let most = r.columns.iter().max_by_key(|(_, column)| column.numbers);
        let total = r.columns.values().fold(0u64, |sum, column| sum.saturating_add(column.numbers));
        let sums = r.columns.values().fold(0u64, |sum, column| sum.saturating_add(column.sums));
        vec![
            r.table.clone(),
            r.partner.to_string(),
            render::count(r.ids),
            render::count(total),
            most.map_or(String::new(), |(_, column)| render::count(column.numbers)),
            most.map_or(String::new(), |(name, _)| name.clone()),
            render::count(sums),
        ]
    };
    let header = [
        "table",
        "partner",
        "ids looked up",
        "numbers about all columns",
        "most about one column",
        "column",
        "sums of gradients",
    ];
    render::table(&header, &released.iter().map(row).collect::<Vec<_>>())
}

fn reset(releases: &Releases, party: &PartyId, which: &Forget, yes: bool, json: bool) -> Result<()> {
    let listed = releases.list()?;
    let meant: Vec<Released> = listed.into_iter().filter(|released| which.is_meant(released)).collect();
    if meant.is_empty() && (which.table.is_some() || which.partner.is_some()) {
        let text = format!("party {party} released nothing of that kind; see `tributary limits show`");
        return Err(Error::new(ErrorKind::NotFound, text));
    }
    if !yes {
        return show_reset(party, &meant, json);
    }
    let forgotten = releases.forget(which)?;
    match json {
        true => render::json(&json!({"forgotten": forgotten})),
        false => render::line(format!("reset what partners of party {party} got: {forgotten}")),
    }
}

/// What a reset would forget.
fn show_reset(party: &PartyId, meant: &[Released], json: bool) -> Result<()> {
    if json {
        return render::json(&json!({"would_forget": meant}));
    }
    if !meant.is_empty() {
        show_released(meant)?;
        render::line("")?;
    }
    render::line(format!(
        "{} would be reset, and the partners of party {party} may get as much again; confirm with --yes",
        render::counted(meant.len() as u64, "record")
    ))
}
