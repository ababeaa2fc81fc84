//! Lists of parties, wherever a job has one: `[{role: guest, party_id: ['9999']}]`.

use tributary_component::definition::{ARBITER, GUEST, HOST, LOCAL};
use tributary_core::{Party, PartyId};
use tributary_document::{Item, nearest, quoted};

/// A party and where it is written.
#[derive(Clone, Debug)]
pub(super) struct Named<'a> {
    pub(super) party: Party,
    pub(super) item: Item<'a>,
}

/// A list of parties as read.
#[derive(Clone, Debug)]
pub(super) struct Parties<'a> {
    pub(super) item: Item<'a>,
    pub(super) list: Vec<Named<'a>>,
    /// Whether all of it could be read; if not, a party that is missing from it proves nothing.
    pub(super) complete: bool,
}

impl<'a> Parties<'a> {
    pub(super) fn read(item: Item<'a>) -> Self {
        let groups = item.non_empty_list();
        let complete = !item.is_given() || !groups.is_empty();
        let mut parties = Self { item, list: Vec::new(), complete };
        for group in groups {
            parties.group(&group);
        }
        parties
    }

    fn group(&mut self, group: &Item<'a>) {
        let roles = [(GUEST, GUEST), (HOST, HOST), (ARBITER, ARBITER), (LOCAL, LOCAL)];
        let (role, ids) = group
            .map(|keys| (keys.required("role").choice(&roles), keys.required("party_id").non_empty_list()));
        if !group.is_given() {
            group.problem("expected a role and its party ids, got null");
        }
        let (written, mut read) = (ids.len(), 0);
        for item in ids {
            let party =
                party_id(&item).zip(role).and_then(|(id, role)| Party::new(role, String::from(id)).ok());
            let Some(party) = party else { continue };
            read += 1;
            if self.contains(&party) {
                item.problem(format!("{party} is named twice"));
            } else {
                self.list.push(Named { party, item });
            }
        }
        self.complete &= read > 0 && read == written;
    }

    /// Those of one site.
    pub(super) fn of_site(&self, site: &PartyId) -> Self {
        let list = self.list.iter().filter(|named| named.party.id == *site).cloned().collect();
        Self { item: self.item.clone(), list, complete: true }
    }

    pub(super) fn contains(&self, party: &Party) -> bool {
        self.list.iter().any(|named| named.party == *party)
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = &Party> {
        self.list.iter().map(|named| &named.party)
    }

    /// Reports parties that are not among those of the job.
    pub(super) fn check_members_of(&self, job: &Parties<'_>) {
        for named in self.list.iter().filter(|named| job.complete && !job.contains(&named.party)) {
            let names: Vec<String> = job.iter().map(Party::to_string).collect();
            let help = named.item.suggestion(&named.party.to_string(), names.iter().map(String::as_str));
            named.item.problem_with(format!("{} is not a party of the job", named.party), help);
        }
    }

    /// Reports a site that has no part in the job.
    pub(super) fn check_site(&self, item: &Item<'_>, site: &PartyId) {
        let is_known = self.list.iter().any(|named| named.party.id == *site);
        if !self.complete || self.list.is_empty() || is_known {
            return;
        }
        let mut known: Vec<&str> = self.list.iter().map(|named| named.party.id.as_str()).collect();
        known.sort_unstable();
        known.dedup();
        let near = nearest(site.as_str(), known.iter().copied());
        let help = near.map(|near| format!("did you mean {}?", quoted(near)));
        let known = known.join(", ");
        item.problem_with(
            format!("{} is not a party of the job (known: {known})", quoted(site.as_str())),
            help,
        );
    }
}

/// The id of a site.
pub(super) fn party_id(item: &Item<'_>) -> Option<PartyId> {
    let id = item.id()?;
    let fits = PartyId::new(id.as_str()).ok();
    if fits.is_none() {
        item.problem(format!("expected a party id of letters, digits, '_' and '-', got {}", quoted(&id)));
    }
    fits
}

/// ` at guest_9999, host_10000`; nothing if it concerns all of them.
pub(super) fn at(some: &[Party], all: usize) -> String {
    if some.len() == all {
        return String::new();
    }
    let names: Vec<String> = some.iter().map(Party::to_string).collect();
    format!(" at {}", names.join(", "))
}
