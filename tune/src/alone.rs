//! What a component gets that runs without other parties and without stored tables: a federation of one, and no records.
//!
//! Both refuse what must not be asked of them, rather than pretend: a component that sends something is not measured
//! alone.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use tributary_core::computing::End;
use tributary_core::federation::{Body, Carriage, Federation, FederationSpec, Slot, Traffic};
use tributary_core::{Error, ErrorKind, JobHash, Party, Result, SessionId};

/// No party to send to.
#[derive(Debug)]
pub(crate) struct Alone(FederationSpec);

impl Alone {
    pub(crate) fn new(own: Party, session: SessionId) -> Arc<Self> {
        let (peers, patience) = (Vec::new(), Duration::ZERO);
        let (job_hash, carriage) = (JobHash::new([0; 32]), Carriage::default());
        Arc::new(Self(FederationSpec { session, own, peers, job_hash, patience, carriage }))
    }
}

fn refuse<T>(what: String) -> Result<T> {
    Err(Error::new(ErrorKind::Unsupported, format!("{what} where a component runs alone to be measured")))
}

#[async_trait]
impl Federation for Alone {
    fn spec(&self) -> &FederationSpec {
        &self.0
    }

    async fn push(&self, slot: &Slot, to: &[Party], _: Body) -> Result<()> {
        if to.is_empty() { Ok(()) } else { refuse(format!("push of slot {slot}")) }
    }

    async fn pull(&self, slot: &Slot, from: &Party) -> Result<Body> {
        refuse(format!("pull of slot {slot} from {from}"))
    }

    fn traffic(&self) -> Traffic {
        Traffic::default()
    }

    async fn close(&self, _: End) -> Result<()> {
        Ok(())
    }
}
