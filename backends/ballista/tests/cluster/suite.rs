//! The computing contract, on a scheduler and two executors that all cases use.

use std::sync::{Arc, LazyLock};

use tributary_ballista::Ballista;
use tributary_conformance::computing::{Cores, Extent, Shared};
use tributary_core::kernel::Kernels;

use crate::nodes::Cluster;

/// Ends with this process, which its own processes notice.
static CLUSTER: LazyLock<Cluster> = LazyLock::new(|| Cluster::start(2, 3));

fn engine(kernels: Kernels, storage: Arc<Shared>) -> Arc<Ballista> {
    Arc::new(Ballista::new(kernels, storage, CLUSTER.options()).unwrap())
}

/// Sessions work on both executors, so that there are two cores at least.
fn extent() -> Extent {
    Extent::default().in_turn().slower(16).with_cores(Cores { few: 2, some: 4, many: 6 })
}

tributary_conformance::computing_suite!(|kernels, storage| engine(kernels, storage), extent());
