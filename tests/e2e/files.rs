//! Files of other programs as users meet them: what the summary says about them, and what is downloaded
//! again.

use std::fs;

use crate::site::Site;

const TABLE: [&str; 6] = ["-p", "9999", "-ns", "n", "-n", "t"];

/// Uploads a file of this content, and returns all that is said about it.
fn upload(site: &Site, content: &str, more: &[&str]) -> String {
    let file = site.write("rows.csv", content);
    site.ok(&[&["data", "upload"], &TABLE[..], &["--file", &file, "--if-exists", "replace"], more].concat())
}

fn download(site: &Site, name: &str, more: &[&str]) -> String {
    let output = site.home().join(name).display().to_string();
    site.ok(&[&["data", "download"], &TABLE[..], &["-o", &output, "--overwrite"], more].concat());
    output
}

#[test]
fn what_is_uploaded_is_shown_and_comes_out_as_it_is_in_the_file() {
    let site = Site::default();
    for rows in [
        "id,zip\na,01220\nb,94107\n",
        "id,code\na,007\nb,+5\nc,12\n",
        "id,account\na,9007199254740993\nb,1.5\n",
        "id,x\na,0.1\nb,1e+300\nc,-0.0\n",
        "id,t\na,2024-01-31T12:30:00.5\nb,2024-01-31T12:30:00\n",
    ] {
        upload(&site, rows, &[]);
        let output = download(&site, "out.csv", &[]);
        assert_eq!(fs::read_to_string(&output).unwrap(), rows);
        let preview = site.json(&[&["table", "preview"], &TABLE[..], &["--json"]].concat());
        let shown: String = preview.as_array().unwrap().iter().fold(String::new(), |all, row| {
            let cells: Vec<&str> =
                row.as_array().unwrap().iter().map(|cell| cell.as_str().unwrap()).collect();
            format!("{all}{}\n", cells.join(","))
        });
        assert_eq!(shown, rows.split_once('\n').unwrap().1);
        // and once more, from what came out
        let again = fs::read_to_string(&output).unwrap();
        upload(&site, &again, &[]);
        assert_eq!(fs::read_to_string(download(&site, "out.csv", &[])).unwrap(), rows);
    }
}

#[test]
fn the_summary_says_what_became_of_the_columns_in_lines_of_bounded_width() {
    let site = Site::default();
    let long = "n".repeat(300);
    let shown = upload(
        &site,
        &format!("id,y,x,zip,{long}\na,1,1e-320,007,{long}\nb,0,1.7e308,1,b\n"),
        &["--label", "y"],
    );
    for expected in [
        "sample id: \"id\" (the first column)",
        "label: \"y\" (as given)",
        "note: column \"zip\": text, because a number would not keep a number with leading zeros or a plus sign (",
        "1e-320",
        "1.7e308",
    ] {
        assert!(shown.contains(expected), "{shown}");
    }
    assert!(shown.lines().all(|line| line.chars().count() <= 200), "{shown}");
}

#[test]
fn text_of_files_does_not_drive_the_terminal() {
    let site = Site::default();
    let shown = upload(&site, "id,a\u{1b}[2Jb\n1,\u{1b}]0;x\u{7}\u{9b}\n", &[]);
    let preview = site.ok(&[&["table", "preview"], &TABLE[..]].concat());
    for shown in [shown, preview] {
        assert!(!shown.contains(|c: char| c.is_control() && c != '\n'), "{shown:?}");
    }
    let file = site.write("bad.csv", "id,a\u{1b}[2J\n1,x\n1,x\n");
    let more = ["--file", &file, "--if-exists", "replace", "--label", "b\u{1b}"];
    let failed = site.fails(2, &[&["data", "upload"], &TABLE[..], &more].concat());
    assert!(!failed.contains('\u{1b}'), "{failed:?}");
}

#[test]
fn the_end_of_a_name_is_what_is_in_the_file() {
    let site = Site::default();
    upload(&site, "id,x\na,1\nb,2\n", &[]);
    assert!(fs::read(download(&site, "o.pq", &[])).unwrap().starts_with(b"PAR1"));
    assert!(fs::read(download(&site, "o.feather", &[])).unwrap().starts_with(b"ARROW1"));
    assert_eq!(fs::read_to_string(download(&site, "o.tsv", &[])).unwrap(), "id\tx\na\t1\nb\t2\n");
    assert_eq!(fs::read_to_string(download(&site, "plain", &[])).unwrap(), "id,x\na,1\nb,2\n");
    for (name, more, expected) in [
        ("o.xlsx", &[][..], "workbooks are not supported"),
        ("o.csv.gz", &[], "compressed files are not supported"),
        ("o.json", &[], "no format has the extension .json"),
        ("o.pq", &["--format", "csv"], "contradict each other"),
    ] {
        let output = site.home().join(name).display().to_string();
        let refused = site.fails(2, &[&["data", "download"], &TABLE[..], &["-o", &output], more].concat());
        assert!(refused.contains(expected), "{refused}");
        assert!(name == "o.pq" || !site.home().join(name).exists());
    }
}

#[test]
fn what_a_spreadsheet_would_run_is_escaped_where_that_is_asked_for() {
    let site = Site::default();
    upload(&site, "id,=x,n\na,=1+1,-1\nb,@f,2\nc,plain,3\n", &[]);
    let plain = fs::read_to_string(download(&site, "o.csv", &[])).unwrap();
    assert_eq!(plain, "id,=x,n\na,=1+1,-1\nb,@f,2\nc,plain,3\n");
    let escaped = fs::read_to_string(download(&site, "o.csv", &["--escape-formulas"])).unwrap();
    assert_eq!(escaped, "id,'=x,n\na,'=1+1,-1\nb,'@f,2\nc,plain,3\n");
}

#[test]
fn a_bound_file_has_the_types_and_the_notes_of_an_uploaded_one() {
    let site = Site::default();
    let file = site.write("rows.csv", "id,zip,x\na,007,NaN\nb,1,\nc,2,1.5\n");
    let shown = site.ok(&[&["table", "bind"], &TABLE[..], &["--file", &file, "--nulls", "NA"]].concat());
    assert!(shown.contains("note: column \"zip\": text") && shown.contains("NaN means"), "{shown}");
    let output = download(&site, "o.csv", &[]);
    assert_eq!(fs::read_to_string(output).unwrap(), "id,zip,x\na,007,\nb,1,\nc,2,1.5\n");
}
