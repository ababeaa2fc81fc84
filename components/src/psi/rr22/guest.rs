//! The guest: asks every host, and learns which of its ids each has.

use std::ops::Range;

use arrow_array::cast::AsArray;
use arrow_array::types::UInt64Type;
use futures::TryStreamExt;
use tributary_component::task::Task;
use tributary_core::computing::Blob;
use tributary_core::federation::{FederationExt, Slot};
use tributary_core::kernel::KernelCall;
use tributary_core::{Error, ErrorKind, Layout, Party, Result, Role, Table};
use tributary_psi::rr22::{
    Ask, Asking, BUCKET, BucketsParams, Common, CommonParams, DIGEST, Offer, Plan, SENT, TAGS, own_tags,
    sent, sent_schema,
};

use super::chosen::Writer;
use super::kept::Keeping;
use super::{
    Bucketed, Offered, Pace, keep_round, pull_parts, pull_seeds, push_seeds, put, rounds, slot, with_blobs,
};
use crate::psi::choice::Agreed;
use crate::psi::expect_enough;

/// Column of the numbers of common rows within their bucket.
pub(super) const ROW: &str = ":row";

/// Column of the places of common rows in a host's answers. The colon keeps it apart from users' columns.
pub(super) fn place_of(host: &Party) -> String {
    format!(":place:{host}")
}

/// The guest's own rows, in the order of the first host's answers, by round.
pub(super) async fn run(task: &Task, own: &Bucketed, agreed: &Agreed) -> Result<Vec<Table>> {
    let hosts = task.others(&Role::host());
    let mut asking = open(task, own, agreed, &hosts).await?;
    let bytes = asking.iter().map(|asking| asking.plan().ask_bytes() + asking.plan().answer_bytes()).sum();
    let mut keeping = Keeping::of(task, own, agreed);
    let mut common = keeping.rows(task, own, &hosts, agreed).await?;
    let from = keeping.done();
    let pace = Pace::new(own.count, from, agreed.buckets);
    for round in rounds(agreed, from..agreed.buckets) {
        let found = compare(task, own, &hosts, &mut asking, &round).await?;
        pace.done(task, &round, bytes);
        keeping.add(task, &round, &found, &hosts).await?;
        common.push((round, found));
    }
    let tables: Vec<Table> = common.iter().map(|(_, table)| table.clone()).collect();
    let all = Table::concat(&tables)?;
    for host in &hosts {
        expect_enough(&task.release("input_data", host), &all).await?;
    }
    for (round, common) in &common {
        for (host, asking) in hosts.iter().zip(&asking) {
            tell(task, round, common, host, asking.plan()).await?;
        }
    }
    Ok(tables)
}

/// Tells a host which of its rows of a round are common.
async fn tell(task: &Task, round: &Range<u32>, common: &Table, host: &Party, plan: &Plan) -> Result<()> {
    let (mut places, capacity) = (vec![Vec::new(); round.len()], plan.held_capacity().max(1) as u64);
    let mut rows = common.select([place_of(host)])?.drop_key()?.read().await?;
    while let Some(batch) = rows.try_next().await? {
        for number in batch.column(0).as_primitive::<UInt64Type>().values() {
            let bucket = (number / capacity).checked_sub(u64::from(round.start));
            let of = bucket.and_then(|bucket| places.get_mut(usize::try_from(bucket).ok()?));
            of.ok_or_else(|| Error::bug("a common row of another round"))?.push(number % capacity);
        }
    }
    let mut list = Writer::default();
    places.iter().for_each(|places| list.bucket(places));
    let rows = sent(&list.finish())?;
    let table = Table::parallelize(&task.computing, &sent_schema()?, rows, Layout::Loose(1)).await?;
    task.federation.push_table(&slot("host_rows", round), std::slice::from_ref(host), &table).await
}

/// Everything before the first bucket, with all hosts at once.
async fn open(task: &Task, own: &Bucketed, agreed: &Agreed, hosts: &[Party]) -> Result<Vec<Asking>> {
    let mut offers = Vec::new();
    let plans: Vec<Plan> = (0..)
        .zip(&agreed.held)
        .map(|(pair, held)| Plan {
            salt: agreed.salt,
            pair,
            asked: own.count,
            held: *held,
            buckets: agreed.buckets,
        })
        .collect();
    for (host, plan) in hosts.iter().zip(&plans) {
        plan.check()?;
        // A host asks too: it learns which of its ids are common. Counted is what it can ask, not what it tells.
        let release = task.release("input_data", host);
        release.expect_common_rows(&format!("ids of {host}"), plan.held)?;
        release.book_ids(plan.answerable(), own.count)?;
        let (opened, offer) = Offer::new()?;
        let offered = Offered { asked: own.count, offer };
        task.federation.push_message(&Slot::new("offer"), std::slice::from_ref(host), &offered).await?;
        offers.push(opened);
    }
    let mut opened = Vec::new();
    for ((host, plan), offer) in hosts.iter().zip(plans).zip(offers) {
        let choices = pull_seeds(task, &Slot::new("choices"), host).await?;
        let (opening, message) = offer.open(plan, &choices).map_err(|e| by(e, host))?;
        push_seeds(task, &Slot::new("opening"), host, message).await?;
        opened.push(opening);
    }
    let mut asking = Vec::new();
    for (host, opening) in hosts.iter().zip(opened) {
        let seeds = pull_seeds(task, &Slot::new("setup"), host).await?;
        asking.push(opening.finish(&seeds).map_err(|e| by(e, host))?);
    }
    Ok(asking)
}

/// The common rows of a round's buckets.
async fn compare(
    task: &Task,
    own: &Bucketed,
    hosts: &[Party],
    asking: &mut [Asking],
    round: &Range<u32>,
) -> Result<Table> {
    let mut wished = Vec::new();
    for (host, asking) in hosts.iter().zip(asking.iter_mut()) {
        let (waiting, message) = asking.wish(round.clone())?;
        push_seeds(task, &slot("wishes", round), host, message).await?;
        wished.push(waiting);
    }
    let mut own_tags = Vec::new();
    for ((host, asking), wished) in hosts.iter().zip(asking.iter_mut()).zip(wished) {
        let seeds = pull_seeds(task, &slot("seeds", round), host).await?;
        let seeds = asking.seeds(wished, &seeds).map_err(|e| by(e, host))?;
        own_tags.push(ask(task, own, host, asking.plan(), round, seeds).await?);
    }
    let mut pairs = vec![Vec::new(); round.len()];
    for ((host, asking), tags) in hosts.iter().zip(asking.iter()).zip(own_tags) {
        let bytes = asking.plan().answer_bytes();
        let answers = pull_parts(task, &slot("answers", round), host, round.len(), bytes).await?;
        for ((pairs, tags), answer) in pairs.iter_mut().zip(tags).zip(answers) {
            pairs.extend([tags, answer].map(|bytes| Blob::Plain(bytes.into())));
        }
    }
    let plans = asking.iter().map(|asking| asking.plan().clone()).collect();
    let places = hosts.iter().map(place_of).collect();
    let params = CommonParams { plans, buckets: round.clone(), places, row: ROW.into() };
    let call = KernelCall::fold::<Common>(&params)?;
    let common = own.rows(round)?.map(with_blobs(call, put(task, pairs.into_iter().flatten()).await?))?;
    keep_round(&common, round).await
}

/// Sends what is asked about a round's buckets, and gives the own tags of each.
async fn ask(
    task: &Task,
    own: &Bucketed,
    host: &Party,
    plan: &Plan,
    round: &Range<u32>,
    seeds: Vec<Blob>,
) -> Result<Vec<Vec<u8>>> {
    let params = BucketsParams { plan: plan.clone(), buckets: round.clone() };
    let call = with_blobs(KernelCall::fold::<Ask>(&params)?, put(task, seeds).await?);
    let made = own.rows(round)?.select([DIGEST])?.map(call)?.keep().await?;
    let sent = made.select([SENT])?.keep().await?;
    task.federation.push_table(&slot("asked", round), std::slice::from_ref(host), &sent).await?;
    own_tags(round.clone(), &made.select([BUCKET, TAGS])?.collect().await?)
}

/// Names who sent what is wrong.
fn by(error: Error, host: &Party) -> Error {
    match error.kind() {
        ErrorKind::Corrupt => error.at(format!("what {host} sent")),
        _ => error,
    }
}
