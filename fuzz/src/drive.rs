//! Runs inputs of a target in this process.

use std::cell::{Cell, RefCell};
use std::ops::Range;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Once;

use crate::mutate::input;
use crate::targets::Target;

/// What a decoder did wrong.
#[derive(Debug)]
pub struct Fault {
    /// Of the input.
    pub index: u64,
    /// The panic's text and place.
    pub what: String,
    /// The input.
    pub bytes: Vec<u8>,
}

thread_local! {
    /// Whether a target runs on this thread.
    static RUNS: Cell<bool> = const { Cell::new(false) };
    /// The last panic of the target. Decoders may catch those of a library; only what leaves the target is a fault.
    static LAST: RefCell<String> = const { RefCell::new(String::new()) };
}

static HOOK: Once = Once::new();

/// Runs one input. Panics of the target are remembered, not printed.
pub fn run(target: &Target, bytes: &[u8]) -> Result<(), String> {
    HOOK.call_once(|| {
        let print = std::panic::take_hook();
        std::panic::set_hook(Box::new(move |info| match RUNS.get() {
            true => LAST.set(info.to_string()),
            false => print(info),
        }));
    });
    RUNS.set(true);
    let done = catch_unwind(AssertUnwindSafe(|| (target.run)(bytes)));
    RUNS.set(false);
    done.map_err(|_| LAST.take())
}

/// Runs a range of inputs, until `before` says that it is enough; gives the number of inputs, and calls `fault` for each that
/// found one.
pub fn run_all(
    target: &Target,
    seed: u64,
    range: Range<u64>,
    mut before: impl FnMut(u64) -> bool,
    mut fault: impl FnMut(Fault),
) -> u64 {
    let seeds = target.seeds();
    let mut tried = 0;
    for index in range {
        if !before(index) {
            break;
        }
        let bytes = input(&seeds, seed, index);
        if let Err(what) = run(target, &bytes) {
            fault(Fault { index, what, bytes });
        }
        tried += 1;
    }
    tried
}
