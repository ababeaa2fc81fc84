//! The table as Markdown.

use crate::job_parameters;
use crate::table::{Becomes, MODULES, Module, OTHERS, Rule};

/// The tables of modules and parameters, as `docs/fate1.md` has them.
pub fn reference() -> String {
    let mut text = String::from("## Job parameters\n\n| FATE 1 | here |\n|---|---|\n");
    for (name, becomes) in job_parameters::TABLE {
        text += &format!("| `{name}` | {becomes} |\n");
    }
    text += "\n## Modules\n\n| FATE 1 | here | |\n|---|---|---|\n";
    for module in MODULES {
        let ours =
            if module.component.is_empty() { String::new() } else { format!("`{}`", module.component) };
        text += &format!("| `{}` | {ours} | {} |\n", module.name, module.about);
    }
    text += "\nRefused by name:\n\n| FATE 1 | instead |\n|---|---|\n";
    for (name, help) in OTHERS {
        text += &format!("| `{name}` | {help} |\n");
    }
    for (at, module) in MODULES.iter().enumerate() {
        let alike: Vec<&str> =
            MODULES[at..].iter().filter(|other| is_same(other, module)).map(|module| module.name).collect();
        if MODULES[..at].iter().any(|earlier| is_same(earlier, module)) {
            continue;
        }
        text += &format!("\n### {}\n\n| FATE 1 | here |\n|---|---|\n", alike.join(", "));
        for rule in module.rules {
            text += &format!("| `{}` | {} |\n", rule.name, becomes(rule));
        }
    }
    text
}

/// Whether two modules are names of one.
fn is_same(one: &Module, other: &Module) -> bool {
    std::ptr::eq(one.rules, other.rules)
}

fn becomes(rule: &Rule) -> String {
    let text = match &rule.becomes {
        Becomes::Kept(ours) if *ours == rule.name => "kept".to_owned(),
        Becomes::Kept(ours) => format!("`{ours}`"),
        Becomes::Columns(ours) => format!("`{ours}`; -1 for all columns"),
        Becomes::Words(ours, words) => {
            let words = words.iter().map(|(theirs, ours)| match theirs == ours {
                true => format!("`{theirs}`"),
                false => format!("`{theirs}` becomes `{ours}`"),
            });
            format!("`{ours}`: {}", words.collect::<Vec<_>>().join(", "))
        }
        Becomes::Changed(_, about) => (*about).to_owned(),
        Becomes::NoEffect(why) => format!("no effect: {why}"),
        Becomes::Only(values, help) => {
            let values: Vec<String> = values.iter().map(|value| format!("`{value}`")).collect();
            format!("only {}: {help}", values.join(" or "))
        }
        Becomes::Refused(help) => format!("refused: {help}"),
    };
    match rule.default {
        Some((_, json)) => format!("{text}; `{json}` if not given"),
        None => text,
    }
}
