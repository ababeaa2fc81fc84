//! Help for a wrong name ("did you mean"), and text as messages show it. Only this crate decides which names are near.

#![warn(missing_docs)]

use std::borrow::Cow;

/// Longer names are not compared: they are hardly typing mistakes, and the comparison costs time.
const LONGEST: usize = 64;
/// Longer lists of known names are not shown.
const LISTED: usize = 12;

/// The known name nearest to `name`, if one is near: up to a third of its characters differ, or one contains the other.
/// Case and `-` against `_` do not count.
pub fn nearest<'a>(name: &str, known: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let wanted = folded(name);
    let length = wanted.chars().count();
    if length == 0 || length > LONGEST {
        return None;
    }
    let far = |candidate: &str| {
        let candidate = folded(candidate);
        let apart = strsim::osa_distance(&wanted, &candidate);
        let holds = length.min(candidate.len()) >= 4
            && (candidate.contains(wanted.as_str()) || wanted.contains(candidate.as_str()));
        match apart <= (length / 3).max(1) {
            true => Some(apart),
            false if holds => Some(LONGEST + apart),
            false => None,
        }
    };
    known
        .into_iter()
        .filter(|candidate| candidate.len() <= LONGEST)
        .filter_map(|candidate| Some((far(candidate)?, candidate)))
        .min_by_key(|(apart, _)| *apart)
        .map(|(_, candidate)| candidate)
}

/// Help for a wrong name: the nearest known one, else the known ones if they are few.
pub fn suggestion<'a>(name: &str, known: impl IntoIterator<Item = &'a str>) -> Option<String> {
    let known: Vec<&str> = known.into_iter().collect();
    match nearest(name, known.iter().copied()) {
        Some(near) => Some(format!("did you mean {}?", quoted(near))),
        None if known.is_empty() => None,
        None if known.len() <= LISTED => Some(format!("known: {}", known.join(", "))),
        None => None,
    }
}

/// Text as messages show it: in quotes, control characters escaped, cut after 60 characters.
pub fn quoted(text: &str) -> String {
    let shown: Cow<'_, str> = match text.char_indices().nth(60) {
        Some((end, _)) => format!("{}…", &text[..end]).into(),
        None => text.into(),
    };
    format!("{shown:?}")
}

fn folded(name: &str) -> String {
    name.chars()
        .take(LONGEST + 1)
        .flat_map(char::to_lowercase)
        .map(|c| if c == '-' { '_' } else { c })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const KNOWN: [&str; 5] = ["psi", "reader", "hetero_feature_binning", "hetero_secureboost", "evaluation"];

    fn check(name: &str, expected: Option<&str>) {
        assert_eq!(nearest(name, KNOWN), expected, "{name}");
    }

    #[test]
    fn a_near_name_is_found_and_a_far_one_is_not() {
        check("psii", Some("psi"));
        check("PSI", Some("psi"));
        check("raeder", Some("reader"));
        check("hetero-secure-boost", Some("hetero_secureboost"));
        check("binning", Some("hetero_feature_binning"));
        check("upload", None);
        check("x", None);
        check("", None);
        check(&"psi".repeat(1000), None);
    }

    #[test]
    fn few_known_names_are_listed_when_none_is_near() {
        assert_eq!(suggestion("upload", ["psi", "reader"]).as_deref(), Some("known: psi, reader"));
        assert_eq!(suggestion("upload", []), None);
    }

    #[test]
    fn shown_text_is_short_and_has_no_control_characters() {
        assert_eq!(quoted("a\u{1b}[2J\"b"), r#""a\u{1b}[2J\"b""#);
        assert!(quoted(&"ü".repeat(1_000_000)).chars().count() < 70);
    }
}
