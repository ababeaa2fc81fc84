//! `psi`: the rows that all parties have, in the same order at every party. Only the guest learns more.
//!
//! One guest and any number of hosts. Ids are hashed to group elements and masked with each side's secret scalar (ECDH
//! over Ristretto). Only the guest matches: it learns which of its ids each host has; a host learns the final
//! intersection. The alternative, where both sides match pairwise, shows every host its whole overlap with the guest, and
//! takes one more transfer.
//!
//! ```text
//! host h:  P = H(own)^h          ──▶ guest        guest:  G = H(own)^g          ──▶ every host
//! host h:  G^h, in the same order ──▶ guest        guest:  match G^h with P^g, for every host; keep what all have
//! guest:   for each host the positions in its P, in the order of the doubly masked points of the first host
//! ```
//!
//! A guest may have several rows of one match id (a host may not): it sends each point once, and keeps all those rows. Rows
//! stay aligned, so a host's row occurs as often as the guest's: the position is sent once for each of them.
//!
//! P and G are in the order of their points' hashes. These orders are random to every party that does not know the secrets,
//! so they show nothing about any party's file.

mod guest;
mod host;

use async_trait::async_trait;
use serde_json::json;
use tributary_core::kernel::{KernelCall, Kernels};
use tributary_core::schema::Purpose;
use tributary_core::{Error, Party, Result, Role, Table};
use tributary_psi::{
    Group, GroupNumbers, MaskIds, MaskIdsParams, MaskPoints, POINT, PointsOfKeys, Secret, Ungroup,
    UngroupNumbers,
};

use tributary_component::definition::{Artifact, Definition, Parameter};
use tributary_component::output::{Metric, Outputs};
use tributary_component::task::Task;
use tributary_component::{Assignment, Component, ParameterProblem, Release};

/// The component.
#[derive(Debug)]
pub(crate) struct Psi(Definition);

impl Default for Psi {
    fn default() -> Self {
        Self(
            Definition::new("psi")
                .describe("Finds the rows that all parties have, without showing the others")
                .roles(["guest", "host"])
                .parameter(
                    Parameter::choice("protocol", &["ecdh_psi"])
                        .default("ecdh_psi")
                        .describe("how ids are compared"),
                )
                .parameter(
                    Parameter::choice("curve_type", &["curve25519"])
                        .default("curve25519")
                        .describe("the group: Ristretto over curve25519"),
                )
                .input(
                    Artifact::data("input_data")
                        .describe("a table with a match id, or else its key, to match on"),
                )
                .output(
                    Artifact::data("output_data")
                        .describe("the common rows, in the same order at every party"),
                ),
        )
    }
}

#[async_trait]
impl Component for Psi {
    fn definition(&self) -> &Definition {
        &self.0
    }

    fn kernels(&self) -> Kernels {
        tributary_psi::kernels()
    }

    fn check(&self, assignment: &Assignment<'_>) -> Result<Vec<ParameterProblem>> {
        let no_host = || ParameterProblem::of_task("an intersection needs at least one host");
        let lonely = (assignment.count(&Role::host()) == 0).then(no_host);
        Ok(lonely.into_iter().chain(assignment.expect_one_guest()).collect())
    }

    async fn run(&self, task: &Task) -> Result<Outputs> {
        let input = task.table("input_data")?;
        let secret = Secret::random()?;
        let own = Masked::of(task, input, &secret).await?;
        let chosen = match task.is_guest() {
            true => guest::run(task, &own, &secret).await?,
            false => host::run(task, &own, &secret).await?,
        };
        let common = gather(task, input, &chosen).await?;
        let (all, found) = (input.count().await?, common.count().await?);
        if found == 0 {
            return Err(Error::invalid(
                "no id is in common; check that all parties write ids in the same way, and which column they match on \
                 (`tributary table query`, `data upload --match-id`)",
            ));
        }
        task.note(format!("{found} of {all} rows in common"));
        Ok(Outputs::default().metric(summary(all, found)).table("output_data", common))
    }
}

fn summary(all: u64, found: u64) -> Metric {
    let rate = if all == 0 { 0.0 } else { found as f64 / all as f64 };
    let data = json!({
        "input_count": all, "intersect_count": found, "intersect_rate": rate, "method": "curve25519",
    });
    Metric::one_off("summary", None, data)
}

/// Column of the final position of a row. The colon keeps it apart from users' columns.
const POSITION: &str = ":position";
/// Column of a row's key while something else is the key.
const ID: &str = ":id";
/// Column of the numbers of a party's own rows.
const ROW: &str = ":row";

/// Column of positions in a host's points.
fn row_of(host: &Party) -> String {
    format!(":row:{host}")
}

/// A party's ids as others see them: masked points, each once, in the order of their hashes. That order is what leaves: a
/// party's own would show how many of its ids lie between two that are known.
struct Masked {
    /// Key: the point. Column [`ROW`]: at the guest a list of the numbers of all rows of the id, at a host the number of
    /// the only one. Rows are numbered.
    table: Table,
    /// Key: that of the party's rows. Rows are numbered, as [`ROW`] counts them.
    rows: Table,
    /// Number of points.
    count: u64,
}

impl Masked {
    async fn of(task: &Task, input: &Table, secret: &Secret) -> Result<Self> {
        input.schema().expect_key("an intersection")?;
        let column = input.schema().with_purpose(&Purpose::MatchId).map(|f| f.name.clone());
        let ids = input.select(column.clone())?.keep_rows().await?;
        let rows = ids.select(Vec::<String>::new())?;
        task.note(format!("masking {} ids", ids.count().await?));
        let blob = task.computing.put_blob(secret.to_blob()).await?;
        let call = KernelCall::map::<MaskIds>(&MaskIdsParams { column })?.with_blob(blob);
        let points = rows.number_rows(ROW)?.zip(&ids.map(call)?)?.rekey(POINT, None)?;
        let table = match task.is_guest() {
            true => points.gather_by_key(task.partitions())?.map(grouped(ROW)?)?.keep_rows().await?,
            false => points.keyed(task.partitions())?.keep_rows().await.map_err(|e| {
                e.at("ids to match on: those of a host must be unique (a guest may have several rows of one id)")
            })?,
        };
        Ok(Self { count: table.count().await?, table, rows })
    }

    /// The points alone, as they leave.
    async fn points(&self) -> Result<Table> {
        self.table.map(KernelCall::map::<PointsOfKeys>(&PointsOfKeys)?)?.keep().await
    }

    /// Keys of the party's own rows. Key: the number of the row, as [`ROW`] has it.
    fn keys(&self) -> Result<Table> {
        self.rows.number_rows(ROW)?.rekey(ROW, Some(ID))
    }
}

/// Rows of one key to one, with a list of the numbers of a column.
fn grouped(column: &str) -> Result<KernelCall> {
    KernelCall::fold::<Group>(&GroupNumbers { column: column.into() })
}

/// And back.
fn ungrouped(column: &str) -> Result<KernelCall> {
    KernelCall::fold::<Ungroup>(&UngroupNumbers { column: column.into() })
}

/// Points of a peer masked again, one a row.
async fn masked_again(task: &Task, points: &Table, secret: &Secret) -> Result<Table> {
    task.note(format!("masking {} points of a peer", points.count().await?));
    let blob = task.computing.put_blob(secret.to_blob()).await?;
    points.map(KernelCall::map::<MaskPoints>(&())?.with_blob(blob))?.keep().await
}

/// `Denied` if rows are common, but fewer than this party's limits require; none at all has a message of its own.
async fn expect_enough(release: &Release<'_>, common: &Table) -> Result<()> {
    match common.count().await? {
        0 => Ok(()),
        rows => release.expect_common_rows("common rows", rows),
    }
}

/// The chosen rows of the input in their final order. `chosen`: key of the input, unique → list of final positions.
async fn gather(task: &Task, input: &Table, chosen: &Table) -> Result<Table> {
    let rows = input.join(chosen)?.map(ungrouped(POSITION)?)?.keep().await?;
    let ranges = task.rows(rows.count().await?);
    let key = input.schema().expect_key("an intersection")?.name.clone();
    let columns: Vec<String> = input.schema().fields().iter().map(|f| f.name.clone()).collect();
    rows.rekey(POSITION, Some(&key))?.by_row_number(ranges)?.rekey(&key, None)?.select(columns)?.keep().await
}

#[cfg(test)]
mod tests {
    use super::*;
    use tributary_component::definition::Stage;
    use tributary_component::testing::problems;

    #[test]
    fn an_intersection_has_one_guest_and_at_least_one_host() {
        let check = |parties: &[(&str, &str)], expected: &[&str]| {
            assert_eq!(problems(&Psi::default(), Stage::Default, parties, json!({})), expected);
        };
        check(&[("guest", "1")], &[": an intersection needs at least one host"]);
        check(&[("host", "1"), ("host", "2")], &[": expected one guest, got 0"]);
        check(&[("host", "1"), ("guest", "2"), ("guest", "3")], &[": expected one guest, got 2"]);
        check(&[("host", "1"), ("guest", "2"), ("host", "3")], &[]);
    }
}
