//! Which rows a reader wants, as a condition on their columns: `age >= 18 and (city = 'Oslo' or city is null)`.
//!
//! ```text
//! condition  = all { "or" all }
//! all        = one { "and" one }
//! one        = "not" one | "(" condition ")" | column comparison
//! comparison = ("=" | "==" | "!=" | "<>" | "<" | "<=" | ">" | ">=") value
//!            | ["not"] "in" "(" value { "," value } ")"
//!            | "is" ["not"] "null"
//! column     = letters, digits, "_", "." and "-", not beginning with a digit; any other name in double quotes, `""` for one in it
//! value      = a number | text, day or time in single quotes, `''` for one in it | true | false
//! ```
//!
//! Words are read in any case. As in SQL, a comparison with a missing value is neither true nor false, and a row stays where the condition is true.
//! Texts are compared by their bytes, NaN as a number greater than all others. A value must be one that the column can hold: nothing is rounded.

mod evaluate;
mod parse;

use tributary_core::{Result, TableSchema};

pub use evaluate::Filter;

impl Filter {
    /// Reads a condition on the columns of a table. `InvalidInput` with the position (from 1) and, for an unknown column, the nearest name.
    pub fn parse(text: &str, schema: &TableSchema) -> Result<Self> {
        Self::of(parse::parse(text)?, schema)
    }
}
