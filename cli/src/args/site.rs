//! The arguments of `site` and `peer`.

use std::path::PathBuf;

use clap::{Args, Subcommand};

use super::PartyArg;

/// What `site --help` says below its commands.
pub(crate) const STEPS: &str = "\
Two sites get to know each other like this, each side the same:
  1. tributary site init --address HOST:PORT  (without --address the site only calls out)
  2. Send the card to the partner's operator, by mail for example: it holds no secret.
  3. tributary site trust 10000.card
  4. Compare the fingerprint with the partner's operator by telephone, and say yes.
  5. tributary site list

Nothing is trusted on first use: a party whose card the operator has not trusted is refused. What trusted partners may do without asking is in \
grants.yaml in the party's folder; `tributary site grants` checks it, and `tributary site audit` shows what they asked for.";

#[derive(Debug, Subcommand)]
pub(crate) enum SiteCommand {
    /// Make a party's keys, and its card for partners.
    #[command(long_about = INIT)]
    Init(SiteInit),
    /// Print a party's own card, for its partners.
    Card(SiteCard),
    /// Trust a partner's card.
    #[command(long_about = TRUST, after_long_help = TRUST_EXAMPLES)]
    Trust(SiteTrust),
    /// List the trusted partners, with fingerprints, addresses and the last days of their certificates.
    List {
        #[command(flatten)]
        party: PartyArg,
        /// Show the output as JSON.
        #[arg(long)]
        json: bool,
    },
    /// End the trust in a partner. Its offers are refused from now on, and its connections by every process that starts from now on: start an agent
    /// that runs again. Its card can be trusted again later.
    Revoke {
        /// Id of the partner.
        #[arg(value_name = "PARTNER")]
        partner: String,
        #[command(flatten)]
        party: PartyArg,
    },
    /// Make new keys instead of the old ones, which are kept nowhere. No partner knows this site again until it trusts the new card.
    Rotate {
        #[command(flatten)]
        party: PartyArg,
        /// Confirm; without this option the question is asked on the terminal.
        #[arg(long)]
        yes: bool,
    },
    /// Check grants.yaml, and show what each partner may do without asking.
    Grants {
        #[command(flatten)]
        party: PartyArg,
        /// Show the output as JSON.
        #[arg(long)]
        json: bool,
    },
    /// Show the offers of partners, oldest first: accepted or refused, by whom, and why.
    Audit {
        #[command(flatten)]
        party: PartyArg,
        /// Only offers of this partner.
        #[arg(long, value_name = "ID")]
        partner: Option<String>,
        /// As JSON, one offer a line.
        #[arg(long)]
        json: bool,
    },
}

const INIT: &str = "\
Make a party's keys, and its card for partners.

The keys stay in the party's folder, readable by its owner only. The card holds no secret: party id, public key, certificate (valid for ten \
years), addresses, and a fingerprint of all of these.";

#[derive(Debug, Args)]
pub(crate) struct SiteInit {
    #[command(flatten)]
    pub party: PartyArg,
    /// Where partners reach this site; repeat it for several, the best first [default: none, this site calls out].
    #[arg(long, value_name = "HOST:PORT")]
    pub address: Vec<String>,
    /// Replace keys that are there, even damaged ones: no partner knows this site again until it trusts the new card.
    #[arg(long)]
    pub force: bool,
}

#[derive(Debug, Args)]
pub(crate) struct SiteCard {
    #[command(flatten)]
    pub party: PartyArg,
    /// Change the addresses on the card first, and keep the keys; repeat it for several. Partners need the new card to call this site there.
    #[arg(long, value_name = "HOST:PORT")]
    pub address: Vec<String>,
    /// Remove the addresses from the card first: this site only calls out.
    #[arg(long, conflicts_with = "address")]
    pub no_address: bool,
}

const TRUST: &str = "\
Trust a partner's card.

Shows the card's fingerprint and asks on the terminal. Before you say yes, call the partner's operator at a number that you know (not one \
from the mail that brought the card), and let them read theirs. Where there is no terminal, give the fingerprint that they read with \
--fingerprint, or skip the comparison with --yes.

A card with other keys than the trusted ones of a partner is refused, and both fingerprints are shown. If the partner's operator says that they \
made new keys, add --replace.";

const TRUST_EXAMPLES: &str = "\
Examples:
  tributary site trust 10000.card
  tributary site trust 10000.card --fingerprint 4d0c-91d2-77aa-0b1e-5f60-3c2d-9e8f-1a2b
  tributary site trust 10000.card --replace";

#[derive(Debug, Args)]
pub(crate) struct SiteTrust {
    /// The partner's card; - is standard input.
    #[arg(value_name = "CARD")]
    pub card: PathBuf,
    #[command(flatten)]
    pub party: PartyArg,
    /// The fingerprint that the partner's operator read; the card must have it.
    #[arg(long, value_name = "DIGITS", conflicts_with = "yes")]
    pub fingerprint: Option<String>,
    /// Trust the card without comparing fingerprints.
    #[arg(long)]
    pub yes: bool,
    /// Replace other keys of this partner.
    #[arg(long)]
    pub replace: bool,
}

#[derive(Debug, Subcommand)]
pub(crate) enum PeerCommand {
    /// Go the way to a partner and back: keys, addresses, connection, versions, clocks, speed.
    #[command(long_about = PING)]
    Ping {
        /// Id of the partner.
        #[arg(value_name = "PARTNER")]
        partner: String,
        #[command(flatten)]
        party: PartyArg,
        /// Show the steps as JSON.
        #[arg(long)]
        json: bool,
    },
}

pub(crate) const DOCTOR: &str = "\
Look at everything that a party's configuration names, and say for what is wrong what to change.

Each store is written to, read, compared and removed from; conditional writes that must be refused are tried; clock, rights, free space and speed are \
looked at. The metadata gets a record and loses it again, the computing engine opens a session and computes. Keys, brokers and the ways to partners \
are looked at as far as this site sees them alone; `tributary peer ping PARTNER` asks a partner.

✔ right, ! works but should be changed, ✘ wrong, – not tried. The exit code is 1 if anything is wrong.";

#[derive(Debug, Args)]
pub(crate) struct Doctor {
    #[command(flatten)]
    pub party: PartyArg,
    /// Show what was found as JSON.
    #[arg(long)]
    pub json: bool,
}

#[derive(Debug, Subcommand)]
pub(crate) enum FederationCommand {
    /// Show what lies in the broker: for which job, how that job is, and whether it is still wanted.
    Status {
        #[command(flatten)]
        party: PartyArg,
        /// Show the output as JSON.
        #[arg(long)]
        json: bool,
    },
    /// Remove what ended and unknown jobs left in the broker. Running jobs and letters stay.
    Gc {
        #[command(flatten)]
        party: PartyArg,
        /// Of jobs that are unknown here: remove only what nobody reads and to which nothing has happened for this many seconds.
        #[arg(long, default_value_t = 3600, value_name = "SECONDS", value_parser = clap::value_parser!(u64).range(60..))]
        older_than: u64,
        /// Remove nothing, only show what would be removed.
        #[arg(long)]
        dry_run: bool,
        /// Show the output as JSON.
        #[arg(long)]
        json: bool,
    },
}

const PING: &str = "\
Go the way to a partner and back: keys, addresses, connection, versions, clocks, speed.

Each step that fails says what to change, and at which of the two sites. Steps that need a failed one are not tried. Ends with 1 if a step failed.

The partner answers with an agent, or with `tributary peer ping` to this site at the same time. No other process of this party may run here meanwhile.";
