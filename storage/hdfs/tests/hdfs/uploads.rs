//! Uploads: whole or not at all, and nothing of them left.

use std::sync::Arc;

use tributary_conformance::bytes::{Store, content};
use tributary_core::bytestore::ByteStore;
use tributary_hdfs::HdfsBytes;

use crate::cluster::{calm, fresh};

tributary_conformance::bytes_suite!({
    let (config, calm) = (fresh(), calm());
    move || {
        let _ = &calm;
        Arc::new(HdfsBytes::new(&config).unwrap()) as Store
    }
});

async fn names(store: &HdfsBytes) -> Vec<String> {
    store.list("").await.unwrap().into_iter().map(|entry| entry.path).collect()
}

#[test]
fn folders_go_with_what_was_in_them() {
    let _calm = calm();
    let config = fresh();
    tributary_conformance::run(async {
        let store = HdfsBytes::new(&config).unwrap();
        for path in ["n/t/a", "n/t/b/c", "n/u"] {
            store.put_if_absent(path, content(10)).await.unwrap();
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
