//! Tables on real PostgreSQL and MariaDB servers, which run as long as this test binary.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "test code: a failed expectation panics"
)]

mod binding;
mod faults;
mod killed;
mod layout;
mod place;

mod postgresql {
    use tributary_sql::Product;

    tributary_conformance::storage_suite!(
        {
            let config = crate::place::fresh(Product::PostgreSql);
            move || crate::place::open(&config)
        },
        replaces_snapshots,
        copies_cheaply,
    );
}

mod mysql {
    use tributary_sql::Product;

    tributary_conformance::storage_suite!(
        {
            let config = crate::place::fresh(Product::MySql);
            move || crate::place::open(&config)
        },
        replaces_snapshots,
        copies_cheaply,
    );
}
