//! The computing contract, on this engine.

use std::sync::Arc;

use tributary_standalone::Standalone;

tributary_conformance::computing_suite!(|kernels, storage| Arc::new(Standalone::new(kernels, storage)));

/// The same with little memory: the rows of most cases go to disk.
mod spilling {
    use std::sync::Arc;

    use tributary_conformance::computing::Extent;
    use tributary_standalone::Standalone;

    /// About two thousand rows of the suite's usual table.
    const MEMORY_BYTES: u64 = 64 << 10;

    tributary_conformance::computing_suite!(
        |kernels, storage| Arc::new(
            Standalone::new(kernels, storage).spilling_to(std::env::temp_dir(), u64::MAX)
        ),
        Extent::default().with_memory_bytes(MEMORY_BYTES)
    );
}
