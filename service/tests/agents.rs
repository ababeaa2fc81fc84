//! A coordinator that asks an agent for what it has no right to: other jobs, parts that were not booked, attempts once more.

#![allow(clippy::unwrap_used, clippy::panic, reason = "test code: a failed expectation panics")]

use std::sync::Arc;

use tributary_core::{ErrorKind, JobId, Party, PartyId};
use tributary_flow::SiteAgent;
use tributary_flow::agent::{Agent, Booked, Leaves, Offer, Part, Verdict};
use tributary_flow::event::{JobReport, Watcher};
use tributary_flow::record::Records;
use tributary_flow::scheduler::Outcome;
use tributary_flow::status::Status;
use tributary_runtime::Home;
use tributary_service::Submission;

const JOB: &str = "\
schema_version: 2.2.0
dag:
  stage: default
  parties: [{role: guest, party_id: ['9999']}, {role: host, party_id: ['10000']}]
  tasks:
    toy_0: {component_ref: toy_example, parameters: {data_num: 100, partition: 2}}
";

fn unwatched() -> Watcher {
    Arc::new(|_| {})
}

/// A home in which job `done` has ended well.
async fn home(folder: &tempfile::TempDir) -> Home {
    let home = Home::find(Some(folder.path().to_owned()), None).unwrap();
    let done = Submission::read(&home, "job.yaml", JOB.as_bytes(), Some("done")).unwrap();
    let watcher = unwatched();
    let report = done.all_here(&watcher).unwrap().run(watcher, std::future::pending()).await.unwrap();
    assert_eq!(report.outcome, Outcome::Success);
    home
}

fn agent(home: &Home) -> SiteAgent {
    let ids: [PartyId; 2] = ["9999", "10000"].map(|id| id.parse().unwrap());
    let site = home.sites(&ids).unwrap().remove(&ids[1]).unwrap();
    SiteAgent::new(site, home.components().clone(), unwatched())
}

fn offer(home: &Home, id: &str, source: &str) -> Offer {
    Offer::read(JobId::new(id).unwrap(), "job.yaml", source.as_bytes(), home.components()).unwrap()
}

fn part(job: &str, attempt: u32) -> Part {
    let (job, party) = (JobId::new(job).unwrap(), Party::new("host", "10000").unwrap());
    Part { job, task: "toy_0".into(), party, attempt }
}

fn report(offer: &Offer) -> JobReport {
    JobReport {
        job: offer.job.clone(),
        outcome: Outcome::Cancelled,
        model: offer.model(),
        elapsed: std::time::Duration::ZERO,
        tasks: Vec::new(),
        failure: None,
    }
}

#[tokio::test]
async fn nothing_of_a_job_is_run_settled_or_begun_before_it_is_booked() {
    let folder = tempfile::tempdir().unwrap();
    let home = home(&folder).await;
    let (agent, offer) = (agent(&home), offer(&home, "new", JOB));
    assert!(agent.offer(&offer).await.unwrap().objections.is_empty());
    let failed = agent.run(&part("new", 0)).await.failure.unwrap();
    assert_eq!(failed.error.kind(), ErrorKind::Cancelled);
    for verdict in [Verdict::Record, Verdict::Discard(None)] {
        let error = agent.settle(&part("new", 0), &verdict).await.error.unwrap();
        assert_eq!(error.kind(), ErrorKind::Denied);
    }
    assert_eq!(agent.begin(&offer.job).await.unwrap_err().kind(), ErrorKind::Conflict);
    assert_eq!(agent.book(&offer.job, &Leaves::new()).await.unwrap(), Booked::Yes);
    agent.unbook(&offer.job).await.unwrap();
    assert_eq!(agent.begin(&offer.job).await.unwrap_err().kind(), ErrorKind::Conflict);
    let failed = agent.run(&part("new", 0)).await.failure.unwrap();
    assert_eq!(failed.error.kind(), ErrorKind::Cancelled);
    agent.end(&report(&offer)).await.unwrap();
    let records = Records::new(home.party(&"10000".parse().unwrap()));
    assert_eq!(records.job(&offer.job).unwrap_err().kind(), ErrorKind::NotFound, "it never began");
}

#[tokio::test]
async fn a_job_that_has_ended_is_not_taken_up_settled_or_run_again() {
    let folder = tempfile::tempdir().unwrap();
    let home = home(&folder).await;
    let records = Records::new(home.party(&"10000".parse().unwrap()));
    let (job, role) = (JobId::new("done").unwrap(), "host".parse().unwrap());
    let before = records.attempts(&job, &role, "toy_0").unwrap().len();
    let agent = agent(&home);
    let other = JOB.replace("data_num: 100", "data_num: 200");
    for source in [JOB, &other] {
        let error = agent.offer(&offer(&home, "done", source)).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::AlreadyExists);
    }
    for attempt in [0, 1] {
        assert!(agent.run(&part("done", attempt)).await.failure.is_some());
        for verdict in [Verdict::Record, Verdict::Discard(None)] {
            assert!(agent.settle(&part("done", attempt), &verdict).await.error.is_some());
        }
    }
    let attempts = records.attempts(&job, &role, "toy_0").unwrap();
    assert_eq!((attempts.len(), attempts[0].status), (before, Status::Success));
    assert!(records.metrics(&job, &role, "toy_0").is_ok());
}

#[tokio::test]
async fn two_jobs_of_one_name_are_not_confused() {
    let folder = tempfile::tempdir().unwrap();
    let home = home(&folder).await;
    let (agent, first) = (agent(&home), offer(&home, "new", JOB));
    agent.offer(&first).await.unwrap();
    agent.offer(&first).await.unwrap();
    let second = offer(&home, "new", &JOB.replace("data_num: 100", "data_num: 200"));
    assert_eq!(agent.offer(&second).await.unwrap_err().kind(), ErrorKind::AlreadyExists);
    agent.end(&report(&first)).await.unwrap();
}

#[tokio::test]
async fn a_part_of_another_party_or_task_is_refused_and_leaves_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let home = home(&folder).await;
    let (agent, offer) = (agent(&home), offer(&home, "new", JOB));
    agent.offer(&offer).await.unwrap();
    agent.book(&offer.job, &Leaves::new()).await.unwrap();
    agent.begin(&offer.job).await.unwrap();
    let guest = Part { party: Party::new("guest", "9999").unwrap(), ..part("new", 0) };
    for wrong in [guest, Part { task: "../../x".into(), ..part("new", 0) }] {
        agent.stop(&wrong).await;
        assert!(agent.run(&wrong).await.failure.is_some());
        assert!(agent.settle(&wrong, &Verdict::Discard(None)).await.error.is_some());
    }
    let records = Records::new(home.party(&"10000".parse().unwrap()));
    let left = std::fs::read_dir(records.job_folder(&offer.job)).unwrap();
    let mut left: Vec<String> = left.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    left.sort();
    assert_eq!(left, ["job.json", "lock"]);
    agent.end(&report(&offer)).await.unwrap();
}
