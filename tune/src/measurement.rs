//! One measurement, as it is written and read: a JSON object on a line.
//!
//! Flat, and with everything that says under which conditions it was taken: a line stands for itself when files are joined.

use serde::{Deserialize, Serialize};
use tributary_core::{Error, Result};

use crate::grid::Cell;
use crate::operation::Operation;

/// How long one operation took at one setting.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Measurement {
    /// See [`Operation`].
    #[serde(with = "as_name")]
    pub operation: Operation,
    /// Rows of its tables.
    pub rows: u64,
    /// Cores of the task, as asked for.
    pub cores: u32,
    /// Partitions of its tables.
    pub partitions: u32,
    /// Cores that the engine made of it: threads, or executors × cores.
    pub placed_cores: u32,
    /// Whether this is what a job gets that asks for nothing.
    pub default: bool,
    /// Repetitions.
    pub repeat: u32,
    /// Half of the repetitions took less.
    pub seconds_median: f64,
    /// The fastest.
    pub seconds_min: f64,
    /// A quarter took less.
    pub seconds_q1: f64,
    /// A quarter took more.
    pub seconds_q3: f64,
    /// Seconds of all cores, median; nothing for an engine that works elsewhere.
    pub cpu_seconds: Option<f64>,
    /// Rows by the median.
    pub rows_per_second: f64,
    /// Name of the engine.
    pub engine: String,
    /// Version of this program.
    pub version: String,
    /// Cores of the machine that the program ran on.
    pub machine_cores: u32,
}

impl Measurement {
    /// Its setting.
    pub fn cell(&self) -> Cell {
        Cell { cores: self.cores, partitions: self.partitions }
    }

    /// As a line, without its end.
    pub fn to_line(&self) -> Result<String> {
        serde_json::to_string(self).map_err(|e| Error::bug("encode a measurement").because(e))
    }
}

/// The measurements of a file, a JSON object on each line. `InvalidInput` names a line that is not one, and why.
pub fn read_lines(name: &str, text: &str) -> Result<Vec<Measurement>> {
    let lines = text.lines().enumerate().filter(|(_, line)| !line.trim().is_empty());
    let read = |(number, line): (usize, &str)| {
        let found: Measurement = serde_json::from_str(line).map_err(|e| {
            let text = format!("{name}:{}: not a measurement of `bench tune --json`", number + 1);
            Error::invalid(text).because(e)
        })?;
        let times = [found.seconds_median, found.seconds_q1, found.seconds_q3];
        match times.iter().all(|seconds| seconds.is_finite() && *seconds > 0.0) {
            true => Ok(found),
            false => Err(Error::invalid(format!("{name}:{}: times must be above 0", number + 1))),
        }
    };
    let all = lines.map(read).collect::<Result<Vec<_>>>()?;
    match all.is_empty() {
        true => Err(Error::invalid(format!("{name} has no measurements"))),
        false => Ok(all),
    }
}

mod as_name {
    use serde::{Deserialize, Deserializer, Serializer, de::Error};

    use crate::operation::Operation;

    pub(super) fn serialize<S: Serializer>(operation: &Operation, to: S) -> Result<S::Ok, S::Error> {
        to.serialize_str(operation.name())
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<Operation, D::Error> {
        String::deserialize(from)?.parse().map_err(D::Error::custom)
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    /// A measurement whose middle half lies within a hundredth of the median.
    pub(crate) fn measured(operation: Operation, cores: u32, partitions: u32, seconds: f64) -> Measurement {
        Measurement {
            operation,
            rows: 1000,
            cores,
            partitions,
            placed_cores: cores,
            default: false,
            repeat: 5,
            seconds_median: seconds,
            seconds_min: seconds * 0.98,
            seconds_q1: seconds * 0.99,
            seconds_q3: seconds * 1.01,
            cpu_seconds: Some(seconds * f64::from(cores)),
            rows_per_second: 1000.0 / seconds,
            engine: "model".into(),
            version: "0.0.0".into(),
            machine_cores: 8,
        }
    }

    #[test]
    fn lines_are_read_as_they_were_written() {
        let all = [measured(Operation::Map, 1, 2, 0.5), measured(Operation::Mask, 2, 4, 0.25)];
        let text: String = all.iter().map(|m| m.to_line().unwrap() + "\n").collect();
        assert_eq!(read_lines("a.json", &text).unwrap(), all);
        assert!(text.starts_with(r#"{"operation":"map","rows":1000,"cores":1,"partitions":2,"#), "{text}");
    }

    #[test]
    fn a_line_that_is_no_measurement_is_named() {
        let good = measured(Operation::Map, 1, 2, 0.5).to_line().unwrap();
        let refused = |text: String, says: &str| {
            let error = read_lines("a.json", &text).unwrap_err().chain();
            assert!(error.contains(says), "{error}");
        };
        refused(format!("{good}\n\n{{}}\n"), "a.json:3: not a measurement");
        refused(good.replace("\"map\"", "\"mop\""), "expected some of map");
        refused(
            good.replace("\"seconds_median\":0.5", "\"seconds_median\":0"),
            "a.json:1: times must be above 0",
        );
        refused("\n".into(), "a.json has no measurements");
    }
}
