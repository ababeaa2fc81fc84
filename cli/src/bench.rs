//! `bench`: the thin front of the tuning bench. What is measured and what follows from it is `tributary_tune`'s.
//!
//! Results go to standard output and progress to standard error; with `--json -` only the JSON lines go to standard output,
//! and the tables go to standard error.

use std::cell::RefCell;
use std::fs::File;
use std::io::{IsTerminal, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

use indicatif::{ProgressBar, ProgressStyle};
use tributary_core::{Error, Result, ResultExt};
use tributary_runtime::Home;
use tributary_tune::{
    Advice, Bench, Comparison, Ended, Findings, Format, Grid, Measurement, Options, Picture, Progress, text,
};

use crate::args;
use crate::exit::{Failure, STOPPED, code};
use crate::{job, render};

pub(crate) fn run(home: impl FnOnce() -> Result<Home>, command: &args::Bench) -> Result<ExitCode, Failure> {
    let args::Bench::Tune(tune) = command;
    match &tune.compare[..] {
        [before, after] => compare(before, after),
        _ => measure(&home()?, tune),
    }
}

fn compare(before: &Path, after: &Path) -> Result<ExitCode, Failure> {
    let read = |path: &Path| {
        let name = path.display().to_string();
        let text = std::fs::read_to_string(path).at(|| format!("read {name}"))?;
        tributary_tune::read_lines(&name, &text)
    };
    let comparison = Comparison::of(&read(before)?, &read(after)?);
    render::line(text::comparison(&comparison).trim_end())?;
    Ok(ExitCode::SUCCESS)
}

fn measure(home: &Home, tune: &args::Tune) -> Result<ExitCode, Failure> {
    // Errors in the arguments are found before an hour of measuring.
    let picture = tune.picture.as_ref().map(|path| NewPicture::at(path)).transpose()?;
    let bench = bench(home, tune)?;
    let lines = tune.json.as_ref().map(|path| Lines::to(path)).transpose()?;
    let progress = progress();
    let watch = |event: Progress<'_>| {
        if let (Progress::Measured(measurement), Some(lines)) = (&event, &lines) {
            lines.write(measurement);
        }
        progress(&event);
    };
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .thread_name("tributary")
        .worker_threads(1)
        .enable_all()
        .build()
        .at(|| "start the runtime")?;
    let findings = runtime.block_on(async {
        let stopped = job::stop_signal().at(|| "listen to signals")?;
        bench.run(&watch, stopped).await
    })?;
    show(&bench, &findings, lines.as_ref().is_some_and(|lines| lines.is_stdout))?;
    if let Some(picture) = picture.filter(|_| !findings.measurements.is_empty()) {
        picture.write(&findings)?;
    }
    lines.map_or(Ok(()), Lines::finish)?;
    Ok(match findings.end {
        Ended::Done => ExitCode::SUCCESS,
        Ended::Stopped => ExitCode::from(STOPPED),
        Ended::Failed(error) => {
            render::note(format!("error: {}", error.chain()));
            ExitCode::from(code(error.kind()))
        }
    })
}

fn bench(home: &Home, tune: &args::Tune) -> Result<Bench> {
    let party = tributary_service::party(home, tune.party.party.as_deref())?;
    let computing = home.computing(&party, tune.engine.as_deref())?;
    let mut options = Options::for_site(computing.cores);
    options.rows = tune.rows;
    options.repeat = tune.repeat;
    if !tune.cores.is_empty() {
        options.cores.clone_from(&tune.cores);
    }
    if !tune.partitions.is_empty() {
        options.partitions.clone_from(&tune.partitions);
    }
    if !tune.operations.is_empty() {
        options.operations = tune.operations.iter().map(|name| name.parse()).collect::<Result<_>>()?;
    }
    Ok(Bench {
        engine: computing.engine,
        site_cores: computing.cores,
        memory_bytes: computing.memory_bytes,
        components: home.components().clone(),
        grid: Grid::new(options)?,
    })
}

fn show(bench: &Bench, findings: &Findings, aside: bool) -> Result<()> {
    let out = |text: String| match aside {
        true => {
            render::note(text.trim_end());
            Ok(())
        }
        false => render::line(text.trim_end()),
    };
    if findings.measurements.is_empty() {
        return out("nothing was measured".into());
    }
    out(text::tables(findings))?;
    match Advice::of(findings, &*bench.engine) {
        Some(advice) => out(format!("\n{}", text::advice(findings, &advice))),
        None => out("\nno setting was measured with every operation, so none is advised".into()),
    }
}

/// Where measurements go, a line each, as soon as they are there.
struct Lines {
    to: RefCell<Box<dyn Write>>,
    is_stdout: bool,
    name: String,
    failed: RefCell<Option<Error>>,
}

impl Lines {
    fn to(path: &Path) -> Result<Self> {
        let (name, is_stdout) = (path.display().to_string(), path == Path::new("-"));
        let to: Box<dyn Write> = match is_stdout {
            true => Box::new(std::io::stdout()),
            false => Box::new(File::create(path).at(|| format!("write {name}"))?),
        };
        Ok(Self { to: RefCell::new(to), is_stdout, name, failed: RefCell::default() })
    }

    /// A failure is reported at the end, so that the remaining measurements are not lost.
    fn write(&self, measurement: &Measurement) {
        let mut to = self.to.borrow_mut();
        let written = measurement.to_line().and_then(|line| {
            writeln!(to, "{line}").and_then(|()| to.flush()).at(|| format!("write {}", self.name))
        });
        if let Err(error) = written {
            self.failed.borrow_mut().get_or_insert(error);
        }
    }

    fn finish(self) -> Result<()> {
        match self.failed.into_inner() {
            // A reader that closed the pipe needs no more output.
            Some(_) if self.is_stdout => Ok(()),
            Some(error) => Err(error),
            None => Ok(()),
        }
    }
}

/// A picture, written after all measurements.
struct NewPicture {
    path: PathBuf,
    format: Format,
}

impl NewPicture {
    fn at(path: &Path) -> Result<Self> {
        let format = Format::of_path(path)?;
        let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
        match folder.is_dir() {
            true => Ok(Self { path: path.into(), format }),
            false => Err(Error::invalid(format!(
                "picture {}: folder {} does not exist",
                path.display(),
                folder.display()
            ))),
        }
    }

    fn write(&self, findings: &Findings) -> Result<()> {
        let bytes = Picture::of(findings)?.encode(self.format)?;
        let name = self.path.display();
        std::fs::write(&self.path, bytes).at(|| format!("write {name}"))?;
        render::note(format!("picture: {name}"));
        Ok(())
    }
}

/// A bar on a terminal, a line for each measurement otherwise.
fn progress() -> Box<dyn Fn(&Progress<'_>)> {
    if !std::io::stderr().is_terminal() {
        return Box::new(|event| {
            if let Progress::Measured(m) = event {
                render::note(text::line(m));
            }
        });
    }
    let bar = ProgressBar::new(0);
    let style = ProgressStyle::with_template("{msg:<34} {wide_bar} {pos}/{len} {elapsed}, {eta} left");
    bar.set_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()));
    Box::new(move |event| match event {
        Progress::Planned(count) => {
            bar.set_length(*count as u64);
            bar.enable_steady_tick(Duration::from_millis(200));
        }
        Progress::Began(operation, cell) => bar.set_message(format!("{operation}, {cell}")),
        Progress::Measured(_) => bar.inc(1),
        Progress::Ended => bar.finish_and_clear(),
    })
}
