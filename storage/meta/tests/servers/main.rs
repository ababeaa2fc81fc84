//! The meta contract on real PostgreSQL and MariaDB servers, which run as long as this test binary; and what goes wrong with servers.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "test code: a failed expectation panics"
)]

mod faults;
mod place;

mod postgresql {
    use tributary_meta::Product;

    tributary_conformance::meta_suite!({
        let party = crate::place::fresh();
        move || crate::place::open(Product::PostgreSql, &party)
    });
}

mod mysql {
    use tributary_meta::Product;

    tributary_conformance::meta_suite!({
        let party = crate::place::fresh();
        move || crate::place::open(Product::MySql, &party)
    });
}
