//! What any work on the rows of one table needs: how they look, when to stop, and whose memory they take.

use std::sync::Arc;

use tributary_core::schema::TableSchema;

use crate::cancel::Cancel;
use crate::memory::Memory;

/// See the module.
#[derive(Clone, Copy)]
pub struct Scope<'a> {
    pub schema: &'a TableSchema,
    pub cancel: &'a Cancel,
    pub memory: &'a Arc<Memory>,
}
