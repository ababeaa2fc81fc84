//! The status of a job, or of one party's part of a task: one list of words for records, events and
//! people.

use std::fmt;

use serde::{Deserialize, Serialize};

/// The status of a job or of a party's part of a task, in the words of FATE's clients.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Status {
    /// It has not started, and will when what it waits for is there.
    #[serde(rename = "waiting")]
    Waiting,
    /// It runs.
    #[serde(rename = "running")]
    Running,
    /// It ended well.
    #[serde(rename = "success")]
    Success,
    /// It failed.
    #[serde(rename = "failed")]
    Failed,
    /// It was stopped.
    #[serde(rename = "canceled")]
    Canceled,
    /// The job ended before it could start.
    #[serde(rename = "not started")]
    NotStarted,
}

impl Status {
    /// The word for it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Waiting => "waiting",
            Self::Running => "running",
            Self::Success => "success",
            Self::Failed => "failed",
            Self::Canceled => "canceled",
            Self::NotStarted => "not started",
        }
    }
}

impl fmt::Display for Status {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_status_is_written_as_it_is_shown() {
        use Status::{Canceled, Failed, NotStarted, Running, Success, Waiting};
        for status in [Waiting, Running, Success, Failed, Canceled, NotStarted] {
            assert_eq!(serde_json::to_value(status).unwrap(), status.to_string());
        }
    }
}
