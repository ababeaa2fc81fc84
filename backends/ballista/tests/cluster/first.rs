//! The thin line: rows in, a plan, rows out.

use std::time::Instant;

use tributary_conformance::computing::{collect, loose, model};
use tributary_core::KeyType;
use tributary_core::computing::End;
use tributary_core::kernel::KernelCall;
use tributary_core::ops::rows::Take;

use crate::nodes::{Cluster, Driver};

#[test]
fn rows_go_through_a_cluster() {
    let cluster = Cluster::start(2, 1);
    let driver = Driver::new(&cluster);
    driver.block_on(async {
        let session = driver.session(2).await;
        let rows = model::numbered(0..1000);
        let table = loose(&session, KeyType::UInt64, &rows, 3).await;
        assert!(collect(&table).await == rows);
        for _ in 0..5 {
            let start = Instant::now();
            let all = table.map(KernelCall::fold::<Take>(&Take { rows: 1000 }).unwrap()).unwrap();
            assert_eq!(all.count().await.unwrap(), 1000);
            eprintln!("count {:?}", start.elapsed());
            let start = Instant::now();
            let keyed = table.keyed(7).unwrap();
            assert!(collect(&keyed).await == model::key_order(KeyType::UInt64, rows.clone()));
            eprintln!("keyed {:?}", start.elapsed());
        }
        session.close(End::Done).await.unwrap();
    });
}
