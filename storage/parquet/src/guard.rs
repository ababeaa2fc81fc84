//! Checks of a file before it reaches the decoder. The decoder allocates by counts that a file states, and recurses as deep
//! as a file's schema; running out of memory or stack ends the process, and `catch_unwind` does not prevent that.
//!
//! A footer and a page header are in Thrift's compact protocol. This module walks them without building values.

use std::panic::{AssertUnwindSafe, catch_unwind};

use parquet::errors::{ParquetError, Result as ParquetResult};

/// Longest footer. A file with 1,000 columns in 1,000 row groups has about 100 MiB.
pub(crate) const MAX_FOOTER_BYTES: u64 = 256 << 20;
/// Largest page, decompressed. Writers end a page at 1 MiB, or after the value that exceeds it.
const MAX_PAGE_BYTES: i64 = 256 << 20;
/// The format counts row groups in 16 bits.
const MAX_ROW_GROUPS: u64 = i16::MAX as u64;
/// Deepest nesting of a schema, and of skipped values.
const MAX_DEPTH: usize = 64;

const STRUCT: u8 = 12;
const LIST: u8 = 9;
const I32: u8 = 5;
/// The field of a footer that says how columns are encrypted.
const ENCRYPTION_ALGORITHM: i64 = 8;
/// The page header's numbers for the kinds of pages.
const DICTIONARY_PAGE: i64 = 2;

/// The decoder's result, or an error if it panics.
pub(crate) fn guarded<T>(decode: impl FnOnce() -> ParquetResult<T>) -> ParquetResult<T> {
    catch_unwind(AssertUnwindSafe(decode))
        .unwrap_or_else(|_| Err(ParquetError::General("the decoder panicked".into())))
}

/// The kind of file that a footer belongs to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Footer {
    Plain,
    /// The footer can be read, but some columns cannot.
    OfEncryptedColumns,
}

/// Checks a footer's counts and depth.
pub(crate) fn check_footer(bytes: &[u8]) -> ParquetResult<Footer> {
    let mut walk = Walk { bytes };
    walk.file().ok_or_else(|| ParquetError::General("its footer is invalid".into()))
}

/// Checks the sizes that a page header states, and returns the decompressed bytes of the page. `start` is the beginning of
/// the header, or all of it.
pub(crate) fn check_page_header(start: &[u8]) -> ParquetResult<u64> {
    let refuse = |what: String| Err(ParquetError::General(what));
    let Some(page) = (Walk { bytes: start }).page() else {
        return refuse("a page with an invalid header".into());
    };
    if page.bytes > MAX_PAGE_BYTES {
        return refuse(format!("a page of {} bytes, at most {MAX_PAGE_BYTES} are read", page.bytes));
    }
    // each value of a dictionary has at least one byte
    if page.dictionary_values > page.bytes {
        return refuse("a dictionary of more values than it has bytes".into());
    }
    Ok(page.bytes.max(0).unsigned_abs())
}

/// The content of a page header.
struct PageSizes {
    /// The decompressed bytes.
    bytes: i64,
    dictionary_values: i64,
}

/// The remaining bytes. Methods return `None` for invalid bytes.
struct Walk<'a> {
    bytes: &'a [u8],
}

impl Walk<'_> {
    fn file(&mut self) -> Option<Footer> {
        let (mut id, mut footer) = (0i64, Footer::Plain);
        while let Some((delta, kind)) = self.field_or_stop()? {
            id = self.next_id(id, delta)?;
            match (id, kind) {
                (2, LIST) => self.schema()?,
                (4, LIST) => self.row_groups()?,
                (ENCRYPTION_ALGORITHM, STRUCT) => {
                    footer = Footer::OfEncryptedColumns;
                    self.skip(kind, 0)?;
                }
                _ => self.skip(kind, 0)?,
            }
        }
        Some(footer)
    }

    /// Elements in depth-first order, each with the number of its children.
    fn schema(&mut self) -> Option<()> {
        let (kind, count) = self.list()?;
        if kind != STRUCT {
            return None;
        }
        let mut open: Vec<u64> = Vec::new();
        for _ in 0..count {
            if let Some(left) = open.last_mut() {
                *left -= 1;
            }
            let children = self.element()?;
            // more than the list has elements
            if children > count {
                return None;
            }
            open.push(children);
            while open.last() == Some(&0) {
                open.pop();
            }
            if open.len() > MAX_DEPTH {
                return None;
            }
        }
        Some(())
    }

    fn element(&mut self) -> Option<u64> {
        let (mut id, mut children) = (0i64, 0);
        while let Some((delta, kind)) = self.field_or_stop()? {
            id = self.next_id(id, delta)?;
            match (id, kind) {
                (5, I32) => children = u64::try_from(self.integer()?).ok()?,
                _ => self.skip(kind, 0)?,
            }
        }
        Some(children)
    }

    fn row_groups(&mut self) -> Option<()> {
        let (kind, count) = self.list()?;
        if kind != STRUCT || count > MAX_ROW_GROUPS {
            return None;
        }
        (0..count).try_for_each(|_| self.skip(STRUCT, 0))
    }

    /// Type, both sizes, an optional checksum, and a header for the type: in this order, as every writer has them.
    fn page(&mut self) -> Option<PageSizes> {
        let mut numbers = [0; 3];
        for number in &mut numbers {
            let next = self.field_or_stop()?? == (1, I32);
            *number = if next { self.integer()? } else { return None };
        }
        let [kind, bytes, _] = numbers;
        let mut dictionary_values = 0;
        if kind == DICTIONARY_PAGE {
            let mut id = 3;
            while id != 7 {
                let (delta, kind) = self.field_or_stop()??;
                id = self.next_id(id, delta)?;
                if id != 7 {
                    self.skip(kind, 0)?;
                }
            }
            let first = self.field_or_stop()?? == (1, I32);
            dictionary_values = if first { self.integer()? } else { return None };
        }
        Some(PageSizes { bytes, dictionary_values })
    }

    fn skip(&mut self, kind: u8, depth: usize) -> Option<()> {
        if depth > MAX_DEPTH {
            return None;
        }
        match kind {
            1 | 2 => Some(()), // the truth value is the type
            3 => self.take(1).map(drop),
            4..=6 => self.varint().map(drop),
            7 => self.take(8).map(drop),
            8 => {
                let length = usize::try_from(self.varint()?).ok()?;
                self.take(length).map(drop)
            }
            LIST | 10 => {
                let (kind, count) = self.list()?;
                // truth values have a byte each within a list
                let kind = if kind <= 2 { 3 } else { kind };
                (0..count).try_for_each(|_| self.skip(kind, depth + 1))
            }
            11 => {
                let count = self.varint()?;
                if count == 0 {
                    return Some(());
                }
                let kinds = *self.take(1)?.first()?;
                let each = |kind: u8| if kind <= 2 { 3 } else { kind };
                (0..count).try_for_each(|_| {
                    self.skip(each(kinds >> 4), depth + 1)?;
                    self.skip(each(kinds & 15), depth + 1)
                })
            }
            STRUCT => {
                while let Some((delta, kind)) = self.field_or_stop()? {
                    if delta == 0 {
                        self.varint()?;
                    }
                    self.skip(kind, depth + 1)?;
                }
                Some(())
            }
            _ => None,
        }
    }

    /// Type and number of elements; at most the number of bytes, because each element has at least one.
    fn list(&mut self) -> Option<(u8, u64)> {
        let head = *self.take(1)?.first()?;
        let count = match head >> 4 {
            15 => self.varint()?,
            few => u64::from(few),
        };
        (count <= self.bytes.len() as u64).then_some((head & 15, count))
    }

    /// Distance from the last field and type, or `None` at the end of the struct.
    fn field_or_stop(&mut self) -> Option<Option<(u8, u8)>> {
        let head = *self.take(1)?.first()?;
        Some((head != 0).then_some((head >> 4, head & 15)))
    }

    fn next_id(&mut self, last: i64, delta: u8) -> Option<i64> {
        match delta {
            0 => self.integer(),
            delta => last.checked_add(i64::from(delta)),
        }
    }

    fn integer(&mut self) -> Option<i64> {
        let zigzag = self.varint()?;
        Some((zigzag >> 1) as i64 ^ -((zigzag & 1) as i64))
    }

    fn varint(&mut self) -> Option<u64> {
        let mut value = 0u64;
        for shift in (0..64).step_by(7) {
            let byte = *self.take(1)?.first()?;
            value |= u64::from(byte & 0x7F) << shift;
            if byte & 0x80 == 0 {
                return Some(value);
            }
        }
        None
    }

    fn take(&mut self, count: usize) -> Option<&[u8]> {
        let (taken, rest) = self.bytes.split_at_checked(count)?;
        self.bytes = rest;
        Some(taken)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// A file's struct with one list: field 2 (schema) or field 4 (row groups).
    fn list(field: u8, count: u64, elements: &[u8]) -> Vec<u8> {
        let mut bytes = vec![field << 4 | LIST, 0xF0 | STRUCT];
        let mut rest = count;
        while rest > 0x7F {
            bytes.push(rest as u8 | 0x80);
            rest >>= 7;
        }
        bytes.push(rest as u8);
        bytes.extend(elements);
        bytes.push(0);
        bytes
    }

    #[test]
    fn counts_that_the_bytes_cannot_hold_are_refused_before_anything_is_allocated() {
        assert!(check_footer(&list(4, 3, &[0, 0, 0])).is_ok());
        assert!(check_footer(&list(4, 1 << 30, &[0, 0, 0])).is_err());
        assert!(
            check_footer(&list(4, 1 << 15, &[0; 1 << 15])).is_err(),
            "more row groups than the format can number"
        );
    }

    #[test]
    fn a_schema_deeper_than_any_real_one_is_refused() {
        // field 5: one child
        let nested = |depth: usize| {
            let mut elements = [5 << 4 | I32, 2, 0].repeat(depth);
            elements.push(0);
            list(2, depth as u64 + 1, &elements)
        };
        assert!(check_footer(&nested(20)).is_ok());
        assert!(check_footer(&nested(100_000)).is_err());
        assert!(check_footer(&list(2, 1, &[5 << 4 | I32, 0xFE, 0xFF, 0xFF, 0xFF, 0x0F, 0])).is_err());
    }

    #[test]
    fn a_page_that_claims_to_be_huge_is_refused() {
        let number = |header: &mut Vec<u8>, value: u32| {
            header.push(1 << 4 | I32);
            let mut zigzag = u64::from(value) << 1;
            while zigzag > 0x7F {
                header.push(zigzag as u8 | 0x80);
                zigzag >>= 7;
            }
            header.push(zigzag as u8);
        };
        let check = |kind: u32, bytes: u32, values: u32| {
            let mut header = Vec::new();
            for value in [kind, bytes, 20] {
                number(&mut header, value);
            }
            header.push(4 << 4 | STRUCT);
            number(&mut header, values);
            check_page_header(&header)
        };
        assert!(check(0, 1 << 20, u32::MAX >> 1).is_ok());
        assert!(check(0, i32::MAX as u32, 0).is_err());
        assert!(check(2, 1 << 20, 1000).is_ok());
        assert!(check(2, 1 << 20, (1 << 20) + 1).is_err(), "it would be allocated before it is read");
    }

    proptest! {
        #[test]
        fn the_walk_of_any_bytes_ends(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            drop(check_footer(&bytes));
            drop(check_page_header(&bytes));
        }
    }
}
