//! Whole jobs through the release binary: `jobs BINARY [NAME…]`. Prints one JSON line and one readable line a job.

use std::collections::HashMap;
use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};

use serde_json::json;
use tributary_bench::{Cost, MEASURE, cost, measure, median};

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let done = match arguments.split_first() {
        Some((first, command)) if first == MEASURE => measure(command),
        Some((binary, names)) => all(Path::new(binary), names),
        None => {
            let names: Vec<&str> = JOBS.iter().map(|job| job.name).collect();
            Err(format!("usage: jobs BINARY [{} …]", names.join("|")))
        }
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::FAILURE
        }
    }
}

/// A measurement, and the most it may cost.
struct Job {
    name: &'static str,
    most: Cost,
    /// A job before it in the list, and how many times its wall time this one may take.
    beside: Option<(&'static str, f64)>,
    run: fn(&Bench) -> Result<Cost, String>,
}

const NO_LIMIT: Cost = Cost { wall: f64::INFINITY, cpu: f64::INFINITY, peak_mib: f64::INFINITY };

/// `demo-adx` is the demo as on a processor without AVX-512 IFMA; on such a one, `demo` is the same, and misses its limit.
const JOBS: &[Job] = &[
    job("version", Cost { wall: 0.02, ..NO_LIMIT }, version),
    job("secure-add", Cost { wall: 0.2, ..NO_LIMIT }, secure_add),
    job("demo", Cost { wall: 0.3, cpu: 0.5, peak_mib: 150.0 }, |bench| demo(bench, "avx512")),
    job("demo-adx", Cost { wall: 0.6, cpu: 1.0, peak_mib: 150.0 }, |bench| demo(bench, "adx")),
    job("psi-1k", Cost { wall: 0.04, ..NO_LIMIT }, |bench| median(9, || psi(bench, [1_000; 2], "auto"))),
    // 0.6 times what the quickest peer takes, whose two parties have 640 MiB each.
    job("psi-1m", Cost { wall: 4.0, cpu: 7.8, peak_mib: 800.0 }, |bench| psi(bench, [1_000_000; 2], "auto")),
    job("psi-5m", Cost { wall: 18.9, cpu: 33.0, peak_mib: 800.0 }, |bench| {
        psi(bench, [5_000_000; 2], "auto")
    }),
    Job {
        beside: Some(("psi-5m", 2.2)),
        ..job("psi-10m", Cost { peak_mib: 800.0, ..NO_LIMIT }, |bench| psi(bench, [10_000_000; 2], "auto"))
    },
    Job {
        beside: Some(("psi-5m", 1.0 / 3.0)),
        ..job("psi-10k-5m", NO_LIMIT, |bench| psi(bench, [10_000, 5_000_000], "auto"))
    },
    job("boost-breast", Cost { wall: 1.2, peak_mib: 150.0, ..NO_LIMIT }, boost_breast),
    // As many rows and columns as the credit cards of FATE's examples.
    job("boost-30k", Cost { wall: 8.0, peak_mib: 400.0, ..NO_LIMIT }, |bench| {
        boost(bench, 30_000, [13, 10], 3, 3)
    }),
    job("boost-100k", Cost { wall: 45.0, ..NO_LIMIT }, |bench| boost(bench, 100_000, [30, 300], 1, 4)),
    job("psi-1m-curves", Cost { wall: 100.0, peak_mib: 1024.0, ..NO_LIMIT }, |bench| {
        psi(bench, [1_000_000; 2], "ecdh_psi")
    }),
];

const fn job(name: &'static str, most: Cost, run: fn(&Bench) -> Result<Cost, String>) -> Job {
    Job { name, most, beside: None, run }
}

/// The binary under test, the examples, and a scratch folder with a home.
struct Bench {
    binary: PathBuf,
    examples: PathBuf,
    scratch: tempfile::TempDir,
}

impl Bench {
    fn command(&self, arguments: &[&str]) -> Vec<String> {
        let home = self.scratch.path().join("home").display().to_string();
        let binary = self.binary.display().to_string();
        [binary, "--home".into(), home].into_iter().chain(arguments.iter().map(|a| a.to_string())).collect()
    }

    fn prepare(&self, arguments: &[&str]) -> Result<(), String> {
        let command = self.command(arguments);
        let output = Command::new(&command[0]).args(&command[1..]).output().map_err(|e| e.to_string())?;
        let error = String::from_utf8_lossy(&output.stderr);
        if output.status.success() { Ok(()) } else { Err(format!("{}: {error}", command.join(" "))) }
    }

    fn upload(&self, party: &str, name: &str, file: &Path, label: Option<&str>) -> Result<(), String> {
        let file = file.display().to_string();
        let mut arguments =
            vec!["data", "upload", "--party", party, "--namespace", "experiment", "--name", name];
        arguments.extend(["--if-exists", "replace", "--file", &file]);
        arguments.extend(label.into_iter().flat_map(|label| ["--label", label]));
        self.prepare(&arguments)
    }

    fn example(&self, name: &str) -> String {
        self.examples.join(name).display().to_string()
    }
}

fn all(binary: &Path, names: &[String]) -> Result<(), String> {
    let package = std::env::var_os("CARGO_MANIFEST_DIR").ok_or("run it as `cargo run`")?;
    let examples = Path::new(&package).join("../examples");
    let scratch = tempfile::tempdir().map_err(|e| e.to_string())?;
    let bench = Bench { binary: binary.into(), examples, scratch };
    let mut took: HashMap<&str, f64> = HashMap::new();
    for job in JOBS.iter().filter(|job| names.is_empty() || names.iter().any(|name| name == job.name)) {
        let cost = (job.run)(&bench)?;
        let Cost { wall, cpu, peak_mib } = cost;
        took.insert(job.name, wall);
        let beside = job.beside.and_then(|(name, times)| Some(took.get(name)? * times));
        let most = Cost { wall: beside.unwrap_or(f64::INFINITY).min(job.most.wall), ..job.most };
        let holds = wall <= most.wall && cpu <= most.cpu && peak_mib <= most.peak_mib;
        println!("{}", json!({"job": job.name, "cost": cost, "needed": most, "holds": holds}));
        let verdict = if holds { "holds" } else { "DOES NOT HOLD" };
        println!("{:<12} {wall:>8.3} s wall  {cpu:>8.3} s CPU  {peak_mib:>7.1} MiB  {verdict}", job.name);
    }
    Ok(())
}

fn version(bench: &Bench) -> Result<Cost, String> {
    median(21, || cost(&bench.command(&["--version"])))
}

fn secure_add(bench: &Bench) -> Result<Cost, String> {
    median(9, || cost(&bench.command(&["run", "--quiet", &bench.example("toy/job.yaml")])))
}

fn demo(bench: &Bench, arithmetic: &str) -> Result<Cost, String> {
    bench.upload("9999", "breast_guest", &bench.examples.join("breast/guest.csv"), Some("y"))?;
    bench.upload("10000", "breast_host", &bench.examples.join("breast/host.csv"), None)?;
    let run = bench.command(&["run", "--quiet", &bench.example("breast/job.yaml")]);
    let command = [vec!["env".into(), format!("TRIBUTARY_ARITHMETIC={arithmetic}")], run].concat();
    median(9, || cost(&command))
}

fn boost_breast(bench: &Bench) -> Result<Cost, String> {
    bench.upload("9999", "breast_guest", &bench.examples.join("breast/guest.csv"), Some("y"))?;
    bench.upload("10000", "breast_host", &bench.examples.join("breast/host.csv"), None)?;
    median(5, || cost(&bench.command(&["run", "--quiet", &bench.example("breast/boost.yaml")])))
}

/// Trees of made rows, so many columns at guest and host, under a key of 2048 bits.
fn boost(bench: &Bench, rows: u64, columns: [u64; 2], trees: u32, depth: u32) -> Result<Cost, String> {
    for (party, columns) in [("9999", columns[0]), ("10000", columns[1])] {
        let label = if party == "9999" { ",y" } else { "" };
        let mut csv = format!("id{label}");
        (0..columns).try_for_each(|i| write!(csv, ",x{i}")).map_err(|e| e.to_string())?;
        for row in 0..rows {
            let number = |column: u64| (row ^ column << 40).wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 40;
            let of_label =
                if label.is_empty() { String::new() } else { format!(",{}", (number(1) + number(2)) >> 24) };
            write!(csv, "\nu{row:07}{of_label}").map_err(|e| e.to_string())?;
            (0..columns).try_for_each(|i| write!(csv, ",{}", number(i))).map_err(|e| e.to_string())?;
        }
        let file = bench.scratch.path().join("rows.csv");
        fs::write(&file, csv).map_err(|e| e.to_string())?;
        bench.upload(party, "rows", &file, (party == "9999").then_some("y"))?;
    }
    let job = bench.scratch.path().join("boost.yaml");
    let text = BOOST_JOB.replace("TREES", &trees.to_string()).replace("DEPTH", &depth.to_string());
    fs::write(&job, text).map_err(|e| e.to_string())?;
    cost(&bench.command(&["run", "--quiet", &job.display().to_string()]))
}

const BOOST_JOB: &str = "\
dag:
  parties:
  - {role: guest, party_id: ['9999']}
  - {role: host, party_id: ['10000']}
  stage: train
  tasks:
    reader_0: {component_ref: reader, stage: default, parameters: {namespace: experiment, name: rows}}
    psi_0:
      component_ref: psi
      stage: default
      inputs: {data: {input_data: {task_output_artifact: {producer_task: reader_0, output_artifact_key: output_data}}}}
    sbt_0:
      component_ref: hetero_secureboost
      parameters: {num_trees: TREES, max_depth: DEPTH}
      inputs: {data: {train_data: {task_output_artifact: {producer_task: psi_0, output_artifact_key: output_data}}}}
schema_version: 2.2.0
";

/// Guest and host with so many ids, half of the fewer in common, and one column. An engine keeps rows in memory while there is room: here a task of a
/// party has 256 MiB of it.
fn psi(bench: &Bench, ids: [u64; 2], protocol: &str) -> Result<Cost, String> {
    let home = bench.scratch.path().join("home");
    // What was given to the partner of a table of this name counts for the next one.
    if home.exists() {
        fs::remove_dir_all(&home).map_err(|e| e.to_string())?;
    }
    let conf = "computing: {standalone: {memory: 256MiB}}\n";
    let write = || fs::create_dir_all(&home).and_then(|()| fs::write(home.join("service_conf.yaml"), conf));
    write().map_err(|e| e.to_string())?;
    let half = ids[0].min(ids[1]) / 2;
    for (party, first, rows) in [("9999", 0, ids[0]), ("10000", ids[0] - half, ids[1])] {
        let mut csv = String::from("id,x0\n");
        for i in 0..rows {
            // Odd, so that ids are spread over the file in no order.
            let id = first + i.wrapping_mul(7_919) % rows;
            writeln!(csv, "u{id:09},{}", i % 100).map_err(|e| e.to_string())?;
        }
        let file = bench.scratch.path().join("ids.csv");
        fs::write(&file, csv).map_err(|e| e.to_string())?;
        bench.upload(party, "ids", &file, None)?;
    }
    let job = bench.scratch.path().join("psi.yaml");
    fs::write(&job, PSI_JOB.replace("PROTOCOL", protocol)).map_err(|e| e.to_string())?;
    cost(&bench.command(&["run", "--quiet", &job.display().to_string()]))
}

const PSI_JOB: &str = "\
dag:
  parties:
  - {role: guest, party_id: ['9999']}
  - {role: host, party_id: ['10000']}
  tasks:
    reader_0: {component_ref: reader, parameters: {namespace: experiment, name: ids}}
    psi_0:
      component_ref: psi
      parameters: {protocol: PROTOCOL}
      inputs: {data: {input_data: {task_output_artifact: {producer_task: reader_0, output_artifact_key: output_data}}}}
schema_version: 2.2.0
";
