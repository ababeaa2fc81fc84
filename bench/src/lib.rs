//! Measuring commands: wall and CPU seconds and peak memory of a child process.
//!
//! The kernel only reports the peak of *all* children of a process, so each measured command runs under a process of its
//! own: this program again, in another role.

pub mod rows;

use std::process::{Command, Stdio};
use std::time::Instant;

use nix::sys::resource::{UsageWho, getrusage};
use serde::{Deserialize, Serialize};

/// What one run of a command cost.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
pub struct Cost {
    /// Seconds on the clock.
    pub wall: f64,
    /// Seconds of all cores, user and system.
    pub cpu: f64,
    /// Largest resident set, in MiB.
    pub peak_mib: f64,
}

/// The argument that puts this program in its other role.
pub const MEASURE: &str = "--measure";

/// Runs a command and gives its cost; an error says how it ended.
pub fn cost(command: &[String]) -> Result<Cost, String> {
    let own = std::env::current_exe().map_err(|e| e.to_string())?;
    let output = Command::new(own).arg(MEASURE).args(command).output().map_err(|e| e.to_string())?;
    let text = String::from_utf8_lossy(&output.stdout);
    let last = text.lines().last().unwrap_or_default();
    serde_json::from_str(last)
        .map_err(|_| format!("{}: {}{}", command.join(" "), text, String::from_utf8_lossy(&output.stderr)))
}

/// The median of several runs, by wall time.
pub fn median(runs: usize, mut run: impl FnMut() -> Result<Cost, String>) -> Result<Cost, String> {
    let mut costs = (0..runs).map(|_| run()).collect::<Result<Vec<Cost>, String>>()?;
    costs.sort_by(|a, b| a.wall.total_cmp(&b.wall));
    Ok(costs[costs.len() / 2])
}

/// The other role: runs a command and prints its cost as JSON.
pub fn measure(command: &[String]) -> Result<(), String> {
    let (program, arguments) = command.split_first().ok_or("no command to measure")?;
    let began = Instant::now();
    let output =
        Command::new(program).args(arguments).stdin(Stdio::null()).output().map_err(|e| e.to_string())?;
    let wall = began.elapsed().as_secs_f64();
    if !output.status.success() {
        let said = [output.stdout, output.stderr].concat();
        let said = String::from_utf8_lossy(&said);
        return Err(format!("{}: {}: {said}", command.join(" "), output.status));
    }
    let usage = getrusage(UsageWho::RUSAGE_CHILDREN).map_err(|e| e.to_string())?;
    let seconds = |t: nix::sys::time::TimeVal| t.tv_sec() as f64 + t.tv_usec() as f64 / 1e6;
    let cost = Cost {
        wall,
        cpu: seconds(usage.user_time()) + seconds(usage.system_time()),
        peak_mib: usage.max_rss() as f64 / 1024.0,
    };
    println!("{}", serde_json::to_string(&cost).map_err(|e| e.to_string())?);
    Ok(())
}
