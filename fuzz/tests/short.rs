//! A short run of every target, always of the same inputs, and all that ever found a fault.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "test code: a failed expectation panics"
)]

use tributary_fuzz::drive::run_all;
use tributary_fuzz::mutate::input;
use tributary_fuzz::{Target, find, targets::TARGETS};

fn check(name: &str) {
    let target = find(name).unwrap();
    assert!(!target.seeds().is_empty(), "a target without seeds never gets past the first check");
    let mut faults = Vec::new();
    let tried = run_all(target, 1, 0..target.short, |_| true, |fault| faults.push(fault));
    assert_eq!(tried, target.short);
    let shown: Vec<String> = faults
        .iter()
        .map(|fault| {
            format!("input {}: {}\n{:?}", fault.index, fault.what, String::from_utf8_lossy(&fault.bytes))
        })
        .collect();
    assert!(faults.is_empty(), "{}", shown.join("\n"));
}

macro_rules! short_runs {
    ($($name:ident),+ $(,)?) => {
        $(#[test]
        fn $name() {
            check(stringify!($name));
        })+

        #[test]
        fn every_target_has_a_short_run() {
            let listed = [$(stringify!($name)),+];
            assert_eq!(TARGETS.each_ref().map(|target| target.name), listed);
        }
    };
}

short_runs!(
    job,
    fate1_job,
    configuration,
    upload_file,
    card,
    job_letter,
    grants,
    audit_entry,
    csv,
    packed_csv,
    parquet,
    manifest,
    bound_part,
    sql_copy,
    sql_manifest,
    part,
    table_record,
    job_record,
    model,
    point,
    psi_message,
    public_key,
    secret_key,
    ciphertext,
    message,
    hello,
    frame,
    header,
    rows,
    greeting,
    line,
    bundle,
    held,
    certificate,
);

/// A type that travels between parties and is not fuzzed is found here.
#[test]
fn every_message_of_components_and_algorithms_is_fuzzed() {
    fn names(folder: &std::path::Path, found: &mut Vec<String>) {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                names(&path, found);
            } else if path.extension().is_some_and(|ending| ending == "rs") {
                let text = std::fs::read_to_string(&path).unwrap();
                for message in text.split("impl Message for ").skip(1) {
                    let name = message.split("const NAME: &'static str = \"").nth(1).unwrap();
                    found.push(name.split('"').next().unwrap().to_owned());
                }
            }
        }
    }
    let top = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
    let mut found = Vec::new();
    names(&top.join("components/src"), &mut found);
    for algorithm in std::fs::read_dir(top.join("algo")).unwrap() {
        names(&algorithm.unwrap().path().join("src"), &mut found);
    }
    let mut fuzzed = tributary_components::fuzzing::MESSAGES.to_vec();
    fuzzed.sort_unstable();
    found.sort_unstable();
    assert_eq!(found, fuzzed);
}

#[test]
fn an_input_is_made_again_from_its_numbers() {
    let seeds = find("job").unwrap().seeds();
    let made: Vec<Vec<u8>> = (0..50).map(|index| input(&seeds, 7, index)).collect();
    assert_eq!(made[..seeds.len()], seeds[..]);
    assert_eq!(made, (0..50).map(|index| input(&seeds, 7, index)).collect::<Vec<_>>());
    assert_ne!(made[10..], (0..50).map(|index| input(&seeds, 8, index)).collect::<Vec<_>>()[10..]);
}

#[test]
fn a_decoder_that_panics_is_a_fault() {
    let bad = Target {
        name: "no such folder",
        short: 200,
        made: || vec![vec![1, 2, 3]],
        run: |bytes| assert!(!bytes.contains(&0), "zero"),
    };
    let mut faults = Vec::new();
    run_all(&bad, 1, 0..bad.short, |_| true, |fault| faults.push(fault));
    assert!(!faults.is_empty());
    assert!(faults.iter().all(|fault| fault.bytes.contains(&0) && fault.what.contains("zero")));
}
