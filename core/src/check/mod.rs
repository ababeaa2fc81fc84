//! What an engine finds out about itself, for operators: every contract has a method `examine`, which tries what jobs need, and says for what fails
//! what to change. Who asks knows no engine: a new one is examined because it fulfils its contract.
//!
//! The probes of this module use a contract alone, and are what an engine does that has nothing to add.

mod probes;

use std::time::{Duration, Instant};

use serde::Serialize;

use crate::error::{Error, ErrorKind, Result};

pub use probes::{clock, computing, storage, storage_meta};

/// How something is.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "snake_case", tag = "state")]
pub enum State<C = String> {
    /// Right.
    Good {
        /// What was found.
        found: String,
    },
    /// Works, but something should be changed.
    Doubtful {
        /// What was found.
        found: String,
        /// What to change, and where.
        changes: Vec<C>,
    },
    /// Wrong.
    Failed {
        /// What was found.
        found: String,
        /// What to change, and where; any of them may be the cause.
        changes: Vec<C>,
    },
    /// Not tried.
    Skipped {
        /// Why.
        why: String,
    },
}

/// One thing that was looked at.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Finding {
    /// Which.
    pub what: String,
    /// How it is.
    #[serde(flatten)]
    pub state: State,
}

impl Finding {
    /// Right.
    pub fn good(what: impl Into<String>, found: impl Into<String>) -> Self {
        Self { what: what.into(), state: State::Good { found: found.into() } }
    }

    /// To be changed, although it works.
    pub fn doubtful(what: impl Into<String>, found: impl Into<String>, change: impl Into<String>) -> Self {
        let state = State::Doubtful { found: found.into(), changes: vec![change.into()] };
        Self { what: what.into(), state }
    }

    /// Wrong.
    pub fn failed(what: impl Into<String>, found: impl Into<String>, change: impl Into<String>) -> Self {
        let state = State::Failed { found: found.into(), changes: vec![change.into()] };
        Self { what: what.into(), state }
    }

    /// Not tried.
    pub fn skipped(what: impl Into<String>, why: impl Into<String>) -> Self {
        Self { what: what.into(), state: State::Skipped { why: why.into() } }
    }

    /// What an error says, and what helps against errors of its kind where it does not say so itself.
    pub fn of_error(what: impl Into<String>, error: &Error) -> Self {
        Self::failed(what, error.chain(), advice(error.kind()))
    }

    /// Whether it is wrong.
    pub fn is_failure(&self) -> bool {
        matches!(self.state, State::Failed { .. })
    }
}

fn advice(kind: ErrorKind) -> &'static str {
    match kind {
        ErrorKind::Unavailable | ErrorKind::Timeout => {
            "see that it runs and listens there, that this machine may call it, and that the address in service_conf.yaml is right"
        }
        ErrorKind::Denied => {
            "give this user what is missing there, or correct the credentials in service_conf.yaml"
        }
        ErrorKind::Exhausted => "make room there, or raise the limit",
        ErrorKind::NotFound => "make it, or name another in service_conf.yaml",
        _ => "change the configuration, or the service, as said",
    }
}

/// Steps of which each needs the ones before it: after one that fails, the others are not tried.
#[derive(Debug, Default)]
pub struct Steps {
    findings: Vec<Finding>,
    stopped: bool,
}

impl Steps {
    /// Tries one; what it finds is the text.
    pub async fn step<T>(
        &mut self,
        what: &str,
        tried: impl Future<Output = Result<(T, String)>>,
    ) -> Option<T> {
        if self.stopped {
            self.findings.push(Finding::skipped(what, "something before it failed"));
            return None;
        }
        match tried.await {
            Ok((value, found)) => {
                self.findings.push(Finding::good(what, found));
                Some(value)
            }
            Err(error) => {
                self.stopped = true;
                self.findings.push(Finding::of_error(what, &error));
                None
            }
        }
    }

    /// Adds what was found in another way.
    pub fn add(&mut self, finding: Finding) {
        self.findings.push(finding);
    }

    /// All that was found, in order.
    pub fn findings(self) -> Vec<Finding> {
        self.findings
    }
}

/// A value, and how long it took to get it.
pub async fn timed<T>(work: impl Future<Output = Result<T>>) -> Result<(T, Duration)> {
    let began = Instant::now();
    work.await.map(|value| (value, began.elapsed()))
}

/// `12.3 ms`.
pub fn milliseconds(took: Duration) -> String {
    format!("{:.1} ms", took.as_secs_f64() * 1e3)
}

/// `85 MB/s`.
pub fn rate(bytes: u64, took: Duration) -> String {
    format!("{:.0} MB/s", bytes as f64 / 1e6 / took.as_secs_f64().max(1e-6))
}

#[cfg(test)]
mod tests {
    use futures::executor::block_on;

    use super::*;

    #[test]
    fn after_a_step_that_fails_the_others_are_not_tried() {
        let mut steps = Steps::default();
        block_on(async {
            assert_eq!(steps.step("one", async { Ok((1, "found".into())) }).await, Some(1));
            let denied = async { Err::<((), String), _>(Error::new(ErrorKind::Denied, "no")) };
            assert_eq!(steps.step("two", denied).await, None);
            let never = async { panic!("it is not tried") };
            assert_eq!(steps.step::<()>("three", never).await, None);
        });
        let findings = steps.findings();
        assert_eq!(findings[0], Finding::good("one", "found"));
        let State::Failed { found, changes } = &findings[1].state else { panic!() };
        assert!(found == "no" && changes[0].contains("credentials"));
        assert!(matches!(findings[2].state, State::Skipped { .. }));
    }
}
