//! A host: answers what the guest asks, and learns which of its rows are common.

use std::ops::Range;

use arrow_array::cast::AsArray;
use futures::TryStreamExt;
use tributary_component::task::Task;
use tributary_core::computing::{Blob, BlobRef};
use tributary_core::federation::{FederationExt, Slot};
use tributary_core::kernel::KernelCall;
use tributary_core::{Error, ErrorKind, Party, Result, Table};
use tributary_psi::rr22::{Answer, Answering, BucketsParams, DIGEST, Pick, Plan, SENT};

use super::chosen::{Chosen, Reader};
use super::{
    Bucketed, Offered, Pace, keep_round, kept, pull_parts, pull_pieces, pull_seeds, push_seeds, put, rounds,
    slot, with_blobs,
};
use crate::psi::choice::Agreed;

/// Buckets that rows are sorted into before the guest has made its offer.
const EAGER_BUCKETS: u32 = 1_024;

/// The host's own rows, as the guest ordered them, by round.
pub(super) async fn run(task: &Task, input: &Table, agreed: &Agreed) -> Result<Vec<Table>> {
    let guest = task.guest()?;
    // Rows are sorted while the guest sorts its own, unless that many buckets cost memory before it is known what for.
    let (own, answering) = match agreed.buckets <= EAGER_BUCKETS {
        true => {
            let own = Bucketed::of(task, input, agreed).await?;
            (own, open(task, agreed, &guest).await?)
        }
        false => {
            let answering = open(task, agreed, &guest).await?;
            (Bucketed::of(task, input, agreed).await?, answering)
        }
    };
    let (own, mut answering) = (&own, answering);
    let plan = answering.plan().clone();
    let order = kept::order(task, own, agreed)?;
    let order = task.computing.put_blob(order).await?;
    let from = agreed.kept.as_ref().map_or(0, |kept| kept.done);
    let pace = Pace::new(own.count, from, agreed.buckets);
    for round in rounds(agreed, from..agreed.buckets) {
        answer(task, own, &mut answering, &order, &guest, &round).await?;
        pace.done(task, &round, plan.ask_bytes() + plan.answer_bytes());
    }
    let (mut picked, mut common) = (Vec::new(), 0);
    for round in rounds(agreed, 0..from).chain(rounds(agreed, from..agreed.buckets)) {
        let chosen = pull_chosen(task, &plan, &guest, &round).await?;
        // Rows that the guest has several times count once.
        common += chosen.iter().map(|chosen| chosen.different).sum::<u64>();
        let blobs: Vec<Blob> = chosen.into_iter().map(|chosen| Blob::Plain(chosen.places.into())).collect();
        let blobs = put(task, blobs).await?;
        let call = KernelCall::fold::<Pick>(&BucketsParams { plan: plan.clone(), buckets: round.clone() })?;
        let call = with_blobs(call.with_blob(order.clone()), blobs);
        let rows = keep_round(&own.rows(&round)?.map(call)?, &round).await;
        picked.push(rows.map_err(|e| by(e, &guest))?);
    }
    match common {
        0 => {}
        rows => task.release("input_data", &guest).expect_common_rows("common rows", rows)?,
    }
    Ok(picked)
}

/// Everything before the first bucket.
async fn open(task: &Task, agreed: &Agreed, guest: &Party) -> Result<Answering> {
    let Offered { asked, offer } = task.federation.pull_message(&Slot::new("offer"), guest).await?;
    let Agreed { salt, buckets, pair, ref held, .. } = *agreed;
    let held = held.iter().copied().sum();
    let plan = Plan { salt, pair, asked, held, buckets };
    plan.check().map_err(|e| Error::new(ErrorKind::Corrupt, format!("the offer of {guest}")).because(e))?;
    // Before its answers leave: with those the guest knows which of its ids are here. Counted is what it can ask, not what it
    // tells.
    let release = task.release("input_data", guest);
    release.expect_common_rows(&format!("ids of {guest}"), asked)?;
    release.book_ids(plan.askable(), held)?;
    let (mut answering, choices) = Answering::new(plan, &offer).map_err(|e| by(e, guest))?;
    push_seeds(task, &Slot::new("choices"), guest, choices).await?;
    let opening = pull_seeds(task, &Slot::new("opening"), guest).await?;
    let setup = answering.open(&opening).map_err(|e| by(e, guest))?;
    push_seeds(task, &Slot::new("setup"), guest, setup).await?;
    Ok(answering)
}

/// Answers what is asked about a round's buckets.
async fn answer(
    task: &Task,
    own: &Bucketed,
    answering: &mut Answering,
    order: &BlobRef,
    guest: &Party,
    round: &Range<u32>,
) -> Result<()> {
    let wishes = pull_seeds(task, &slot("wishes", round), guest).await?;
    let (seeds, message) = answering.seeds(round.clone(), &wishes).map_err(|e| by(e, guest))?;
    push_seeds(task, &slot("seeds", round), guest, message).await?;
    let plan = answering.plan();
    let asked = pull_parts(task, &slot("asked", round), guest, round.len(), plan.ask_bytes()).await?;
    let blobs = seeds.into_iter().zip(asked).flat_map(|(seed, asked)| [seed, Blob::Plain(asked.into())]);
    let call = KernelCall::fold::<Answer>(&BucketsParams { plan: plan.clone(), buckets: round.clone() })?;
    let call = with_blobs(call.with_blob(order.clone()), put(task, blobs).await?);
    let answers = own.rows(round)?.select([DIGEST])?.map(call)?.select([SENT])?.keep().await;
    let answers = answers.map_err(|e| by(e, guest))?;
    task.federation.push_table(&slot("answers", round), std::slice::from_ref(guest), &answers).await
}

/// Which rows of a round's buckets the guest chose.
async fn pull_chosen(task: &Task, plan: &Plan, guest: &Party, round: &Range<u32>) -> Result<Vec<Chosen>> {
    let slot = slot("host_rows", round);
    let mut reader = Reader::new(round.len(), plan.held_capacity());
    let mut rows = pull_pieces(task, &slot, guest).await?;
    let from = |e: Error| e.at(format!("what {guest} sent in slot {slot}"));
    while let Some(batch) = rows.try_next().await? {
        let pieces = batch.column(0).as_binary::<i32>();
        pieces.iter().flatten().try_for_each(|piece| reader.add(piece)).map_err(from)?;
    }
    reader.finish().map_err(from)
}

/// Names who sent what is wrong.
fn by(error: Error, guest: &Party) -> Error {
    match error.kind() {
        ErrorKind::Corrupt => error.at(format!("what {guest} sent")),
        _ => error,
    }
}
