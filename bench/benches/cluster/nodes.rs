//! The cluster that is measured: a scheduler and executors, each in a process of its own, which is this program again.

use std::io::{BufRead, BufReader, Read};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::Duration;

use tempfile::TempDir;
use tributary_ballista::{
    Ballista, ClusterOptions, Identity, Keys, Resources, executor, placement, scheduler, status,
};
use tributary_core::bytestore::ByteStore;
use tributary_core::placement::Placement;
use tributary_core::storage::Storage;
use tributary_file::FileStore;

use crate::load::{Bench, PARTITIONS, kernels};

const SIZE: placement::Cluster =
    placement::Cluster { arithmetic: placement::Arithmetic::Spark, nodes: 2, cores: 2 };

/// What this program does when it is started as a part of a cluster.
pub fn role(arguments: &[String]) -> bool {
    let is_node = arguments.get(1).is_some_and(|argument| argument == "--node");
    if is_node {
        tributary_ballista::keep_freed_memory(1);
        serve(&arguments[2], &PathBuf::from(&arguments[3]), &arguments[4]);
    }
    is_node
}

fn store(folder: &Path) -> Arc<dyn ByteStore> {
    Arc::new(FileStore::open_scratch(&folder.join("store")).expect("a folder"))
}

fn serve(part: &str, folder: &Path, scheduler: &str) {
    let keys = Keys::read(&folder.join("keys")).expect("keys");
    std::thread::spawn(|| {
        let mut rest = Vec::new();
        drop(std::io::stdin().read_to_end(&mut rest));
        std::process::exit(1);
    });
    let runtime = tokio::runtime::Runtime::new().expect("a runtime");
    runtime
        .block_on(async {
            if part == "scheduler" {
                let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a port");
                println!("ready at {}", listener.local_addr().expect("a port"));
                let identity = Identity::of(&kernels());
                scheduler::serve(listener, "127.0.0.1", &keys, identity, std::future::pending()).await
            } else {
                let open = |address: &str| -> tributary_core::Result<Arc<dyn Storage>> {
                    Ok(tributary_file::storage(Path::new(address.trim_start_matches("file://")))?)
                };
                let resources = Resources::new(kernels(), store(folder), keys.cluster_key(), Box::new(open));
                let options = executor::ExecutorOptions {
                    scheduler: scheduler.into(),
                    listen: "127.0.0.1".parse().expect("an address"),
                    advertised: "127.0.0.1".into(),
                    cores: 1,
                    memory_bytes: 0,
                };
                println!("ready at once");
                executor::serve(
                    resources,
                    keys,
                    options,
                    &folder.join(format!("work-{}", std::process::id())),
                )
                .await
            }
        })
        .expect("a node of the cluster");
}

/// Ends with SIGKILL when it is dropped.
pub struct Process(Child);

impl Drop for Process {
    fn drop(&mut self) {
        drop(self.0.kill());
        drop(self.0.wait());
    }
}

fn start(part: &str, folder: &Path, scheduler: &str) -> (Process, String) {
    let mut child = Command::new(std::env::current_exe().expect("this program"))
        .args(["--node", part, &folder.display().to_string(), scheduler])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("a process");
    let mut lines = BufReader::new(child.stdout.take().expect("its output")).lines().map_while(Result::ok);
    let ready = lines.find_map(|line| line.split_once("ready at ").map(|(_, at)| at.to_owned()));
    (Process(child), ready.expect("a node says when it is ready"))
}

/// A scheduler, two executors of one core, and the engine that uses them.
pub struct Cluster {
    folder: TempDir,
    address: String,
    keys: Keys,
    _scheduler: Process,
    pub executors: Vec<Process>,
    pub storage: Arc<dyn Storage>,
    pub bench: Bench,
    runtime: tokio::runtime::Runtime,
}

impl Cluster {
    pub fn start() -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        Keys::create(&folder.path().join("keys")).expect("keys");
        let (scheduler, address) = start("scheduler", folder.path(), "");
        let keys = Keys::read(&folder.path().join("keys")).expect("keys");
        let storage = tributary_file::storage(&folder.path().join("tables")).expect("a folder");
        let options = ClusterOptions {
            size: SIZE,
            scheduler: address.clone(),
            keys: keys.clone(),
            store: store(folder.path()),
        };
        let engine = Ballista::new(kernels(), storage.clone(), options).expect("an engine");
        let settings = [("num-executors", "2"), ("executor-cores", "1")];
        let placed = Placement {
            partitions: PARTITIONS,
            cores: 2,
            task_booked: 2,
            job_booked: 2,
            settings: settings.map(|(name, value)| (name.to_owned(), value.to_owned())).into(),
            reasons: vec![],
            notes: vec![],
        };
        let bench = Bench::new(&engine, placed);
        let runtime = tokio::runtime::Runtime::new().expect("a runtime");
        let executors = vec![];
        let mut cluster =
            Self { folder, address, keys, _scheduler: scheduler, executors, storage, bench, runtime };
        cluster.complete();
        cluster
    }

    /// Starts executors until there are two, and waits until no lost one is counted any more.
    pub fn complete(&mut self) {
        while self.executors.len() < 2 {
            self.executors.push(start("executor", self.folder.path(), &self.address).0);
        }
        let identity = Identity::of(&kernels());
        self.runtime.block_on(async {
            let known = async || {
                let status = status::fetch(&self.address, &self.keys, &identity).await.expect("a status");
                status.executors.len()
            };
            while known().await != 2 {
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        });
    }
}
