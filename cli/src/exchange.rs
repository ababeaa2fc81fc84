//! `exchange`.

use std::io::Read;
use std::process::ExitCode;
use std::time::Duration;

use tributary_core::{PartyId, ResultExt};
use tributary_runtime::{Exchange, Home};

use crate::args;
use crate::exit::Failure;
use crate::job::stop_signal;
use crate::render;

/// How often the operator is shown what is new.
const LOOK: Duration = Duration::from_millis(500);

pub(crate) fn run(home: &Home, given: &args::Exchange) -> Result<ExitCode, Failure> {
    if given.attached {
        end_with_input();
    }
    let party = PartyId::new(given.party.as_str()).at(|| "--party")?;
    let runtime =
        tokio::runtime::Builder::new_multi_thread().enable_all().build().at(|| "start the runtime")?;
    runtime.block_on(async {
        let stop = stop_signal().at(|| "listen to signals")?;
        let (exchange, address) = home.exchange(&party)?;
        render::line(format!("exchange ready at {address}, with the id {party}"))?;
        tokio::select! { () = stop => {}, () = watch(&exchange) => {} }
        Ok(ExitCode::SUCCESS)
    })
}

/// Shows who comes, who goes, and who was refused.
async fn watch(exchange: &Exchange) {
    let (mut known, mut refused) = (exchange.state(), Vec::new());
    loop {
        let (state, refusals) = (exchange.state(), exchange.refusals());
        for (site, now) in &state {
            let before = known.get(site).is_some_and(|before| before.is_there);
            if now.is_there != before {
                let what = if now.is_there { "is there" } else { "is away" };
                render::note(format!("site {site} {what}; {} wait for it", render::bytes(now.held_bytes)));
            }
        }
        refusals.iter().filter(|why| !refused.contains(*why)).for_each(render::note);
        (known, refused) = (state, refusals);
        tokio::time::sleep(LOOK).await;
    }
}

/// Ends this process when the one that started it does, however it ends.
fn end_with_input() {
    std::thread::spawn(|| {
        let mut rest = Vec::new();
        drop(std::io::stdin().read_to_end(&mut rest));
        std::process::exit(1);
    });
}
