//! Messages that name the cause: line ends, delimiters, encodings.

use tributary_ingest::{Header, UploadOptions, ValueType};

use crate::site::Site;

fn check(content: impl AsRef<[u8]>, expected: &str) {
    let site = Site::new();
    let error = site.refused(site.options(content));
    assert!(error.contains(expected), "{error}");
}

#[test]
fn lines_that_end_with_a_carriage_return_alone_are_distinguished_from_wide_rows() {
    check("id,x\ra,1\rb,2\r", "table.csv: its lines end with a carriage return (CR) alone");
    check("id,x\r", "end with a carriage return (CR) alone");
    check("id,x\na,1\rb,2\r", "3 values, expected 2; its lines end with a carriage return (CR) alone");
    // longer than the longest record
    check(format!("id,x\r{}", "a,1\r".repeat(5 << 20)), "end with a carriage return (CR) alone");
}

#[test]
fn another_delimiter_is_named() {
    check("id;y;x\na;1;2,5\n", "has one column with the delimiter ',', but its lines have ';'");
    check("id\ty\na\t1\n", "(--delimiter '\\t')");
    check("id|y\na|1\n", "(--delimiter '|')");
    let site = Site::new();
    let mut options = site.options("id,x\na,1\n");
    options.delimiter = b';';
    assert!(site.refused(options).contains("(--delimiter ',')"));
    let site = Site::new();
    let mut options = site.options("a;1\nb;2\n");
    options.header = Header::Numbered;
    assert!(site.refused(options).contains("(--delimiter ';')"));
    check("id,x\na;1\n", "1 values, expected 2; its delimiter is not that of the header line");
    // a column of texts
    let site = Site::new();
    site.upload(site.options("name\nSmith; John\n")).unwrap();
}

#[test]
fn decimal_commas_are_named() {
    check(
        "id,x\na,1,5\n",
        "3 values, expected 2; a value with the delimiter or a decimal comma in it must be in quotes",
    );
    let site = Site::new();
    let mut options = site.options("id;x\na;1,5\nb;2\n");
    options.delimiter = b';';
    let note = site.upload(options).unwrap().columns[0].note.clone().unwrap();
    assert!(
        note.contains("text, because it holds a number with a comma (") && note.contains("decimal point"),
        "{note}"
    );
    let site = Site::new();
    let mut options = site.options("id;x\na;1,5\n");
    (options.delimiter, options.default_type) = (b';', Some(ValueType::Float64));
    let error = site.refused(options);
    assert!(error.contains("a number with a comma, expected a number; write a decimal point"), "{error}");
}

#[test]
fn encodings_and_other_formats_are_named() {
    let utf16 = |text: &str| text.encode_utf16().flat_map(u16::to_le_bytes).collect::<Vec<u8>>();
    check(utf16("id,x\na,1\n"), "is UTF-16 without a byte order mark");
    check(utf16("\u{feff}id,x\na,1\n"), "is UTF-16");
    check(b"id,x\0\na,1\n", "has a name with NUL bytes");
    check(b"id,name\na,M\xFCller\n", "text that is not UTF-8; save the file as UTF-8, or convert it: iconv");
    check(b"id,M\xFCller\na,1\n", "text that is not UTF-8");
    check(b"PARE........PARE", "encrypted");
    check(b"Salted__........", "is encrypted");
    // within a compressed file, too
    let site = Site::new();
    let packed = zstd::encode_all(&utf16("id,x\na,1\n")[..], 1).unwrap();
    let error = site.refused(UploadOptions::new(Site::table(), [site.file("a.csv.zst", packed)]));
    assert!(error.contains("is UTF-16 without a byte order mark"), "{error}");
}

#[test]
fn padding_is_named() {
    let site = Site::new();
    let options = site.options("id,x\na,12\0\0\nb,3\0\0\n");
    let note = site.upload(options).unwrap().columns[0].note.clone().unwrap();
    assert!(note.contains("text padded with NUL bytes is kept as it is ("), "{note}");
}

#[test]
fn missing_names_are_reported_with_their_likely_cause() {
    check(
        "id,x,\na,1,\n",
        "column 3 of table.csv has no name (does its line end with a delimiter?); name it",
    );
    check("y,id,x\n1,a,5\n0,b,6\n1,c,7\n", "if another column has the ids, name it (--id COLUMN)");
}

#[test]
fn input_that_decompresses_beyond_its_bound_is_refused_and_leaves_nothing() {
    let site = Site::new();
    let rows = format!("id,x\n{}", (0..100_000).map(|i| format!("{i},0\n")).collect::<String>());
    let packed = site.file("a.csv.zst", zstd::encode_all(rows.as_bytes(), 1).unwrap());
    let mut options = UploadOptions::new(Site::table(), [packed]);
    options.scratch = site.path("scratch");
    options.max_unpacked = Some(rows.len() as u64 - 1);
    let error = site.refused(options.clone());
    assert!(error.contains("decompresses to more than") && error.contains("--max-unpacked"), "{error}");
    assert_eq!(std::fs::read_dir(site.path("scratch")).unwrap().count(), 0);
    options.max_unpacked = Some(rows.len() as u64);
    site.upload(options).unwrap();
}
