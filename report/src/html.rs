//! HTML as it is written: what is ours as it is, all else escaped.

use std::fmt::Write;

/// A page in the making.
#[derive(Debug, Default)]
pub(crate) struct Html(String);

impl Html {
    /// Marks of ours.
    pub(crate) fn raw(&mut self, marks: &str) -> &mut Self {
        self.0.push_str(marks);
        self
    }

    /// Text, whoever wrote it.
    pub(crate) fn text(&mut self, text: &str) -> &mut Self {
        for c in text.chars() {
            match c {
                '&' => self.0.push_str("&amp;"),
                '<' => self.0.push_str("&lt;"),
                '>' => self.0.push_str("&gt;"),
                '"' => self.0.push_str("&quot;"),
                '\'' => self.0.push_str("&#39;"),
                c if c.is_control() && c != '\n' => drop(write!(self.0, "\\u{{{:x}}}", c as u32)),
                c => self.0.push(c),
            }
        }
        self
    }

    /// A table: a head, and rows of cells, numbers to the right.
    pub(crate) fn table(&mut self, head: &[&str], rows: &[Vec<String>]) {
        let is_number = |text: &str| text.parse::<f64>().is_ok();
        let right = |column: usize| {
            rows.iter().all(|row| row.get(column).is_none_or(|text| text.is_empty() || is_number(text)))
        };
        self.raw("<div class=wide><table><tr>");
        for (column, name) in head.iter().enumerate() {
            self.raw(if right(column) { "<th class=n>" } else { "<th>" }).text(name).raw("</th>");
        }
        self.raw("</tr>");
        for row in rows {
            self.raw("<tr>");
            for (column, cell) in row.iter().enumerate() {
                self.raw(if right(column) { "<td class=n>" } else { "<td>" }).text(cell).raw("</td>");
            }
            self.raw("</tr>");
        }
        self.raw("</table></div>");
    }

    pub(crate) fn done(self) -> String {
        self.0
    }
}

/// A time as people read it.
pub(crate) fn seconds(seconds: f64) -> String {
    match seconds {
        s if s < 1.0 => format!("{:.0} ms", 1000.0 * s),
        s if s < 120.0 => format!("{s:.1} s"),
        s => format!("{:.1} min", s / 60.0),
    }
}

/// A size as people read it.
pub(crate) fn bytes(bytes: u64) -> String {
    const UNITS: [&str; 4] = ["kB", "MB", "GB", "TB"];
    let mut size = bytes as f64;
    if size < 1000.0 {
        return format!("{bytes} B");
    }
    let mut unit = 0;
    size /= 1000.0;
    while size >= 1000.0 && unit + 1 < UNITS.len() {
        size /= 1000.0;
        unit += 1;
    }
    format!("{size:.1} {}", UNITS[unit])
}
