//! Tables in files elsewhere, and tables that are to be deleted while a job reads them.

use std::fs;
use std::process::{Child, Stdio};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use crate::site::{Site, example, kill_at_moments, text, wait_until};

fn arguments<'a>(command: &[&'a str], party: &'a str, name: &'a str, more: &[&'a str]) -> Vec<&'a str> {
    [command, &["-p", party, "-ns", "experiment", "-n", name], more].concat()
}

/// The example's tables as files beside the home, and bound in place of uploads.
fn with_bound_tables(format: &str) -> Site {
    let (source, site) = (Site::with_breast_tables(), Site::default());
    for (party, name, more) in
        [("9999", "breast_guest", &["--label", "y"][..]), ("10000", "breast_host", &[])]
    {
        let file = site.home().join(name).with_extension(format).display().to_string();
        source.ok(&arguments(&["data", "download"], party, name, &["-o", &file]));
        site.ok(&arguments(&["table", "bind"], party, name, &[&["--file", file.as_str()], more].concat()));
    }
    site
}

#[test]
fn a_job_over_bound_tables_gives_what_it_gives_over_uploaded_ones() {
    let job = example("breast/job.yaml").display().to_string();
    let sites = [Site::with_breast_tables(), with_bound_tables("parquet"), with_bound_tables("csv")];
    let results = sites.map(|site| {
        site.ok(&["run", "--quiet", "--job-id", "same", &job]);
        (site.metrics("9999", "guest", "binning_0"), site.model("10000", "host", "binning_0"))
    });
    assert!(results[0] == results[1] && results[0] == results[2]);
}

#[test]
fn a_bound_table_is_looked_at_checked_renamed_and_deleted_like_any_other() {
    for format in ["parquet", "csv"] {
        looked_at_checked_renamed_and_deleted(&with_bound_tables(format), format);
    }
}

fn looked_at_checked_renamed_and_deleted(site: &Site, format: &str) {
    let schema = site.json(&arguments(&["table", "schema"], "9999", "breast_guest", &["--json"]));
    assert_eq!(
        (&schema[0]["purpose"], &schema[1]["purpose"], &schema[1]["type"]),
        (&"key".into(), &"label".into(), &"Int32".into())
    );
    let preview =
        site.json(&arguments(&["table", "preview"], "9999", "breast_guest", &["--json", "--rows", "3"]));
    assert_eq!(preview.as_array().unwrap().len(), 3);
    let verified = site.json(&arguments(&["table", "verify"], "9999", "breast_guest", &["--json"]));
    assert_eq!((&verified["rows"], &verified["recorded"]), (&500.into(), &true.into()));
    let message = site
        .fails(2, &arguments(&["table", "rename"], "9999", "breast_guest", &["--to-name", "breast_guest"]));
    assert!(message.contains("both names are the same"), "{message}");
    site.ok(&arguments(&["table", "rename"], "9999", "breast_guest", &["--to-name", "patients"]));
    site.fails(3, &arguments(&["table", "query"], "9999", "breast_guest", &[]));

    let file = site.home().join("breast_guest").with_extension(format);
    let whole = fs::read(&file).unwrap();
    fs::write(&file, &whole).unwrap(); // the same bytes, but that cannot be seen
    for command in [&["data", "download", "-o", "-"][..], &["table", "verify"]] {
        let message = site.fails(1, &arguments(command, "9999", "patients", &[]));
        let expected = format!("breast_guest.{format}: the file has changed");
        assert!(message.contains(&expected), "{message}");
        assert!(!message.contains("mean_radius"), "nothing was written: {message}");
    }
    site.ok(&arguments(&["table", "delete"], "9999", "patients", &[]));
    assert_eq!(fs::read(&file).unwrap(), whole, "the file is not ours");
}

#[test]
fn what_cannot_be_bound_is_named() {
    let site = Site::default();
    let refused = |content: &str, more: &[&str], expected: &str| {
        let file = site.write("rows.csv", content);
        let more = [&["--file", file.as_str()], more].concat();
        let message = site.fails(2, &arguments(&["table", "bind"], "1", "t", &more));
        assert!(message.contains(expected), "{message}");
    };
    refused("PAR1", &[], "rows.csv: it is not a Parquet file: too short");
    refused("id,x\n", &[], "rows.csv has a header, but no rows");
    refused("id,x\na,1\nb,2,3\n", &[], "rows.csv:3: 3 values, expected 2");
    refused("id,x\na,1\nb,\"2\n\n", &[], "rows.csv:3: column 2 (\"x\"): a quote that is never closed");
    refused("id,x\na,1\na,2\n", &[], "rows.csv:3: column 1 (\"id\"): the sample id already occurs at");
    refused(
        "id,x\na,1\nb,y\n",
        &["--types", "x=int64"],
        "rows.csv:3: column 2 (\"x\"): text, expected an integer",
    );
    refused("id,x\na,1\n", &["--label", "z"], "label \"z\": the file has no such column");
    refused("\u{1f}", &["--file", "-"], "standard input can be read only once");
    let packed = site.home().join("rows.csv.zst");
    fs::write(&packed, zstd::encode_all(&b"id,x\na,1\n"[..], 1).unwrap()).unwrap();
    let packed = packed.display().to_string();
    let message = site.fails(2, &arguments(&["table", "bind"], "1", "t", &["--file", &packed]));
    assert!(message.contains("is compressed") && message.contains("tributary data upload"), "{message}");
    site.fails(3, &arguments(&["table", "bind"], "1", "t", &["--file", "no-such.parquet"]));
    let message = site.fails(
        2,
        &arguments(&["table", "bind"], "1", "t", &["--folder", &example("breast").display().to_string()]),
    );
    assert!(message.contains("ends neither in .parquet nor in .csv"), "{message}");
    assert_eq!(site.json(&["table", "list", "-p", "1", "--json"]).as_array().unwrap().len(), 0);
}

#[test]
fn a_bound_csv_table_goes_out_as_an_upload_of_its_files_does() {
    let site = Site::default();
    let first = "a;1;\"two\nlines; and \"\"quotes\"\"\";2024-01-31\n\nb;0;NA;\n";
    let files = [site.write("1.csv", first), site.write("2.csv", "c;1;;2024-02-29\r\n")];
    let reading = ["--no-header", "id,y,text,day", "--delimiter", ";", "--nulls", ",NA", "--label", "y"];
    let table = |command: &[&str], more: &[&str]| {
        site.ok(&arguments(
            command,
            "1",
            "t",
            &[&["--file", &files[0], &files[1]], &reading[..], more].concat(),
        ))
    };
    let looks = || {
        let tables = ["csv", "parquet"].map(|format| {
            let out = site.home().join("out").with_extension(format).display().to_string();
            site.ok(&arguments(&["data", "download"], "1", "t", &["-o", &out, "--overwrite"]));
            fs::read(out).unwrap()
        });
        let [schema, preview] = ["schema", "preview"]
            .map(|command| site.ok(&arguments(&["table", command], "1", "t", &["--json"])));
        (tables, schema, preview)
    };
    let said = table(&["table", "bind"], &["--partitions", "2"]);
    assert!(said.contains("bound experiment/t: 3 rows in 2 partitions, "), "{said}");
    let bound = looks();
    assert!(text(&bound.0[0]).contains("\"two\nlines; and \"\"quotes\"\"\""), "{}", text(&bound.0[0]));
    table(&["data", "upload"], &["--partitions", "2", "--if-exists", "replace"]);
    assert!(bound == looks());
    let record = site.json(&arguments(&["table", "query"], "1", "t", &["--json"]));
    assert_eq!(record["origin"]["made_by"], "upload");

    // made ids are the same each time
    let numbered: Vec<&str> =
        ["--no-header", "--delimiter", ";", "--extend-sid", "--if-exists", "replace"].into();
    site.ok(&arguments(&["table", "bind"], "1", "t", &[&["--file", &files[0]], &numbered[..]].concat()));
    let again = || site.ok(&arguments(&["data", "download"], "1", "t", &["-o", "-"]));
    let csv = again();
    assert!(csv.starts_with("extend_sid,x0,x1,x2,x3\n") && csv == again(), "{csv}");
    site.ok(&arguments(&["table", "verify"], "1", "t", &[]));
    // a row is changed, or the end is cut off
    for change in [first.replace('1', "7"), first[..first.len() - 1].to_owned()] {
        fs::write(&files[0], change).unwrap();
        let message = site.fails(1, &arguments(&["table", "verify"], "1", "t", &[]));
        assert!(message.contains("1.csv: the file has changed"), "{message}");
    }
    fs::remove_file(&files[0]).unwrap();
    let message = site.fails(1, &arguments(&["data", "download"], "1", "t", &["-o", "-"]));
    assert!(message.contains("1.csv") && message.contains("restore the file"), "{message}");
    site.ok(&arguments(&["table", "delete"], "1", "t", &[]));
}

#[test]
fn a_bind_that_is_killed_leaves_the_old_table_or_the_new_one() {
    const KILLS: u32 = 20;
    let site = Site::default();
    // each number in a file of its own, for the old table's must stay as they are
    let file = |number: u32| {
        let rows: String = (0..20_000 + number).map(|row| format!("r{row},{number}\n")).collect();
        site.write(&format!("{number}.csv"), &format!("id,n\n{rows}"))
    };
    let bind = |file: &str| {
        let more = ["--file", file, "--if-exists", "replace"];
        site.command(&arguments(&["table", "bind"], "1", "t", &more)).stdout(Stdio::null()).spawn().unwrap()
    };
    let first = file(0);
    assert!(bind(&first).wait().unwrap().success());
    let mut last = 0;
    kill_at_moments(
        KILLS,
        |kill| bind(&file(kill)),
        |kill, _| {
            let csv = site.ok(&arguments(&["data", "download"], "1", "t", &["-o", "-"]));
            let numbers: std::collections::BTreeSet<&str> =
                csv.lines().skip(1).filter_map(|row| row.rsplit(',').next()).collect();
            assert_eq!(numbers.len(), 1, "a mixture of tables");
            let number: u32 = numbers.first().unwrap().parse().unwrap();
            assert!(number == last || number == kill, "{number} after {last}, kill {kill}");
            assert_eq!(csv.lines().count() as u32, 20_001 + number);
            last = number;
        },
    );
    assert!(bind(&file(77)).wait().unwrap().success());
    let record = site.json(&arguments(&["table", "query"], "1", "t", &["--json"]));
    assert_eq!(record["rows"], 20_077);
}

/// A job that has begun and gets no further.
struct Halted(Child);

impl Halted {
    fn start(site: &Site) -> Self {
        let job = example("breast/job.yaml").display().to_string();
        let child = site.command(&["run", "--quiet", "--job-id", "reading", &job]).spawn().unwrap();
        let begun =
            |party: &str| site.home().join("parties").join(party).join("jobs/reading/job.json").exists();
        wait_until("the job begins", || begun("9999") && begun("10000"));
        let halted = Self(child);
        halted.signal(Signal::SIGSTOP);
        halted
    }

    fn signal(&self, signal: Signal) {
        kill(Pid::from_raw(self.0.id() as i32), signal).unwrap();
    }
}

#[test]
fn a_table_that_a_job_reads_stays_until_its_end() {
    let site = Site::with_breast_tables();
    let mut job = Halted::start(&site);
    for command in [&["table", "delete"][..], &["table", "rename", "--to-name", "other"]] {
        let message = site.fails(5, &arguments(command, "9999", "breast_guest", &[]));
        assert!(
            message.contains("job reading of party 9999 reads table experiment/breast_guest"),
            "{message}"
        );
    }
    site.fails(5, &arguments(&["table", "delete"], "9999", "breast_guest", &["--wait", "1"]));
    // a table that it does not read
    site.upload("9999", "breast_host", &[]);
    site.ok(&arguments(&["table", "delete"], "9999", "breast_host", &[]));

    let waiting = arguments(&["table", "delete"], "9999", "breast_guest", &["--wait", "120"]);
    let waiting = site.command(&waiting).stderr(Stdio::piped()).spawn().unwrap();
    job.signal(Signal::SIGCONT);
    assert_eq!(job.0.wait().unwrap().code(), Some(0), "the job had its table to its end");
    let waited = waiting.wait_with_output().unwrap();
    assert_eq!(waited.status.code(), Some(0));
    site.fails(3, &arguments(&["table", "query"], "9999", "breast_guest", &[]));
}

#[test]
fn a_killed_job_holds_no_table() {
    let site = Site::with_breast_tables();
    let mut job = Halted::start(&site);
    site.fails(5, &arguments(&["table", "delete"], "9999", "breast_guest", &[]));
    job.signal(Signal::SIGKILL);
    job.0.wait().unwrap();
    site.ok(&arguments(&["table", "delete"], "9999", "breast_guest", &[]));
}
