//! Uploads: whole or not at all, and nothing of them left.

use bytes::Bytes;
use tributary_core::ErrorKind;
use tributary_core::bytestore::{ByteStore, UNFINISHED};
use tributary_hdfs::HdfsBytes;

use crate::cluster::{calm, fresh};

const MIB: usize = 1 << 20;

pub fn bytes(length: usize) -> Bytes {
    (0..length).map(|i| (i / 7) as u8).collect::<Vec<_>>().into()
}

async fn names(store: &HdfsBytes) -> Vec<String> {
    store.list("").await.unwrap().into_iter().map(|entry| entry.path).collect()
}

#[test]
fn uploads_of_every_size_come_back_and_leave_nothing_else() {
    let _calm = calm();
    tributary_conformance::run(async {
        let store = HdfsBytes::new(&fresh()).unwrap();
        for length in [0, 1, 8 * MIB, 8 * MIB + 1, 40 * MIB + 5] {
            let (all, path) = (bytes(length), format!("n/t/{length}"));
            let mut upload = store.put(&path).await.unwrap();
            for at in (0..length).step_by(9 * MIB) {
                upload.write(all.slice(at..length.min(at + 9 * MIB))).await.unwrap();
            }
            upload.finish().await.unwrap();
            assert!(store.get(&path, 0..u64::MAX).await.unwrap() == all, "{length}");
            let end = length as u64;
            assert!(store.get(&path, end..end + 10).await.unwrap().is_empty());
            assert_eq!(store.get(&path, end.saturating_sub(3)..end + 10).await.unwrap().len(), length.min(3));
        }
        assert_eq!(names(&store).await.len(), 5);
    });
}

#[test]
fn an_upload_is_invisible_until_it_is_finished_and_gone_when_given_up() {
    let _calm = calm();
    tributary_conformance::run(async {
        let store = HdfsBytes::new(&fresh()).unwrap();
        let mut upload = store.put("n/t/x").await.unwrap();
        for _ in 0..3 {
            upload.write(bytes(9 * MIB)).await.unwrap();
        }
        let there = names(&store).await;
        assert!(there.len() == 1 && there[0].contains(UNFINISHED), "{there:?}");
        assert_eq!(store.get("n/t/x", 0..1).await.unwrap_err().kind(), ErrorKind::NotFound);
        upload.abort().await;
        assert!(names(&store).await.is_empty());
    });
}

#[test]
fn folders_go_with_what_was_in_them() {
    let _calm = calm();
    let config = fresh();
    tributary_conformance::run(async {
        let store = HdfsBytes::new(&config).unwrap();
        for path in ["n/t/a", "n/t/b/c", "n/u"] {
            store.put_if_absent(path, bytes(10)).await.unwrap();
        }
        store
            .delete(&["n/t/a".into(), "n/t/none".into(), "none/at/all".into(), "n/t/b/c".into()])
            .await
            .unwrap();
        assert_eq!(names(&store).await, ["n/u"]);
        assert_eq!(store.list("n/u").await.unwrap(), [], "a file is no folder");
        let above = HdfsBytes::new(&tributary_hdfs::HdfsConfig {
            folder: format!("{}/n", config.folder),
            ..config.clone()
        });
        assert_eq!(above.unwrap().list("t").await.unwrap(), []);
    });
}
