//! What a site takes from a peer that may send anything: how large a table is, and how slowly it comes. Counted here, before any
//! engine sees a row, so that it is the same for all of them.

use std::time::Duration;

use arrow_schema::DataType;
use tributary_core::Shown;

use crate::header::TableHeader;

/// Limits of what one peer sends. All of them are finite.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct Limits {
    /// Most rows of a table.
    pub table_rows: u64,
    /// Most bytes of a table, as it comes.
    pub table_bytes: u64,
    /// Bytes a second that must come on average while a value is waited for: patience starts again when as many came as this
    /// gives in a patience.
    pub least_rate: u64,
}

impl Default for Limits {
    fn default() -> Self {
        Self { table_rows: 1_000_000_000, table_bytes: 256 << 30, least_rate: 16 << 10 }
    }
}

impl Limits {
    /// With another number of rows.
    #[must_use]
    pub fn with_table_rows(mut self, table_rows: u64) -> Self {
        self.table_rows = table_rows;
        self
    }

    /// With another number of bytes.
    #[must_use]
    pub fn with_table_bytes(mut self, table_bytes: u64) -> Self {
        self.table_bytes = table_bytes;
        self
    }

    /// With another rate.
    #[must_use]
    pub fn with_least_rate(mut self, least_rate: u64) -> Self {
        self.least_rate = least_rate;
        self
    }

    /// Bytes that restart a patience; at least 1.
    pub(crate) fn renewal_bytes(&self, patience: Duration) -> u64 {
        self.least_rate.saturating_mul(patience.as_secs()).max(1)
    }

    /// Why a table that was announced is not taken, before any row of it has come.
    pub(crate) fn refuse(&self, table: &TableHeader) -> Option<String> {
        if table.rows > self.table_rows {
            return Some(format!(
                "a table of {} rows, at most {} are taken here; if it is right, raise federation.table_rows",
                table.rows, self.table_rows
            ));
        }
        let bits =
            table.schema.arrow().fields().iter().map(|field| least_bits(field.data_type())).sum::<u128>();
        let bytes = (bits * u128::from(table.rows)).div_ceil(8);
        (bytes > u128::from(self.table_bytes)).then(|| {
            let schema = format!("{:?}", table.schema);
            format!(
                "a table of {} rows of {}, which take {}",
                table.rows,
                Shown::new(&schema),
                self.more(bytes)
            )
        })
    }

    /// Why no more of a table is taken after this many bytes.
    pub(crate) fn refuse_bytes(&self, bytes: u64) -> Option<String> {
        (bytes > self.table_bytes).then(|| format!("a table of {}", self.more(bytes.into())))
    }

    fn more(&self, bytes: u128) -> String {
        format!(
            "{bytes} bytes or more, at most {} are taken here; if it is right, raise federation.table_bytes",
            self.table_bytes
        )
    }
}

/// Bits that a value takes at least, on its way.
fn least_bits(data_type: &DataType) -> u128 {
    let bytes = match data_type {
        DataType::Boolean => return 1,
        DataType::FixedSizeBinary(width) => u128::from(width.unsigned_abs()),
        // An offset.
        DataType::Utf8 | DataType::Binary | DataType::List(_) => 4,
        other => other.primitive_width().unwrap_or(0) as u128,
    };
    8 * bytes
}

#[cfg(test)]
mod tests {
    use tributary_core::{Field, KeyType, Layout, TableSchema};

    use super::*;

    fn announced(data_type: DataType, rows: u64) -> TableHeader {
        let schema = TableSchema::keyed("id", KeyType::UInt64, vec![Field::new("v", data_type)]).unwrap();
        TableHeader { schema, layout: Layout::Loose(1), rows }
    }

    #[test]
    fn tables_are_refused_by_their_header() {
        let limits = Limits::default().with_table_rows(1000).with_table_bytes(20_000);
        let refused = |data_type, rows| limits.refuse(&announced(data_type, rows)).unwrap_or_default();
        for rows in [1001, u64::MAX] {
            assert!(refused(DataType::Boolean, rows).contains("federation.table_rows"));
        }
        assert_eq!(refused(DataType::Boolean, 1000), "");
        assert_eq!(refused(DataType::FixedSizeBinary(12), 1000), "");
        assert!(
            refused(DataType::FixedSizeBinary(13), 1000).contains("take 21000 bytes or more, at most 20000")
        );
        let endless = Limits::default().with_table_rows(u64::MAX).with_table_bytes(u64::MAX);
        assert!(endless.refuse(&announced(DataType::FixedSizeBinary(i32::MAX), u64::MAX)).is_some());
        assert_eq!((limits.refuse_bytes(20_000), limits.refuse_bytes(20_001).is_some()), (None, true));
    }

    #[test]
    fn patience_is_renewed_by_bytes_in_any_case() {
        for (rate, patience) in [(0, Duration::MAX), (5, Duration::ZERO), (u64::MAX, Duration::MAX)] {
            assert!(Limits::default().with_least_rate(rate).renewal_bytes(patience) >= 1);
        }
    }
}
