//! The suite of byte stores, for what the cases of tables do not show: uploads in pieces, and puts on a condition.
//!
//! A factory gives a function that opens the same empty store again each time, as for [tables](crate::storage). For stores that replace
//! snapshots: `bytes_suite!({ let config = fresh(); move || open(&config) })`.

use std::sync::Arc;

use bytes::Bytes;
use tributary_core::ErrorKind;
use tributary_core::bytestore::{ByteStore, UNFINISHED};

const MIB: usize = 1 << 20;

/// As the factory's function opens it.
pub type Store = Arc<dyn ByteStore>;

/// One `#[test]` for each case; see [the module](crate::bytes) for the factory.
#[macro_export]
macro_rules! bytes_suite {
    ($factory:expr) => {
        $crate::cases!(
            $factory,
            $crate::bytes,
            [
                uploads_of_every_size_come_back_and_leave_nothing_else,
                an_upload_is_invisible_until_it_is_finished_and_gone_when_given_up,
                of_two_puts_on_one_condition_one_wins,
            ]
        );
    };
}

/// So many bytes, of which neighbours differ now and then.
pub fn content(length: usize) -> Bytes {
    (0..length).map(|i| (i / 7) as u8).collect::<Vec<_>>().into()
}

async fn names(store: &Store) -> Vec<String> {
    store.list("").await.unwrap().into_iter().map(|entry| entry.path).collect()
}

pub async fn uploads_of_every_size_come_back_and_leave_nothing_else(open: impl Fn() -> Store) {
    let store = open();
    let lengths = [0, 1, 8 * MIB, 8 * MIB + 1, 16 * MIB, 40 * MIB + 5];
    for length in lengths {
        let (all, path) = (content(length), format!("n/t/{length}"));
        let mut upload = store.put(&path).await.unwrap();
        for at in (0..length).step_by(9 * MIB) {
            upload.write(all.slice(at..length.min(at + 9 * MIB))).await.unwrap();
        }
        upload.finish().await.unwrap();
        assert!(store.get(&path, 0..u64::MAX).await.unwrap() == all, "{length}");
        let end = length as u64;
        assert_eq!(store.stat(&path).await.unwrap().bytes, end);
        assert!(store.get(&path, end..end + 10).await.unwrap().is_empty());
        assert_eq!(store.get(&path, end.saturating_sub(3)..end + 10).await.unwrap().len(), length.min(3));
    }
    assert_eq!(names(&store).await.len(), lengths.len());
    assert_eq!(store.stat("n/t").await.unwrap_err().kind(), ErrorKind::NotFound, "a folder is no file");
}

pub async fn an_upload_is_invisible_until_it_is_finished_and_gone_when_given_up(open: impl Fn() -> Store) {
    let store = open();
    let mut upload = store.put("n/t/x").await.unwrap();
    for _ in 0..3 {
        upload.write(content(9 * MIB)).await.unwrap();
    }
    let there = names(&store).await;
    assert!(there.len() == 1 && there[0].contains(UNFINISHED), "{there:?}");
    assert_eq!(store.get("n/t/x", 0..1).await.unwrap_err().kind(), ErrorKind::NotFound);
    upload.abort().await;
    assert!(names(&store).await.is_empty());
}

pub async fn of_two_puts_on_one_condition_one_wins(open: impl Fn() -> Store) {
    let store = open();
    store.put_if_absent("n/x", Bytes::from_static(b"1")).await.unwrap();
    let taken = store.put_if_absent("n/x", Bytes::from_static(b"2")).await.unwrap_err();
    assert_eq!(taken.kind(), ErrorKind::AlreadyExists);
    let (text, revision) = store.get_with_revision("n/x", 10).await.unwrap();
    assert_eq!(text, "1");
    store.put_if_unchanged("n/x", &revision, Bytes::from_static(b"3")).await.unwrap();
    let late = store.put_if_unchanged("n/x", &revision, Bytes::from_static(b"4")).await.unwrap_err();
    assert_eq!(late.kind(), ErrorKind::Conflict);
    assert_eq!(store.get_with_revision("n/x", 10).await.unwrap().0, "3");
    store.delete(&["n/x".into()]).await.unwrap();
    let gone = store.put_if_unchanged("n/x", &revision, Bytes::from_static(b"5")).await.unwrap_err();
    assert_eq!(gone.kind(), ErrorKind::Conflict);
    assert_eq!(store.get("n/x", 0..1).await.unwrap_err().kind(), ErrorKind::NotFound);
    assert_eq!(store.list("").await.unwrap(), [], "neither locks nor drafts are left");
}
