//! Uploads in pieces: whole or not at all, and nothing of them left.

use bytes::Bytes;
use tributary_core::ErrorKind;
use tributary_core::bytestore::{ByteStore, UNFINISHED};
use tributary_object::{ObjectBytes, S3Config};

use crate::server::fresh;

const MIB: usize = 1 << 20;

fn bytes(length: usize) -> Bytes {
    (0..length).map(|i| (i / 7) as u8).collect::<Vec<_>>().into()
}

async fn names(store: &ObjectBytes) -> Vec<String> {
    store.list("").await.unwrap().into_iter().map(|entry| entry.path).collect()
}

fn is_note(path: &&String) -> bool {
    path.contains(UNFINISHED)
}

#[test]
fn uploads_of_every_size_come_back_and_leave_nothing_else() {
    tributary_conformance::run(async {
        let store = ObjectBytes::s3(&fresh()).unwrap();
        for length in [0, 1, 8 * MIB, 8 * MIB + 1, 16 * MIB, 60 * MIB + 5] {
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
        assert_eq!(names(&store).await.len(), 6);
    });
}

#[test]
fn an_upload_is_invisible_until_it_is_finished_and_gone_when_given_up() {
    tributary_conformance::run(async {
        let store = ObjectBytes::s3(&fresh()).unwrap();
        let path = "n/t/x";
        let mut upload = store.put(path).await.unwrap();
        for _ in 0..3 {
            upload.write(bytes(9 * MIB)).await.unwrap();
        }
        let there = names(&store).await;
        assert!(!there.contains(&path.to_owned()) && there.iter().filter(is_note).count() == 1, "{there:?}");
        upload.abort().await;
        assert!(names(&store).await.is_empty());
    });
}

/// A note that outlives its upload's process is all that clean-up finds of it; removing it frees what the server keeps.
#[test]
fn the_note_of_a_lost_upload_leads_to_its_pieces() {
    tributary_conformance::run(async {
        let config = fresh();
        let store = ObjectBytes::s3(&config).unwrap();
        let mut upload = store.put("n/t/x").await.unwrap();
        for _ in 0..3 {
            upload.write(bytes(9 * MIB)).await.unwrap();
        }
        let note = names(&store).await.into_iter().find(|path| is_note(&path)).unwrap();
        // as if by another process
        ObjectBytes::s3(&config).unwrap().delete(&[note]).await.unwrap();
        assert!(upload.finish().await.is_err(), "its pieces are gone");
        assert!(names(&store).await.is_empty());
    });
}

/// By another way than the smaller ones, and with the same bytes; nothing else is left of it.
#[test]
fn an_object_that_is_too_large_for_one_copy_is_copied_all_the_same() {
    tributary_conformance::run(async {
        let config = S3Config { copied_at_once: 8 * MIB as u64, ..fresh() };
        let store = ObjectBytes::s3(&config).unwrap();
        let lengths = [8 * MIB, 8 * MIB + 1, 24 * MIB];
        for length in lengths {
            let (all, from) = (bytes(length), format!("n/t/{length}"));
            let mut upload = store.put(&from).await.unwrap();
            upload.write(all.clone()).await.unwrap();
            upload.finish().await.unwrap();
            store.copy(&from, &format!("{from}-copy")).await.unwrap();
            assert!(store.get(&format!("{from}-copy"), 0..u64::MAX).await.unwrap() == all, "{length}");
        }
        assert_eq!(names(&store).await.len(), 2 * lengths.len());
        assert_eq!(store.copy("n/t/none", "n/t/other").await.unwrap_err().kind(), ErrorKind::NotFound);
    });
}
