//! `ecdh_psi`: ids are hashed to group elements and masked with each side's secret scalar (ECDH over Ristretto).
//!
//! ```text
//! host h:  P = H(own)^h          ──▶ guest        guest:  G = H(own)^g          ──▶ every host
//! host h:  G^h, in the same order ──▶ guest        guest:  match G^h with P^g, for every host; keep what all have
//! guest:   for each host the positions in its P, in the order of the doubly masked points of the first host
//! ```
//!
//! A guest sends each point once, and keeps all rows of an id. Rows stay aligned, so a host's row occurs as often as the
//! guest's: the position is sent once for each of them.
//!
//! P and G are in the order of their points' hashes. These orders are random to every party that does not know the secrets,
//! so they show nothing about any party's file.

mod guest;
mod host;

use tributary_component::task::Task;
use tributary_core::kernel::KernelCall;
use tributary_core::schema::Purpose;
use tributary_core::{Party, Result, Table};
use tributary_psi::{
    Group, GroupNumbers, MaskIds, MaskIdsParams, MaskPoints, POINT, PointsOfKeys, Secret, Ungroup,
    UngroupNumbers,
};

use super::expect_enough;

/// The common rows of the input, in their final order.
pub(super) async fn run(task: &Task, input: &Table) -> Result<Table> {
    let secret = Secret::random()?;
    let own = Masked::of(task, input, &secret).await?;
    let chosen = match task.is_guest() {
        true => guest::run(task, &own, &secret).await?,
        false => host::run(task, &own, &secret).await?,
    };
    gather(task, input, &chosen).await
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
            false => points
                .keyed(task.partitions())?
                .keep_rows()
                .await
                .map_err(|e| e.at(super::HOSTS_IDS_ARE_UNIQUE))?,
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

/// The chosen rows of the input in their final order. `chosen`: key of the input, unique → list of final positions.
async fn gather(task: &Task, input: &Table, chosen: &Table) -> Result<Table> {
    let rows = input.join(chosen)?.map(ungrouped(POSITION)?)?.keep().await?;
    let ranges = task.rows(rows.count().await?);
    let key = input.schema().expect_key("an intersection")?.name.clone();
    let columns: Vec<String> = input.schema().fields().iter().map(|f| f.name.clone()).collect();
    rows.rekey(POSITION, Some(&key))?.by_row_number(ranges)?.rekey(&key, None)?.select(columns)?.keep().await
}
