//! Small job files that give many options to many tasks and parties: read within bounds of memory, and
//! refused with one clear message.

use std::fmt::Write;

use crate::site::{Site, binary, text};

/// Address space of the command, in KiB: its threads' stacks take most of it.
const MOST_KIB: u32 = 1 << 20;

fn job(tasks: usize, conf: &str, parameters: &str) -> String {
    let hosts: Vec<String> = (1..60).map(|id| id.to_string()).collect();
    let mut job = format!(
        "schema_version: 2\ndag:\n  stage: default\n  conf: {conf}\n  parties:\n  - {{role: guest, party_id: [0]}}\n  \
         - {{role: host, party_id: [{}]}}\n  tasks:\n",
        hosts.join(", ")
    );
    for task in 0..tasks {
        let own = if task == 0 { parameters } else { "" };
        writeln!(
            job,
            "    t{task}: {{component_ref: toy_example, parameters: {{data_num: 1, partition: 1{own}}}}}"
        )
        .unwrap();
    }
    job
}

fn explained(job: &str) -> String {
    let site = Site::default();
    let path = site.write("job.yaml", job);
    let run = format!("ulimit -v {MOST_KIB}; exec '{}' explain '{path}'", binary().display());
    let output = std::process::Command::new("sh")
        .args(["-c", &run])
        .env("TRIBUTARY_HOME", site.home())
        .output()
        .unwrap();
    let shown = text(&output.stderr);
    assert_eq!(output.status.code(), Some(2), "{}", &shown[..shown.len().min(2000)]);
    shown
}

#[test]
fn a_short_file_with_many_options_for_many_tasks_and_parties_is_refused() {
    let options: String = (0..20_000).map(|i| format!("o{i}: 1, ")).collect();
    let job = job(100, &format!("{{task: {{engine_run: {{{options}}}}}}}"), "");
    assert!(job.len() < 300_000);
    let shown = explained(&job);
    assert!(
        shown.contains("dag.tasks: 120") && shown.contains("values in the parameters and options"),
        "{shown}"
    );
    assert_eq!(shown.lines().count(), 2, "{shown}");
}

#[test]
fn many_mistakes_are_counted_and_not_all_shown() {
    let unknown: String = (0..15_000).map(|i| format!(", data_num{i}: 1")).collect();
    let shown = explained(&job(2, "{}", &unknown));
    assert!(shown.contains("unknown parameter (did you mean \"data_num\"?)"), "{}", &shown[..2000]);
    assert!(shown.contains("and 14000 more problems"), "{}", &shown[shown.len() - 500..]);
}
