//! The cluster that all tests share. One that kills a process of it has it for itself meanwhile.

use std::process::Command;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{LazyLock, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};
use std::time::Duration;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use tributary_hdfs::HdfsConfig;
use tributary_services::Service;

static DISTURBING: RwLock<()> = RwLock::new(());

/// The servers; the first caller waits for them.
pub fn service() -> &'static Service {
    static SERVICE: LazyLock<Service> = LazyLock::new(|| Service::start("hdfs", &[]));
    &SERVICE
}

/// While nobody disturbs the cluster.
pub fn calm() -> RwLockReadGuard<'static, ()> {
    DISTURBING.read().unwrap_or_else(PoisonError::into_inner)
}

/// While nobody else uses it. What was killed must run again at the end.
pub fn alone() -> RwLockWriteGuard<'static, ()> {
    DISTURBING.write().unwrap_or_else(PoisonError::into_inner)
}

/// A folder of its own for a test.
pub fn fresh() -> HdfsConfig {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    at(
        &service().value("HDFS_URI"),
        &format!("/tests/{}-{}", std::process::id(), NEXT.fetch_add(1, Ordering::Relaxed)),
    )
}

/// A folder in the cluster with this address.
pub fn at(address: &str, folder: &str) -> HdfsConfig {
    HdfsConfig {
        authority: address.trim_start_matches("hdfs://").to_owned(),
        name_nodes: Vec::new(),
        conf_dir: None,
        folder: folder.to_owned(),
        user: None,
        kerberos: None,
        replication: None,
        patience: Duration::from_secs(60),
    }
}

/// Kills a node, as a power cut would.
pub fn kill_node(node: &str) {
    let pid: i32 = service().value(&format!("HDFS_{}_PID", node.to_uppercase())).parse().unwrap();
    kill(Pid::from_raw(pid), Signal::SIGKILL).unwrap();
}

/// Hadoop's own program.
pub fn hadoop(arguments: &[&str]) {
    let done = Command::new(service().value("HDFS_CLI")).args(arguments).output().unwrap();
    assert!(done.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&done.stderr));
}
