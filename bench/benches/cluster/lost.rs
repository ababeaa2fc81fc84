//! What it costs to lose an executor in the middle of an action: twenty times, by SIGKILL, after a third of work of some
//! seconds.

use std::thread;
use std::time::Instant;

use serde_json::json;
use tributary_core::layout::Layout;
use tributary_core::plan::EqualKeys;

use crate::load::{PARTITIONS, PartialSums, Pause, SumRuns, source};
use crate::nodes::Cluster;

const TIMES: usize = 20;
const NEEDED_SECONDS: f64 = 8.0;
const ROWS: u64 = 400_000;
/// On each side of an exchange, two seconds of two cores.
const PAUSE: Pause = Pause { nanoseconds: 10_000 };

pub fn measure(cluster: &mut Cluster) {
    let bench = &cluster.bench;
    let rows = bench.put(&source(ROWS, 0), Layout::Loose(PARTITIONS));
    let slow = bench.fold::<PartialSums>(&bench.map::<Pause>(&rows, &PAUSE), &PartialSums);
    let gathered = bench.exchange(&slow, Layout::Keyed(PARTITIONS), EqualKeys::Adjacent);
    let plan = bench.map::<Pause>(&bench.fold::<SumRuns>(&gathered, &SumRuns), &PAUSE);
    let since = Instant::now();
    let expected = bench.values(&plan);
    let undisturbed = since.elapsed();
    println!("undisturbed: {:.1} s", undisturbed.as_secs_f64());
    let mut extra: Vec<f64> = Vec::new();
    for time in 1..=TIMES {
        let since = Instant::now();
        let values = thread::scope(|scope| {
            let (bench, plan) = (&cluster.bench, &plan);
            let work = scope.spawn(move || bench.values(plan));
            thread::sleep(undisturbed / 3);
            cluster.executors.remove(0);
            work.join().expect("an action that goes on")
        });
        let more = since.elapsed().saturating_sub(undisturbed).as_secs_f64();
        println!("executor lost, {time} of {TIMES}: +{more:.1} s");
        extra.push(more);
        assert!(values == expected, "other rows after an executor was lost");
        cluster.complete();
    }
    extra.sort_by(f64::total_cmp);
    let (median, most) = (extra[TIMES / 2], extra[TIMES - 1]);
    let verdict = if most <= NEEDED_SECONDS { "holds" } else { "DOES NOT HOLD" };
    println!(
        "an executor lost in {:.1} s of work: right {TIMES} of {TIMES} times, +{median:.1} s (most {most:.1}), needed \
         +{NEEDED_SECONDS} s: {verdict}",
        undisturbed.as_secs_f64(),
    );
    println!(
        "{}",
        json!({"bench": "cluster", "what": "executor lost", "times": TIMES, "median_s": median, "most_s": most,
               "needed_s": NEEDED_SECONDS})
    );
}
