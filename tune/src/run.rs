//! Runs the grid: a session for each setting, each operation once to warm up and then as often as asked.
//!
//! One setting after the other and never two at once, because they would measure each other. What was measured before a stop or a
//! failure is in the findings: an hour's work is not lost with its last minute.

use std::pin::pin;
use std::sync::Arc;
use std::time::{Duration, Instant};

use futures::future::{Either, select};
use nix::sys::resource::{UsageWho, getrusage};
use nix::sys::time::TimeVal;
use tributary_component::Components;
use tributary_core::computing::{Computing, End, Engine, SessionSpec, Spills};
use tributary_core::placement::{CoreRequest, Placement};
use tributary_core::{Error, ErrorKind, JobId, Result, ResultExt, SessionId, TaskName};

use crate::grid::{Cell, Grid};
use crate::measurement::Measurement;
use crate::operation::Operation;
use crate::statistics::Spread;
use crate::work::Work;

/// What is measured where.
#[derive(Debug)]
pub struct Bench {
    /// The engine; its kernels must be those of `components`.
    pub engine: Arc<dyn Engine>,
    /// The components of the binary.
    pub components: Components,
    /// Cores that the site gives to jobs on it.
    pub site_cores: u32,
    /// What one task may hold.
    pub memory_bytes: u64,
    /// The settings.
    pub grid: Grid,
}

/// What happens.
#[derive(Debug)]
pub enum Progress<'a> {
    /// The first: how many measurements follow.
    Planned(usize),
    /// An operation begins at a setting.
    Began(Operation, Cell),
    /// It was measured.
    Measured(&'a Measurement),
    /// The last, however it ended.
    Ended,
}

/// A setting that the engine refuses.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unplaced {
    /// Which.
    pub cell: Cell,
    /// Why.
    pub reason: String,
}

/// How it ended.
#[derive(Debug)]
pub enum Ended {
    /// Everything was measured.
    Done,
    /// It was stopped.
    Stopped,
    /// Something failed.
    Failed(Error),
}

/// The results.
#[derive(Debug)]
pub struct Findings {
    /// What was to be measured.
    pub grid: Grid,
    /// Name of the engine.
    pub engine: String,
    /// Cores of the site.
    pub site_cores: u32,
    /// What a job gets that asks for nothing.
    pub default: Option<Cell>,
    /// What was measured, in order.
    pub measurements: Vec<Measurement>,
    /// What the engine refuses.
    pub unplaced: Vec<Unplaced>,
    /// How it ended.
    pub end: Ended,
}

/// A setting and what the engine makes of it.
struct Placed {
    cell: Cell,
    placement: Placement,
}

impl Bench {
    /// Measures everything, or until `stop` is ready. An error means that nothing could begin: too many rows for the site's
    /// memory, or no setting that the engine accepts (`InvalidInput`).
    pub async fn run(
        &self,
        watch: &dyn Fn(Progress<'_>),
        stop: impl Future<Output = ()>,
    ) -> Result<Findings> {
        self.check_memory()?;
        let default = self.default();
        let (placed, unplaced) = self.place(default.as_ref())?;
        let mut findings = Findings {
            grid: self.grid.clone(),
            engine: self.engine.info().name.into(),
            site_cores: self.site_cores,
            default: default.as_ref().map(|placed| placed.cell),
            measurements: Vec::new(),
            unplaced,
            end: Ended::Done,
        };
        watch(Progress::Planned(placed.len() * self.grid.operations().len()));
        let mut run = Run { bench: self, default: findings.default, session: None, measured: Vec::new() };
        findings.end = {
            let work = pin!(run.all(&placed, watch));
            match select(work, pin!(stop)).await {
                Either::Left((Ok(()), _)) => Ended::Done,
                Either::Left((Err(error), _)) => Ended::Failed(error),
                Either::Right(_) => Ended::Stopped,
            }
        };
        watch(Progress::Ended);
        findings.measurements = run.measured;
        if let Some(session) = run.session {
            // The reason why it is still open counts more than how it closes.
            drop(session.close(End::Failed).await);
        }
        Ok(findings)
    }

    fn check_memory(&self) -> Result<()> {
        let ((bytes, dearest), budget) = (self.grid.memory(), self.memory_bytes);
        // Where tables go to disk only because memory is short, their size would measure the disk, not cores and partitions.
        if bytes <= budget || self.engine.info().spills == Spills::Tables {
            return Ok(());
        }
        let (gib, rows) = (|bytes: u64| bytes as f64 / f64::from(1 << 30), self.grid.rows());
        let fit = (u128::from(rows) * u128::from(budget) / u128::from(bytes)) as u64;
        Err(Error::new(
            ErrorKind::InvalidInput,
            format!(
                "{dearest} of {} rows takes about {:.1} GiB of memory and a task of this site may hold {:.1} GiB; about {} rows fit, or raise \
                 the engine's memory in service_conf.yaml",
                crate::units::grouped(rows),
                gib(bytes),
                gib(budget),
                crate::units::grouped(fit),
            ),
        ))
    }

    /// What a job gets that asks for nothing.
    fn default(&self) -> Option<Placed> {
        let placement = self.engine.place(&self.request()).ok()?;
        let cell = Cell { cores: placement.cores, partitions: placement.partitions };
        Some(Placed { cell, placement })
    }

    fn request(&self) -> CoreRequest {
        CoreRequest { site_cores: Some(u64::from(self.site_cores)), ..CoreRequest::default() }
    }

    /// Every setting that the engine accepts, the default one among them, and every other with the reason.
    fn place(&self, default: Option<&Placed>) -> Result<(Vec<Placed>, Vec<Unplaced>)> {
        let (mut placed, mut unplaced) = (Vec::new(), Vec::new());
        for cell in self.grid.cells() {
            let request = CoreRequest {
                partitions: Some(u64::from(cell.partitions)),
                site_cores: Some(u64::from(self.site_cores)),
                ..CoreRequest::of_task_cores(u64::from(cell.cores))
            };
            match self.engine.place(&request) {
                Ok(placement) => placed.push(Placed { cell, placement }),
                Err(error) => unplaced.push(Unplaced { cell, reason: error.chain() }),
            }
        }
        if let (true, Some(Unplaced { cell, reason })) = (placed.is_empty(), unplaced.first()) {
            return Err(Error::invalid(format!("no setting fits this site; {cell}: {reason}")));
        }
        if let Some(default) = default.filter(|default| placed.iter().all(|p| p.cell != default.cell)) {
            placed.push(Placed { cell: default.cell, placement: default.placement.clone() });
        }
        Ok((placed, unplaced))
    }
}

/// What a stop must find again: it drops the future that works.
struct Run<'a> {
    bench: &'a Bench,
    default: Option<Cell>,
    session: Option<Arc<dyn Computing>>,
    measured: Vec<Measurement>,
}

impl Run<'_> {
    async fn all(&mut self, placed: &[Placed], watch: &dyn Fn(Progress<'_>)) -> Result<()> {
        let name = JobId::new(session_name())?;
        for (number, placed) in placed.iter().enumerate() {
            let spec = SessionSpec {
                id: SessionId::new(name.clone(), TaskName::new("cell")?, number as u32),
                placement: placed.placement.clone(),
                memory_bytes: self.bench.memory_bytes,
            };
            let session = self.bench.engine.open(spec).await.at(|| "open a computing session")?;
            self.session = Some(session.clone());
            for operation in self.bench.grid.operations() {
                watch(Progress::Began(*operation, placed.cell));
                let measured = self.measure(&session, *operation, placed).await;
                let measured = measured.at(|| format!("measure {operation} at {}", placed.cell))?;
                watch(Progress::Measured(&measured));
                self.measured.push(measured);
            }
            session.close(End::Done).await.at(|| "close a computing session")?;
            self.session = None;
        }
        Ok(())
    }

    async fn measure(
        &self,
        session: &Arc<dyn Computing>,
        operation: Operation,
        placed: &Placed,
    ) -> Result<Measurement> {
        let (grid, info, cell) = (&self.bench.grid, self.bench.engine.info(), placed.cell);
        let rows = operation.rows(grid.rows());
        let work = Work::prepare(operation, &self.bench.components, session, rows, cell.partitions).await?;
        work.run().await?; // the first one pays for threads, pages and caches
        let (mut wall, mut cpu) = (Vec::new(), Vec::new());
        for _ in 0..grid.repeat() {
            let (began, spent) = (Instant::now(), cpu_time());
            work.run().await?;
            wall.push(began.elapsed().as_secs_f64().max(f64::MIN_POSITIVE));
            cpu.extend(
                spent.zip(cpu_time()).map(|(before, after)| after.saturating_sub(before).as_secs_f64()),
            );
        }
        let wall = Spread::of(wall).ok_or_else(|| Error::bug("a measurement without repetitions"))?;
        let cpu = Spread::of(cpu).filter(|_| info.in_process);
        Ok(Measurement {
            operation,
            rows,
            cores: cell.cores,
            partitions: cell.partitions,
            placed_cores: placed.placement.cores,
            default: self.default == Some(cell),
            repeat: grid.repeat(),
            seconds_median: wall.median,
            seconds_min: wall.min,
            seconds_q1: wall.q1,
            seconds_q3: wall.q3,
            cpu_seconds: cpu.map(|cpu| cpu.median),
            rows_per_second: rows as f64 / wall.median,
            engine: info.name.into(),
            version: env!("CARGO_PKG_VERSION").into(),
            machine_cores: std::thread::available_parallelism().map_or(1, |n| n.get() as u32),
        })
    }
}

/// Unlike that of any other run, also where many share a cluster.
fn session_name() -> String {
    let now = tributary_system::clock::now_ms();
    format!("bench-tune-{now}-{}", std::process::id())
}

/// What all threads of this process have used so far.
fn cpu_time() -> Option<Duration> {
    let usage = getrusage(UsageWho::RUSAGE_SELF).ok()?;
    let micros = |t: TimeVal| t.tv_sec() as u64 * 1_000_000 + t.tv_usec() as u64;
    Some(Duration::from_micros(micros(usage.user_time()) + micros(usage.system_time())))
}
