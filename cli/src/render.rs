//! Tables on a terminal, and JSON.

use std::borrow::Cow;
use std::io::Write;

use serde::Serialize;
use serde_json::Value;
use tributary_core::shown::printable;
use tributary_core::{Error, Result, ResultExt};

/// Writes one or more lines to standard output, escaped: they may hold text of a file, a log or a peer.
pub(crate) fn line(text: impl AsRef<str>) -> Result<()> {
    write(&printable(text.as_ref()))
}

/// A reader that closed the pipe (`| head`) is no error: a job continues without it.
fn write(text: &str) -> Result<()> {
    match writeln!(std::io::stdout(), "{text}") {
        Err(e) if e.kind() == std::io::ErrorKind::BrokenPipe => Ok(()),
        other => other.at(|| "write to standard output"),
    }
}

/// Writes a line to standard error; a failure to write is ignored.
pub(crate) fn note(text: impl AsRef<str>) {
    drop(writeln!(std::io::stderr(), "{}", printable(text.as_ref())));
}

/// Writes indented JSON.
pub(crate) fn json(value: &impl Serialize) -> Result<()> {
    let text = serde_json::to_string_pretty(value).map_err(|e| Error::bug("encode JSON").because(e))?;
    write(&json_printable(&text))
}

/// Writes JSON on one line.
pub(crate) fn json_line(value: &impl Serialize) -> Result<()> {
    write(&json_printable(&serde_json::to_string(value).map_err(|e| Error::bug("encode JSON").because(e))?))
}

/// The same JSON, with escapes for characters that JSON allows in a text and that control a terminal. They occur in texts
/// only.
fn json_printable(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        let shown = c.is_ascii() && c != '\u{7f}'
            || matches!(printable(c.encode_utf8(&mut [0; 4])), Cow::Borrowed(_));
        match shown {
            true => out.push(c),
            false => {
                c.encode_utf16(&mut [0; 2]).iter().for_each(|unit| out.push_str(&format!("\\u{unit:04x}")))
            }
        }
    }
    out
}

/// Writes what FATE's client prints for an answer.
pub(crate) fn answer(data: Value) -> Result<()> {
    json(&serde_json::json!({"code": 0, "data": data, "message": "success"}))
}

/// Aligned columns under a header; numbers are right-aligned.
pub(crate) fn table(header: &[&str], rows: &[Vec<String>]) -> Result<()> {
    let width = |column: usize| {
        let cells = rows.iter().filter_map(|row| row.get(column)).map(|cell| cell.chars().count());
        cells.chain([header[column].chars().count()]).max().unwrap_or(0)
    };
    let widths: Vec<usize> = (0..header.len()).map(width).collect();
    let is_number = |column: usize| {
        let mut cells =
            rows.iter().filter_map(|row| row.get(column)).filter(|cell| !cell.is_empty()).peekable();
        cells.peek().is_some() && cells.all(|cell| cell.replace([',', '_'], "").parse::<f64>().is_ok())
    };
    let right: Vec<bool> = (0..header.len()).map(is_number).collect();
    let show = |cells: &[&str]| {
        let padded = cells.iter().zip(&widths).zip(&right).map(|((cell, width), right)| {
            let space = " ".repeat(width - cell.chars().count().min(*width));
            let cell = cell.replace('\n', " ");
            if *right { format!("{space}{cell}") } else { format!("{cell}{space}") }
        });
        padded.collect::<Vec<_>>().join("  ").trim_end().to_string()
    };
    line(show(header))?;
    line(widths.iter().map(|w| "─".repeat(*w)).collect::<Vec<_>>().join("  "))?;
    rows.iter().try_for_each(|row| line(show(&row.iter().map(String::as_str).collect::<Vec<_>>())))
}

/// `1.4 MiB`.
pub(crate) fn bytes(count: u64) -> String {
    indicatif::BinaryBytes(count).to_string()
}

/// `12,345`.
pub(crate) fn count(number: u64) -> String {
    indicatif::HumanCount(number).to_string()
}

/// `1 core`, `12,345 rows`.
pub(crate) fn counted(number: u64, what: &str) -> String {
    format!("{} {what}{}", count(number), if number == 1 { "" } else { "s" })
}

/// `500 rows in 4 partitions`.
pub(crate) fn extent(rows: u64, partitions: u32) -> String {
    format!("{} in {}", counted(rows, "row"), counted(partitions.into(), "partition"))
}

/// `0.123 s`.
pub(crate) fn seconds(time: std::time::Duration) -> String {
    format!("{:.3} s", time.as_secs_f64())
}

/// A text of bounded width for a cell.
pub(crate) fn short(text: &str) -> String {
    const WIDEST: usize = 60;
    match text.char_indices().nth(WIDEST) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text.to_owned(),
    }
}

/// Six digits after the point; very large and very small numbers with six digits and a power of ten.
fn decimal(number: f64) -> String {
    let fits = number == 0.0 || (1e-4..1e12).contains(&number.abs());
    if fits { format!("{number:.6}") } else { format!("{number:.6e}") }
}

/// A JSON value as a cell.
pub(crate) fn cell(value: &Value) -> String {
    match value {
        Value::Null => String::new(),
        Value::String(text) => text.clone(),
        Value::Number(number) if number.is_f64() => decimal(number.as_f64().unwrap_or(f64::NAN)),
        other => other.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn json_shows_no_control_character_and_reads_back_the_same() {
        let text = "a\u{1b}[2J\u{7f}\u{9b}\u{202e}\u{e0041}é\\\"\n";
        let shown = json_printable(&serde_json::to_string(&serde_json::json!({ text: [text] })).unwrap());
        assert!(!shown.chars().any(|c| c.is_control() || matches!(c, '\u{202e}' | '\u{e0041}')), "{shown}");
        assert!(shown.contains("\\u202e") && shown.contains('é'), "{shown}");
        let read: Value = serde_json::from_str(&shown).unwrap();
        assert_eq!(read[text][0], text);
    }

    #[test]
    fn numbers_and_texts_have_a_bounded_width() {
        let shown = |number: f64| cell(&Value::from(number));
        assert_eq!(shown(0.5), "0.500000");
        assert_eq!(shown(0.0), "0.000000");
        assert_eq!(shown(-123_456.75), "-123456.750000");
        assert_eq!(shown(1.7e308), "1.700000e308");
        assert_eq!(shown(-1e-320), "-9.999889e-321");
        assert!(short(&"ü".repeat(1000)).chars().count() < 70);
    }
}
