//! What goes wrong in a plan: the error says where, nothing is left, and the session goes on.

use std::sync::Arc;

use tributary_core::computing::{Blob, BlobKind, BlobRef, Handle, Release};
use tributary_core::kernel::{KernelCall, Kernels};
use tributary_core::plan::Plan;
use tributary_core::storage::WriteOptions;
use tributary_core::{ErrorKind, KeyType, Layout, Table};

use super::kernels::{
    Fail, FailParams, Fresh, How, Lie, Lose, Scale, ShowBlobs, Unlisted, Version1, Version2, When,
};
use super::model::numbered;
use super::{Fixture, collect, handle, loose, refused};

async fn check_failure(table: &Table, fail: FailParams) {
    let failing = table.map(KernelCall::fold::<Fail>(&fail).unwrap()).unwrap();
    let kind = match fail.how {
        How::Error => ErrorKind::Denied,
        How::Panic => ErrorKind::Kernel,
    };
    for outcome in [
        failing.keep().await.map(drop),
        failing.collect().await.map(drop),
        failing.keyed(2).unwrap().keep().await.map(drop),
        failing.count().await.map(drop),
    ] {
        let text = refused(outcome, kind);
        assert!(text.contains("suite.fail"), "{text}");
        let place = format!("partition {}", fail.partition);
        assert!(text.contains(&place) || fail.when == When::Open, "{text}");
    }
}

pub async fn a_failing_kernel_is_named_with_its_partition(fixture: Fixture) {
    fixture
        .everywhere(async |session, n| {
            let rows = numbered(0..70);
            let table = loose(session, KeyType::Utf8, &rows, n).await;
            for when in [When::Open, When::Start, When::Rows, When::Finish] {
                check_failure(&table, FailParams { partition: n - 1, when, how: How::Error }).await;
            }
            assert_eq!(collect(&table).await, rows);
        })
        .await;
}

pub async fn a_panicking_kernel_is_named_and_the_session_goes_on(fixture: Fixture) {
    fixture
        .everywhere(async |session, n| {
            let rows = numbered(0..70);
            let table = loose(session, KeyType::Utf8, &rows, n).await;
            for when in [When::Open, When::Start, When::Rows, When::Finish] {
                check_failure(&table, FailParams { partition: n / 2, when, how: How::Panic }).await;
            }
            assert_eq!(collect(&table.keyed(3).unwrap().repartition(n).unwrap()).await.len(), 70);
        })
        .await;
}

pub async fn the_partition_named_is_that_of_the_kernel(fixture: Fixture) {
    let session = fixture.some_cores().await;
    let table = loose(&session, KeyType::Utf8, &numbered(0..300), 3).await.keyed(7).unwrap();
    let inner = FailParams { partition: 5, when: When::Finish, how: How::Error };
    check_failure(&table, inner).await;
    let joined = table.semi_join(&table.map(KernelCall::fold::<Fail>(&inner).unwrap()).unwrap()).unwrap();
    let text = refused(joined.keep().await, ErrorKind::Denied);
    assert!(text.contains("partition 5") && text.contains("suite.fail"), "{text}");
}

pub async fn kernels_of_other_names_and_versions_are_unsupported(fixture: Fixture) {
    let session = fixture.few_cores().await;
    let table = loose(&session, KeyType::Utf8, &numbered(0..9), 2).await;
    let known = KernelCall::map::<Version1>(&Version1).unwrap();
    assert_eq!(table.map(known).unwrap().count().await.unwrap(), 9);
    let foreign = Kernels::default().map::<Version2>().map::<Unlisted>();
    let calls =
        [KernelCall::map::<Version2>(&Version2).unwrap(), KernelCall::map::<Unlisted>(&Unlisted).unwrap()];
    for call in calls {
        refused(table.map(call.clone()), ErrorKind::Unsupported);
        // A plan made with another binary's list must not get further either.
        let plan = Plan::map(table.plan(), call, &foreign).unwrap();
        refused(session.keep(&plan).await, ErrorKind::Unsupported);
        let table = Table::of_plan(session.clone(), plan);
        refused(table.collect().await, ErrorKind::Unsupported);
    }
}

pub async fn a_kernel_that_breaks_its_promise_is_named(fixture: Fixture) {
    fixture
        .everywhere(async |session, n| {
            let table = loose(session, KeyType::Utf8, &numbered(0..40), n).await;
            let mut broken = Vec::new();
            for lie in [Lie::Columns, Lie::Type, Lie::Nulls] {
                broken.push(table.map(KernelCall::map::<Lie>(&lie).unwrap()).unwrap());
            }
            let rows = table.keep_rows().await.unwrap();
            broken.push(rows.map(KernelCall::fold::<Lose>(&()).unwrap()).unwrap());
            for table in broken {
                for outcome in [table.keep().await.map(drop), table.collect().await.map(drop)] {
                    let text = refused(outcome, ErrorKind::Kernel);
                    assert!(text.contains("suite.l") && text.contains("partition"), "{text}");
                }
            }
            assert_eq!(table.count().await.unwrap(), 40);
        })
        .await;
}

pub async fn fresh_randomness_is_last_under_keep(fixture: Fixture) {
    fixture
        .everywhere(async |session, n| {
            let table = loose(session, KeyType::Utf8, &numbered(0..40), n).await;
            let fresh = table.map(KernelCall::fold::<Fresh>(&()).unwrap()).unwrap();
            let scale = KernelCall::map::<Scale>(&Scale { factor: 1 }).unwrap();
            refused(fresh.map(scale.clone()), ErrorKind::InvalidInput);
            refused(fresh.keyed(3), ErrorKind::InvalidInput);
            refused(fresh.read().await.map(drop), ErrorKind::InvalidInput);
            let uri = fixture.store.uri("fresh");
            refused(fresh.save(&uri, WriteOptions::default()).await, ErrorKind::InvalidInput);

            let kept = fresh.keep().await.unwrap();
            let drawn = kept.collect().await.unwrap();
            assert_eq!(kept.collect().await.unwrap(), drawn);
            assert_eq!(kept.map(scale).unwrap().count().await.unwrap(), 40);
            assert_ne!(fresh.keep().await.unwrap().collect().await.unwrap(), drawn);
        })
        .await;
}

pub async fn handles_of_another_session_are_refused(fixture: Fixture) {
    let (own, other) = (fixture.few_cores().await, fixture.few_cores().await);
    let foreign = loose(&other, KeyType::Utf8, &numbered(0..9), 2).await;
    let same_number = loose(&own, KeyType::Utf8, &numbered(0..4), 2).await;
    for plan in [foreign.plan().clone(), foreign.keyed(3).unwrap().plan().clone()] {
        refused(own.keep(&plan).await, ErrorKind::InvalidInput);
        refused(Table::of_plan(own.clone(), plan).collect().await, ErrorKind::InvalidInput);
    }
    assert_eq!((foreign.count().await.unwrap(), same_number.count().await.unwrap()), (9, 4));
    assert_eq!(collect(&same_number).await.len(), 4);
}

struct Nobody;

impl Release for Nobody {
    fn release(&self, _: u64) {}
}

pub async fn handles_and_blobs_that_do_not_exist_are_refused(fixture: Fixture) {
    let session = fixture.few_cores().await;
    let table = loose(&session, KeyType::Utf8, &numbered(0..9), 2).await;
    let real = handle(&table);
    let made_up = Handle::new(
        real.session().clone(),
        u64::MAX,
        real.schema().clone(),
        Layout::Loose(2),
        real.parts().to_vec(),
        Arc::new(Nobody),
    );
    refused(session.keep(&Plan::scan(made_up).unwrap()).await, ErrorKind::InvalidInput);

    let show = || KernelCall::map::<ShowBlobs>(&()).unwrap();
    let made_up = BlobRef::new(u64::MAX, BlobKind::Secret, Arc::new(Nobody));
    refused(table.map(show().with_blob(made_up)).unwrap().keep().await, ErrorKind::InvalidInput);
    let not_a_blob = BlobRef::new(real.number(), BlobKind::Plain, Arc::new(Nobody));
    refused(table.map(show().with_blob(not_a_blob)).unwrap().keep().await, ErrorKind::InvalidInput);
    assert_eq!(table.count().await.unwrap(), 9);
}

pub async fn blobs_of_another_session_are_refused(fixture: Fixture) {
    let (own, other) = (fixture.few_cores().await, fixture.few_cores().await);
    let table = loose(&own, KeyType::Utf8, &numbered(0..9), 2).await;
    let show = |blob| table.map(KernelCall::map::<ShowBlobs>(&()).unwrap().with_blob(blob)).unwrap();
    let secret = |text: &str| Blob::secret(text.as_bytes().to_vec());
    loose(&other, KeyType::Utf8, &numbered(0..9), 2).await;
    let foreign = other.put_blob(secret("theirs")).await.unwrap();
    let mine = own.put_blob(secret("mine")).await.unwrap();
    refused(show(foreign).keep().await, ErrorKind::InvalidInput);
    assert_eq!(show(mine).count().await.unwrap(), 9);
}
