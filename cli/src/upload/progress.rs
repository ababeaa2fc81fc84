//! Progress of an upload: a bar on a terminal; elsewhere a line every few seconds, so that a log shows that it is alive.

use std::io::IsTerminal;
use std::sync::Mutex;
use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressStyle};
use tributary_ingest::{Pass, Progress};

use crate::render;

/// Time between two lines.
const EVERY: Duration = Duration::from_secs(10);

/// Shows progress on standard error, up to the end of the pass `last`.
pub(crate) fn show(wanted: bool, last: Pass) -> impl Fn(Progress) + Send + Sync + 'static {
    let state = Mutex::new(match (wanted, std::io::stderr().is_terminal()) {
        (false, _) => Shown::Nothing,
        (true, true) => Shown::Bar(ProgressBar::new(0), None),
        (true, false) => Shown::Lines { pass: None, began: Instant::now(), last: Instant::now() },
    });
    move |progress| {
        if let Ok(mut state) = state.lock() {
            state.update(progress, last);
        }
    }
}

enum Shown {
    Nothing,
    Bar(ProgressBar, Option<Pass>),
    Lines { pass: Option<Pass>, began: Instant, last: Instant },
}

impl Shown {
    fn update(&mut self, progress: Progress, end: Pass) {
        match self {
            Self::Nothing => {}
            Self::Bar(bar, pass) => {
                if pass.replace(progress.pass) != Some(progress.pass) {
                    begin(bar, &progress);
                }
                if progress.rows > 0 {
                    let per_second = rate(progress.rows, bar.elapsed());
                    bar.set_message(format!("{} rows, {per_second} rows/s", render::count(progress.rows)));
                }
                bar.set_position(progress.bytes);
                if progress.pass == end && progress.bytes >= progress.total_bytes {
                    bar.finish_and_clear();
                }
            }
            Self::Lines { pass, began, last } => {
                if pass.replace(progress.pass) != Some(progress.pass) {
                    *began = Instant::now();
                }
                if last.elapsed() >= EVERY {
                    *last = Instant::now();
                    render::note(line(&progress, began.elapsed()));
                }
            }
        }
    }
}

fn begin(bar: &ProgressBar, progress: &Progress) {
    let known = "{prefix:<7} {wide_bar} {bytes}/{total_bytes} {msg} {eta}";
    let template = if progress.total_bytes > 0 { known } else { "{prefix:<7} {spinner} {bytes} {msg}" };
    bar.set_style(ProgressStyle::with_template(template).unwrap_or_else(|_| ProgressStyle::default_bar()));
    bar.reset();
    bar.set_length(progress.total_bytes);
    bar.set_prefix(name(progress.pass));
    bar.set_message("");
}

fn name(pass: Pass) -> &'static str {
    match pass {
        Pass::Copy => "copy",
        Pass::Check => "check",
        Pass::Compare => "compare",
        Pass::Write => "write",
    }
}

fn line(progress: &Progress, elapsed: Duration) -> String {
    let mut text = format!("{}: {}", name(progress.pass), render::bytes(progress.bytes));
    if progress.total_bytes > 0 {
        text += &format!(" of {}", render::bytes(progress.total_bytes));
    }
    if progress.rows > 0 {
        let per_second = rate(progress.rows, elapsed);
        text += &format!(", {} rows, {per_second} rows/s", render::count(progress.rows));
    }
    if progress.bytes > 0 && progress.total_bytes > progress.bytes {
        let left = (progress.total_bytes - progress.bytes) as f64 / progress.bytes as f64;
        text += &format!(", {:.0} s left", left * elapsed.as_secs_f64());
    }
    text
}

fn rate(rows: u64, elapsed: Duration) -> String {
    render::count((rows as f64 / elapsed.as_secs_f64().max(1e-3)) as u64)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_shows_progress_speed_and_time_left() {
        let line = |pass, rows, bytes, total_bytes| {
            line(&Progress::new(pass, rows, bytes, total_bytes), Duration::from_secs(2))
        };
        assert_eq!(
            line(Pass::Check, 3_000_000, 1 << 20, 4 << 20),
            "check: 1.00 MiB of 4.00 MiB, 3,000,000 rows, 1,500,000 rows/s, 6 s left"
        );
        assert_eq!(line(Pass::Copy, 0, 1 << 20, 0), "copy: 1.00 MiB");
        assert_eq!(line(Pass::Write, 10, 100, 100), "write: 100 B of 100 B, 10 rows, 5 rows/s");
    }
}
