//! Time for tests: files get older without a wait.

use std::fs::{self, File};
use std::path::Path;
use std::time::Duration;

use tributary_core::storage::Sweep;

/// Makes every file below a folder old enough for a clean-up.
pub fn age(folder: &Path) {
    for entry in fs::read_dir(folder).unwrap() {
        let (path, data) = {
            let entry = entry.unwrap();
            (entry.path(), entry.metadata().unwrap())
        };
        if data.is_dir() {
            age(&path);
        } else if data.is_file() {
            let older = data.modified().unwrap() - Sweep::IDLE - Duration::from_secs(1);
            File::options().append(true).open(&path).unwrap().set_modified(older).unwrap();
        }
    }
}
