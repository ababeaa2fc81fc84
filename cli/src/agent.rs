//! `agent`.

use std::process::ExitCode;
use std::sync::Arc;

use tributary_core::{PartyId, ResultExt};
use tributary_flow::event::{Event, JobReport};
use tributary_flow::remote::{DeskEvent, Refused};
use tributary_flow::status::Status;
use tributary_runtime::Home;
use tributary_service::{known_party, part};

use crate::exit::{Failure, STOPPED};
use crate::job::{runtime, stop_signal};
use crate::{args, render};

pub(crate) fn run(home: &Home, agent: &args::Agent) -> Result<ExitCode, Failure> {
    let party = known_party(home, agent.party.as_deref())?;
    runtime()?.block_on(async {
        let stopped = stop_signal().at(|| "listen to signals")?;
        part::serve(home, &party, Arc::new(task), || begun(home, &party), happened, stopped).await
    })?;
    Ok(ExitCode::from(STOPPED))
}

fn begun(home: &Home, party: &PartyId) {
    render::note(format!("agent of party {party}: waits for offers; press Ctrl-C to stop"));
    let grants = home.grants_path(party);
    if !grants.exists() {
        render::note(format!(
            "note: every offer is refused, since there is no {}; docs/sites.md says what it grants",
            grants.display()
        ));
    }
}

/// The tasks of this site; those of others are of no concern to an agent.
fn task(event: &Event) {
    if let Event::TaskEnded(report) = event
        && let Some(error) = &report.error
    {
        render::note(format!("{} {}: {}: {error}", report.task, report.party, report.status));
    }
}

fn happened(event: &DeskEvent) {
    match event {
        DeskEvent::Joined(job, from) => render::note(format!("job {job} of party {from}: accepted")),
        DeskEvent::Refused(job, from, Refused { reason, help }) => {
            render::note(format!("job {job} of party {from}: refused: {reason}"));
            help.iter().for_each(|line| render::note(format!("  {line}")));
        }
        DeskEvent::Ended(report) => render::note(ended(report)),
        DeskEvent::OtherVersion(_, error) => render::note(error.chain()),
        DeskEvent::Quit(..) => {}
    }
}

fn ended(report: &JobReport) -> String {
    let JobReport { job, outcome, failure, .. } = report;
    let why = failure.as_ref().map_or(String::new(), |failure| format!(", because {failure}"));
    format!("job {job}: {}{why}", Status::from(*outcome))
}
