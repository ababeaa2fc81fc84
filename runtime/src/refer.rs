//! References: a value that says where the real one is, so that a secret need not be in `service_conf.yaml`.
//!
//! `${NAME}` is the environment's variable, for every kind of key; `file:PATH` is the content of a file, for secrets, without the
//! end of its last line. A reference is the whole value: text with a `${NAME}` in the middle is text. One that leads nowhere is no
//! mistake of the file, since the machine that needs the value may be another; it is reported when the value is asked for.

use std::fs::File;
use std::io::Read;
use std::path::Path;

use tributary_core::settings::Kind;
use zeroize::Zeroizing;

/// Longest secret in a file: keys of services are documents of a few KiB.
const MOST_BYTES: u64 = 64 << 10;

/// What a reference leads to, or why to nothing; none for a value that is no reference. A relative path is beside the configuration
/// file.
pub(crate) fn follow(text: &str, kind: Kind, conf: &str) -> Option<Result<Zeroizing<String>, String>> {
    if let Some(name) = variable(text) {
        return Some(of_environment(name));
    }
    let path = text.strip_prefix("file:").filter(|_| matches!(kind, Kind::Secret))?;
    let beside = Path::new(conf).parent().unwrap_or(Path::new(""));
    Some(of_file(&beside.join(path)))
}

fn variable(text: &str) -> Option<&str> {
    let name = text.strip_prefix("${")?.strip_suffix('}')?;
    let fits = |c: char| c.is_ascii_alphanumeric() || c == '_';
    (!name.is_empty() && name.chars().all(fits)).then_some(name)
}

fn of_environment(name: &str) -> Result<Zeroizing<String>, String> {
    match std::env::var(name) {
        Ok(value) if !value.is_empty() => Ok(Zeroizing::new(value)),
        Ok(_) => Err(format!("the environment's variable {name} is empty")),
        Err(std::env::VarError::NotPresent) => Err(format!("the environment has no variable {name}; set it")),
        Err(std::env::VarError::NotUnicode(_)) => {
            Err(format!("the environment's variable {name} is not UTF-8"))
        }
    }
}

fn of_file(path: &Path) -> Result<Zeroizing<String>, String> {
    let shown = path.display();
    let mut text = Zeroizing::new(String::new());
    let read = File::open(path).and_then(|file| file.take(MOST_BYTES + 1).read_to_string(&mut text));
    match read {
        Err(why) => Err(format!("file {shown} cannot be read: {why}")),
        Ok(bytes) if bytes as u64 > MOST_BYTES => {
            Err(format!("file {shown} is too long for a secret, at most {MOST_BYTES} bytes"))
        }
        Ok(_) => {
            let secret =
                text.strip_suffix('\n').map_or(&**text, |line| line.strip_suffix('\r').unwrap_or(line));
            match secret.is_empty() {
                true => Err(format!("file {shown} is empty")),
                false => Ok(Zeroizing::new(secret.to_owned())),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(text: &str, kind: Kind, conf: &str, expected: Option<&str>) {
        let found = follow(text, kind, conf);
        assert_eq!(
            found.as_ref().and_then(|found| found.as_ref().ok()).map(|found| found.as_str()),
            expected
        );
    }

    #[test]
    fn a_reference_is_a_whole_value_and_leads_to_another() {
        let folder = tempfile::tempdir().unwrap();
        let conf = folder.path().join("service_conf.yaml");
        let (conf, beside) = (conf.to_str().unwrap(), folder.path().join("key"));
        std::fs::write(&beside, "hunter2\r\n").unwrap();
        check("file:key", Kind::Secret, conf, Some("hunter2"));
        check(&format!("file:{}", beside.display()), Kind::Secret, "", Some("hunter2"));
        check("file:key", Kind::Text, conf, None);
        let home = std::env::var("PATH").unwrap();
        check("${PATH}", Kind::Secret, conf, Some(&home));
        check("${PATH}", Kind::Text, conf, Some(&home));
        for plain in ["a${PATH}", "${PATH}b", "${}", "${A B}", "$PATH", "hunter2"] {
            assert!(follow(plain, Kind::Secret, conf).is_none(), "{plain}");
        }
    }

    #[test]
    fn one_that_leads_nowhere_says_why_and_never_what_it_found() {
        let folder = tempfile::tempdir().unwrap();
        let write = |name: &str, content: &[u8]| std::fs::write(folder.path().join(name), content).unwrap();
        write("empty", b"\n");
        write("long", "hunter2".repeat(10_000).as_bytes());
        write("bytes", b"hunter2\xff");
        let conf = folder.path().join("conf.yaml");
        for (reference, why) in [
            ("${TRIBUTARY_HAS_NO_SUCH_VARIABLE}", "no variable TRIBUTARY_HAS_NO_SUCH_VARIABLE"),
            ("file:none", "none cannot be read"),
            ("file:.", "cannot be read"),
            ("file:empty", "is empty"),
            ("file:long", "too long"),
            ("file:bytes", "cannot be read"),
        ] {
            let found = follow(reference, Kind::Secret, conf.to_str().unwrap()).unwrap().unwrap_err();
            assert!(found.contains(why) && !found.contains("hunter2"), "{found}");
        }
    }
}
