//! `site grants`.

use serde_json::{Value as Json, json};
use tributary_core::Result;
use tributary_runtime::Home;
use tributary_service::site::{Grant, GrantedComponent, Keys};

use crate::render;

/// Every grant, and notes about partners that no job can come from.
pub(super) fn run(home: &Home, keys: &Keys, json: bool) -> Result<()> {
    let grants = home.grants(keys.party())?;
    match json {
        true => render::json(&grants.list().iter().map(as_json).collect::<Vec<_>>())?,
        false if grants.list().is_empty() => render::line(format!(
            "party {} grants nothing: every offer is refused. Write {}; see docs/sites.md",
            keys.party(),
            keys.grants_path().display()
        ))?,
        false => {
            let rows: Vec<_> = (1..).zip(grants.list()).map(|(number, grant)| row(number, grant)).collect();
            render::table(&["grant", "partners", "components", "as", "tables", "limits"], &rows)?;
        }
    }
    for note in keys.untrusted(&grants)? {
        render::note(format!("note: {note}"));
    }
    Ok(())
}

fn texts<T: ToString>(list: &[T]) -> Vec<String> {
    list.iter().map(T::to_string).collect()
}

fn components(grant: &Grant) -> Vec<String> {
    let one = |component: &GrantedComponent| match &component.stages[..] {
        [] => component.name.clone(),
        stages => format!("{} ({})", component.name, stages.join(" ")),
    };
    grant.components.iter().map(one).collect()
}

fn row(number: usize, grant: &Grant) -> Vec<String> {
    let data = texts(&grant.tables).into_iter();
    let data: Vec<String> = data.chain(grant.models.iter().map(|model| format!("models {model}"))).collect();
    let data = if data.is_empty() { "none".into() } else { data.join(", ") };
    let as_partner = texts(&grant.partner_roles).join(" or ");
    let limits = [
        grant.most_rows.map(|rows| format!("at most {} of a table", render::counted(rows, "row"))),
        grant.least_common_rows.map(|rows| format!("at least {}", render::counted(rows, "common row"))),
        grant.most_cores.map(|cores| format!("at most {}", render::counted(cores.into(), "core"))),
        (!grant.hours.is_empty()).then(|| texts(&grant.hours).join(" or ")),
        (!as_partner.is_empty()).then(|| format!("the partner as {as_partner}")),
    ];
    vec![
        number.to_string(),
        texts(&grant.partners).join(", "),
        components(grant).join(", "),
        texts(&grant.roles).join(", "),
        data,
        limits.into_iter().flatten().collect::<Vec<_>>().join("; "),
    ]
}

fn as_json(grant: &Grant) -> Json {
    let component =
        |component: &GrantedComponent| json!({"name": component.name, "stages": component.stages});
    json!({
        "line": grant.line,
        "partners": grant.partners,
        "components": grant.components.iter().map(component).collect::<Vec<_>>(),
        "tables": texts(&grant.tables),
        "models": texts(&grant.models),
        "roles": grant.roles,
        "partner_roles": grant.partner_roles,
        "most_rows": grant.most_rows,
        "least_common_rows": grant.least_common_rows,
        "hours": texts(&grant.hours),
        "most_cores": grant.most_cores,
    })
}
