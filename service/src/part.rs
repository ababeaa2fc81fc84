//! A job whose parties are processes at their own sites: one site's part of it, coordinated here or by another site; and an
//! agent, which takes part in whatever its grants allow.
//!
//! An operator who runs a party's part of a job by hand consents to that job and no other; an agent runs unattended, so it refuses
//! what no grant allows. Each offer goes to the audit log first.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::{Duration, Instant};

use async_trait::async_trait;
use tokio::sync::mpsc::UnboundedReceiver;
use tributary_core::{Error, ErrorKind, JobHash, JobId, Limits, Party, PartyId, Result, Site};
use tributary_document::Problems;
use tributary_flow::agent::{Agent, Offer};
use tributary_flow::event::{Event, JobReport, Watcher};
use tributary_flow::record::Records;
use tributary_flow::remote::{
    Consent, Consented, Correspondence, Desk, DeskEvent, DeskParts, Offered, Refused, RemoteAgent,
};
use tributary_flow::spec::{JobSpec, OwnPart};
use tributary_flow::store::{JobFiles, JobStore};
use tributary_flow::{Coordinator, SiteAgent};
use tributary_grants::audit::{self, Audit, Entry};
use tributary_grants::{Decision, Request, decide};
use tributary_runtime::Home;
use tributary_system::clock::since_1970;
use tributary_trust::SiteFolder;

use crate::submit::Submission;

/// A job that is waited for is reported as missing after this, then after twice as long each time.
const MISSING: Duration = Duration::from_secs(2);
/// How long a coordinator may take to end a job that this site's operator wants ended.
const QUITTING: Duration = Duration::from_secs(10);
/// A site that has learnt that its job ended is there for a little longer, in case its answer was lost.
const LINGER: Duration = Duration::from_millis(100);

/// One site in this process, which other sites can reach.
struct Station {
    site: Site,
    agent: Arc<SiteAgent>,
    letters: Arc<Correspondence>,
    store: Arc<dyn JobStore>,
    happened: UnboundedReceiver<DeskEvent>,
    /// Sees all that the watcher of a job shows; set once the job is known.
    watcher: Arc<OnceLock<Watcher>>,
    _desk: Box<dyn Send>,
}

impl Station {
    async fn open(
        home: &Home,
        party: &PartyId,
        consent: Arc<dyn Consent>,
        own: Option<OwnPart>,
    ) -> Result<Self> {
        let site = home.site(party)?;
        let watcher = Arc::new(OnceLock::<Watcher>::new());
        let late = watcher.clone();
        let watch: Watcher = Arc::new(move |event| {
            if let Some(watcher) = late.get() {
                watcher(event);
            }
        });
        let components = home.components().clone();
        let agent = Arc::new(SiteAgent::new(site.clone(), components.clone(), watch.clone()).with_own(own));
        let store: Arc<dyn JobStore> = Arc::new(JobFiles::new(Records::new(&site.home)));
        let (own, patience) = (agent.clone(), site.patience);
        let parts = DeskParts { agent: own, components, consent, store: store.clone(), patience };
        let (letters, happened, desk) = Desk::open(site.network.post(party).await?, parts, watch);
        Ok(Self { site, agent, letters, store, happened, watcher, _desk: Box::new(desk) })
    }

    fn watch(&self, watcher: Watcher) {
        // A station is for one job, or for an agent, whose watcher never changes.
        drop(self.watcher.set(watcher));
    }

    async fn coordinate(
        mut self,
        offer: Offer,
        watcher: Watcher,
        cancel: impl Future<Output = ()>,
    ) -> Result<JobReport> {
        let own = self.site.id.clone();
        let others: Vec<PartyId> = offer.spec.sites().into_iter().filter(|id| *id != own).collect();
        let spread = self.letters.spread(watcher, own.clone(), offer.job.clone(), others.clone());
        self.watch(spread.clone());
        let remote = |id: &PartyId| {
            let (letters, patience) = (self.letters.clone(), self.site.patience);
            let agent = RemoteAgent::new(id.clone(), letters, offer.clone(), patience, spread.clone());
            (id.clone(), Arc::new(agent) as Arc<dyn Agent>)
        };
        let mut agents: BTreeMap<PartyId, Arc<dyn Agent>> = others.iter().map(remote).collect();
        agents.insert(own, self.agent.clone());
        let _beats = self.letters.beat(offer.job.clone(), others.clone());
        let job = offer.job.clone();
        let coordinator =
            Coordinator { offer, agents, store: self.store.clone(), patience: self.site.patience };
        let shown = spread.clone();
        let stopped = async {
            tokio::select! {
                () = cancel => {}
                party = quit(&mut self.happened, &job, &others) => shown(&Event::Stopped { party }),
            }
        };
        coordinator.run(spread, stopped).await
    }

    async fn join(
        mut self,
        offer: &Offer,
        watcher: Watcher,
        cancel: impl Future<Output = ()>,
    ) -> Result<JobReport> {
        self.watch(watcher.clone());
        let mut cancel = std::pin::pin!(cancel);
        let coordinator = offer.spec.coordinator();
        let job = tokio::select! {
            job = self.offered(&coordinator, &watcher) => job?,
            () = &mut cancel => {
                return Err(Error::new(ErrorKind::Cancelled, "stopped before the job was offered"));
            }
        };
        tokio::select! {
            report = self.ended(&job) => return report,
            () = &mut cancel => {}
        }
        let quitting = async {
            self.letters.quit(&coordinator, &job, QUITTING).await?;
            self.ended(&job).await
        };
        match tokio::time::timeout(QUITTING, quitting).await {
            Ok(Ok(report)) => Ok(report),
            _ => Err(Error::new(
                ErrorKind::Cancelled,
                format!("stopped here; party {coordinator}, which coordinates job {job}, was not heard of"),
            )),
        }
    }

    /// Waits until the job is offered, and taken.
    async fn offered(&mut self, coordinator: &PartyId, watcher: &Watcher) -> Result<JobId> {
        let (began, mut report) = (Instant::now(), MISSING);
        loop {
            match tokio::time::timeout(report.saturating_sub(began.elapsed()), self.happened.recv()).await {
                Ok(Some(DeskEvent::Joined(job, _))) => return Ok(job),
                Ok(Some(DeskEvent::Refused(job, from, refused))) if from == *coordinator => {
                    let Refused { reason, help } = refused;
                    let help =
                        if help.is_empty() { String::new() } else { format!(" ({})", help.join("; ")) };
                    let text = format!("party {from} offered job {job}, which was refused: {reason}{help}");
                    tokio::time::sleep(LINGER).await;
                    return Err(Error::invalid(text));
                }
                Ok(Some(DeskEvent::OtherVersion(from, error))) if from == *coordinator => return Err(error),
                Ok(Some(_)) => {}
                Ok(None) => return Err(closed()),
                Err(_) => {
                    let silent = began.elapsed();
                    if silent > self.site.patience {
                        let text = format!(
                            "party {coordinator}, which coordinates the job, did not offer it within {} s; see whether `tributary run` \
                             was started there with `--party {coordinator}`",
                            silent.as_secs()
                        );
                        return Err(Error::new(ErrorKind::Timeout, text));
                    }
                    watcher(&Event::PartyMissing { party: coordinator.clone(), seconds: silent.as_secs() });
                    report = (silent * 2).min(self.site.patience + MISSING);
                }
            }
        }
    }

    /// Waits until a job that was taken has ended.
    async fn ended(&mut self, job: &JobId) -> Result<JobReport> {
        loop {
            match self.happened.recv().await {
                Some(DeskEvent::Ended(report)) if report.job == *job => {
                    tokio::time::sleep(LINGER).await;
                    return Ok(*report);
                }
                Some(_) => {}
                None => return Err(closed()),
            }
        }
    }
}

fn closed() -> Error {
    Error::new(ErrorKind::Unavailable, "the letters of this site were closed")
}

/// Waits until the operator of another site ends a job; gives which.
async fn quit(happened: &mut UnboundedReceiver<DeskEvent>, job: &JobId, others: &[PartyId]) -> PartyId {
    while let Some(event) = happened.recv().await {
        if let DeskEvent::Quit(of, party) = event
            && of == *job
            && others.contains(&party)
        {
            return party;
        }
    }
    std::future::pending().await
}

impl Submission<'_> {
    /// Checks what a site keeps to itself about its part of the job.
    pub fn check_own(&self, own: &OwnPart) -> Result<(), Problems> {
        let (home, offer) = self.parts();
        JobSpec::parse_own(&offer.file, &offer.source, own, home.components()).map(drop)
    }

    /// Runs one site's part of the job, and the whole job if that site coordinates it. `own`: what the site keeps to itself about its
    /// part. An error means that it could not begin here; a job that failed is a [`JobReport`].
    pub async fn run_part(
        self,
        party: &PartyId,
        own: Option<OwnPart>,
        watcher: Watcher,
        cancel: impl Future<Output = ()>,
    ) -> Result<JobReport> {
        self.expect_part(party)?;
        let (home, offer) = self.into_parts();
        if let Ok(record) = Records::new(home.party(party)).job(&offer.job)
            && record.ended_ms.is_some()
        {
            let (job, status) = (&offer.job, record.status);
            let text = format!("job {job} exists, and has ended: {status}; choose another id");
            return Err(Error::new(ErrorKind::AlreadyExists, text));
        }
        let coordinates = offer.spec.coordinator() == *party;
        let hash = (!coordinates).then_some(offer.hash);
        let limits = home.party_settings(party)?.limits()?;
        let consent = ByHand { hash, limits, taken: Mutex::default(), written: Written::of(home, party)? };
        let station = Station::open(home, party, Arc::new(consent), own).await?;
        // Its letters go to all sites of the job; those of another site to the coordinator alone.
        let written_to = match coordinates {
            true => offer.spec.sites(),
            false => vec![offer.spec.coordinator()],
        };
        let keys = home.site_folder(party)?;
        written_to.iter().filter(|site| *site != party).try_for_each(|site| keys.partner(site).map(drop))?;
        match coordinates {
            true => station.coordinate(offer, watcher, cancel).await,
            false => station.join(&offer, watcher, cancel).await,
        }
    }
}

/// Takes part in all jobs that a site's grants allow, until `cancel` is ready. `begun` is called once offers can come; `happened` sees
/// offers and ends. `NotFound` if the site trusts no partner.
pub async fn serve(
    home: &Home,
    party: &PartyId,
    watcher: Watcher,
    begun: impl FnOnce(),
    mut happened: impl FnMut(&DeskEvent),
    cancel: impl Future<Output = ()>,
) -> Result<()> {
    home.grants(party)?;
    let consent = ByGrants { home: home.clone(), party: party.clone(), written: Written::of(home, party)? };
    let mut station = Station::open(home, party, Arc::new(consent), None).await?;
    if home.site_folder(party)?.partners()?.is_empty() {
        let text = format!(
            "party {party} trusts no partner yet; ask partners for their cards, and run `tributary site trust CARD --party {party}`"
        );
        return Err(Error::new(ErrorKind::NotFound, text));
    }
    station.watch(watcher);
    begun();
    let mut cancel = std::pin::pin!(cancel);
    loop {
        tokio::select! {
            event = station.happened.recv() => happened(&event.ok_or_else(closed)?),
            () = &mut cancel => return Ok(()),
        }
    }
}

/// The operator runs the part of one job; none if the site coordinates a job and takes no offers.
#[derive(Debug)]
struct ByHand {
    hash: Option<JobHash>,
    limits: Limits,
    /// The job that was taken.
    taken: Mutex<Option<JobId>>,
    written: Written,
}

impl ByHand {
    /// Consents to one job: its operator started one.
    fn take(&self, job: &JobId) -> Result<Consented, Refused> {
        let mut taken = self.taken.lock().unwrap_or_else(PoisonError::into_inner);
        let first = taken.get_or_insert_with(|| job.clone());
        if first == job {
            return Ok(Consented { limits: self.limits.clone(), grant: None });
        }
        let text =
            format!("its operator started one job, and that is {first}; continue it with --job-id {first}");
        Err(Refused::because(text))
    }
}

#[async_trait]
impl Consent for ByHand {
    async fn decide(&self, from: &PartyId, offer: &Offer, _: u32) -> Result<Consented, Refused> {
        self.written.trusts(from)?;
        match self.hash {
            Some(hash) if hash == offer.hash => self.take(&offer.job),
            Some(hash) => Err(Refused::because(format!(
                "its operator started another job: {hash} of its own file, {} of the one that was offered",
                offer.hash
            ))),
            None => Err(Refused::because("it coordinates another job now and takes no offers")),
        }
    }

    fn write(&self, offered: &Offered<'_>, outcome: Result<&Consented, &[String]>) -> Result<(), Refused> {
        self.written.down(offered, outcome)
    }
}

/// Grants decide; they are read with every offer, so that a change of the file holds from then on.
#[derive(Debug)]
struct ByGrants {
    home: Home,
    party: PartyId,
    written: Written,
}

#[async_trait]
impl Consent for ByGrants {
    async fn decide(&self, from: &PartyId, offer: &Offer, cores: u32) -> Result<Consented, Refused> {
        // The partner does not learn why: it may be about this site's files, or about what it has.
        let unread = |error: Error| {
            let reason = "it cannot decide now; its operator sees why".to_owned();
            Refused { reason, help: vec![error.chain()] }
        };
        self.written.trusts(from)?;
        let (grants, settings) = (self.home.grants(&self.party), self.home.party_settings(&self.party));
        let limits = settings.and_then(|settings| settings.limits()).map_err(unread)?;
        let grants = grants.map_err(unread)?;
        let request = self.request(from, offer, cores).await.map_err(unread)?;
        match decide(&grants, &request, &limits) {
            Decision::Granted(granted) => {
                Ok(Consented { limits: granted.limits, grant: Some(granted.grant) })
            }
            Decision::Refused(refusal) => {
                let reasons: Vec<&str> = refusal.reasons.iter().map(|reason| reason.told.as_str()).collect();
                let help = refusal.reasons.iter().map(|reason| reason.change.clone()).collect();
                Err(Refused { reason: reasons.join("; "), help })
            }
        }
    }

    fn write(&self, offered: &Offered<'_>, outcome: Result<&Consented, &[String]>) -> Result<(), Refused> {
        self.written.down(offered, outcome)
    }
}

impl ByGrants {
    /// What an offer asks of this site.
    async fn request(&self, from: &PartyId, offer: &Offer, cores: u32) -> Result<Request> {
        let all = &offer.spec.parties;
        let initiator = all.iter().find(|party| party.id == *from).cloned();
        let initiator = initiator.ok_or_else(|| Error::invalid("the coordinator has no part in the job"))?;
        let mut request = Request::new(initiator, since_1970());
        request.others = all.iter().filter(|party| party.id != self.party).cloned().collect::<Vec<Party>>();
        request.cores = cores;
        for task in offer.spec.tasks.values() {
            for part in task.parties.iter().filter(|part| part.party.id == self.party) {
                request.add_task(&task.name, &task.component, task.stage.as_str(), part.party.role.clone());
            }
        }
        let (_, meta) = self.home.tables(&self.party)?;
        for table in
            tributary_flow::tables_of(&offer.spec, &self.party, &Records::new(self.home.party(&self.party)))?
        {
            let rows = meta.get(&table).await?.map(|(_, record)| record.rows);
            request.add_table(table, rows);
        }
        let models = tributary_flow::models_of(&offer.spec, &self.party);
        request.models = models.into_iter().map(|model| model.model_id).collect();
        Ok(request)
    }
}

/// Writes offers down before they are answered.
#[derive(Debug)]
struct Written {
    audit: Audit,
    keys: SiteFolder,
    /// The cards that were trusted when this process took their keys.
    cards: BTreeMap<PartyId, String>,
}

impl Written {
    fn of(home: &Home, party: &PartyId) -> Result<Self> {
        let keys = home.site_folder(party)?;
        let cards = keys.partners()?.into_iter();
        let cards = cards.map(|card| (card.party().clone(), card.fingerprint().to_string())).collect();
        Ok(Self { audit: home.audit(party), keys, cards })
    }

    /// A partner that was revoked, or has another card, since this process began is not trusted by it.
    fn trusts(&self, from: &PartyId) -> Result<(), Refused> {
        let now = self.keys.partner(from).ok().map(|card| card.fingerprint().to_string());
        if now.is_some() && now.as_ref() == self.cards.get(from) {
            return Ok(());
        }
        let help = format!("the card of party {from} was revoked or replaced; start this process again");
        Err(Refused { reason: "it does not trust this partner now".to_owned(), help: vec![help] })
    }

    fn down(&self, offered: &Offered<'_>, outcome: Result<&Consented, &[String]>) -> Result<(), Refused> {
        let Offered { from, job, hash } = *offered;
        let key = self.keys.partner(from).ok().map(|card| card.fingerprint().to_string());
        let (at, offer) = (since_1970(), audit::Offer { partner: from, key: key.as_deref(), job, hash });
        let entry = match outcome {
            Ok(Consented { grant: Some(number), .. }) => {
                Entry::accepted(at, &offer, audit::Consent::Grant(*number))
            }
            Ok(Consented { grant: None, .. }) => Entry::accepted(at, &offer, audit::Consent::Operator),
            Err(reasons) => Entry::refused(at, &offer, reasons.iter().map(String::as_str)),
        };
        self.audit.add(&entry).map_err(|error| Refused {
            reason: "it cannot write its audit log".to_owned(),
            help: vec![error.chain()],
        })
    }
}
