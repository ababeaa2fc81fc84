//! The lock of a folder: who holds it is the only one to replace or remove a file there.
//!
//! HDFS renames in one step, and on the condition that the old name exists. Nothing in it compares. So a writer brings a folder of its
//! own, with a name that no other ever has, to the place of the lock: `.unfinished-lock/<own>`. HDFS does that only if there is nothing or
//! an empty folder, hence one holds it. What it writes it first puts into its own folder, and renames it from there; what it removes it
//! renames to there. **Each of these steps fails when the lock was lost**, since its own folder is there no more.
//!
//! That is why a lock may be broken without harm: a holder that stands still for [`MOST_HELD`], as others see it by their own clocks, is taken
//! for dead, and its folder is removed. If it lives on, its next step fails, and it begins again. Locks with a lease would need clocks that agree,
//! and a holder that sleeps past its lease would still overwrite what came after it.

use std::sync::Arc;
use std::time::{Duration, Instant};

use tributary_core::bytestore::UNFINISHED;
use tributary_core::{Error, ErrorKind, Result};
use tributary_system::random;

use crate::server::{Depth, Over, Renamed, Server, within};

/// A holder takes a few requests, each of some milliseconds.
const MOST_HELD: Duration = Duration::from_secs(5);
/// Between two looks at a lock that another one holds.
const LOOK: Duration = Duration::from_millis(20);
/// Beginnings, when folders are removed meanwhile.
const TRIES: usize = 20;

/// A lock that this process holds, or held until somebody broke it.
pub(crate) struct FolderLock {
    server: Arc<Server>,
    /// The place of the lock.
    place: String,
    /// Our folder in it.
    own: String,
    steps: u32,
}

/// What became of a step.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Step {
    /// It was done.
    Done,
    /// There is no such file.
    Absent,
    /// The lock was broken, and nothing was done. It is to be taken again.
    Broken,
}

impl FolderLock {
    /// Waits for the current holder, or breaks its lock.
    pub(crate) async fn take(server: &Arc<Server>, folder: &str) -> Result<Self> {
        let place = place(folder);
        let mut others = Others::default();
        let began = Instant::now();
        for _ in 0..TRIES {
            let own = format!("{:016x}", random::u64()?);
            let brought = format!("{place}-{own}");
            let lock =
                Self { server: server.clone(), own: within(&place, &own), place: place.clone(), steps: 0 };
            server.make_folder(&within(&brought, &own)).await?;
            loop {
                match server.rename(&brought, &place, Over::Anything).await {
                    Ok(Renamed::Done) => return Ok(lock),
                    Ok(Renamed::Lost) if server.exists(&lock.own).await? => return Ok(lock),
                    // Clean-up took what we brought.
                    Ok(Renamed::Lost | Renamed::Gone) => break,
                    Ok(Renamed::Taken) if began.elapsed() < server.patience.max(MOST_HELD * 2) => {
                        others.look(server, &place).await?;
                    }
                    Ok(Renamed::Taken) => {
                        drop(server.remove(&brought).await);
                        return Err(busy(server, folder));
                    }
                    Err(error) => {
                        drop(server.remove(&brought).await);
                        return Err(error);
                    }
                }
            }
        }
        Err(busy(server, folder))
    }

    /// A finished file takes this place, whatever had it.
    pub(crate) async fn place(&mut self, finished: &str, path: &str) -> Result<Step> {
        let ours = within(&self.own, "new");
        match self.server.rename(finished, &ours, Over::Anything).await? {
            Renamed::Done => {}
            Renamed::Lost if self.server.exists(&ours).await? => {}
            _ if self.server.exists(&self.own).await? => return Ok(Step::Absent),
            _ => return Ok(Step::Broken),
        }
        match self.server.rename(&ours, path, Over::Anything).await? {
            Renamed::Done => Ok(Step::Done),
            // Only we take it out of a lock that is held.
            Renamed::Lost if self.server.exists(&self.own).await? => Ok(Step::Done),
            _ => Err(Error::new(
                ErrorKind::Unavailable,
                format!(
                    "this process stood still while it wrote {}, and another one took its place; try again",
                    self.server.address(path)
                ),
            )),
        }
    }

    /// A file goes away.
    pub(crate) async fn take_away(&mut self, path: &str) -> Result<Step> {
        self.steps += 1;
        let to = within(&self.own, &self.steps.to_string());
        match self.server.rename(path, &to, Over::Nothing).await? {
            Renamed::Done => Ok(Step::Done),
            _ if self.server.exists(&self.own).await? => Ok(Step::Absent),
            _ => Ok(Step::Broken),
        }
    }

    /// Others may have it. What was taken away is gone. If that fails, they break it.
    pub(crate) async fn release(self) {
        drop(self.server.remove(&self.own).await);
        self.server.remove_empty(&self.place).await;
    }
}

/// Where the lock of a folder is.
pub(crate) fn place(folder: &str) -> String {
    within(folder, &format!("{UNFINISHED}lock"))
}

/// The holder that was seen last, what time HDFS gave its folder when it was last at work there, and since when that has been so.
#[derive(Default)]
struct Others(Option<(String, u64, Instant)>);

impl Others {
    /// Waits a little, or breaks the lock of one that has been there for too long.
    async fn look(&mut self, server: &Server, place: &str) -> Result<()> {
        let Some(holder) = server.list(place, Depth::One).await?.into_iter().next() else { return Ok(()) };
        let at_work = holder.modification_time;
        match &self.0 {
            Some((seen, then, since)) if (seen, *then) == (&holder.path, at_work) => {
                if since.elapsed() > MOST_HELD {
                    self.0 = None;
                    return server.remove(&holder.path).await;
                }
            }
            _ => self.0 = Some((holder.path, at_work, Instant::now())),
        }
        tokio::time::sleep(LOOK).await;
        Ok(())
    }
}

fn busy(server: &Server, folder: &str) -> Error {
    Error::new(
        ErrorKind::Unavailable,
        format!("other processes change {} again and again; try again later", server.address(folder)),
    )
}
