//! `psi`: the rows that all parties have, in the same order at every party. Only the guest learns more.
//!
//! One guest and any number of hosts. Only the guest matches: it learns which of its ids each host has; a host learns the
//! final intersection. The alternative, where both sides match pairwise, shows every host its whole overlap with the guest,
//! and takes one more transfer.
//!
//! A guest may have several rows of one match id (a host may not). Rows stay aligned, so a host's row occurs as often as the
//! guest's.
//!
//! Two protocols give the same: [`rr22`] costs about a microsecond and 29 bytes an id, and 30 ms and a megabyte to begin
//! with; [`ecdh`] 60 µs and 96 bytes an id, and nothing to begin with. [`choice`] takes the one that is quicker.

pub(crate) mod choice;
mod ecdh;
#[cfg(feature = "fuzzing")]
pub(crate) mod fuzzing;
pub(crate) mod rr22;

use async_trait::async_trait;
use serde_json::json;
use tributary_core::kernel::Kernels;
use tributary_core::{Error, Result, Role, Table};

use tributary_component::definition::{Artifact, Definition, Parameter};
use tributary_component::output::{Metric, Outputs};
use tributary_component::task::Task;
use tributary_component::{Assignment, Component, ParameterProblem, Release};

use choice::Protocol;

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
                    Parameter::choice("protocol", &["auto", "rr22", "ecdh_psi"])
                        .default("auto")
                        .describe("how ids are compared; auto takes what is quicker for the numbers of rows"),
                )
                .parameter(
                    Parameter::choice("curve_type", &["curve25519"])
                        .default("curve25519")
                        .describe("the group of ecdh_psi: Ristretto over curve25519"),
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

    fn foretells(&self, assignment: &Assignment<'_>) -> Vec<String> {
        choice::foretold(assignment).into_iter().collect()
    }

    async fn run(&self, task: &Task) -> Result<Outputs> {
        let input = task.table("input_data")?;
        let (protocol, common) = match choice::agreed(task, input).await? {
            None => (Protocol::Ecdh, ecdh::run(task, input).await?),
            Some(agreed) => (Protocol::Rr22, rr22::run(task, input, &agreed).await?),
        };
        let (all, found) = (input.count().await?, common.count().await?);
        if found == 0 {
            return Err(Error::invalid(
                "no id is in common; check that all parties write ids in the same way, and which column they match on \
                 (`tributary table query`, `data upload --match-id`)",
            ));
        }
        task.note(format!("{found} of {all} rows in common"));
        Ok(Outputs::default().metric(summary(protocol, all, found)).table("output_data", common))
    }
}

fn summary(protocol: Protocol, all: u64, found: u64) -> Metric {
    let rate = if all == 0 { 0.0 } else { found as f64 / all as f64 };
    let data = json!({
        "input_count": all, "intersect_count": found, "intersect_rate": rate, "method": protocol.method(),
    });
    Metric::one_off("summary", None, data)
}

/// What is said about a host whose ids are not.
const HOSTS_IDS_ARE_UNIQUE: &str =
    "ids to match on: those of a host must be unique (a guest may have several rows of one id)";

/// `Denied` if rows are common, but fewer than this party's limits require; none at all has a message of its own.
async fn expect_enough(release: &Release<'_>, common: &Table) -> Result<()> {
    match common.count().await? {
        0 => Ok(()),
        rows => release.expect_common_rows("common rows", rows),
    }
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
