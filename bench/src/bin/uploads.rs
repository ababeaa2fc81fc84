//! Uploads of a large CSV file beside DuckDB's COPY to Parquet: `uploads BINARY PYTHON [ROWS]`. `PYTHON` has the package `duckdb`.
//!
//! Both get two threads, read the same file from the page cache and write Parquet with Snappy. DuckDB checks no ids, so the
//! upload is measured twice: with made ids, which need no check, and with the file's own, which do not fit in the memory that the
//! check may use. The least of several runs, taken in turns, counts, because other work of the machine can only add time.

use std::path::Path;
use std::process::ExitCode;

use serde_json::json;
use tributary_bench::{Cost, MEASURE, cost, measure, rows};

const RUNS: usize = 3;
const ROWS: u64 = 5_000_000;
const MOST_MIB: f64 = 512.0;

const COPY: &str = "import duckdb, sys
c = duckdb.connect()
c.execute('SET threads=2')
c.execute(f\"COPY (SELECT * FROM read_csv('{sys.argv[1]}')) TO '{sys.argv[2]}' (FORMAT parquet)\")";

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let done = match arguments.as_slice() {
        [first, command @ ..] if first == MEASURE => measure(command),
        [binary, python] => all(binary, python, ROWS),
        [binary, python, rows] => match rows.parse() {
            Ok(rows) => all(binary, python, rows),
            Err(_) => Err(format!("{rows:?}, expected a number of rows")),
        },
        _ => Err("usage: uploads BINARY PYTHON [ROWS]; PYTHON is one with `pip install duckdb`".into()),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::FAILURE
        }
    }
}

fn all(binary: &str, python: &str, count: u64) -> Result<(), String> {
    let scratch = tempfile::tempdir().map_err(|e| e.to_string())?;
    let path = |name: &str| scratch.path().join(name);
    let csv = path("rows.csv");
    let bytes = rows::write_csv(&csv, count).map_err(|e| format!("write {}: {e}", csv.display()))?;
    println!("{count} rows, {bytes} bytes");
    let (csv, parquet, home) = (shown(&csv), path("rows.parquet"), path("home"));
    let upload = |more: &[&str]| {
        let begin =
            [binary, "--home", &shown(&home), "data", "upload", "--party", "1", "--namespace", "bench"];
        let rest = ["--name", "rows", "--file", &csv];
        begin.iter().chain(&rest).chain(more).map(|word| word.to_string()).collect::<Vec<_>>()
    };
    let copy = [python, "-c", COPY, &csv, &shown(&parquet)].map(str::to_owned).to_vec();
    let commands =
        [("duckdb", copy), ("upload", upload(&["--extend-sid"])), ("upload, ids compared", upload(&[]))];
    let mut least: [Option<Cost>; 3] = [None; 3];
    // in turns, so that what disturbs one disturbs the others
    for _ in 0..RUNS {
        for ((_, command), least) in commands.iter().zip(&mut least) {
            let new = cost(command)?;
            remove(&parquet)?;
            remove(&home)?;
            *least = Some(least.filter(|old| old.wall <= new.wall).unwrap_or(new));
        }
    }
    let rival = least[0].ok_or("no run")?;
    for (((name, _), cost), most) in
        commands.iter().zip(least.iter().flatten()).zip([f64::INFINITY, 1.5, 2.0])
    {
        report(name, *cost, rival, most);
    }
    Ok(())
}

/// One JSON line and one for people.
fn report(name: &str, cost: Cost, rival: Cost, most: f64) {
    let (wall, cpu) = (cost.wall / rival.wall, cost.cpu / rival.cpu);
    let holds = wall <= most && (most.is_infinite() || cost.peak_mib <= MOST_MIB);
    println!("{}", json!({"job": name, "cost": cost, "wall_ratio": wall, "cpu_ratio": cpu, "holds": holds}));
    let verdict = if holds { "holds" } else { "DOES NOT HOLD" };
    let Cost { wall: seconds, cpu: cpu_seconds, peak_mib } = cost;
    println!(
        "{name:<22} {seconds:>7.2} s wall ({wall:.2}x)  {cpu_seconds:>7.2} s CPU ({cpu:.2}x)  {peak_mib:>6.0} MiB  {verdict}"
    );
}

fn shown(path: &Path) -> String {
    path.display().to_string()
}

/// Removes a file or folder, if it is there.
fn remove(path: &Path) -> Result<(), String> {
    let removed = if path.is_dir() { std::fs::remove_dir_all(path) } else { std::fs::remove_file(path) };
    match removed {
        Err(e) if e.kind() != std::io::ErrorKind::NotFound => Err(format!("remove {}: {e}", path.display())),
        _ => Ok(()),
    }
}
