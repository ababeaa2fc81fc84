//! Tables out, and all the ways in which that can end.

use std::fmt::Write as _;
use std::fs;
use std::io::Read;
use std::os::unix::fs::PermissionsExt;
use std::process::Stdio;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use crate::site::{Site, example, text, wait_until};

const TABLE: [&str; 6] = ["-p", "9999", "-ns", "experiment", "-n", "t"];

fn download<'a>(more: &[&'a str]) -> Vec<&'a str> {
    [&["data", "download"], &TABLE[..], more].concat()
}

/// More rows than pipes and threads hold between reading and writing.
fn with_long_table() -> (Site, String) {
    let site = Site::default();
    let mut csv = String::from("id,x,t\n");
    for i in 0..400_000 {
        writeln!(csv, "row {i},{i},some text that makes the row longer {i}").unwrap();
    }
    let file = site.write("long.csv", &csv);
    site.ok(&[&["data", "upload"], &TABLE[..], &["--file", &file, "--partitions", "8"]].concat());
    (site, csv)
}

fn files(site: &Site) -> Vec<String> {
    let names =
        fs::read_dir(site.home()).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap());
    names.filter(|name| name != "parties" && name != "long.csv").collect()
}

#[test]
fn a_table_goes_out_as_it_came_in_and_a_file_is_not_replaced_unasked() {
    let site = Site::default();
    let csv = fs::read_to_string(example("breast/host.csv")).unwrap();
    let file = site.write("long.csv", &csv);
    site.ok(&[&["data", "upload"], &TABLE[..], &["--file", &file]].concat());
    assert_eq!(site.ok(&download(&["-o", "-"])), csv);
    let out = site.home().join("out.csv").display().to_string();
    let summary = site.json(&download(&["-o", &out, "--json"]));
    assert_eq!((&summary["rows"], &summary["bytes"]), (&500.into(), &csv.len().into()));
    assert_eq!(fs::read_to_string(&out).unwrap(), csv);
    assert_eq!(fs::metadata(&out).unwrap().permissions().mode() & 0o777, 0o600);
    let message = site.fails(4, &download(&["-o", &out]));
    assert!(message.contains("--overwrite"), "{message}");
    site.ok(&download(&["-o", &out, "--overwrite", "--delimiter", "\\t", "--no-header"]));
    assert!(fs::read_to_string(&out).unwrap().lines().all(|line| line.split('\t').count() == 21));
    site.fails(3, &download(&["-o", "no/such/folder/x.csv"]));
    let message = site.fails(2, &download(&["-o", "x.csv.gz"]));
    assert!(message.contains("gzip"), "{message}");
    assert_eq!(files(&site), ["out.csv"]);
}

#[test]
fn a_long_table_survives_its_readers_and_its_users() {
    let (site, csv) = with_long_table();
    // whole, and in order
    assert!(site.ok(&download(&["-o", "-", "--threads", "3"])) == csv);

    // `| head`
    let head = |arguments: &[&str]| {
        let arguments = download(arguments);
        let mut child =
            site.command(&arguments).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        let mut first = [0; 7];
        child.stdout.take().unwrap().read_exact(&mut first).unwrap();
        (child.wait_with_output().unwrap(), first)
    };
    for format in ["csv", "arrow", "parquet"] {
        let (output, first) = head(&["-o", "-", "--format", format]);
        assert_eq!((output.status.code(), text(&output.stderr).as_str()), (Some(0), ""), "{format}");
        assert!(format != "csv" || &first == b"id,x,t\n");
    }

    // Ctrl-C
    let out = site.home().join("out.csv").display().to_string();
    let child = site.command(&download(&["-o", &out])).stderr(Stdio::piped()).spawn().unwrap();
    let is_begun = || files(&site).iter().any(|name| name.starts_with(".out.csv.unfinished-"));
    wait_until("the download begins", is_begun);
    kill(Pid::from_raw(child.id() as i32), Signal::SIGINT).unwrap();
    let output = child.wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(130), "{}", text(&output.stderr));
    assert_eq!(files(&site), Vec::<String>::new());

    // deleted while it is read: an error, not the end of a shorter table
    let mut child =
        site.command(&download(&["-o", "-"])).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let mut stdout = child.stdout.take().unwrap();
    stdout.read_exact(&mut [0; 7]).unwrap();
    site.ok(&[&["table", "delete"], &TABLE[..]].concat());
    let mut rest = String::new();
    stdout.read_to_string(&mut rest).unwrap();
    let output = child.wait_with_output().unwrap();
    let said = text(&output.stderr);
    assert!(output.status.code() == Some(3) && said.contains("the table was deleted"), "{said}");
    assert!(csv.contains(&rest), "what came before is of the table");
}
