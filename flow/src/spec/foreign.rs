//! Files that people give to `run` and that are no job of schema 2.x: named as what they are, with what to do, instead of
//! by what they lack.

use tributary_document::Item;

/// Keys at the top of a file, all of which it has, what the file then is, and what to do with it.
const KINDS: [(&[&str], &str, &str); 4] = [
    (&["job_parameters", "role"], "the runtime conf of a job of FATE 1", FATE_1),
    (&["initiator", "role"], "the runtime conf of a job of FATE 1", FATE_1),
    (&["components"], "the DSL of a job of FATE 1", FATE_1),
    (&["file", "name"], "the configuration of an upload", "tributary data upload -c FILE takes it"),
];

const FATE_1: &str = "`tributary run -d DSL -c CONF` takes both files, and `tributary convert -d DSL -c CONF` makes one of them; see docs/fate1.md";

/// Reports a file that is something else than a job; whether it is.
pub(super) fn report(root: &Item<'_>) -> bool {
    let keys: Vec<&str> = root.keys();
    if keys.contains(&"dag") {
        return false;
    }
    let found = KINDS.iter().find(|(of_kind, ..)| of_kind.iter().all(|key| keys.contains(key)));
    if let Some((_, what, help)) = found {
        root.problem_with(format!("this is {what}, not a job"), (*help).to_owned());
    }
    found.is_some()
}
