//! Files that are damaged or that are no job: refused or read, never a panic.

use proptest::prelude::*;

use super::*;

const WRONG: &str = include_str!("../samples/wrong.yaml");

fn refusal(source: &[u8]) -> String {
    parse(source).unwrap_err().to_string()
}

#[test]
fn files_that_are_no_job_say_what_they_lack() {
    let check = |source: &[u8], expected: &str| assert_eq!(refusal(source), expected);
    check(b"", "job.yaml:1:1: the file is empty");
    check(b"null", "job.yaml:1:1: the file is empty");
    check(b"- 1", "job.yaml:1:1: expected a map, got a list");
    check(
        b"{}",
        "job.yaml:1:1: schema_version: required, but not given\njob.yaml:1:1: dag: required, but not given",
    );
    check(b"dag: ~\nschema_version: 2", "job.yaml:1:1: dag: required, but not given");
    check(
        b"{dag: {}, schema_version: 2}",
        "job.yaml:1:2: dag.tasks: required, but not given\njob.yaml:1:2: dag.parties: required, but not given",
    );
    assert!(refusal("x".repeat(10 << 20).as_bytes()).contains("expected at most 1048576 bytes"));
    assert!(refusal(b"dag: \xff").contains("not UTF-8"));
}

#[test]
fn files_that_are_something_else_are_called_by_their_name() {
    let check = |source: &str, expected: &str| {
        let refusal = refusal(source.as_bytes());
        assert!(refusal.starts_with(&format!("job.yaml:1:1: this is {expected}")), "{refusal}");
        assert_eq!(refusal.lines().count(), 1, "{refusal}");
    };
    let conf = "the runtime conf of a job of FATE 1, not a job";
    check(
        r#"{"dsl_version": 2, "initiator": {}, "role": {}, "job_parameters": {}, "component_parameters": {}}"#,
        conf,
    );
    check(r#"{"initiator": {}, "role": {}}"#, conf);
    check(r#"{"components": {"reader_0": {"module": "Reader"}}}"#, "the DSL of a job of FATE 1");
    check(r#"{"file": "a.csv", "head": 1, "namespace": "n", "name": "a"}"#, "the configuration of an upload");
}

#[test]
fn null_in_any_place_is_refused_or_as_good_as_absent() {
    for sample in [TRAIN, PREDICT, MULTI_HOST] {
        for (at, _) in sample.match_indices(": ") {
            let line_end = sample[at..].find('\n').map_or(sample.len(), |end| at + end);
            let nulled = format!("{}: null{}", &sample[..at], &sample[line_end..]);
            let _ = parse(nulled.as_bytes()).map_err(|problems| assert!(!problems.list().is_empty()));
        }
    }
}

#[test]
fn a_job_too_large_to_resolve_is_refused() {
    let many = "1, ".repeat(60_000);
    assert!(refusal(format!("dag: [{many}]").as_bytes()).contains("more than 50000 values"));
    let ids: Vec<String> = (0..300).map(|id| id.to_string()).collect();
    let source = MULTI_HOST.replace(
        "[10000, 10001, 10002]}\n  - {role: arb",
        &format!("[{}]}}\n  - {{role: arb", ids.join(", ")),
    );
    assert!(refusal(source.as_bytes()).contains("dag.parties: expected at most 256 parties"));
    let tasks: String = (0..1001).map(|task| format!("    t{task}: {{component_ref: reader}}\n")).collect();
    let source =
        format!("schema_version: 2\ndag:\n  parties: [{{role: guest, party_id: [1]}}]\n  tasks:\n{tasks}");
    assert!(refusal(source.as_bytes()).contains("dag.tasks: expected 1 to 1000 tasks"));
    let options: Vec<String> = (0..20_000).map(|option| format!("o{option}: 1")).collect();
    let conf = format!("  conf: {{task: {{engine_run: {{{}}}}}}}\n", options.join(", "));
    let hosts: Vec<String> = (1..60).map(|id| id.to_string()).collect();
    let tasks: String = (0..100).map(|task| format!("    t{task}: {{component_ref: psi}}\n")).collect();
    let source = format!(
        "schema_version: 2\ndag:\n{conf}  parties: [{{role: host, party_id: [{}]}}]\n  tasks:\n{tasks}",
        hosts.join(", ")
    );
    assert!(
        refusal(source.as_bytes())
            .contains("values in the parameters and options of all tasks at all parties")
    );
}

/// Pieces of job files, to be put where they do not belong.
const PIECES: [&str; 24] = [
    "null",
    "[]",
    "{}",
    "-1",
    "1e9",
    "99999999999999999999999",
    "guest",
    "'9999'",
    "psi_0",
    "train_data",
    ": ",
    "- ",
    "\n",
    "\n  ",
    "*all",
    "&all ",
    "parties",
    "\t",
    "\"",
    "{",
    "]",
    ", ",
    "#",
    "é",
];

proptest! {
    #[test]
    fn any_mutilation_of_a_job_is_read_or_refused(
        sample in prop::sample::select(vec![TRAIN, PREDICT, MULTI_HOST, WRONG]),
        edits in prop::collection::vec((any::<prop::sample::Index>(), 0..40usize, 0..PIECES.len()), 1..8),
    ) {
        let mut source = sample.as_bytes().to_vec();
        for (at, cut, piece) in edits {
            let start = at.index(source.len());
            let end = (start + cut).min(source.len());
            source.splice(start..end, PIECES[piece].bytes());
        }
        match parse(&source) {
            Ok(job) => prop_assert!(job.canonical().is_ok()),
            Err(problems) => prop_assert!(!problems.list().is_empty() && !problems.to_string().is_empty()),
        }
    }

    #[test]
    fn words_of_a_job_exchanged_are_read_or_refused(
        sample in prop::sample::select(vec![TRAIN, PREDICT, MULTI_HOST, WRONG]),
        exchanges in prop::collection::vec((any::<prop::sample::Index>(), any::<prop::sample::Index>()), 1..6),
    ) {
        let mut words: Vec<&str> = sample.split_inclusive([' ', '\n']).collect();
        for (one, other) in exchanges {
            let (one, other) = (one.index(words.len()), other.index(words.len()));
            words.swap(one, other);
        }
        let _ = parse(words.concat().as_bytes()).map_err(|problems| problems.to_string());
    }
}
