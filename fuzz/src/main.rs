//! `make fuzz`: each target in a process of its own, which is watched, because a decoder may end it, hang or eat memory.
//! Several at once, one for each core.

use std::collections::BTreeSet;
use std::fs::{self, File};
use std::io::{BufRead, BufReader};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitCode, Stdio};
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use clap::Parser;
use nix::sys::resource::{Resource, setrlimit};
use tributary_fuzz::drive::run_all;
use tributary_fuzz::mutate::input;
use tributary_fuzz::targets::TARGETS;
use tributary_fuzz::{Target, find};

/// An input that takes longer hangs.
const HANGS: Duration = Duration::from_secs(30);
/// How often a process is looked at.
const LOOK: Duration = Duration::from_millis(200);
/// What a decoder may map; beyond, an allocation fails and ends the process.
const MEMORY: u64 = 4 << 30;
/// Different faults of one target, after which it is left.
const MOST_FAULTS: usize = 5;

/// Tries damaged inputs on every decoder of bytes from outside.
#[derive(Debug, Parser)]
struct Arguments {
    /// How long, for all targets together on one core.
    #[arg(long, default_value_t = 10.0, value_name = "N")]
    minutes: f64,
    /// Only this one.
    #[arg(long, value_name = "NAME")]
    target: Option<String>,
    /// Number of the run [default: from the clock].
    #[arg(long, value_name = "N")]
    seed: Option<u64>,
    /// Run one input of --target, without catching anything.
    #[arg(long, value_name = "FILE", requires = "target")]
    input: Option<PathBuf>,
    #[arg(long, hide = true)]
    from: Option<u64>,
    #[arg(long, hide = true)]
    progress: Option<PathBuf>,
}

fn main() -> Result<ExitCode> {
    let arguments = Arguments::parse();
    let targets: Vec<&Target> = match &arguments.target {
        None => TARGETS.iter().collect(),
        Some(name) => vec![find(name).with_context(|| format!("no target {name:?}; see --help"))?],
    };
    let now = || std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
    let seed = arguments.seed.unwrap_or_else(|| now().map_or(0, |since| since.as_secs()));
    match (&arguments.input, &arguments.progress, targets.as_slice()) {
        (Some(file), _, [target]) => {
            (target.run)(&fs::read(file).with_context(|| format!("read {}", file.display()))?);
            println!("{}: no fault", target.name);
            Ok(ExitCode::SUCCESS)
        }
        (_, Some(progress), [target]) => {
            work(target, seed, arguments.from.unwrap_or(0), arguments.minutes, progress)?;
            Ok(ExitCode::SUCCESS)
        }
        _ => watch_all(&targets, seed, Duration::from_secs_f64(arguments.minutes * 60.0)),
    }
}

/// A watched process: says which input it tries before it tries it, and a line for each fault.
fn work(target: &Target, seed: u64, from: u64, minutes: f64, progress: &Path) -> Result<()> {
    setrlimit(Resource::RLIMIT_AS, MEMORY, MEMORY).context("limit the memory")?;
    let progress = File::options().write(true).open(progress).context("open the file for progress")?;
    let until = Instant::now() + Duration::from_secs_f64(minutes * 60.0);
    let mut faults = BTreeSet::new();
    let lost = std::cell::Cell::new(false);
    let before = |index: u64| {
        lost.set(progress.write_all_at(&index.to_le_bytes(), 0).is_err());
        !lost.get() && Instant::now() < until
    };
    let tried = run_all(target, seed, from..u64::MAX, before, |fault| {
        // the same panic again says nothing more
        if faults.insert(fault.what.clone()) {
            println!("fault {} {}", fault.index, fault.what.replace('\n', " "));
        }
        if faults.len() == MOST_FAULTS {
            std::process::exit(0);
        }
    });
    if lost.get() {
        bail!("the file for progress cannot be written");
    }
    println!("tried {tried}");
    Ok(())
}

/// What came of a target.
#[derive(Debug, Default)]
struct Outcome {
    tried: u64,
    faults: Vec<String>,
}

fn watch_all(targets: &[&Target], seed: u64, time: Duration) -> Result<ExitCode> {
    let cores = std::thread::available_parallelism().map_or(1, |cores| cores.get()).min(targets.len());
    let each = time.div_f64(targets.len() as f64);
    let (next, total) = (AtomicUsize::new(0), Mutex::new(Outcome::default()));
    println!("seed {seed}, {:.1} s for each of {} targets", each.as_secs_f64(), targets.len());
    let worker = || -> Result<()> {
        while let Some(target) = targets.get(next.fetch_add(1, Ordering::Relaxed)) {
            let outcome = watch(target, seed, each).with_context(|| format!("target {}", target.name))?;
            let faults = outcome.faults.len();
            println!("{:14} {:>12} inputs {faults:>4} faults", target.name, outcome.tried);
            outcome.faults.iter().for_each(|fault| println!("  {fault}"));
            if let Ok(mut total) = total.lock() {
                total.tried += outcome.tried;
                total.faults.extend(outcome.faults);
            }
        }
        Ok(())
    };
    std::thread::scope(|scope| {
        let workers: Vec<_> = (0..cores).map(|_| scope.spawn(worker)).collect();
        workers.into_iter().try_for_each(|worker| match worker.join() {
            Ok(done) => done,
            Err(_) => bail!("a watching thread panicked"),
        })
    })?;
    let total = total.into_inner().unwrap_or_default();
    println!("{} inputs, {} faults", total.tried, total.faults.len());
    Ok(if total.faults.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// Runs a target for a while, in a new process after each that ended early.
fn watch(target: &Target, seed: u64, time: Duration) -> Result<Outcome> {
    let (mut outcome, mut from, until) = (Outcome::default(), 0u64, Instant::now() + time);
    let seeds = target.seeds();
    let progress = tempfile::NamedTempFile::new().context("make a file for progress")?;
    while outcome.faults.len() < MOST_FAULTS {
        let left = until.saturating_duration_since(Instant::now());
        if left.is_zero() {
            break;
        }
        progress.as_file().write_all_at(&from.to_le_bytes(), 0)?;
        let minutes = (left.as_secs_f64() / 60.0).to_string();
        let (seed_text, from_text) = (seed.to_string(), from.to_string());
        let mut child = Command::new(std::env::current_exe()?)
            .args([
                "--target",
                target.name,
                "--seed",
                &seed_text,
                "--from",
                &from_text,
                "--minutes",
                &minutes,
            ])
            .arg("--progress")
            .arg(progress.path())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .context("start a process")?;
        let end = wait(&mut child, progress.as_file())?;
        let mut done = false;
        let output = child.stdout.take().map(BufReader::new);
        for line in output.into_iter().flat_map(BufRead::lines).map_while(Result::ok) {
            if let Some(fault) = line.strip_prefix("fault ") {
                let (index, what) = fault.split_once(' ').unwrap_or((fault, ""));
                let index = index.parse().context("the index of a fault")?;
                outcome.faults.push(kept(target, &input(&seeds, seed, index), what)?);
            }
            done |= line.starts_with("tried ");
        }
        let at = index(progress.as_file())?;
        outcome.tried += at - from;
        if done || outcome.faults.len() >= MOST_FAULTS {
            break;
        }
        outcome.faults.push(kept(target, &input(&seeds, seed, at), &end)?);
        from = at + 1;
    }
    Ok(outcome)
}

/// Waits for the end of a process, and says how it ended. One whose input does not change for long is ended.
fn wait(child: &mut Child, progress: &File) -> Result<String> {
    let (mut last, mut since) = (index(progress)?, Instant::now());
    loop {
        if let Some(status) = child.try_wait().context("look at a process")? {
            return Ok(format!("the process ended: {status}"));
        }
        let now = index(progress)?;
        if now != last {
            (last, since) = (now, Instant::now());
        }
        if since.elapsed() > HANGS {
            child.kill().context("end a process")?;
            child.wait().context("end a process")?;
            return Ok(format!("no answer within {} s", HANGS.as_secs()));
        }
        std::thread::sleep(LOOK);
    }
}

fn index(progress: &File) -> Result<u64> {
    let mut bytes = [0; 8];
    progress.read_exact_at(&mut bytes, 0).context("read the file for progress")?;
    Ok(u64::from_le_bytes(bytes))
}

/// Saves an input beside the seeds, where the tests find it from now on, and says how to run it again.
fn kept(target: &Target, bytes: &[u8], what: &str) -> Result<String> {
    let folder = target.folder();
    fs::create_dir_all(&folder).with_context(|| format!("create {}", folder.display()))?;
    let digest = bytes.iter().fold(0xcbf2_9ce4_8422_2325u64, |hash, byte| {
        (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3)
    });
    let file = folder.join(format!("fault-{digest:016x}"));
    fs::write(&file, bytes).with_context(|| format!("write {}", file.display()))?;
    let again = format!(
        "cargo run --profile fuzz --package tributary-fuzz -- --target {} --input {}",
        target.name,
        file.display()
    );
    Ok(format!("{what}\n  again: {again}"))
}
