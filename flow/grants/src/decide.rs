//! Whether a party takes part in a job.

use std::collections::BTreeSet;

use tributary_core::{Limits, Party, PartyId, Shown};

use crate::grant::{Grant, Grants};
use crate::request::{Request, TableAsked, TaskAsked};

/// What becomes of an offer.
#[derive(Debug, Clone, PartialEq)]
pub enum Decision {
    /// A grant allows all of it.
    Granted(Granted),
    /// None does.
    Refused(Refusal),
}

/// Why a job is accepted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Granted {
    /// Number of the grant, from 1: the first that allows the job.
    pub grant: usize,
    /// The limits to run the job under: the party's own, and no fewer common rows than the grant asks for.
    pub limits: Limits,
}

/// Why a job is refused.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refusal {
    /// The grant that comes nearest, from 1; `None` if none is about the partner.
    pub nearest: Option<usize>,
    /// What it does not allow; at least one.
    pub reasons: Vec<Reason>,
}

/// One thing that is not granted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reason {
    /// What. May go to the partner: it repeats the offer, and says nothing about this party's tables or other grants.
    pub told: String,
    /// What this party's operator would change to allow it. Stays here.
    pub change: String,
}

/// Decides on an offer. `limits`: the party's own.
///
/// Of several grants the first that allows everything counts. If none does, the reasons are those of the grant with the fewest.
pub fn decide(grants: &Grants, request: &Request, limits: &Limits) -> Decision {
    if request.tasks.is_empty() {
        let told = "the job has no task for this party".to_owned();
        let change = "nothing; its author gives this party a task, or leaves it out".to_owned();
        return Decision::Refused(Refusal { nearest: None, reasons: vec![Reason { told, change }] });
    }
    let mut nearest: Option<(usize, Vec<Reason>)> = None;
    let of_partner =
        (1..).zip(grants.list()).filter(|(_, grant)| grant.partners.contains(&request.initiator.id));
    for (number, grant) in of_partner {
        let reasons = Against { number, grant }.reasons(request);
        if reasons.is_empty() {
            return Decision::Granted(Granted { grant: number, limits: limited(number, grant, limits) });
        }
        if nearest.as_ref().is_none_or(|(_, fewest)| reasons.len() < fewest.len()) {
            nearest = Some((number, reasons));
        }
    }
    Decision::Refused(match nearest {
        Some((number, reasons)) => Refusal { nearest: Some(number), reasons },
        None => no_grant(&request.initiator.id),
    })
}

/// The party's own limits, or stricter ones.
fn limited(number: usize, grant: &Grant, own: &Limits) -> Limits {
    match grant.least_common_rows {
        Some(least) if least > own.min_common_rows => Limits {
            min_common_rows: least,
            common_rows_by: Some(format!("least_common_rows of grant {number} (line {})", grant.line)),
            ..own.clone()
        },
        _ => own.clone(),
    }
}

fn no_grant(partner: &PartyId) -> Refusal {
    let told = format!("no grant covers a job that party {partner} offers");
    let change =
        format!("add a grant with `partner: {partner}` to grants.yaml, or run this party's part by hand");
    Refusal { nearest: None, reasons: vec![Reason { told, change }] }
}

/// One grant, and what is against a job in it.
struct Against<'a> {
    number: usize,
    grant: &'a Grant,
}

impl Against<'_> {
    fn reasons(&self, request: &Request) -> Vec<Reason> {
        let mut reasons = self.parties(request);
        // Several tasks often ask for the same: once is enough.
        let mut seen = BTreeSet::new();
        let tasks = request.tasks.iter().flat_map(|task| self.task(task));
        reasons.extend(tasks.filter(|(what, _)| seen.insert(what.clone())).map(|(_, reason)| reason));
        reasons.extend(request.tables.iter().filter_map(|asked| self.table(asked)));
        reasons.extend(request.models.iter().filter_map(|model| self.model(model)));
        reasons.extend(self.time(request));
        reasons.extend(self.cores(request));
        reasons
    }

    /// `change` gets the name of the grant.
    fn reason(&self, told: String, change: impl FnOnce(&str) -> String) -> Reason {
        let name = format!("grant {} (line {})", self.number, self.grant.line);
        Reason { told, change: change(&name) }
    }

    fn parties(&self, request: &Request) -> Vec<Reason> {
        let strangers =
            request.partners().into_iter().filter(|party| !self.grant.partners.contains(&party.id));
        let ids: BTreeSet<&PartyId> = strangers.map(|party| &party.id).collect();
        let stranger = |id: &PartyId| {
            self.reason(format!("no grant covers a job in which party {id} takes part"), |grant| {
                format!("add {id} to `partner` of {grant}, if it may see what the job shows to its parties")
            })
        };
        let mut reasons: Vec<Reason> = ids.into_iter().map(stranger).collect();
        // It may have several.
        let id = &request.initiator.id;
        let own = request.partners().into_iter().filter(|party| party.id == *id);
        for Party { role, .. } in own.filter(|party| !self.allows_partner(party)) {
            reasons.push(
                self.reason(format!("no grant covers a job that party {id} offers as {role}"), |grant| {
                    format!("add {role} to `partner_roles` of {grant}")
                }),
            );
        }
        reasons
    }

    fn allows_partner(&self, party: &Party) -> bool {
        self.grant.partner_roles.is_empty() || self.grant.partner_roles.contains(&party.role)
    }

    /// With what it is about, for tasks that ask for the same.
    fn task(&self, task: &TaskAsked) -> Vec<(String, Reason)> {
        let (name, component, stage) =
            (Shown::new(&task.name), Shown::new(&task.component), Shown::new(&task.stage));
        let mut reasons = Vec::new();
        match self.grant.component(&task.component) {
            None => {
                let told = format!("task {name}: component {component} is not granted");
                let change = |grant: &str| format!("add {component} to `components` of {grant}");
                reasons.push((task.component.clone(), self.reason(told, change)));
            }
            Some(granted) if granted.stages.is_empty() || granted.stages.contains(&task.stage) => {}
            Some(_) => {
                let told = format!("task {name}: stage {stage} of component {component} is not granted");
                let change = |grant: &str| {
                    format!("add {stage} to the stages of {component} in `components` of {grant}")
                };
                reasons.push((format!("{} {}", task.component, task.stage), self.reason(told, change)));
            }
        }
        let role = &task.role;
        if !self.grant.roles.contains(role) {
            let told = format!("task {name}: this party as {role} is not granted");
            let change = |grant: &str| format!("add {role} to `roles` of {grant}");
            reasons.push((format!("as {role}"), self.reason(told, change)));
        }
        reasons
    }

    fn table(&self, asked: &TableAsked) -> Option<Reason> {
        let TableAsked { table, rows } = asked;
        if !self.grant.tables.iter().any(|pattern| pattern.fits(table)) {
            let change = |grant: &str| format!("add {table} to `tables` of {grant}");
            return Some(self.reason(format!("table {table} is not granted"), change));
        }
        let most = self.grant.most_rows?;
        // Not how many rows it has, nor how many are allowed: both are this party's.
        let told = format!("table {table} is not granted at its size");
        match rows {
            Some(rows) if *rows <= most => None,
            Some(rows) => Some(self.reason(told, |grant| {
                format!("raise `most_rows` of {grant}, now {most}; the table has {rows} rows")
            })),
            None => Some(self.reason(told, |grant| {
                format!(
                    "remove `most_rows` of {grant}, or upload the table: how many rows it has is not known"
                )
            })),
        }
    }

    fn model(&self, model: &str) -> Option<Reason> {
        if self.grant.models.iter().any(|pattern| pattern.fits(model)) {
            return None;
        }
        let model = Shown::new(model);
        let change = |grant: &str| format!("add {model} to `models` of {grant}");
        Some(self.reason(format!("models {model} are not granted"), change))
    }

    fn time(&self, request: &Request) -> Option<Reason> {
        let hours = &self.grant.hours;
        let first = hours.first()?;
        if hours.iter().any(|hours| hours.contain(request.at)) {
            return None;
        }
        let (now, listed) = (first.spelled(request.at), hours.iter().map(ToString::to_string));
        let listed = listed.collect::<Vec<_>>().join(" or ");
        Some(self.reason("no grant covers a job at this time".into(), |grant| {
            format!("change `hours` of {grant}, now {listed}; it was {now}")
        }))
    }

    fn cores(&self, request: &Request) -> Option<Reason> {
        let most = self.grant.most_cores.filter(|most| request.cores > *most)?;
        let told = format!("no grant covers a job on {} cores of this party", request.cores);
        Some(self.reason(told, |grant| format!("raise `most_cores` of {grant}, now {most}")))
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use proptest::prelude::*;
    use tributary_core::TableName;

    use super::*;
    use crate::read::Known;

    /// A Sunday, 12:00 UTC.
    const NOON: Duration = Duration::from_secs(1_795_953_600);

    fn grants(text: &str) -> Grants {
        let known = Known::new([
            ("psi", vec!["default"]),
            ("binning", vec!["train", "predict"]),
            ("reader", vec!["default"]),
        ]);
        Grants::parse("grants.yaml", text.as_bytes(), &known).unwrap()
    }

    fn one(more: &str) -> Grants {
        grants(&format!(
            "grants:\n- {{partner: [9999, 10001], components: [reader, psi, {{binning: [train]}}], roles: [host], tables: [loans], {more}}}"
        ))
    }

    fn request() -> Request {
        let mut request = Request::new(Party::new("guest", "9999").unwrap(), NOON);
        request.add_task("reader_0", "reader", "default", "host".parse().unwrap());
        request.add_task("psi_0", "psi", "default", "host".parse().unwrap());
        request.add_task("binning_0", "binning", "train", "host".parse().unwrap());
        request.add_table(TableName::new("loans", "2026").unwrap(), Some(1000));
        request.cores = 4;
        request
    }

    fn refused(grants: &Grants, request: &Request) -> Refusal {
        match decide(grants, request, &Limits::default()) {
            Decision::Refused(refusal) => refusal,
            granted => panic!("{granted:?}"),
        }
    }

    /// The only reason, and what to change.
    fn check(more: &str, change: impl FnOnce(&mut Request), told: &str, mend: &str) {
        let mut request = request();
        change(&mut request);
        let refusal = refused(&one(more), &request);
        let [reason] = &refusal.reasons[..] else { panic!("{refusal:?}") };
        assert_eq!((reason.told.as_str(), reason.change.as_str()), (told, mend));
    }

    #[test]
    fn a_job_within_a_grant_is_accepted_under_the_larger_of_both_least_rows() {
        let granted = |more: &str, own: u64| {
            let limits = Limits { min_common_rows: own, ..Limits::default() };
            match decide(&one(more), &request(), &limits) {
                Decision::Granted(Granted { grant: 1, limits }) => limits,
                other => panic!("{other:?}"),
            }
        };
        assert_eq!(granted("", 2), Limits::default());
        assert_eq!(
            granted("least_common_rows: 100", 2),
            Limits {
                min_common_rows: 100,
                common_rows_by: Some("least_common_rows of grant 1 (line 2)".into()),
                ..Limits::default()
            }
        );
        let own = granted("least_common_rows: 100", 500);
        assert_eq!((own.min_common_rows, own.common_rows_by), (500, None));
        granted("most_rows: 1000, most_cores: 4, partner_roles: [guest], hours: 'sun 12:00-13:00'", 2);
    }

    #[test]
    fn each_thing_that_is_not_granted_is_told_and_how_to_grant_it() {
        check(
            "",
            |r| r.others.push(Party::new("host", "666").unwrap()),
            "no grant covers a job in which party 666 takes part",
            "add 666 to `partner` of grant 1 (line 2), if it may see what the job shows to its parties",
        );
        check(
            "partner_roles: [host]",
            |_| (),
            "no grant covers a job that party 9999 offers as guest",
            "add guest to `partner_roles` of grant 1 (line 2)",
        );
        check(
            "partner_roles: [guest]",
            |r| r.others.push(Party::new("arbiter", "9999").unwrap()),
            "no grant covers a job that party 9999 offers as arbiter",
            "add arbiter to `partner_roles` of grant 1 (line 2)",
        );
        check(
            "",
            |r| {
                r.add_task("a", "toy", "default", "host".parse().unwrap());
                r.add_task("b", "toy", "default", "host".parse().unwrap());
            },
            "task a: component toy is not granted",
            "add toy to `components` of grant 1 (line 2)",
        );
        check(
            "",
            |r| r.add_task("predict", "binning", "predict", "host".parse().unwrap()),
            "task predict: stage predict of component binning is not granted",
            "add predict to the stages of binning in `components` of grant 1 (line 2)",
        );
        check(
            "",
            |r| r.add_task("psi_1", "psi", "default", "guest".parse().unwrap()),
            "task psi_1: this party as guest is not granted",
            "add guest to `roles` of grant 1 (line 2)",
        );
        check(
            "",
            |r| r.add_table(TableName::new("salaries", "2026").unwrap(), Some(1)),
            "table salaries/2026 is not granted",
            "add salaries/2026 to `tables` of grant 1 (line 2)",
        );
        check(
            "models: [loans_*]",
            |r| r.models = ["loans_1".to_owned(), "salaries".to_owned()].into(),
            "models salaries are not granted",
            "add salaries to `models` of grant 1 (line 2)",
        );
        check(
            "hours: [mon-fri 08:00-18:00 +01:00, sat 08:00-12:00]",
            |_| (),
            "no grant covers a job at this time",
            "change `hours` of grant 1 (line 2), now mon,tue,wed,thu,fri 08:00-18:00 +01:00 or sat 08:00-12:00 UTC; it was sun 13:00 +01:00",
        );
        check(
            "most_cores: 3",
            |_| (),
            "no grant covers a job on 4 cores of this party",
            "raise `most_cores` of grant 1 (line 2), now 3",
        );
    }

    #[test]
    fn what_a_table_holds_is_not_told_to_the_partner() {
        check(
            "most_rows: 999",
            |_| (),
            "table loans/2026 is not granted at its size",
            "raise `most_rows` of grant 1 (line 2), now 999; the table has 1000 rows",
        );
        check(
            "most_rows: 999",
            |r| r.tables[0].rows = None,
            "table loans/2026 is not granted at its size",
            "remove `most_rows` of grant 1 (line 2), or upload the table: how many rows it has is not known",
        );
    }

    #[test]
    fn without_a_grant_for_the_partner_everything_is_refused() {
        for grants in [Grants::default(), grants("grants:\n- {partner: 1, components: [psi], roles: [host]}")]
        {
            let refusal = refused(&grants, &request());
            assert_eq!(refusal.nearest, None);
            assert_eq!(refusal.reasons[0].told, "no grant covers a job that party 9999 offers");
            assert!(refusal.reasons[0].change.contains("`partner: 9999`"));
        }
        let nothing = Request::new(Party::new("guest", "9999").unwrap(), NOON);
        assert_eq!(refused(&one(""), &nothing).reasons[0].told, "the job has no task for this party");
    }

    /// Each of two grants allows half of the job.
    #[test]
    fn grants_are_not_added_up_and_the_nearest_explains() {
        let two = grants(
            "grants:
- {partner: 9999, components: [reader, psi], roles: [host], tables: [loans]}
- {partner: 9999, components: [binning], roles: [host], most_cores: 1}
- {partner: 9999, components: [reader, psi, binning], roles: [guest], tables: [loans]}",
        );
        let refusal = refused(&two, &request());
        assert_eq!((refusal.nearest, refusal.reasons.len()), (Some(1), 1));
        assert!(refusal.reasons[0].told.contains("component binning"));
    }

    #[test]
    fn the_first_grant_that_allows_a_job_counts() {
        let rule = "partner: 9999, components: [reader, psi, binning], roles: [host], tables: [loans]";
        let two = grants(&format!(
            "grants:\n- {{{rule}, most_cores: 1}}\n- {{{rule}, least_common_rows: 7}}\n- {{{rule}}}"
        ));
        let Decision::Granted(granted) = decide(&two, &request(), &Limits::default()) else { panic!() };
        assert_eq!((granted.grant, granted.limits.min_common_rows), (2, 7));
    }

    #[test]
    fn names_of_others_do_not_drive_the_terminal() {
        let mut request = request();
        request.add_task("\u{1b}[2J", "\u{202e}", "x", "host".parse().unwrap());
        for Reason { told, change } in refused(&one(""), &request).reasons {
            assert!(!format!("{told}{change}").contains(['\u{1b}', '\u{202e}']), "{told} {change}");
        }
    }

    proptest! {
        /// Whatever is added to a job, or taken from a grant, never makes it more acceptable.
        #[test]
        fn more_asked_is_never_more_granted(
            extra in prop::sample::select(vec!["partner", "task", "role", "table", "rows", "cores"]),
            most_rows in prop::option::of(1..3000u64), most_cores in prop::option::of(1..8u32), cores in 0..8u32,
        ) {
            let mut grants = one("");
            (grants.list[0].most_rows, grants.list[0].most_cores) = (most_rows, most_cores);
            let mut less = request();
            less.cores = cores;
            let mut more = less.clone();
            match extra {
                "partner" => more.others.push(Party::new("host", "5").unwrap()),
                "task" => more.add_task("t", "toy", "default", "host".parse().unwrap()),
                "role" => more.add_task("t", "psi", "default", "arbiter".parse().unwrap()),
                "table" => more.add_table(TableName::new("a", "b").unwrap(), Some(1)),
                "rows" => more.tables[0].rows = None,
                _ => more.cores += 5,
            }
            let is_granted = |r: &Request| matches!(decide(&grants, r, &Limits::default()), Decision::Granted(_));
            let fits = most_rows.is_none_or(|most| most >= 1000) && most_cores.is_none_or(|most| most >= cores);
            prop_assert_eq!(is_granted(&less), fits);
            prop_assert!(!is_granted(&more) || is_granted(&less));
        }
    }
}
