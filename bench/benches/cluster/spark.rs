//! PySpark on the same work, on two threads of this machine (`local[2]`), by its fastest interface, data frames.
//!
//! Needs Python with the package `pyspark`, and Java: `scripts/python.sh` of this repository makes one and prints where it
//! is; `TRIBUTARY_PYTHON` names another.

use std::process::Command;

pub fn measure() {
    let bench = std::env::var("CARGO_MANIFEST_DIR").expect("run by cargo");
    let python = std::env::var("TRIBUTARY_PYTHON").unwrap_or_else(|_| {
        let script = format!("{bench}/../scripts/python.sh");
        let made = Command::new(script).output().expect("scripts/python.sh");
        assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
        String::from_utf8_lossy(&made.stdout).lines().last().unwrap_or_default().trim().to_owned()
    });
    let program = format!("{bench}/benches/cluster/spark.py");
    let status = Command::new(&python).arg(&program).status().expect("python");
    assert!(status.success(), "{python} {program}: {status}");
}
