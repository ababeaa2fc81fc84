//! One suite per contract. An engine's own test is one line: `tributary_conformance::storage_suite!(factory)`.
//!
//! A case is a plain `async fn` over the trait; a macro turns a factory into one `#[test]` per case, so that a failure names
//! engine and case. A bug found in one engine first becomes a case here.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "test code: a failed expectation panics"
)]

pub mod bytes;
pub mod computing;
pub mod federation;
pub mod killed;
pub mod meta;
pub mod storage;

use std::future::Future;

/// Runs one case to its end.
pub fn run<T>(case: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .expect("a runtime starts")
        .block_on(case)
}

/// One `#[test]` for each case of a module: `cases!(factory, path::to::module, [case, case])`. The factory is an
/// expression, evaluated afresh for each case, whose value is handed to the case.
#[macro_export]
macro_rules! cases {
    ($factory:expr, $module:path, [$($case:ident),* $(,)?]) => {
        $(
            #[test]
            fn $case() {
                use $module as module;
                $crate::run(module::$case($factory));
            }
        )*
    };
}
