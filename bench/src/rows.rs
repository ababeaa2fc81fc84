//! A CSV file like those that people upload: twenty columns of ids, integers, numbers, texts and dates, some values missing.
//! The same rows come out on every machine, so that measurements can be compared.

use std::fs::File;
use std::io::{self, BufWriter, Write};
use std::path::Path;

const HEADER: &str = "id,y,age,visits,balance,clicks,account,score,height,ratio,price,temperature,share,city,channel,name,\
    comment,born,joined,seen\n";
const CITIES: [&str; 12] = [
    "Berlin", "Lyon", "Porto", "Gdansk", "Turin", "Ghent", "Malmo", "Graz", "Cork", "Brno", "Split",
    "Den Haag",
];
const CHANNELS: [&str; 4] = ["web", "app", "branch", "phone"];
const WORDS: [&str; 16] = [
    "north", "amber", "quiet", "river", "stone", "early", "light", "maple", "copper", "field", "cloud",
    "harbor", "silver", "meadow", "winter", "garden",
];

/// Writes this many rows of about 200 bytes each, and returns the number of bytes.
pub fn write_csv(path: &Path, rows: u64) -> io::Result<u64> {
    let mut out = BufWriter::with_capacity(1 << 20, File::create(path)?);
    out.write_all(HEADER.as_bytes())?;
    let mut random = Random(0x7269_6275_7461_7279);
    for row in 0..rows {
        write_row(&mut out, row, &mut random)?;
    }
    out.flush()?;
    Ok(std::fs::metadata(path)?.len())
}

fn write_row(out: &mut impl Write, row: u64, random: &mut Random) -> io::Result<()> {
    // odd, so that ids are distinct and in no order
    let id = row.wrapping_mul(0x9E37_79B9_7F4A_7C15);
    write!(out, "u{id:016x},{}", random.below(2))?;
    for below in [100, 1_000, 1_000_000, 50, u64::MAX >> 1] {
        missing_or(out, random, |out, random| write!(out, "{}", random.below(below)))?;
    }
    for digits in [2, 3, 6, 9, 12, 15] {
        missing_or(out, random, |out, random| write!(out, "{:.digits$}", random.unit() * 2_000.0 - 1_000.0))?;
    }
    write!(out, ",{},{}", random.of(&CITIES), random.of(&CHANNELS))?;
    write!(out, ",{} {}", random.of(&WORDS), random.of(&WORDS))?;
    // text with commas is quoted
    match random.below(8) {
        0 => write!(out, ",\"{}, \"\"{}\"\"\"", random.of(&WORDS), random.of(&WORDS))?,
        _ => write!(out, ",{} {:x}", random.of(&WORDS), random.below(1 << 32))?,
    }
    date(out, random, 1940, 60)?;
    date(out, random, 2000, 25)?;
    date(out, random, 2020, 5)?;
    let second = random.below(86_400);
    writeln!(out, " {:02}:{:02}:{:02}", second / 3600, second / 60 % 60, second % 60)
}

fn missing_or<W: Write>(
    out: &mut W,
    random: &mut Random,
    value: impl FnOnce(&mut W, &mut Random) -> io::Result<()>,
) -> io::Result<()> {
    out.write_all(b",")?;
    if random.below(32) == 0 { Ok(()) } else { value(out, random) }
}

fn date(out: &mut impl Write, random: &mut Random, first: u64, years: u64) -> io::Result<()> {
    let (year, month, day) = (first + random.below(years), 1 + random.below(12), 1 + random.below(28));
    write!(out, ",{year:04}-{month:02}-{day:02}")
}

/// SplitMix64: small, and never to change.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ (z >> 31)
    }

    fn below(&mut self, limit: u64) -> u64 {
        self.next() % limit
    }

    fn unit(&mut self) -> f64 {
        (self.next() >> 11) as f64 / (1_u64 << 53) as f64
    }

    fn of<'a>(&mut self, choices: &[&'a str]) -> &'a str {
        choices[self.below(choices.len() as u64) as usize]
    }
}
