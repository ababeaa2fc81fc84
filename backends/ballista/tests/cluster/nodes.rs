//! Processes of a cluster. They are this test's own executable, started again to run the ignored test that serves.

use std::io::{BufRead, BufReader, Read};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use tributary_ballista::status::{self, Status};
use tributary_ballista::{Ballista, ClusterOptions, Host, Identity, Keys, executor, placement, scheduler};
use tributary_conformance::computing::{Session, Shared};
use tributary_core::SessionId;
use tributary_core::bytestore::ByteStore;
use tributary_core::computing::{Engine, SessionSpec};
use tributary_core::kernel::Kernels;
use tributary_core::placement::Placement;
use tributary_core::storage::Storage;
use tributary_file::FileStore;

pub fn kernels() -> Kernels {
    tributary_conformance::computing::kernels::kernels()
}

/// As large as any of these clusters.
const SIZE: placement::Cluster =
    placement::Cluster { arithmetic: placement::Arithmetic::Spark, nodes: 2, cores: 6 };

const PART: &str = "TRIBUTARY_TEST_PART";
const FOLDER: &str = "TRIBUTARY_TEST_FOLDER";
const SCHEDULER: &str = "TRIBUTARY_TEST_SCHEDULER";
const CORES: &str = "TRIBUTARY_TEST_CORES";

/// A process that ends, without warning, with its owner.
pub struct Node(Child);

impl Drop for Node {
    fn drop(&mut self) {
        drop(self.0.kill());
        drop(self.0.wait());
    }
}

/// No process of a cluster.
pub fn nobody() -> Node {
    Node(Command::new("true").spawn().unwrap())
}

pub struct Cluster {
    pub folder: tempfile::TempDir,
    pub address: String,
    pub scheduler: Node,
    pub executors: Vec<Node>,
}

fn command(part: &str, folder: &Path, scheduler: &str, cores: u32) -> Command {
    let mut command = Command::new(std::env::current_exe().unwrap());
    command
        .args(["--exact", "nodes::serve", "--ignored", "--nocapture", "--test-threads", "1"])
        .env(PART, part)
        .env(FOLDER, folder)
        .env(SCHEDULER, scheduler)
        .env(CORES, cores.to_string())
        .stdin(Stdio::piped())
        .stdout(Stdio::piped());
    command
}

/// Starts a node and waits until it says that it is ready, and where.
fn start(part: &str, folder: &Path, scheduler: &str, cores: u32) -> (Node, String) {
    let mut child = command(part, folder, scheduler, cores).spawn().unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    let mut said = lines.by_ref().map(Result::unwrap);
    let ready = said.find_map(|line| line.split_once("ready at ").map(|(_, place)| place.to_owned()));
    // Whatever else it says must not fill the pipe.
    std::thread::spawn(move || lines.for_each(drop));
    (Node(child), ready.expect("a node says when it is ready"))
}

/// A scheduler in the place of one that is gone.
pub fn scheduler_at(folder: &Path, address: &str) -> Node {
    start("scheduler", folder, address, 0).0
}

/// What an executor with other kernels says when it is refused.
pub fn executor_of_another_build(folder: &Path, scheduler: &str) -> String {
    let mut node = command("stranger", folder, scheduler, 1).stderr(Stdio::piped()).spawn().unwrap();
    let mut said = String::new();
    node.stderr.take().unwrap().read_to_string(&mut said).unwrap();
    assert!(!node.wait().unwrap().success());
    said
}

impl Cluster {
    pub fn start(executors: u32, cores: u32) -> Self {
        let folder = tempfile::tempdir().unwrap();
        Keys::create(&folder.path().join("keys")).unwrap();
        let (scheduler, address) = start("scheduler", folder.path(), "127.0.0.1:0", 0);
        let executors = (0..executors).map(|_| start("executor", folder.path(), &address, cores).0).collect();
        let cluster = Self { folder, address, scheduler, executors };
        tokio::runtime::Runtime::new().unwrap().block_on(cluster.joined());
        cluster
    }

    /// Once all executors have told the scheduler that they are there.
    async fn joined(&self) {
        let since = Instant::now();
        while self.status().await.unwrap().executors.len() < self.executors.len() {
            assert!(since.elapsed() < Duration::from_secs(20), "executors do not join");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    pub fn options(&self) -> ClusterOptions {
        ClusterOptions {
            size: SIZE,
            scheduler: self.address.clone(),
            keys: Keys::read(&self.folder.path().join("keys")).unwrap(),
            store: store(self.folder.path()),
        }
    }

    pub async fn status(&self) -> tributary_core::Result<Status> {
        status::fetch(&self.address, &self.options().keys, &Identity::of(&kernels())).await
    }
}

fn store(folder: &Path) -> Arc<dyn ByteStore> {
    Arc::new(FileStore::open_scratch(&folder.join("store")).unwrap())
}

/// The engine on a cluster, and a runtime to use it on.
pub struct Driver {
    engine: Ballista,
    runtime: tokio::runtime::Runtime,
    _home: tempfile::TempDir,
}

impl Driver {
    pub fn new(cluster: &Cluster) -> Self {
        let home = tempfile::tempdir().unwrap();
        let storage = tributary_file::storage(home.path()).unwrap();
        let engine = Ballista::new(kernels(), storage, cluster.options()).unwrap();
        Self { engine, runtime: tokio::runtime::Runtime::new().unwrap(), _home: home }
    }

    pub fn block_on<T>(&self, test: impl Future<Output = T>) -> T {
        self.runtime.block_on(test)
    }

    /// On so many executors of one core.
    pub async fn session(&self, executors: u32) -> Session {
        self.session_on(executors, 1).await
    }

    pub async fn session_on(&self, executors: u32, cores: u32) -> Session {
        self.session_with(executors, cores, 1 << 28).await
    }

    pub async fn session_with(&self, executors: u32, cores: u32, memory_bytes: u64) -> Session {
        static NEXT: AtomicU64 = AtomicU64::new(0);
        let id = format!("faults.case.{}", NEXT.fetch_add(1, Ordering::SeqCst)).parse::<SessionId>().unwrap();
        let settings = [("num-executors", executors), ("executor-cores", cores)];
        let placed = Placement {
            partitions: executors * cores,
            cores: executors * cores,
            task_booked: executors * cores,
            job_booked: executors * cores,
            settings: settings.map(|(name, value)| (name.to_owned(), value.to_string())).into(),
            reasons: vec![],
            notes: vec![],
        };
        self.engine.open(SessionSpec { id, placement: placed, memory_bytes }).await.unwrap()
    }
}

#[test]
#[ignore = "a process of the other tests' clusters"]
fn serve() {
    let var = |name: &str| std::env::var(name).unwrap();
    let folder = PathBuf::from(var(FOLDER));
    let keys = Keys::read(&folder.join("keys")).unwrap();
    // The parent's end of standard input closes with the parent, however it ends.
    std::thread::spawn(|| {
        drop(std::io::copy(&mut std::io::stdin(), &mut std::io::sink()));
        std::process::exit(1);
    });
    let runtime = tokio::runtime::Runtime::new().unwrap();
    runtime.block_on(async {
        match var(PART).as_str() {
            "scheduler" => {
                let listener = tokio::net::TcpListener::bind(var(SCHEDULER)).await.unwrap();
                println!("ready at {}", listener.local_addr().unwrap());
                let identity = Identity::of(&kernels());
                let never = std::future::pending();
                scheduler::serve(listener, "127.0.0.1", &keys, identity, never).await.unwrap();
            }
            part => {
                let open: Box<tributary_ballista::OpenStorage> = Box::new(|address| {
                    let (scheme, folder) = address.split_once("://").unwrap();
                    Ok(match scheme {
                        "file" => tributary_file::storage(Path::new(folder))? as Arc<dyn Storage>,
                        _ => Arc::new(Shared::open(folder)),
                    })
                });
                let kernels = if part == "executor" { kernels() } else { Kernels::default() };
                let host = Host::new(kernels, store(&folder), keys.cluster_key(), open);
                let options = executor::ExecutorOptions {
                    scheduler: var(SCHEDULER),
                    listen: "127.0.0.1".parse().unwrap(),
                    advertised: "127.0.0.1".into(),
                    cores: var(CORES).parse().unwrap(),
                    memory_bytes: 0,
                };
                println!("ready at once");
                let work = tempfile::tempdir().unwrap();
                executor::serve(host, keys, options, work.path()).await.unwrap();
            }
        }
    });
}
