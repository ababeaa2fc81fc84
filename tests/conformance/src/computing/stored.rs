//! Tables at rest: load and save through the store that the engine was given.

use tributary_core::kernel::KernelCall;
use tributary_core::layout::RowRanges;
use tributary_core::storage::{IfExists, WriteOptions};
use tributary_core::{Error, ErrorKind, KeyType, Layout, Table};

use super::kernels::{Fail, FailParams, How, When};
use super::model::{KEY_TYPES, numbered};
use super::{Fixture, collect, handle, loose, put, refused};

pub async fn a_saved_table_loads_with_its_rows_and_layout(fixture: Fixture) {
    let uri = fixture.store.uri("all");
    fixture
        .everywhere(async |session, n| {
            for (key_type, size) in KEY_TYPES.into_iter().zip([0, 90, 7]) {
                let ranges = RowRanges::even(size, n);
                for layout in [Layout::Loose(n), Layout::Keyed(n), Layout::Rows(ranges)] {
                    let table = put(session, key_type, &numbered(0..size), layout.clone()).await;
                    let replace = WriteOptions::default().with_if_exists(IfExists::Replace);
                    let stored = table.save(&uri, replace).await.unwrap();
                    assert_eq!((stored.rows(), &stored.layout), (size, &layout));
                    let counts: Vec<u64> = stored.parts.iter().map(|part| part.size.rows).collect();
                    let held: Vec<u64> = handle(&table).parts().iter().map(|part| part.rows).collect();
                    assert_eq!(counts, held);

                    let loaded = Table::load(session, &uri).await.unwrap();
                    assert_eq!(*loaded.layout(), layout);
                    assert_eq!(loaded.schema(), table.schema());
                    assert_eq!(loaded.count().await.unwrap(), size);
                    assert_eq!(collect(&loaded).await, collect(&table).await);
                    assert_eq!(collect(&loaded.keep().await.unwrap()).await, collect(&table).await);
                }
            }
        })
        .await;
}

pub async fn a_stored_keyed_table_joins_where_it_is(fixture: Fixture) {
    let uri = fixture.store.uri("keyed");
    fixture
        .everywhere(async |session, n| {
            let table = put(session, KeyType::Utf8, &numbered(0..80), Layout::Keyed(n)).await;
            let replace = WriteOptions::default().with_if_exists(IfExists::Replace);
            table.save(&uri, replace).await.unwrap();
            let loaded = Table::load(session, &uri).await.unwrap();
            let other = loose(session, KeyType::Utf8, &numbered(60..100), 3).await;
            let joined = other.join(&loaded).unwrap();
            assert_eq!(format!("{:?}", joined.plan()).matches("Exchange").count(), 1);
            assert_eq!(joined.count().await.unwrap(), 20);
        })
        .await;
}

pub async fn a_loaded_table_stays_as_it_was_when_loaded(fixture: Fixture) {
    let uri = fixture.store.uri("moving");
    let session = fixture.some_cores().await;
    let (old, new) = (numbered(0..30), numbered(50..60));
    let save = async |rows: &[_]| {
        let table = loose(&session, KeyType::Utf8, rows, 3).await;
        let replace = WriteOptions::default().with_if_exists(IfExists::Replace);
        table.save(&uri, replace).await.unwrap()
    };
    save(&old).await;
    let before = Table::load(&session, &uri).await.unwrap();
    save(&new).await;
    let after = Table::load(&session, &uri).await.unwrap();
    assert_eq!((collect(&before).await, collect(&after).await), (old, new));
}

pub async fn an_existing_table_is_not_overwritten_unless_asked(fixture: Fixture) {
    let uri = fixture.store.uri("once");
    let session = fixture.few_cores().await;
    let table = loose(&session, KeyType::Utf8, &numbered(0..30), 3).await;
    table.save(&uri, WriteOptions::default()).await.unwrap();
    let other = loose(&session, KeyType::Utf8, &numbered(0..10), 2).await;
    refused(other.save(&uri, WriteOptions::default()).await, ErrorKind::AlreadyExists);
    assert_eq!(fixture.store.unfinished_writes(&uri), 0);
    assert_eq!(Table::load(&session, &uri).await.unwrap().count().await.unwrap(), 30);
}

pub async fn a_missing_table_is_not_found(fixture: Fixture) {
    let uri = fixture.store.uri("nowhere");
    let session = fixture.few_cores().await;
    refused(session.stored(&uri).await, ErrorKind::NotFound);
    refused(Table::load(&session, &uri).await, ErrorKind::NotFound);
}

/// What the store says reaches the caller, with its place.
fn check_store_error(error: Error, place: &str) {
    assert_eq!(error.kind(), ErrorKind::Unavailable, "{error:?}");
    assert!(error.chain().contains(place) && error.chain().contains("made to fail"), "{error:?}");
}

pub async fn a_failing_read_fails_the_action(fixture: Fixture) {
    let uri = fixture.store.uri("broken");
    let session = fixture.some_cores().await;
    let table = loose(&session, KeyType::Utf8, &numbered(0..90), 5).await;
    table.save(&uri, WriteOptions::default()).await.unwrap();
    let loaded = Table::load(&session, &uri).await.unwrap();
    fixture.store.break_reading(&uri, 3);
    check_store_error(loaded.collect().await.unwrap_err(), "partition 3");
    check_store_error(loaded.keyed(2).unwrap().keep().await.unwrap_err(), "partition 3");
    assert_eq!(table.count().await.unwrap(), 90);
}

pub async fn a_failing_save_leaves_nothing(fixture: Fixture) {
    let uri = fixture.store.uri("half");
    let session = fixture.some_cores().await;
    let table = loose(&session, KeyType::Utf8, &numbered(0..90), 5).await;
    let fail = FailParams { partition: 2, when: When::Finish, how: How::Error };
    let failing = table.map(KernelCall::fold::<Fail>(&fail).unwrap()).unwrap();
    refused(failing.save(&uri, WriteOptions::default()).await, ErrorKind::Denied);
    assert_eq!(fixture.store.unfinished_writes(&uri), 0);
    refused(session.stored(&uri).await, ErrorKind::NotFound);

    fixture.store.break_writing(&uri, 4);
    let error = table.save(&uri, WriteOptions::default()).await.unwrap_err();
    check_store_error(error, "partition 4");
    assert_eq!(fixture.store.unfinished_writes(&uri), 0);
    refused(session.stored(&uri).await, ErrorKind::NotFound);
}
