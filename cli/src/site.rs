//! `site`: a party's keys and card, the partners that it trusts, what they may do without asking, and what they asked for.

use std::io::{self, BufRead, IsTerminal, Read};
use std::path::Path;
use std::process::ExitCode;

use serde_json::{Value as Json, json};
use tributary_core::{Error, ErrorKind, PartyId, Result, ResultExt};
use tributary_runtime::Home;
use tributary_service::site::{Address, Card, Existing, Fingerprint, Keys, MAX_CARD_BYTES, Standing};

use crate::args::{SiteCard, SiteCommand, SiteInit, SiteTrust};
use crate::exit::Failure;
use crate::render;

mod audit;
mod grants;

pub(crate) fn run(home: &Home, command: &SiteCommand) -> Result<ExitCode, Failure> {
    let keys = |party: &Option<String>| Keys::of(home, &tributary_service::party(home, party.as_deref())?);
    match command {
        SiteCommand::Init(init) => self::init(&keys(&init.party.party)?, init)?,
        SiteCommand::Card(card) => self::card(&keys(&card.party.party)?, card)?,
        SiteCommand::Trust(trust) => self::trust(&keys(&trust.party.party)?, trust)?,
        SiteCommand::List { party, json } => list(&keys(&party.party)?, *json)?,
        SiteCommand::Revoke { partner, party } => {
            let (keys, partner) = (keys(&party.party)?, PartyId::new(partner.as_str())?);
            keys.revoke(&partner)?;
            render::line(format!("party {} no longer trusts party {partner}", keys.party()))?;
            still_runs(&keys)?;
        }
        SiteCommand::Rotate { party, yes } => rotate(&keys(&party.party)?, *yes)?,
        SiteCommand::Grants { party, json } => grants::run(home, &keys(&party.party)?, *json)?,
        SiteCommand::Audit { party, partner, json } => {
            let party = tributary_service::known_party(home, party.party.as_deref())?;
            audit::run(home, &party, partner.as_deref(), *json)?;
        }
    }
    Ok(ExitCode::SUCCESS)
}

fn addresses(given: &[String]) -> Result<Vec<Address>> {
    given.iter().map(|address| address.parse().at(|| "--address")).collect()
}

fn init(keys: &Keys, init: &SiteInit) -> Result<()> {
    let existing = if init.force { Existing::Replace } else { Existing::Keep };
    let card = keys.create(&addresses(&init.address)?, existing)?;
    show_own(keys, &card, "made the keys of")?;
    let (party, file) = (keys.party(), format!("{}.card", keys.party()));
    render::line(format!(
        "\nNext:\n1. Send the card to each partner's operator; it holds no secret.\n2. Read them the fingerprint by telephone. They run: \
         tributary site trust {file}\n3. Get their cards, and run here: tributary site trust THEIR.card --party {party}\n4. Say in {} what \
         they may do without asking; see docs/sites.md",
        keys.grants_path().display()
    ))
}

fn show_own(keys: &Keys, card: &Card, done: &str) -> Result<()> {
    render::line(format!("{done} party {}\n", keys.party()))?;
    render::line(format!("card         {}", keys.card_path().display()))?;
    show_card(card)
}

fn show_card(card: &Card) -> Result<()> {
    render::line(format!("fingerprint  {}", card.fingerprint()))?;
    render::line(format!("address      {}", listed(card)))?;
    render::line(format!("valid until  {}", card.certificate().last_day()))
}

fn listed(card: &Card) -> String {
    let addresses: Vec<String> = card.addresses().iter().map(Address::to_string).collect();
    if addresses.is_empty() { "none, calls out only".to_owned() } else { addresses.join(", ") }
}

fn card(keys: &Keys, card: &SiteCard) -> Result<()> {
    let shown = match card.no_address || !card.address.is_empty() {
        true => keys.move_to(&addresses(&card.address)?)?,
        false => keys.card()?,
    };
    render::line(shown.to_string().trim_end())
}

fn trust(keys: &Keys, trust: &SiteTrust) -> Result<()> {
    let card = read_card(&trust.card)?;
    let standing = keys.standing(&card)?;
    if standing == Standing::Same {
        return render::line(format!(
            "party {} trusts this card of party {} already",
            keys.party(),
            card.party()
        ));
    }
    let existing = if trust.replace { Existing::Replace } else { Existing::Keep };
    if matches!((&standing, existing), (Standing::OtherKeys(_), Existing::Keep)) {
        // Refused, and nobody is asked about it.
        return keys.trust(&card, existing).map(drop);
    }
    confirm_card(&card, &standing, trust)?;
    keys.trust(&card, existing)?;
    render::line(format!("party {} trusts this card of party {} now", keys.party(), card.party()))?;
    still_runs(keys)
}

/// A process that runs has read keys and cards before.
fn still_runs(keys: &Keys) -> Result<()> {
    if keys.in_use()? {
        render::note(format!(
            "an agent or a job of party {} runs and goes on with what it read when it began: stop it and start it again",
            keys.party()
        ));
    }
    Ok(())
}

fn read_card(path: &Path) -> Result<Card> {
    let most = MAX_CARD_BYTES as u64 + 1;
    let mut bytes = Vec::new();
    let name = path.display().to_string();
    match path == Path::new("-") {
        true => io::stdin().take(most).read_to_end(&mut bytes).at(|| "read standard input")?,
        false => {
            let file = std::fs::File::open(path).at(|| format!("read {name}"))?;
            file.take(most).read_to_end(&mut bytes).at(|| format!("read {name}"))?
        }
    };
    // What is damaged here is what was given, and not something of this site.
    Card::parse(&name, &bytes).map_err(|error| match error.kind() {
        ErrorKind::Corrupt => Error::invalid(error.chain()),
        _ => error,
    })
}

fn confirm_card(card: &Card, standing: &Standing, trust: &SiteTrust) -> Result<()> {
    if let Some(read) = &trust.fingerprint {
        let read: Fingerprint = read.parse().at(|| "--fingerprint")?;
        if read == card.fingerprint() {
            return Ok(());
        }
        let text = format!(
            "the card of party {} has the fingerprint {}, and you gave {read}; if their operator read you the latter, somebody else made \
             this card",
            card.party(),
            card.fingerprint()
        );
        return Err(Error::new(ErrorKind::Denied, text));
    }
    if !trust.yes {
        render::note(format!("party        {}", card.party()));
        render::note(format!("fingerprint  {}", card.fingerprint()));
        render::note(format!("address      {}", listed(card)));
        render::note(format!("valid until  {}", card.certificate().last_day()));
        match standing {
            Standing::Moved(old) => render::note(format!("until now     {}; same keys", listed(old))),
            Standing::OtherKeys(old) => {
                render::note(format!("until now    {}; other keys", old.fingerprint()))
            }
            Standing::New | Standing::Same => {}
        }
    }
    let question = format!("Does the operator of party {} read you this fingerprint? Type yes", card.party());
    confirm(
        &question,
        trust.yes,
        "give the fingerprint that their operator reads with --fingerprint, or --yes to skip the comparison",
    )
}

/// Asks on the terminal, unless `yes`. `InvalidInput` with what else to do where there is none, `Cancelled` for any other answer.
fn confirm(question: &str, yes: bool, otherwise: &str) -> Result<()> {
    if yes {
        return Ok(());
    }
    if !io::stdin().is_terminal() {
        return Err(Error::invalid(format!("there is no terminal to ask on; {otherwise}")));
    }
    render::note(format!("{question}:"));
    let mut answer = String::new();
    // Bounded, although a terminal is trusted: its line may come from a pasted file.
    io::stdin().lock().take(1024).read_line(&mut answer).at(|| "read the answer")?;
    match answer.trim().eq_ignore_ascii_case("yes") {
        true => Ok(()),
        false => Err(Error::new(ErrorKind::Denied, "nothing was changed: the answer was not yes")),
    }
}

fn rotate(keys: &Keys, yes: bool) -> Result<()> {
    let partners = keys.partners()?;
    keys.card()?;
    let question = format!(
        "{} will not know party {} until they trust its new card. Type yes to make new keys",
        render::counted(partners.len() as u64, "partner"),
        keys.party()
    );
    confirm(&question, yes, "confirm with --yes")?;
    let card = keys.rotate()?;
    show_own(keys, &card, "made new keys of")?;
    let ids: Vec<&str> = partners.iter().map(|card| card.party().as_str()).collect();
    render::line(match ids.is_empty() {
        true => "\nNo partner is trusted here, so perhaps none has the old card.".to_owned(),
        false => format!(
            "\nThe operators of these parties need the new card, and run `tributary site trust {}.card --replace`: {}",
            keys.party(),
            ids.join(", ")
        ),
    })?;
    still_runs(keys)
}

fn list(keys: &Keys, json: bool) -> Result<()> {
    let (own, partners) = (keys.card()?, keys.partners()?);
    if json {
        let partners: Vec<Json> = partners.iter().map(as_json).collect();
        return render::json(&json!({"own": as_json(&own), "partners": partners}));
    }
    render::line(format!("party {} is {}\n", own.party(), own.fingerprint()))?;
    if partners.is_empty() {
        return render::line("it trusts no partner yet; see `tributary site trust --help`");
    }
    let row = |card: &Card| {
        let fingerprint = card.fingerprint().to_string();
        vec![card.party().to_string(), fingerprint, listed(card), card.certificate().last_day()]
    };
    render::table(
        &["partner", "fingerprint", "address", "valid until"],
        &partners.iter().map(row).collect::<Vec<_>>(),
    )
}

fn as_json(card: &Card) -> Json {
    json!({
        "party": card.party(),
        "fingerprint": card.fingerprint(),
        "addresses": card.addresses(),
        "key": card.key().to_string(),
        "valid_until": card.certificate().last_day(),
    })
}
