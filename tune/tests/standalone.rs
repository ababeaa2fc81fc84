//! The bench on a real engine: what it measures, that its estimate of memory is enough, and that a stop leaves nothing running.

#![allow(clippy::unwrap_used, reason = "a test that fails should say where")]

use std::cell::RefCell;
use std::future::pending;
use std::sync::Arc;

use futures::channel::oneshot;
use futures::executor::block_on;
use tributary_core::ErrorKind;
use tributary_core::storage::Nowhere;
use tributary_standalone::Standalone;
use tributary_tune::{Advice, Bench, Cell, Ended, Findings, Grid, Operation, Options, Progress, Unplaced};

fn bench(options: Options, memory_bytes: u64) -> Bench {
    let components = tributary_components::all();
    let engine = Arc::new(Standalone::new(components.kernels(), Arc::new(Nowhere)));
    Bench { engine, components, site_cores: 2, memory_bytes, grid: Grid::new(options).unwrap() }
}

fn options(cores: &[u32], partitions: &[u32]) -> Options {
    let (cores, partitions) = (cores.to_vec(), partitions.to_vec());
    Options { cores, partitions, rows: 3000, repeat: 2, operations: Operation::ALL.to_vec() }
}

fn run(bench: &Bench) -> Findings {
    block_on(bench.run(&|_| {}, pending())).unwrap()
}

#[test]
fn every_operation_is_measured_at_every_setting_and_the_default() {
    let bench = bench(options(&[1, 2, 3], &[1, 5]), 64 << 20);
    let (events, planned) = (RefCell::new(0), RefCell::new(0));
    let watch = |event: Progress<'_>| match event {
        Progress::Planned(count) => *planned.borrow_mut() = count,
        Progress::Measured(_) => *events.borrow_mut() += 1,
        Progress::Began(..) | Progress::Ended => {}
    };
    let findings = block_on(bench.run(&watch, pending())).unwrap();
    assert!(matches!(findings.end, Ended::Done), "{:?}", findings.end);
    assert_eq!(findings.default, Some(Cell { cores: 2, partitions: 2 }));
    assert_eq!(findings.measurements.len(), 6 * 5);
    assert_eq!((events.into_inner(), planned.into_inner()), (30, 30));
    let refused: Vec<Cell> = findings.unplaced.iter().map(|u| u.cell).collect();
    assert_eq!(refused, [Cell { cores: 3, partitions: 1 }, Cell { cores: 3, partitions: 5 }]);
    assert!(findings.unplaced.iter().all(|Unplaced { reason, .. }| reason.contains("at most 2")));
    for m in &findings.measurements {
        assert!(
            m.seconds_min > 0.0 && m.seconds_min <= m.seconds_q1 && m.seconds_q1 <= m.seconds_median,
            "{m:?}"
        );
        assert!(m.cpu_seconds.is_some_and(|cpu| cpu >= 0.0), "{m:?}");
    }
    let advice = Advice::of(&findings, &*bench.engine).unwrap();
    assert_eq!(advice.engine_run["cores"], advice.cell.cores.to_string());
    assert!(advice.gain.is_some());
}

#[test]
fn what_the_estimate_says_is_enough_memory() {
    for operation in Operation::ALL {
        let options =
            Options { rows: 150_000, repeat: 1, operations: vec![operation], ..options(&[2], &[1, 7]) };
        let needed = Grid::new(options.clone()).unwrap().memory().0;
        let findings = run(&bench(options.clone(), needed));
        assert!(matches!(findings.end, Ended::Done), "{operation}: {:?}", findings.end);
        let refused = block_on(bench(options, needed - 1).run(&|_| {}, pending())).unwrap_err();
        assert_eq!(refused.kind(), ErrorKind::InvalidInput);
        assert!(refused.to_string().contains("rows fit"), "{refused}");
    }
}

#[test]
fn a_stop_keeps_what_was_measured() {
    let bench = bench(options(&[1], &[1, 2]), 64 << 20);
    let (stop, stopped) = oneshot::channel::<()>();
    let stop = RefCell::new(Some(stop));
    let watch = |event: Progress<'_>| {
        if let Progress::Began(Operation::Join, _) = event {
            drop(stop.take());
        }
    };
    let stopped = async {
        stopped.await.unwrap_or_default();
    };
    let findings = block_on(bench.run(&watch, stopped)).unwrap();
    assert!(matches!(findings.end, Ended::Stopped), "{:?}", findings.end);
    let measured: Vec<Operation> = findings.measurements.iter().map(|m| m.operation).collect();
    assert_eq!(measured, [Operation::Map, Operation::Exchange]);
}

#[test]
fn a_site_that_can_place_nothing_gets_the_reason() {
    let error = block_on(bench(options(&[3], &[1]), 64 << 20).run(&|_| {}, pending())).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::InvalidInput);
    assert!(error.to_string().contains("no setting fits this site; 3 cores, 1 partition: "), "{error}");
}
