//! Which setting is best: for each operation, and for all together.
//!
//! All together is the setting with the least geometric mean of its times, each divided by the best of its operation: operations weigh
//! equally, however long they take. Settings within [`SAME`] of it count as equally good, and of those the one with the fewest
//! cores, then the fewest partitions, is chosen: cores that bring no gain are missing elsewhere.

use std::collections::BTreeMap;

use tributary_core::computing::Engine;
use tributary_core::placement::{CoreRequest, Placement, Wish};

use crate::grid::Cell;
use crate::measurement::Measurement;
use crate::operation::Operation;
use crate::run::Findings;
use crate::statistics::geometric_mean;

/// Times whose ratio is below it count as the same.
pub(crate) const SAME: f64 = 1.03;

/// What to write into a job.
#[derive(Debug, Clone, PartialEq)]
pub struct Advice {
    /// The best setting for all operations together.
    pub cell: Cell,
    /// How many times as fast as the default it is; nothing if the default was not measured.
    pub gain: Option<f64>,
    /// `engine_run` of a task that gets these cores, by the engine's own names; empty if it cannot be said there.
    pub engine_run: BTreeMap<String, String>,
}

impl Advice {
    /// From findings; the engine says how its cores are asked for. Nothing if no setting was measured with all operations.
    pub fn of(findings: &Findings, engine: &dyn Engine) -> Option<Self> {
        let times = Times::of(findings);
        let cell = times.best()?;
        let gain = findings.default.and_then(|default| times.gain(cell, default));
        let placed =
            findings.measurements.iter().find(|m| m.cell() == cell).map_or(cell.cores, |m| m.placed_cores);
        let engine_run = engine_run(engine, findings.site_cores, cell, placed).unwrap_or_default();
        Some(Self { cell, gain, engine_run })
    }

    /// The lines of a job that ask for it.
    pub fn to_yaml(&self) -> String {
        let Cell { cores, partitions } = self.cell;
        let options = self.engine_run.iter().map(|(name, value)| match value.parse::<i64>() {
            Ok(number) => format!("{name}: {number}"),
            Err(_) => format!("{name}: {}", serde_json::Value::from(value.as_str())),
        });
        let options = options.collect::<Vec<_>>().join(", ");
        let task = if options.is_empty() {
            String::new()
        } else {
            format!("    task: {{engine_run: {{{options}}}}}\n")
        };
        format!("dag:\n  conf:\n    cores: {cores}\n    computing_partitions: {partitions}\n{task}")
    }
}

/// The measurement with the least median; of equal ones that with the fewest cores, then partitions.
pub(crate) fn fastest<'a>(
    measurements: impl IntoIterator<Item = &'a Measurement>,
    operation: Operation,
) -> Option<&'a Measurement> {
    let of = measurements.into_iter().filter(|m| m.operation == operation);
    of.min_by(|a, b| a.seconds_median.total_cmp(&b.seconds_median).then_with(|| a.cell().cmp(&b.cell())))
}

/// Medians by setting, of those settings in which every operation was measured.
struct Times {
    cells: BTreeMap<Cell, Vec<f64>>,
}

impl Times {
    fn of(findings: &Findings) -> Self {
        let operations = findings.grid.operations();
        let mut cells: BTreeMap<Cell, Vec<f64>> = BTreeMap::new();
        for measurement in &findings.measurements {
            cells.entry(measurement.cell()).or_default().push(measurement.seconds_median);
        }
        cells.retain(|_, times| times.len() == operations.len());
        Self { cells }
    }

    /// A setting's times over the best of each operation, in one number; 1 if it is the best of all.
    fn scores(&self) -> Vec<(Cell, f64)> {
        let count = self.cells.values().next().map_or(0, Vec::len);
        let least = |i: usize| self.cells.values().map(|times| times[i]).fold(f64::INFINITY, f64::min);
        let least: Vec<f64> = (0..count).map(least).collect();
        let score =
            |times: &Vec<f64>| geometric_mean(times.iter().zip(&least).map(|(time, least)| time / least));
        self.cells.iter().map(|(cell, times)| (*cell, score(times))).collect()
    }

    /// In the order of cells, the first that is good enough has the fewest cores and partitions.
    fn best(&self) -> Option<Cell> {
        let scores = self.scores();
        let least = scores.iter().map(|(_, score)| *score).fold(f64::INFINITY, f64::min);
        scores.into_iter().find(|(_, score)| *score <= least * SAME).map(|(cell, _)| cell)
    }

    fn gain(&self, cell: Cell, default: Cell) -> Option<f64> {
        let (best, default) = (self.cells.get(&cell)?, self.cells.get(&default)?);
        Some(geometric_mean(default.iter().zip(best).map(|(default, best)| default / best)))
    }
}

/// The options that give the same cores as were measured: `cores`, or else the settings that the engine itself names.
fn engine_run(engine: &dyn Engine, site: u32, cell: Cell, placed: u32) -> Option<BTreeMap<String, String>> {
    let with = |options: &BTreeMap<String, String>| CoreRequest {
        wish: Wish::Dag { job_cores: Some(u64::from(cell.cores)) },
        partitions: Some(u64::from(cell.partitions)),
        options: options.clone(),
        site_cores: Some(u64::from(site)),
        ..CoreRequest::default()
    };
    let plain = BTreeMap::from([("cores".to_string(), cell.cores.to_string())]);
    let asked = CoreRequest {
        wish: CoreRequest::of_task_cores(u64::from(cell.cores)).wish,
        ..with(&BTreeMap::new())
    };
    let named = engine.place(&asked).map(|placement| placement.settings).unwrap_or_default();
    let fits = |p: Placement| p.cores == placed && p.partitions == cell.partitions;
    [plain, named].into_iter().find(|options| engine.place(&with(options)).is_ok_and(fits))
}

#[cfg(test)]
pub(crate) mod tests {
    use std::sync::Arc;

    use async_trait::async_trait;
    use tributary_core::computing::{Computing, EngineInfo, SessionSpec};
    use tributary_core::{Error, Result};

    use super::*;
    use crate::grid::{Grid, Options};
    use crate::measurement::tests::measured;
    use crate::run::Ended;

    /// Findings with these times: operation, cores, partitions, seconds. The default is 2 cores, 2 partitions.
    pub(crate) fn findings(times: &[(Operation, u32, u32, f64)]) -> Findings {
        let list = |pick: fn(&(Operation, u32, u32, f64)) -> u32| times.iter().map(pick).collect::<Vec<_>>();
        let options = Options {
            cores: list(|t| t.1),
            partitions: list(|t| t.2),
            rows: 1000,
            repeat: 5,
            operations: times.iter().map(|t| t.0).collect(),
        };
        let default = Cell { cores: 2, partitions: 2 };
        let measurements = times.iter().map(|(operation, cores, partitions, seconds)| {
            let measured = measured(*operation, *cores, *partitions, *seconds);
            Measurement { default: measured.cell() == default, ..measured }
        });
        Findings {
            grid: Grid::new(options).unwrap(),
            engine: "model".into(),
            site_cores: 8,
            default: Some(default),
            measurements: measurements.collect(),
            unplaced: Vec::new(),
            end: Ended::Done,
        }
    }

    /// An engine that only places: by `option`, this many cores for each.
    #[derive(Debug)]
    pub(crate) struct Places(pub EngineInfo, pub &'static str);

    impl Places {
        pub(crate) fn by(option: &'static str) -> Self {
            Self(EngineInfo::new("model"), option)
        }
    }

    #[async_trait]
    impl Engine for Places {
        fn info(&self) -> &EngineInfo {
            &self.0
        }
        fn place(&self, request: &CoreRequest) -> Result<Placement> {
            if request.options.keys().any(|name| name != self.1) {
                return Err(Error::invalid("an option that means nothing"));
            }
            let option = request.options.get(self.1).and_then(|value| value.parse().ok());
            let task_cores = match request.wish {
                Wish::RuntimeConf { task_cores, .. } => task_cores,
                Wish::Dag { .. } => None,
            };
            let cores = option.or(task_cores).unwrap_or(1) as u32;
            Ok(Placement {
                partitions: request.partitions.unwrap_or(1) as u32,
                cores,
                task_booked: cores,
                job_booked: cores,
                settings: BTreeMap::from([(self.1.to_string(), cores.to_string())]),
                reasons: Vec::new(),
                notes: Vec::new(),
            })
        }
        async fn open(&self, _: SessionSpec) -> Result<Arc<dyn Computing>> {
            Err(Error::bug("it only places"))
        }
    }

    fn advise(times: &[(Operation, u32, u32, f64)]) -> Option<Advice> {
        Advice::of(&findings(times), &Places::by("cores"))
    }

    use Operation::{Join, Map, Mask};

    #[test]
    fn operations_weigh_equally_however_long_they_take() {
        let advice = advise(&[
            (Map, 1, 1, 0.001),
            (Mask, 1, 1, 10.0),
            (Map, 2, 2, 0.004), // four times as slow
            (Mask, 2, 2, 5.0),  // twice as fast: many more seconds, but less of a gain
        ]);
        let advice = advice.unwrap();
        assert_eq!(advice.cell, Cell { cores: 1, partitions: 1 });
        assert!((advice.gain.unwrap() - 2f64.sqrt()).abs() < 1e-9);
    }

    #[test]
    fn of_equally_good_settings_the_cheapest_is_chosen() {
        let advice =
            advise(&[(Map, 4, 8, 1.0), (Map, 2, 2, 1.02), (Map, 2, 8, 1.01), (Map, 1, 1, 1.2)]).unwrap();
        assert_eq!(advice.cell, Cell { cores: 2, partitions: 2 });
        assert_eq!(advice.gain, Some(1.0));
        let advice = advise(&[(Map, 4, 8, 1.0), (Map, 2, 2, 1.1)]).unwrap();
        assert_eq!(advice.cell, Cell { cores: 4, partitions: 8 });
    }

    #[test]
    fn a_setting_that_was_stopped_halfway_is_no_candidate() {
        let advice = advise(&[(Map, 2, 2, 2.0), (Join, 2, 2, 2.0), (Map, 4, 4, 0.1)]).unwrap();
        assert_eq!(advice.cell, Cell { cores: 2, partitions: 2 });
        assert_eq!(
            Advice::of(
                &Findings { measurements: vec![], ..findings(&[(Map, 1, 1, 1.0)]) },
                &Places::by("cores")
            ),
            None
        );
    }

    #[test]
    fn without_a_measured_default_there_is_no_gain() {
        assert_eq!(advise(&[(Map, 4, 4, 1.0)]).unwrap().gain, None);
    }

    #[test]
    fn the_lines_ask_by_the_engines_own_names() {
        let findings = findings(&[(Map, 4, 8, 1.0)]);
        let yaml = |option| Advice::of(&findings, &Places::by(option)).unwrap().to_yaml();
        let common = "dag:\n  conf:\n    cores: 4\n    computing_partitions: 8\n";
        assert_eq!(yaml("cores"), format!("{common}    task: {{engine_run: {{cores: 4}}}}\n"));
        assert_eq!(yaml("workers"), format!("{common}    task: {{engine_run: {{workers: 4}}}}\n"));
    }

    #[test]
    fn the_fastest_of_an_operation_is_its_least_median() {
        let findings = findings(&[(Map, 1, 1, 1.0), (Map, 2, 2, 0.5), (Map, 4, 4, 0.5), (Join, 4, 4, 0.1)]);
        assert_eq!(fastest(&findings.measurements, Map).unwrap().cell(), Cell { cores: 2, partitions: 2 });
        assert!(fastest(&findings.measurements, Mask).is_none());
    }
}
