//! Messages of an intersection, and lists of chosen rows, for the fuzz target.

use tributary_core::Result;

use super::choice;
use super::rr22::chosen::{Reader, Writer};
use super::rr22::{Offered, Seeds};
use crate::fuzzing::encoded;

/// Valid ones, as [`crate::fuzzing::messages`] numbers them.
pub(crate) fn messages() -> Vec<Option<Vec<u8>>> {
    let mut list = Writer::default();
    list.bucket(&[0, 3, 3, 250]);
    list.bucket(&[7, 1]);
    let (told, decided) = choice::samples();
    vec![
        encoded(3, &told),
        encoded(4, &decided),
        encoded(5, &Offered { asked: 10, offer: vec![1; 32] }),
        encoded(6, &Seeds(vec![7; 64])),
        Some([&[6], &list.finish()[..]].concat()),
    ]
}

/// A list of chosen rows, as a host takes it apart.
pub(crate) fn chosen(bytes: &[u8]) -> Result<()> {
    let mut reader = Reader::new(2, 300);
    reader.add(bytes)?;
    reader.finish().map(drop)
}
