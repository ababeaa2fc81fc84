//! Tables: every type and layout, however many rows, and no more than a site takes.

use arrow_array::RecordBatch;
use arrow_schema::DataType;
use futures::TryStreamExt;
use futures::future::{join, join_all};
use tributary_core::federation::{Body, FederationExt, TableBody};
use tributary_core::layout::RowRanges;
use tributary_core::{ErrorKind, Field, KeyType, Layout, TableSchema};

use super::Factory;
use super::rows::{Rows, batch, every_type, joined, pull_table, rows_of, table};
use super::setup::{Joined, Note, check_error, leave, meet, own, slot};

pub async fn tables_of_every_type_arrive_in_every_layout(factory: impl Factory) {
    let all = meet(&factory).await;
    let [guest, host, ..] = &all;
    let schema = every_type();
    let rows = batch(&schema, 100);
    let cuts = [rows.slice(0, 33), rows.slice(33, 0), rows.slice(33, 60), rows.slice(93, 7)];
    let ranges = |starts: &[u64]| Layout::Rows(RowRanges::new(starts.to_vec()).unwrap());
    let cases: [(Layout, &[RecordBatch]); 5] = [
        (Layout::Loose(4), &cuts),
        (Layout::Keyed(7), &cuts),
        (ranges(&[900, 950, 950, 1000]), &cuts),
        (Layout::Loose(3), &[]),
        (ranges(&[0, 0]), &[rows.slice(0, 0)]),
    ];
    for (i, (layout, batches)) in cases.into_iter().enumerate() {
        let slot = slot("rows").tagged(i.to_string());
        guest.push(&slot, &[own(host)], table(&schema, layout.clone(), batches)).await.unwrap();
        let body = pull_table(host, &slot, &own(guest)).await;
        let sent = joined(&schema, batches);
        assert_eq!((&body.schema, &body.layout, body.rows), (&schema, &layout, sent.num_rows() as u64));
        assert_eq!(rows_of(&schema, &body).await, sent);
    }
    leave(&all).await;
}

pub async fn a_table_of_many_batches_arrives(factory: impl Factory) {
    let all = meet(&factory).await;
    let [guest, host, ..] = &all;
    let fields = vec![Field::new("v", DataType::UInt64), Field::new("t", DataType::Utf8)];
    let schema = TableSchema::keyed("id", KeyType::Utf8, fields).unwrap();
    let batches: Vec<RecordBatch> = (0..300).map(|i| batch(&schema, 10 + i)).collect();
    let (sent, received) =
        join(guest.push(&slot("many"), &[own(host)], table(&schema, Layout::Loose(1), &batches)), async {
            let body = pull_table(host, &slot("many"), &own(guest)).await;
            rows_of(&schema, &body).await
        })
        .await;
    sent.unwrap();
    assert_eq!(received, joined(&schema, &batches));
    leave(&all).await;
}

pub async fn a_table_with_other_rows_than_it_says_is_an_error_on_both_sides(factory: impl Factory) {
    let all = meet(&factory).await;
    let [guest, host, ..] = &all;
    let schema = every_type();
    for (i, (count, fails)) in [(5, false), (7, false), (6, true)].into_iter().enumerate() {
        let slot = slot("wrong").tagged(i.to_string());
        let source = Box::new(Rows { batches: vec![batch(&schema, count)], fails });
        let body = TableBody { schema: schema.clone(), layout: Layout::Loose(1), rows: 6, source };
        assert!(guest.push(&slot, &[own(host)], Body::Table(body)).await.is_err());
        let received = match host.pull(&slot, &own(guest)).await {
            Ok(Body::Table(body)) => {
                body.source.open().await.unwrap().try_collect::<Vec<_>>().await.map(drop)
            }
            other => other.map(drop),
        };
        check_error(received.unwrap_err(), ErrorKind::Cancelled, &["guest_9999", "wrong"]);
    }
    guest.push_message(&slot("after"), &[own(host)], &Note(vec![1])).await.unwrap();
    host.pull_message::<Note>(&slot("after"), &own(guest)).await.unwrap();
    leave(&all).await;
}

pub async fn a_received_table_opens_once_and_on_any_thread(factory: impl Factory) {
    let all = meet(&factory).await;
    let [guest, host, ..] = &all;
    let schema = every_type();
    let rows = batch(&schema, 2000);
    guest
        .push(&slot("t"), &[own(host)], table(&schema, Layout::Loose(1), std::slice::from_ref(&rows)))
        .await
        .unwrap();
    let body = pull_table(host, &slot("t"), &own(guest)).await;
    let stream = body.source.open().await.unwrap();
    assert_eq!(body.source.open().await.err().unwrap().kind(), ErrorKind::AlreadyExists);
    let (done, elsewhere) = tokio::sync::oneshot::channel();
    std::thread::spawn(move || {
        done.send(futures::executor::block_on(stream.try_collect::<Vec<RecordBatch>>())).unwrap();
    });
    assert_eq!(joined(&schema, &elsewhere.await.unwrap().unwrap()), rows);
    leave(&all).await;
}

pub async fn parties_that_push_to_each_other_do_not_block(factory: impl Factory) {
    let all = meet(&factory).await;
    let schema = TableSchema::keyed("id", KeyType::UInt64, vec![Field::new("v", DataType::UInt64)]).unwrap();
    let rows = batch(&schema, 300_000);
    let work = |own: Joined| {
        let (schema, rows) = (&schema, &rows);
        async move {
            let body = table(schema, Layout::Loose(1), std::slice::from_ref(rows));
            own.push(&slot("big"), &own.spec().peers, body).await.unwrap();
            for peer in &own.spec().peers {
                let body = pull_table(&own, &slot("big"), peer).await;
                assert_eq!(rows_of(schema, &body).await, *rows);
            }
        }
    };
    join_all(all.clone().map(work)).await;
    leave(&all).await;
}

pub async fn a_table_beyond_the_limit_of_a_site_is_refused_and_names_who_sent_it(factory: impl Factory) {
    let all = meet(&factory).await;
    let [guest, host, other, _] = &all;
    let most = factory.table_rows();
    let schema = TableSchema::keyed("id", KeyType::UInt64, vec![]).unwrap();
    let rows = |count| table(&schema, Layout::Loose(1), &[batch(&schema, count)]);
    host.push(&slot("t"), &[own(guest)], rows(most + 1)).await.unwrap();
    other.push(&slot("t"), &[own(guest)], rows(most)).await.unwrap();
    let error = guest.pull(&slot("t"), &own(host)).await.unwrap_err();
    let (sent, limit) = (format!("{} rows", most + 1), format!("at most {most}"));
    check_error(
        error,
        ErrorKind::Exhausted,
        &["host_10000", "t@default", &sent, &limit, "federation.table_rows"],
    );
    let body = pull_table(guest, &slot("t"), &own(other)).await;
    assert_eq!(rows_of(&schema, &body).await.num_rows() as u64, most);
    leave(&all).await;
}
