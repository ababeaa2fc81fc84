//! `cluster`.

use std::io::{BufRead, BufReader, Read};
use std::path::Path;
use std::process::{Child, Command, ExitCode, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use tributary_core::storage::Sweep;
use tributary_core::{Error, ErrorKind, Result, ResultExt};
use tributary_runtime::{ClusterStatus, ExecutorSettings, Home};

use crate::args::Cluster;
use crate::exit::Failure;
use crate::job::stop_signal;
use crate::render;

/// How long `up` waits for its executors.
const UNTIL_READY: Duration = Duration::from_secs(30);
/// How long an executor waits before it looks for a scheduler again.
const BETWEEN_LIVES: Duration = Duration::from_secs(1);
/// How long `up` waits for its processes to end before it kills them.
const UNTIL_ENDED: Duration = Duration::from_secs(10);

pub(crate) fn run(home: &Home, command: &Cluster) -> Result<ExitCode, Failure> {
    match command {
        Cluster::Keys => {
            let folder = home.create_cluster_keys()?;
            render::line(format!("keys of a new cluster are in {}; keep them secret", folder.display()))?;
        }
        Cluster::Scheduler { listen, advertise, attached } => {
            scheduler(home, listen, advertise.as_deref(), *attached)?;
        }
        Cluster::Executor { scheduler, listen, advertise, cores, memory, attached } => {
            let machine = std::thread::available_parallelism().map_or(1, |n| n.get() as u32);
            let settings = ExecutorSettings {
                scheduler: scheduler.clone(),
                listen: *listen,
                advertised: advertise.clone().unwrap_or_else(|| listen.to_string()),
                cores: cores.unwrap_or(machine),
                memory_bytes: memory.unwrap_or(0) << 20,
            };
            executor(home, settings, *attached)?;
        }
        Cluster::Up { executors, cores, port } => up(home, *executors, *cores, *port)?,
        Cluster::Status { json } => status(home, *json)?,
    }
    Ok(ExitCode::SUCCESS)
}

/// Removes or counts the files of dead sessions; none if this home takes part in no cluster.
pub(crate) fn sweep(home: &Home, what: &Sweep) -> Result<Option<u64>> {
    runtime()?.block_on(home.sweep_cluster_store(what))
}

fn runtime() -> Result<tokio::runtime::Runtime> {
    let mut builder = tokio::runtime::Builder::new_multi_thread();
    builder.enable_all().build().at(|| "start the runtime")
}

/// Ends this process when the one that started it does, however it ends.
fn attach() {
    std::thread::spawn(|| {
        let mut rest = Vec::new();
        drop(std::io::stdin().read_to_end(&mut rest));
        std::process::exit(1);
    });
}

fn log() {
    let filter = env_logger::Env::default().default_filter_or("warn");
    drop(env_logger::Builder::from_env(filter).try_init());
}

fn scheduler(home: &Home, listen: &str, advertise: Option<&str>, attached: bool) -> Result<()> {
    log();
    if attached {
        attach();
    }
    let host = listen.rsplit_once(':').map_or(listen, |(host, _)| host);
    let advertised = advertise.unwrap_or(host).to_owned();
    runtime()?.block_on(async {
        let stop = stop_signal().at(|| "listen to signals")?;
        let shown = advertised.clone();
        let ready = move |port: u16| drop(render::line(format!("scheduler ready at {shown}:{port}")));
        home.serve_scheduler(listen, &advertised, ready, stop).await
    })
}

fn executor(home: &Home, settings: ExecutorSettings, attached: bool) -> Result<()> {
    tributary_runtime::keep_freed_memory(settings.cores);
    log();
    if attached {
        attach();
    }
    let runtime = runtime()?;
    let stopped = Arc::new(AtomicBool::new(false));
    let served = runtime.block_on(async {
        let (signal, stopped) = (stop_signal().at(|| "listen to signals")?, stopped.clone());
        tokio::spawn(async move {
            signal.await;
            stopped.store(true, Ordering::Release);
        });
        home.serve_executor(settings).await
    });
    match served {
        _ if stopped.load(Ordering::Acquire) => Ok(()),
        Err(error) if error.kind() != ErrorKind::Unavailable => Err(error),
        ended => {
            let why = ended.err().map_or_else(|| "the scheduler is gone".into(), |error| error.chain());
            render::note(format!("{why}; looking for a scheduler again"));
            std::thread::sleep(BETWEEN_LIVES);
            again()
        }
    }
}

/// Executes this program again in this process: an executor that has lost its scheduler drops all its state.
fn again() -> Result<()> {
    let mut arguments = std::env::args_os();
    let binary = std::env::current_exe().at(|| "find this program")?;
    drop(arguments.next());
    let error = std::os::unix::process::CommandExt::exec(Command::new(&binary).args(arguments));
    Err(Error::from(error).at(format!("start {} again", binary.display())))
}

/// A child process that ends with this process.
struct Node(Child);

impl Node {
    fn start(home: &Home, arguments: &[String]) -> Result<Self> {
        let binary = std::env::current_exe().at(|| "find this program")?;
        let mut command = Command::new(&binary);
        command.arg("--home").arg(home.folder()).arg("cluster").args(arguments).arg("--attached");
        // Ctrl-C must reach `up` only, which ends the children in order.
        std::os::unix::process::CommandExt::process_group(&mut command, 0);
        let child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn();
        child.map(Self).at(|| format!("start {}", binary.display()))
    }

    /// The text after `ready at` in the first line that has it.
    fn ready(&mut self) -> Result<String> {
        let output = self.0.stdout.take().ok_or_else(|| Error::bug("a process without output"))?;
        for line in BufReader::new(output).lines() {
            let line = line.at(|| "listen to a process of the cluster")?;
            if let Some((_, address)) = line.split_once("ready at ") {
                return Ok(address.to_owned());
            }
        }
        Err(Error::new(ErrorKind::Unavailable, "the scheduler ended before it was ready; see above"))
    }

    /// The child ends once its input is closed.
    fn let_go(&mut self) {
        drop(self.0.stdin.take());
    }
}

impl Drop for Node {
    fn drop(&mut self) {
        self.let_go();
        let since = Instant::now();
        while since.elapsed() < UNTIL_ENDED {
            match self.0.try_wait() {
                Ok(None) => std::thread::sleep(Duration::from_millis(20)),
                _ => return,
            }
        }
        drop(self.0.kill());
        drop(self.0.wait());
    }
}

fn up(home: &Home, executors: u32, cores: u32, port: u16) -> Result<()> {
    let keys = home.cluster_keys()?;
    if !keys.is_dir() {
        home.create_cluster_keys()?;
    }
    let listen = format!("127.0.0.1:{port}");
    let mut scheduler = Node::start(home, &["scheduler".into(), "--listen".into(), listen])?;
    let address = scheduler.ready()?;
    let arguments: Vec<String> =
        ["executor", "--scheduler", &address, "--cores", &cores.to_string()].map(Into::into).to_vec();
    let mut nodes = (0..executors).map(|_| Node::start(home, &arguments)).collect::<Result<Vec<Node>>>()?;
    let runtime = runtime()?;
    runtime.block_on(wait_for(home, &address, &mut nodes))?;
    say_how_to_use(&address, executors, cores, &keys)?;
    runtime.block_on(async {
        stop_signal().at(|| "listen to signals")?.await;
        Ok::<(), Error>(())
    })?;
    // All at once, the scheduler first, so that none reports the loss of another.
    scheduler.let_go();
    nodes.iter_mut().for_each(Node::let_go);
    drop((scheduler, nodes));
    render::note("the cluster has ended");
    Ok(())
}

async fn wait_for(home: &Home, address: &str, nodes: &mut [Node]) -> Result<()> {
    let since = Instant::now();
    loop {
        let found = home.cluster_status(Some(address)).await?.executors.len();
        if found >= nodes.len() {
            return Ok(());
        }
        let ended = nodes.iter_mut().any(|node| !matches!(node.0.try_wait(), Ok(None)));
        if ended || since.elapsed() > UNTIL_READY {
            let text = format!("{found} of {} executors joined; see their messages above", nodes.len());
            return Err(Error::new(ErrorKind::Unavailable, text));
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

fn say_how_to_use(address: &str, executors: u32, cores: u32, keys: &Path) -> Result<()> {
    let (nodes, each) =
        (render::counted(executors.into(), "executor"), render::counted(cores.into(), "core"));
    render::line(format!("cluster ready at {address}: {nodes} with {each} each"))?;
    render::line("jobs use it with these lines in service_conf.yaml:")?;
    render::line("  default_engines: {computing: spark}")?;
    let total = executors * cores;
    render::line(format!("  computing: {{spark: {{cores: {total}, nodes: {executors}}}}}"))?;
    render::line(format!("  cluster: {{scheduler: \"{address}\", keys: {}}}", keys.display()))?;
    render::line("Ctrl-C ends it.")
}

fn status(home: &Home, json: bool) -> Result<()> {
    let status: ClusterStatus = runtime()?.block_on(home.cluster_status(None))?;
    if json {
        return render::json(&status);
    }
    let row = |e: &tributary_runtime::ExecutorStatus| {
        let silent = format!("{} s", e.silent_seconds);
        vec![e.id.clone(), e.address.clone(), e.cores.to_string(), e.busy.to_string(), silent]
    };
    let rows: Vec<Vec<String>> = status.executors.iter().map(row).collect();
    render::table(&["executor", "address", "cores", "busy", "silent for"], &rows)?;
    render::line("")?;
    let row = |j: &tributary_runtime::JobStatus| {
        let stages = format!("{}/{}", j.stages_done, j.stages);
        let rows = render::count(j.rows);
        vec![j.id.clone(), j.name.clone(), j.state.clone(), stages, j.tasks.to_string(), rows]
    };
    let rows: Vec<Vec<String>> = status.jobs.iter().map(row).collect();
    render::table(&["job", "name", "state", "stages", "tasks", "rows"], &rows)
}
