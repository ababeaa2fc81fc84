//! Text of others (a peer, a file, a client) on its way into an error, a log or a terminal: it must not drive the terminal,
//! pretend to be a line of its own, reorder what stands around it, or fill a disk.

use std::borrow::Cow;
use std::fmt::{self, Write};

/// Shows at most this many characters.
const MOST_CHARS: usize = 200;
/// Of a message at most as many.
const MOST_OF_MESSAGE: usize = 2_000;

/// Shows text without trusting it: backslashes, controls and all that is invisible or changes the direction of writing
/// appear as escapes (`\n`, `\u{202e}`), and what is longer than 200 characters is cut, with `…` at its end. `{:?}` puts it in
/// quotes.
///
/// ```
/// # use tributary_core::Shown;
/// assert_eq!(Shown::new("a\u{1b}[31m").to_string(), "a\\u{1b}[31m");
/// ```
#[derive(Clone, Copy)]
pub struct Shown<'a>(&'a str, usize);

impl<'a> Shown<'a> {
    /// Of any text.
    pub fn new(text: &'a str) -> Self {
        Self(text, MOST_CHARS)
    }

    /// Of a message that mostly is our own and says at its end what to do: cut after 2,000 characters.
    pub fn message(text: &'a str) -> Self {
        Self(text, MOST_OF_MESSAGE)
    }
}

impl fmt::Display for Shown<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut chars = self.0.chars();
        for c in chars.by_ref().take(self.1) {
            match c == '\\' || deceives(c) {
                true => write!(f, "{}", c.escape_debug())?,
                false => f.write_char(c)?,
            }
        }
        if chars.next().is_some() { f.write_char('…') } else { Ok(()) }
    }
}

impl fmt::Debug for Shown<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "\"{}\"", self.to_string().replace('"', "\\\""))
    }
}

/// Whether a character as it is could deceive the reader of a line: the standard library would escape it, and not only because it
/// is a mark that goes with the letter before it.
fn deceives(c: char) -> bool {
    match c.is_ascii() {
        true => c.is_ascii_control(),
        false => ['a', c].iter().collect::<String>().escape_debug().count() > 2,
    }
}

/// A whole message of some lines for a terminal or a log: as [`Shown`], but with its ends of lines, its backslashes and all of
/// its length.
pub fn printable(text: &str) -> Cow<'_, str> {
    if !text.chars().any(|c| c != '\n' && deceives(c)) {
        return Cow::Borrowed(text);
    }
    let mut out = String::with_capacity(text.len() + 16);
    for c in text.chars() {
        match deceives(c) && c != '\n' {
            true => out.extend(c.escape_debug()),
            false => out.push(c),
        }
    }
    Cow::Owned(out)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn what_could_deceive_a_reader_is_escaped() {
        let hostile = [
            '\0',
            '\n',
            '\r',
            '\t',
            '\u{8}',
            '\u{1b}',
            '\u{7f}',
            '\u{85}',
            '\u{9b}',
            '\u{ad}',
            '\u{61c}',
            '\u{200b}',
            '\u{200e}',
            '\u{202a}',
            '\u{202e}',
            '\u{2028}',
            '\u{2029}',
            '\u{2066}',
            '\u{2069}',
            '\u{feff}',
            '\u{e0041}',
        ];
        for c in hostile {
            let shown = Shown::new(&format!("a{c}b")).to_string();
            assert!(shown.is_ascii() && shown.starts_with("a\\") && shown.ends_with('b'), "{c:?}: {shown}");
            if c != '\n' {
                assert_eq!(printable(&format!("a{c}b")), shown);
            }
        }
        assert_eq!(Shown::new("it's größer, 数, e\u{301}").to_string(), "it's größer, 数, e\u{301}");
        assert_eq!(format!("{:?}", Shown::new("a\"b\\")), r#""a\"b\\""#);
    }

    #[test]
    fn lines_backslashes_and_accents_of_a_message_are_left() {
        let text = "why: \"a\\b\"\n  it's größer, 数, e\u{301}";
        assert_eq!(printable(text), text);
        assert_eq!(printable("a\u{1b}[2J\n\u{202e}b"), "a\\u{1b}[2J\n\\u{202e}b");
    }

    #[test]
    fn what_is_too_long_is_cut_and_says_so() {
        let shown = Shown::new(&"ä".repeat(MOST_CHARS)).to_string();
        assert!(!shown.contains('…'));
        assert_eq!(Shown::new(&"ä".repeat(MOST_CHARS + 1)).to_string(), shown + "…");
    }

    proptest! {
        #[test]
        fn no_text_is_shown_with_a_control_or_too_long(text in any::<String>()) {
            let shown = Shown::new(&text.repeat(20)).to_string();
            prop_assert!(!shown.chars().any(char::is_control));
            prop_assert!(shown.len() <= 10 * MOST_CHARS + 3);
        }
    }
}
