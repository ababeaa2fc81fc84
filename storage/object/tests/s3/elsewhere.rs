//! Files of others in a bucket: read by position in few requests, and never from two states.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use bytes::Bytes;
use tributary_core::ErrorKind;
use tributary_core::bytestore::{ByteStore, UNFINISHED, list_with_time};
use tributary_core::media::{Distant, Source};
use tributary_core::storage::{Storage, Sweep};
use tributary_object::{ObjectBytes, S3Config};
use tributary_table::Tables;

use crate::proxy::{Fault, Proxy};
use crate::server::{address, by, fresh};

const MIB: u64 = 1 << 20;
const PATIENCE: Duration = Duration::from_secs(20);

fn content(length: u64) -> Bytes {
    (0..length).map(|i| (i.wrapping_mul(i) / 7) as u8).collect::<Vec<_>>().into()
}

async fn put(config: &S3Config, path: &str, bytes: &Bytes) {
    let store = ObjectBytes::s3(config).unwrap();
    let mut upload = store.put(path).await.unwrap();
    upload.write(bytes.clone()).await.unwrap();
    upload.finish().await.unwrap();
}

fn open(config: &S3Config, path: &str) -> Distant {
    let store = Arc::new(ObjectBytes::s3(config).unwrap());
    Distant::open(store, path, Path::new("s3://bucket/file")).unwrap()
}

fn read(file: &Distant, from: u64, length: usize) -> tributary_core::Result<Vec<u8>> {
    let mut bytes = vec![0; length];
    file.read_at(from, &mut bytes).map(|()| bytes)
}

#[test]
fn what_is_expected_comes_in_few_requests_and_the_rest_where_it_is_asked_for() {
    tributary_conformance::run(async {
        let (config, all) = (fresh(), content(20 * MIB + 5));
        put(&config, "n/file", &all).await;
        let requests = Arc::new(AtomicUsize::new(0));
        let counter = requests.clone();
        let proxy = Proxy::start(&address(), move |_| {
            counter.fetch_add(1, Ordering::Relaxed);
            Fault::Pass
        });
        let file = open(&by(&proxy.endpoint, PATIENCE, config), "n/file");
        let counted = |what: &dyn Fn()| {
            let before = requests.load(Ordering::Relaxed);
            what();
            requests.load(Ordering::Relaxed) - before
        };
        let is = |from: u64, length: usize| {
            let expected = &all[from as usize..from as usize + length];
            assert!(read(&file, from, length).unwrap() == expected, "{length} bytes at {from}");
        };
        assert_eq!(counted(&|| is(5 * MIB, 10)), 1, "nothing was expected");
        // two ranges that lie side by side, and a third far from them, of which none is read beyond its end
        file.expect(&[MIB..2 * MIB, 2 * MIB + 100..9 * MIB, 18 * MIB..19 * MIB], 1);
        let pages = || (0..1000).for_each(|page| is(MIB + page * 8000, 8000));
        assert!(counted(&pages) <= 2, "8 MB");
        assert!(counted(&|| is(18 * MIB, MIB as usize)) <= 1);
        // across the end of what was expected
        is(19 * MIB - 10, 20);
        is(20 * MIB, 5);
        assert_eq!(read(&file, 20 * MIB, 6).unwrap_err().kind(), ErrorKind::Conflict);
    });
}

#[test]
fn a_file_that_is_replaced_is_an_error_and_never_a_mixture() {
    tributary_conformance::run(async {
        let config = fresh();
        put(&config, "n/file", &content(3 * MIB)).await;
        let file = open(&config, "n/file");
        read(&file, 0, 10).unwrap();
        file.check().unwrap();
        put(&config, "n/file", &content(3 * MIB).iter().map(|byte| !byte).collect::<Vec<_>>().into()).await;
        for _ in 0..2 {
            let error = read(&file, 10, 10).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Conflict, "{error}");
            assert!(file.check().is_err());
        }
        assert!(open(&config, "n/file").state() != file.state());
        let store = Arc::new(ObjectBytes::s3(&config).unwrap());
        store.delete(&["n/file".into()]).await.unwrap();
        assert_eq!(read(&file, 10, 10).unwrap_err().kind(), ErrorKind::NotFound);
        let gone = Distant::open(store, "n/file", Path::new("s3://bucket/file")).unwrap_err();
        assert_eq!(gone.kind(), ErrorKind::NotFound);
        assert!(gone.to_string().contains("s3://bucket/file"), "{gone}");
    });
}

/// An upload goes on for longer than a clean-up waits: its note is renewed, so that it is not taken for one that a crash left.
#[test]
fn clean_up_leaves_an_upload_that_runs_for_long() {
    tributary_conformance::run(async {
        let config = fresh();
        let short = by(config.way.endpoint.as_ref().unwrap(), Duration::from_secs(2), config.clone());
        let store = Arc::new(ObjectBytes::s3(&short).unwrap());
        let folder = "n/t/_snapshots/00112233445566778899aabbccddeeff";
        let mut upload = store.put(&format!("{folder}/part")).await.unwrap();
        for _ in 0..3 {
            upload.write(content(9 * MIB)).await.unwrap();
        }
        let note = async || {
            let entries = store.list(folder).await.unwrap();
            entries.into_iter().find(|entry| entry.path.contains(UNFINISHED)).expect("its note")
        };
        let first = note().await;
        // until the server's clock, which shows seconds, says that it is old
        let idle = Duration::from_secs(4);
        while list_with_time(&*store, "", "clock").await.unwrap().0
            <= first.modified + idle + Duration::from_secs(2)
        {
            std::thread::sleep(Duration::from_millis(200));
        }
        let tables = Tables::new(store.clone());
        let swept = tables.sweep(&Sweep { idle, ..Sweep::default() }, &|_| false).await.unwrap();
        assert_eq!((swept.files, swept.failed.len()), (0, 0));
        assert!(note().await.modified > first.modified, "it is renewed");
        upload.finish().await.unwrap();
        let left: Vec<String> = store.list("n").await.unwrap().into_iter().map(|entry| entry.path).collect();
        assert_eq!(left, [format!("{folder}/part")]);
    });
}
