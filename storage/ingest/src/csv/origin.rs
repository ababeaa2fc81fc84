//! CSV files as messages and lists of bad rows name them.

use std::ops::Range;

use tributary_core::{Error, Result};

use crate::content::Origin;
use crate::csv::source::{CsvFiles, Place};
use crate::input::Input;

impl Origin for CsvFiles {
    fn files(&self) -> Vec<&str> {
        self.inputs().iter().map(Input::name).collect()
    }

    fn column(&self, position: usize) -> &str {
        self.names().get(position).map_or("", String::as_str)
    }

    fn fault(&self, place: Place, column: Option<usize>, reason: &str) -> Error {
        CsvFiles::fault(self, place, column, reason)
    }

    fn locate(&self, place: Place) -> String {
        CsvFiles::locate(self, place)
    }

    fn text(&self, place: Place, bytes: Range<u64>) -> Result<Vec<u8>> {
        self.read(place.file, bytes)
    }
}
