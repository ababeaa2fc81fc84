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
    configuration,
    upload_file,
    card,
    grants,
    audit_entry,
    csv,
    packed_csv,
    parquet,
    manifest,
    bound_part,
    part,
    table_record,
    job_record,
    model,
    point,
    public_key,
    secret_key,
    ciphertext,
    hello,
    frame,
    header,
    rows,
);

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
