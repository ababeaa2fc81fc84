//! The computing contract, on this engine.

use std::sync::Arc;

use tributary_standalone::Standalone;

tributary_conformance::computing_suite!(|kernels, storage| Arc::new(Standalone::new(kernels, storage)));
