//! Uploads in pieces: whole or not at all, and nothing of them left.

use std::sync::Arc;

use tributary_conformance::bytes::{Store, content};
use tributary_core::ErrorKind;
use tributary_core::bytestore::{ByteStore, UNFINISHED};
use tributary_object::{ObjectBytes, S3Config};

use crate::server::fresh;

tributary_conformance::bytes_suite!({
    let config = fresh();
    move || Arc::new(ObjectBytes::s3(&config).unwrap()) as Store
});

const MIB: usize = 1 << 20;

async fn names(store: &ObjectBytes) -> Vec<String> {
    store.list("").await.unwrap().into_iter().map(|entry| entry.path).collect()
}

fn is_note(path: &&String) -> bool {
    path.contains(UNFINISHED)
}

/// A note that outlives its upload's process is all that clean-up finds of it; removing it frees what the server keeps.
#[test]
fn the_note_of_a_lost_upload_leads_to_its_pieces() {
    tributary_conformance::run(async {
        let config = fresh();
        let store = ObjectBytes::s3(&config).unwrap();
        let mut upload = store.put("n/t/x").await.unwrap();
        for _ in 0..3 {
            upload.write(content(9 * MIB)).await.unwrap();
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
            let (all, from) = (content(length), format!("n/t/{length}"));
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
