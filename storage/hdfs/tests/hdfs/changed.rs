//! Changes on a condition: of two writers one wins, also when one of them dies or sleeps with the folder's lock in its hand.

use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use futures::executor::block_on;
use hdfs_native::ClientBuilder;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use tributary_core::ErrorKind;
use tributary_core::bytestore::{ByteStore, UNFINISHED};
use tributary_hdfs::{HdfsBytes, HdfsConfig};

use crate::cluster::{at, calm, fresh};

#[test]
fn the_lock_of_a_dead_writer_is_broken_after_a_while() {
    let _calm = calm();
    let config = fresh();
    let store = Arc::new(HdfsBytes::new(&config).unwrap());
    block_on(store.put_if_absent("n/x", Bytes::from_static(b"1"))).unwrap();
    let lock = format!("{}/n/{UNFINISHED}lock/of-a-dead-one", config.folder);
    let client = ClientBuilder::new().with_url(format!("hdfs://{}", config.authority)).build().unwrap();
    let (sent, made) = std::sync::mpsc::channel();
    std::thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        sent.send(runtime.block_on(client.mkdirs(&lock, 0o700, true))).unwrap();
    });
    made.recv().unwrap().unwrap();
    let began = Instant::now();
    let (_, revision) = block_on(store.get_with_revision("n/x", 10)).unwrap();
    block_on(store.put_if_unchanged("n/x", &revision, Bytes::from_static(b"2"))).unwrap();
    assert!(began.elapsed() >= Duration::from_secs(5), "a holder may live");
    assert_eq!(block_on(store.get("n/x", 0..10)).unwrap(), "2");
    assert_eq!(block_on(store.list("")).unwrap().len(), 1);
}

const ADDRESS: &str = "TRIBUTARY_COUNTED_ADDRESS";
const FOLDER: &str = "TRIBUTARY_COUNTED_FOLDER";
const COUNTER: &str = "n/counter";

fn count_up(store: &HdfsBytes) {
    loop {
        let (text, revision) = block_on(store.get_with_revision(COUNTER, 100)).unwrap();
        let count: u64 = std::str::from_utf8(&text).unwrap().parse().unwrap();
        match block_on(store.put_if_unchanged(COUNTER, &revision, (count + 1).to_string().into())) {
            Ok(()) => return,
            Err(error) if error.kind() == ErrorKind::Conflict => {}
            Err(error) => panic!("{}", error.chain()),
        }
    }
}

#[test]
#[ignore = "the process that the other test stops"]
fn count_again_and_again() {
    let told = |name| std::env::var(name).expect("run by the other test only");
    let store = HdfsBytes::new(&at(&told(ADDRESS), &told(FOLDER))).unwrap();
    loop {
        count_up(&store);
        println!("counted");
    }
}

fn counting(config: &HdfsConfig) -> Child {
    let mut child = Command::new(std::env::current_exe().unwrap());
    child.env(ADDRESS, &config.authority).env(FOLDER, &config.folder);
    child
        .args(["--ignored", "--exact", "changed::count_again_and_again", "--nocapture"])
        .stdout(Stdio::piped())
        .spawn()
        .unwrap()
}

/// Most of a writer's time is between its look and its write, so that it is stopped there in some rounds. Others break its lock, write, and what
/// it does when it goes on must not undo that.
#[test]
fn a_writer_that_slept_with_the_lock_undoes_nothing() {
    const ROUNDS: usize = 3;
    let _calm = calm();
    let config = fresh();
    let store = HdfsBytes::new(&config).unwrap();
    block_on(store.put_if_absent(COUNTER, Bytes::from_static(b"0"))).unwrap();
    let mut child = counting(&config);
    let pid = Pid::from_raw(child.id() as i32);
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines().map_while(Result::ok);
    let (mut ours, mut its) = (0, 0);
    for _ in 0..ROUNDS {
        for _ in 0..5 {
            assert!(lines.find(|line| line.ends_with("counted")).is_some());
            its += 1;
        }
        kill(pid, Signal::SIGSTOP).unwrap();
        count_up(&store);
        ours += 1;
        kill(pid, Signal::SIGCONT).unwrap();
    }
    kill(pid, Signal::SIGSTOP).unwrap();
    count_up(&store);
    kill(pid, Signal::SIGKILL).unwrap();
    child.wait().unwrap();
    its += lines.filter(|line| line.ends_with("counted")).count() as u64;
    let counted: u64 =
        std::str::from_utf8(&block_on(store.get(COUNTER, 0..100)).unwrap()).unwrap().parse().unwrap();
    // one that was killed after its write did not say so
    assert!((ours + 1 + its..=ours + 2 + its).contains(&counted), "{counted} of {ours} + 1 and {its}");
}
