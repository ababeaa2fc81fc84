//! What this site's broker says: whether it lets this site in, and whether it reaches the broker of the partner.

use tributary_core::{Error, ErrorKind};
use tributary_runtime::Home;

use super::{Cards, Report, State, What, failed, good};

/// What is found out here.
pub(super) const STEPS: [What; 2] = [What::Broker, What::Link];

/// Asks it.
pub(super) async fn look(report: &mut Report, home: &Home, cards: &Cards) {
    let (own, partner) = (cards.own.party(), cards.theirs.party());
    let broker = match home.broker(own) {
        Ok(Ok(broker)) => broker,
        Ok(Err(name)) => return report.skip(&STEPS, &format!("{name} has no broker")),
        Err(error) => {
            report.add(What::Broker, wrong(cards, &error));
            return report.skip(&[What::Link], "the broker cannot be asked");
        }
    };
    match broker.look().await {
        Ok(found) => report.add(What::Broker, good(found)),
        Err(error) => {
            report.add(What::Broker, wrong(cards, &error));
            return report.skip(&[What::Link], "the broker cannot be used");
        }
    }
    report.add(
        What::Link,
        match broker.link(partner).await {
            Ok(Some(found)) => good(found),
            Ok(None) => State::Skipped { why: "both sites use one broker".into() },
            Err(error) => {
                let there =
                    format!("see that the broker of party {partner} runs, and lets that of party {own} in");
                failed(error.chain(), [(own, change(&error).to_owned()), (partner, there)])
            }
        },
    );
}

fn wrong(cards: &Cards, error: &Error) -> State {
    failed(error.chain(), [(cards.own.party(), change(error).to_owned())])
}

fn change(error: &Error) -> &'static str {
    match error.kind() {
        ErrorKind::Unavailable => {
            "see that the broker runs and listens there, and that this machine may call it"
        }
        ErrorKind::Denied => "let the broker's operator give this user what is missing, or correct the login",
        _ => "change the configuration, or the broker, as said",
    }
}
