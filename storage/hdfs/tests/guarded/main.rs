//! Tables on a real HDFS of two name nodes, of which one stands by, where Kerberos says who is who. It runs as long as this test binary.
//!
//! Kerberos is told by the environment of a process where its server is, so that each case is a process of its own: an ignored test of this
//! binary, which one that is not ignored runs.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "test code: a failed expectation panics"
)]

use std::path::PathBuf;
use std::process::Command;
use std::sync::{LazyLock, Mutex, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use futures::executor::block_on;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use tributary_core::bytestore::ByteStore;
use tributary_core::{Error, ErrorKind, Result};
use tributary_hdfs::{HdfsBytes, HdfsConfig, Kerberos};
use tributary_services::Service;

const FOLDER: &str = "/tributary";

/// The servers; the first caller waits for them.
static SERVICES: LazyLock<(Service, Service)> = LazyLock::new(|| {
    let kerberos = Service::start("krb5", &[]);
    let hdfs = Service::start(
        "hdfs",
        &[("HDFS_KERBEROS", kerberos.folder().to_str().unwrap()), ("HDFS_STANDBY", "1")],
    );
    let services = (kerberos, hdfs);
    hadoop(&services.1, &["dfs", "-mkdir", FOLDER]);
    hadoop(&services.1, &["dfs", "-chown", "alice", FOLDER]);
    services
});
/// One case at a time: one of them kills a name node.
static ONE: Mutex<()> = Mutex::new(());

fn hadoop(hdfs: &Service, arguments: &[&str]) {
    let mut command = Command::new(hdfs.value("HDFS_CLI"));
    let done = command.args(arguments).env("KRB5CCNAME", hdfs.value("HDFS_TICKETS")).output().unwrap();
    assert!(done.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&done.stderr));
}

/// What a case is told by its environment.
const TOLD: [&str; 5] = ["HDFS_URI", "HADOOP_CONF_DIR", "KRB5_CONFIG", "HDFS_NN1_PORT", "HDFS_NN2_PORT"];

/// Runs the ignored test with this name in a process of its own.
fn case(name: &str) -> Command {
    let (kerberos, hdfs) = &*SERVICES;
    let mut child = Command::new(std::env::current_exe().unwrap());
    child.envs(TOLD.map(|key| (key, hdfs.value(key))));
    child.envs(["KRB5_USERS_KEYTAB", "KRB5_REALM"].map(|key| (key, kerberos.value(key))));
    child.env("KRB5CCNAME", kerberos.folder().join("no-such-tickets"));
    child.args(["--ignored", "--exact", name, "--nocapture"]);
    child
}

fn passes(mut case: Command) {
    let done = case.output().unwrap();
    let said = String::from_utf8_lossy(&done.stdout);
    assert!(
        done.status.success() && said.contains("1 passed"),
        "{said}{}",
        String::from_utf8_lossy(&done.stderr)
    );
}

fn told(name: &str) -> String {
    std::env::var(name).unwrap_or_else(|_| panic!("run by another test only: {name}"))
}

/// In a case: the folder, as one of the users.
fn as_user(name: &str, keytab: Option<PathBuf>, ticket_cache: Option<PathBuf>) -> HdfsConfig {
    let kerberos = Kerberos { principal: format!("{name}@{}", told("KRB5_REALM")), keytab, ticket_cache };
    HdfsConfig {
        authority: told("HDFS_URI").trim_start_matches("hdfs://").to_owned(),
        name_nodes: Vec::new(),
        conf_dir: Some(told("HADOOP_CONF_DIR").into()),
        folder: FOLDER.to_owned(),
        user: None,
        kerberos: Some(kerberos),
        replication: None,
        patience: Duration::from_secs(60),
    }
}

fn keytab() -> Option<PathBuf> {
    Some(told("KRB5_USERS_KEYTAB").into())
}

/// Writes, reads and removes.
fn round(config: &HdfsConfig, path: &str) -> Result<()> {
    let bytes = Bytes::from(vec![7; 3 << 20]);
    block_on(async {
        let store = HdfsBytes::new(config)?;
        store.put_if_absent(path, bytes.clone()).await?;
        let (read, revision) = store.get_with_revision(path, u64::MAX).await?;
        assert!(read == bytes);
        store.put_if_unchanged(path, &revision, Bytes::from_static(b"x")).await?;
        assert_eq!(store.get(path, 0..9).await?, "x");
        store.delete(&[path.to_owned()]).await
    })
}

fn check(error: &Error, kind: ErrorKind, text: &str) {
    let chain = error.chain();
    assert!(error.kind() == kind && chain.contains(text), "{chain}");
}

#[test]
fn a_key_opens_the_cluster() {
    let _one = ONE.lock().unwrap_or_else(PoisonError::into_inner);
    passes(case("case_key"));
}

#[test]
#[ignore = "run by a test above, in a process with its own Kerberos variables"]
fn case_key() {
    round(&as_user("alice", keytab(), None), "key").unwrap();
    // whose folder it is not
    let bob = round(&as_user("bob", keytab(), None), "bob").unwrap_err();
    check(&bob, ErrorKind::Denied, "refuses it to this user");
}

#[test]
fn a_ticket_opens_the_cluster() {
    let _one = ONE.lock().unwrap_or_else(PoisonError::into_inner);
    let (kerberos, hdfs) = &*SERVICES;
    let tickets = kerberos.folder().join("alice-tickets");
    let mut kinit = Command::new("kinit");
    kinit.env("KRB5_CONFIG", hdfs.value("KRB5_CONFIG")).arg("-c").arg(&tickets);
    let done =
        kinit.args(["-k", "-t"]).arg(kerberos.value("KRB5_USERS_KEYTAB")).arg("alice").output().unwrap();
    assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
    let mut given = case("case_ticket");
    given.env("TICKETS", &tickets);
    passes(given);
    let mut found = case("case_ticket_of_kinit");
    found.env("KRB5CCNAME", &tickets);
    passes(found);
}

#[test]
#[ignore = "run by a test above, in a process with its own Kerberos variables"]
fn case_ticket() {
    round(&as_user("alice", None, Some(told("TICKETS").into())), "ticket").unwrap();
}

#[test]
#[ignore = "run by a test above, in a process with its own Kerberos variables"]
fn case_ticket_of_kinit() {
    round(&HdfsConfig { kerberos: None, ..as_user("alice", None, None) }, "kinit").unwrap();
}

#[test]
fn who_has_no_key_is_told_so() {
    let _one = ONE.lock().unwrap_or_else(PoisonError::into_inner);
    passes(case("case_no_key"));
}

#[test]
#[ignore = "run by a test above, in a process with its own Kerberos variables"]
fn case_no_key() {
    let unknown = round(&as_user("nobody", keytab(), None), "x").unwrap_err();
    check(&unknown, ErrorKind::Denied, "check principal and keytab");
    let no_ticket = round(&as_user("alice", None, Some("/no/such/ticket".into())), "x").unwrap_err();
    check(&no_ticket, ErrorKind::Denied, "check principal and keytab");
    // one who does not know of Kerberos
    let (port, standby) = (told("HDFS_NN1_PORT"), told("HDFS_NN2_PORT"));
    let simple = HdfsConfig {
        authority: format!("127.0.0.1:{port}"),
        conf_dir: Some("/no/such/folder".into()),
        kerberos: None,
        patience: Duration::from_secs(1),
        ..as_user("alice", None, None)
    };
    check(&round(&simple, "x").unwrap_err(), ErrorKind::Unavailable, "asks for Kerberos");
    let alone = HdfsConfig {
        authority: format!("127.0.0.1:{standby}"),
        patience: Duration::from_secs(1),
        ..as_user("alice", keytab(), None)
    };
    check(&round(&alone, "x").unwrap_err(), ErrorKind::Unavailable, "stands by");
}

/// The active name node is killed under a writer, and the other one takes over.
#[test]
fn a_writer_goes_on_with_the_name_node_that_takes_over() {
    let _one = ONE.lock().unwrap_or_else(PoisonError::into_inner);
    let hdfs = &SERVICES.1;
    let folder = tempfile::tempdir().unwrap();
    let (begun, enough) = (folder.path().join("begun"), folder.path().join("enough"));
    let mut writer = case("case_failover");
    let mut writer = writer.env("BEGUN", &begun).env("ENOUGH", &enough).spawn().unwrap();
    while !begun.exists() {
        assert!(writer.try_wait().unwrap().is_none(), "it ended early");
        std::thread::sleep(Duration::from_millis(10));
    }
    let pid: i32 = hdfs.value("HDFS_NN1_PID").parse().unwrap();
    kill(Pid::from_raw(pid), Signal::SIGKILL).unwrap();
    hadoop(hdfs, &["haadmin", "-transitionToActive", "--forceactive", "nn2"]);
    std::fs::write(&enough, "").unwrap();
    assert!(writer.wait().unwrap().success());
    hdfs.start_again();
    assert_eq!(hdfs.value("HDFS_ACTIVE"), "nn2");
    passes(case("case_key"));
    // as the other tests find it
    hadoop(hdfs, &["haadmin", "-transitionToStandby", "nn2"]);
    hadoop(hdfs, &["haadmin", "-transitionToActive", "nn1"]);
}

#[test]
#[ignore = "run by a test above, in a process with its own Kerberos variables"]
fn case_failover() {
    let config = as_user("alice", keytab(), None);
    let mut rounds = 0;
    let mut after = 0;
    while after < 2 {
        round(&config, &format!("failover/{rounds}")).unwrap();
        rounds += 1;
        std::fs::write(told("BEGUN"), "").unwrap();
        after += usize::from(std::path::Path::new(&told("ENOUGH")).exists());
    }
    assert!(block_on(HdfsBytes::new(&config).unwrap().list("failover")).unwrap().is_empty());
}
