//! Where a test can end the process as a power cut would: between any two steps of job control.
//!
//! Built only with the feature `fault`, which tests switch on; otherwise a point is nothing. All points that a process passes are
//! numbered, so a test finds them by running once, and needs no list of them.

#[cfg(feature = "fault")]
mod switched_on {
    use std::io::Write;
    use std::sync::atomic::{AtomicU64, Ordering};

    static PASSED: AtomicU64 = AtomicU64::new(0);

    /// `TRIBUTARY_FAULT_LOG`: a file to which each point is written; `TRIBUTARY_FAULT_AT`: the number, from 0, of the point at which
    /// the process ends.
    pub(crate) fn point(name: &str) {
        let number = PASSED.fetch_add(1, Ordering::SeqCst);
        if let Some(path) = std::env::var_os("TRIBUTARY_FAULT_LOG")
            && let Ok(mut file) = std::fs::File::options().create(true).append(true).open(path)
        {
            drop(writeln!(file, "{number} {name}"));
        }
        if std::env::var("TRIBUTARY_FAULT_AT").is_ok_and(|at| at == number.to_string()) {
            std::process::abort();
        }
    }
}

#[cfg(feature = "fault")]
pub(crate) use switched_on::point;

/// Nothing in a build for users.
#[cfg(not(feature = "fault"))]
pub(crate) fn point(_: &str) {}
