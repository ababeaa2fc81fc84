//! Our errors on their way through the cluster's, which are text: kind and advice survive.

use data_encoding::HEXLOWER;
use datafusion::error::DataFusionError;
use tributary_core::error::{Error, ErrorKind};

use crate::fragment::{decode, encode};

/// Stands before an error of ours, in hexadecimal, within a text of the cluster's.
const MARK: &str = "tributary-error:";

/// Ours as theirs.
pub(crate) fn outgoing(error: Error) -> DataFusionError {
    let bytes = encode(&error).unwrap_or_default();
    let hex = HEXLOWER.encode(&bytes);
    DataFusionError::Execution(format!("{MARK}{hex};"))
}

/// Theirs as ours: the error that an executor of ours gave, or what the cluster says.
pub(crate) fn incoming(text: &str) -> Error {
    let ours = text.find(MARK).and_then(|start| {
        let hex = &text[start + MARK.len()..];
        let hex = &hex[..hex.find(|c: char| !c.is_ascii_hexdigit())?];
        decode("an error", &HEXLOWER.decode(hex.as_bytes()).ok()?).ok()
    });
    ours.unwrap_or_else(|| Error::new(ErrorKind::Unavailable, format!("the cluster reports: {text}")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_error_of_ours_comes_through_whatever_stands_around_it() {
        let error = Error::new(ErrorKind::Denied, "asked to fail").at("kernel x in partition 3");
        let text = format!("Job 1 failed: {:?} at stage 2", outgoing(error));
        let back = incoming(&text);
        assert_eq!(back.kind(), ErrorKind::Denied);
        assert_eq!(back.to_string(), "kernel x in partition 3: asked to fail");
    }

    #[test]
    fn other_texts_are_passed_on() {
        for text in [
            "no executors",
            "tributary-error:",
            "tributary-error:0;",
            "tributary-error:zz;",
            "tributary-error:ff",
        ] {
            let error = incoming(text);
            assert_eq!(error.kind(), ErrorKind::Unavailable);
            assert!(error.to_string().contains(text));
        }
    }
}
