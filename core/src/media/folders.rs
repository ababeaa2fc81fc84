//! Values in the names of folders, as Hive, Spark and others write tables: `year=2024/kind=a/part-0.parquet`.
//!
//! A key is a column that no file has; its value is the same for all rows of a file. It is taken from the file's address each time, so that nothing
//! else need be kept.

use std::path::{Component, Path};

/// The name of a folder for rows without a value.
const MISSING: &str = "__HIVE_DEFAULT_PARTITION__";

/// The keys of the folders between `root` and a file below it, in order, with their values, `None` for a missing one.
pub fn keys_below(root: &Path, file: &Path) -> Vec<(String, Option<String>)> {
    let below = file.strip_prefix(root).ok().and_then(Path::parent);
    below.map_or_else(Vec::new, |below| below.components().filter_map(key_of).collect())
}

/// The value of a key: that of the last folder on the way to a file with this key. Of the file's own name nothing is taken.
pub fn value_of(file: &Path, key: &str) -> Option<Option<String>> {
    let mut folders = file.parent()?.components().filter_map(key_of);
    folders.rfind(|(name, _)| name == key).map(|(_, value)| value)
}

fn key_of(component: Component<'_>) -> Option<(String, Option<String>)> {
    let Component::Normal(name) = component else { return None };
    let (key, value) = name.to_str()?.split_once('=')?;
    let value = (!value.is_empty() && value != MISSING).then(|| unescaped(value));
    (!key.is_empty()).then(|| (unescaped(key), value))
}

/// Characters that no folder's name may have are written as `%3A`. What is no such code, or no text, stays as it is.
fn unescaped(text: &str) -> String {
    let bytes = text.as_bytes();
    let (mut out, mut at) = (Vec::with_capacity(bytes.len()), 0);
    while at < bytes.len() {
        let code = text
            .get(at + 1..at + 3)
            .filter(|code| bytes[at] == b'%' && code.bytes().all(|b| b.is_ascii_hexdigit()));
        match code.and_then(|code| u8::from_str_radix(code, 16).ok()) {
            Some(byte) => {
                out.push(byte);
                at += 3;
            }
            None => {
                out.push(bytes[at]);
                at += 1;
            }
        }
    }
    String::from_utf8(out).unwrap_or_else(|_| text.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_those_of_the_folders_below_the_root() {
        let keys = |root: &str, file: &str| keys_below(Path::new(root), Path::new(file));
        let some = |text: &str| Some(text.to_owned());
        let file = "s3://b/x=0/t/year=2024/kind=a%3Ab%/part-n=1.parquet";
        assert_eq!(
            keys("s3://b/x=0/t", file),
            [("year".into(), some("2024")), ("kind".into(), some("a:b%"))]
        );
        assert_eq!(keys("s3://b/x=0/t/", file).len(), 2);
        assert_eq!(keys("/other", file), []);
        let file = "/t/dt=__HIVE_DEFAULT_PARTITION__/e=/=f/%C3%A4=%FF/a.csv";
        assert_eq!(keys("/t", file), [("dt".into(), None), ("e".into(), None), ("ä".into(), some("%FF"))]);
    }

    #[test]
    fn a_value_is_that_of_the_nearest_folder() {
        let value = |file: &str, key: &str| value_of(Path::new(file), key);
        assert_eq!(value("/x=1/t/x=2/a.csv", "x"), Some(Some("2".into())));
        assert_eq!(value("/x=1/t/x=/a.csv", "x"), Some(None));
        assert_eq!(value("/t/x=1.csv", "x"), None);
    }
}
