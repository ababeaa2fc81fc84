//! What lies in the broker that a site's transport uses, for which job, and whether it is still wanted.
//!
//! Running jobs and letters are never touched. Of a job that ended here, what this site would receive is of no use to anyone, and what it sent only to
//! a partner that still reads it, or has not fetched all of it: the job may still run there. A job that is unknown here may just be beginning at a
//! partner. In both cases a channel counts as left behind once nobody reads it and nothing has happened to it for a while.

use std::sync::Arc;
use std::time::Duration;

use serde::Serialize;
use tributary_core::federation::{Broker, Direction, Held, Purpose};
use tributary_core::storage::SweepMode;
use tributary_core::{Error, ErrorKind, PartyId, Result, ResultExt};
use tributary_flow::record::Records;
use tributary_flow::status::Status;
use tributary_runtime::Home;

/// A channel at the broker, and what this site knows of it.
#[derive(Debug, Clone, Serialize)]
pub struct Channel {
    /// The channel.
    #[serde(flatten)]
    pub held: Held,
    /// How its job is; none for letters and unknown jobs.
    pub job: Option<Status>,
    /// Whether it is still of use.
    pub wanted: bool,
}

/// What a clean-up did.
#[derive(Debug)]
pub struct Swept {
    /// What was removed, or would be.
    pub removed: Vec<Channel>,
    /// Links to partners' brokers, and namespaces, that no channel needs any more, and that were removed.
    pub unlinked: u64,
    /// What could not be removed.
    pub failed: Vec<Error>,
}

/// The broker of a party.
#[derive(Debug)]
pub struct Channels {
    broker: Arc<dyn Broker>,
    records: Records,
}

impl Channels {
    /// Of a party. Must be called within a tokio runtime with I/O and time. The inner error is the name of a transport without a broker: nothing of
    /// that outlives the processes of the sites.
    pub fn of(home: &Home, party: &PartyId) -> Result<Result<Self, &'static str>> {
        let records = Records::new(home.party(party));
        Ok(home.broker(party)?.map(|broker| Self { broker, records }))
    }

    /// All that lies there. `idle`: how long nothing must have happened to what belongs to an unknown job, or was sent and not fetched, before it is
    /// not wanted.
    pub async fn list(&self, idle: Duration) -> Result<Vec<Channel>> {
        let held = self.broker.held().await.at(|| "list what lies in the broker")?;
        held.into_iter().map(|held| self.judge(held, idle)).collect()
    }

    /// Removes, or counts, what is not wanted. What cannot be removed is reported, and the rest is done.
    pub async fn sweep(&self, idle: Duration, mode: SweepMode) -> Result<Swept> {
        let mut swept = Swept { removed: Vec::new(), unlinked: 0, failed: Vec::new() };
        for channel in self.list(idle).await?.into_iter().filter(|channel| !channel.wanted) {
            let removed = match mode {
                SweepMode::Count => Ok(()),
                SweepMode::Remove => self.broker.remove(&channel.held).await,
            };
            match removed {
                Ok(()) => swept.removed.push(channel),
                Err(error) => swept.failed.push(error),
            }
        }
        if mode == SweepMode::Remove {
            match self.broker.unlink().await {
                Ok(unlinked) => swept.unlinked = unlinked,
                Err(error) => swept.failed.push(error),
            }
        }
        Ok(swept)
    }

    fn judge(&self, held: Held, idle: Duration) -> Result<Channel> {
        let job = match &held.purpose {
            Purpose::Letters => return Ok(Channel { held, job: None, wanted: true }),
            Purpose::Session { job, .. } => match self.records.job(job) {
                Err(error) if error.kind() == ErrorKind::NotFound => None,
                record => Some(record?.status),
            },
        };
        let is_left = held.readers == 0 && held.idle.is_some_and(|since| since >= idle);
        let wanted = match job {
            Some(Status::Running | Status::Waiting) => true,
            Some(_) => {
                held.direction == Direction::Sent && (held.readers > 0 || (held.frames > 0 && !is_left))
            }
            None => !is_left,
        };
        Ok(Channel { held, job, wanted })
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;

    use async_trait::async_trait;
    use tributary_flow::record::JobRecord;
    use tributary_flow::spec::ModelRef;

    use super::*;

    /// A broker in which these lie.
    #[derive(Debug)]
    struct Lying(Mutex<Vec<Held>>);

    #[async_trait]
    impl Broker for Lying {
        async fn look(&self) -> Result<String> {
            Ok("here".into())
        }
        async fn link(&self, _: &PartyId) -> Result<Option<String>> {
            Ok(None)
        }
        async fn held(&self) -> Result<Vec<Held>> {
            Ok(self.0.lock().unwrap().clone())
        }
        async fn remove(&self, held: &Held) -> Result<()> {
            self.0.lock().unwrap().retain(|other| other != held);
            Ok(())
        }
        async fn unlink(&self) -> Result<u64> {
            Ok(0)
        }
    }

    fn held(name: &str, readers: u64, idle: Option<u64>) -> Held {
        let purpose = match name {
            "letters" => Purpose::Letters,
            job => Purpose::Session { job: job.parse().unwrap(), attempt: "psi_0.0".into() },
        };
        let (idle, name) = (idle.map(Duration::from_secs), format!("{name}.{readers}.{idle:?}"));
        Held {
            name,
            purpose,
            direction: Direction::Sent,
            peer: "host_2".into(),
            frames: 1,
            bytes: 2,
            readers,
            idle,
        }
    }

    #[tokio::test]
    async fn only_what_nobody_wants_is_removed() {
        let home = tempfile::tempdir().unwrap();
        let lying = vec![
            held("letters", 0, Some(90_000)),
            held("unknown", 0, Some(500)),
            held("unknown", 1, Some(500)),
            held("unknown", 0, Some(5)),
            held("unknown", 0, None),
        ];
        let broker = Arc::new(Lying(Mutex::new(lying.clone())));
        let channels = Channels { broker: broker.clone(), records: Records::new(home.path()) };
        let hour = Duration::from_secs(60);
        let counted = channels.sweep(hour, SweepMode::Count).await.unwrap();
        assert_eq!((counted.removed.len(), broker.held().await.unwrap().len()), (1, 5));
        assert_eq!(channels.sweep(hour, SweepMode::Remove).await.unwrap().removed[0].held, lying[1]);
        assert_eq!(broker.held().await.unwrap().len(), 4);
    }

    fn record(job: &str, status: Status) -> JobRecord {
        JobRecord {
            job: job.parse().unwrap(),
            model: ModelRef::new(job, "1"),
            status,
            started_ms: 1,
            ended_ms: Some(2),
            error: None,
            tables: Vec::new(),
            hash: None,
            spec: serde_json::Value::Null,
        }
    }

    #[test]
    fn what_a_partner_has_not_fetched_is_wanted_for_a_while_after_the_job_ended_here() {
        use Direction::{Received, Sent};
        let home = tempfile::tempdir().unwrap();
        let records = Records::new(home.path());
        for (job, status) in [("open", Status::Waiting), ("done", Status::Success), ("bad", Status::Failed)] {
            records.write_job(&record(job, status)).unwrap();
        }
        let channels = Channels { broker: Arc::new(Lying(Mutex::default())), records };
        // Job, direction, frames, readers, seconds since something happened.
        let cases = [
            ("open", Sent, 0, 0, Some(500), true),
            ("open", Received, 0, 0, Some(500), true),
            ("done", Sent, 1, 0, Some(5), true),
            ("done", Sent, 1, 0, None, true),
            ("done", Sent, 1, 0, Some(500), false),
            ("done", Sent, 1, 1, Some(500), true),
            ("done", Sent, 0, 1, Some(5), true),
            ("done", Sent, 0, 0, Some(5), false),
            ("done", Received, 1, 0, Some(5), false),
            ("done", Received, 1, 1, Some(5), false),
            ("bad", Sent, 1, 0, Some(5), true),
            ("bad", Received, 1, 0, Some(5), false),
            ("unknown", Sent, 0, 0, Some(5), true),
            ("unknown", Received, 1, 0, Some(5), true),
            ("unknown", Sent, 1, 0, Some(500), false),
            ("unknown", Received, 1, 0, Some(500), false),
        ];
        for (job, direction, frames, readers, idle, wanted) in cases {
            let held = Held { direction, frames, ..held(job, readers, idle) };
            let judged = channels.judge(held.clone(), Duration::from_secs(60)).unwrap();
            assert_eq!(judged.wanted, wanted, "{held:?}");
        }
    }
}
