//! A newcomer's files become a trained and measured model, however the files are written.

use std::io::Write;
use std::process::{Command, Stdio};

use crate::site::{Site, binary, example, text};

/// 200 rows that learn well: the guest's ids are u0, u1, …, the host has three quarters of them.
fn guest_row(i: usize) -> [String; 4] {
    let label = usize::from(i * 7 % 20 >= 10);
    [format!("u{i}"), label.to_string(), format!("{}", i * 7 % 20), format!("{}", i * 13 % 11)]
}

fn guest(head: &str, separator: &str) -> String {
    let rows = (0..200).map(|i| guest_row(i).join(separator) + "\n");
    format!("{head}\n{}", rows.collect::<String>())
}

fn host() -> String {
    let row = |i: usize| format!("{},{}.5,u{i}\n", i * 3 % 17, i * 7 % 20);
    format!("spent,visits,client\n{}", (50..250).map(row).collect::<String>())
}

impl Site {
    /// `init` of files in its home, with what else was given.
    fn begin(&self, files: &[&str], more: &[&str]) -> String {
        self.ok(&self.beginning(files, more).iter().map(String::as_str).collect::<Vec<_>>())
    }

    fn begin_fails(&self, code: i32, files: &[&str], more: &[&str]) -> String {
        self.fails(code, &self.beginning(files, more).iter().map(String::as_str).collect::<Vec<_>>())
    }

    fn beginning(&self, files: &[&str], more: &[&str]) -> Vec<String> {
        let path = |name: &str| self.home().join(name).display().to_string();
        let files = files.iter().map(|file| path(file));
        let output = ["--output".to_owned(), path("job.yaml")];
        let more = more.iter().map(|word| (*word).to_owned());
        std::iter::once("init".to_owned()).chain(files).chain(output).chain(more).collect()
    }

    fn run_begun(&self) {
        self.ok(&["run", "--quiet", &self.home().join("job.yaml").display().to_string()]);
    }

    /// A metric of the evaluation, in the rows that the model did not see.
    fn measured(&self, name: &str) -> f64 {
        let shown = self.ok(&["output", "metric", "-p", "9999", "-tn", "eval_0", "--table"]);
        let cells = |line: &str| line.split_whitespace().map(str::to_owned).collect::<Vec<_>>();
        let lines = shown.lines().map(cells);
        let found =
            lines.into_iter().find(|cells| cells.get(1..3) == Some(&["test_set".into(), name.into()]));
        found.unwrap_or_else(|| panic!("no {name} in {shown}"))[3].parse().unwrap()
    }
}

#[test]
fn two_files_become_a_model_that_was_measured() {
    let site = Site::default();
    let files = ["guest.csv", "host.csv"];
    for file in files {
        std::fs::copy(example("breast").join(file), site.home().join(file)).unwrap();
    }
    let said = site.begin(&files, &[]);
    for part in ["\"y\" of", "by its name", "two classes", "\"id\" of", "tributary run", "job report"] {
        assert!(said.contains(part), "{part}: {said}");
    }
    site.run_begun();
    assert!(site.measured("auc") > 0.95);
    assert!(site.begin_fails(4, &files, &[]).contains("--overwrite"));
    std::fs::remove_file(site.home().join("job.yaml")).unwrap();
    assert!(site.begin_fails(4, &files, &[]).contains("has a table first/guest"));
    assert!(!site.home().join("job.yaml").exists(), "nothing is written before the tables are");
    site.begin(&files, &["--overwrite"]);
}

#[test]
fn awkward_files_are_read_as_they_are_meant() {
    let site = Site::default();
    // A byte order mark, semicolons, the id in the last column, and ids that are repeated or missing.
    let rows = (0..200).map(|i| {
        let [id, label, a, b] = guest_row(i);
        let a = if i % 9 == 0 { String::new() } else { a };
        format!("{a};\"{b}\";{label};{id}\r\n")
    });
    let rows = rows.collect::<String>() + "1;2;0;u5\r\n1;2;0;\r\n";
    site.write("guest.csv", &format!("\u{feff}a;\"b;c\";outcome;customer id\r\n{rows}"));
    // Quoted values with separators and line ends, a column of few texts, one of many, and one of decimal commas.
    let row = |i: usize| {
        let (area, note) = (["north", "south", "e,ast"][i % 3], format!("note {i}, \"\"more\"\"\nand more"));
        format!("{i},\"{area}\",\"{note}\",\"{i},5\",{},u{i}\n", i * 7 % 20)
    };
    let rows: String = (50..250).map(row).collect();
    site.write("host.csv", &format!("row,area,note,price,visits,client\n{rows}"));
    let said = site.begin(&["guest.csv", "host.csv"], &[]);
    for part in [
        "guest.csv: 202 rows, 4 columns, between \";\"",
        "\"customer id\" of",
        "\"client\" of",
        "\"outcome\" of",
        "category: \"area\" of",
        "left out: \"note\" of",
        "left out: \"price\" of",
        "1 row left out: an earlier row has their id",
        "1 row left out: they have no id, or no label",
    ] {
        assert!(said.contains(part), "{part}: {said}");
    }
    site.run_begun();
    assert!(site.measured("auc") > 0.9);
}

#[test]
fn what_cannot_be_told_is_said_with_the_columns_to_choose_from() {
    let site = Site::default();
    let (files, rows) = (["guest.csv", "host.csv"], guest("id,first,a,b", ","));
    site.write("host.csv", &host());
    // No column looks like a label.
    site.write("guest.csv", &rows.replace(",0,", ",3,").replace(",1,", ",4,"));
    let said = site.begin_fails(2, &files, &[]);
    assert!(said.contains("no column looks like a label") && said.contains("--no-label"), "{said}");
    let said = site.begin_fails(2, &files, &["--label", "first"]);
    assert!(said.contains("they are not 0 and 1"), "{said}");
    let said = site.begin_fails(3, &files, &["--label", "frist"]);
    assert!(said.contains("first"), "{said}");
    let said = site.begin_fails(2, &files, &["--label", "id"]);
    assert!(said.contains("has the ids"), "{said}");
    assert!(!site.home().join("job.yaml").exists());
    site.begin(&files, &["--no-label"]);
    site.run_begun();
    assert_eq!(
        site.model("10000", "host", "statistics_0")["data"]["metrics_summary"]["count"]["visits"],
        150.0
    );
    // A number, with names of the user's own.
    site.begin(&files, &["--overwrite", "--label", "guest.csv=b", "--id", "client", "--parties", "7,8"]);
    site.run_begun();
    let shown = site.ok(&["output", "metric", "-p", "7", "-tn", "eval_0", "--table"]);
    assert!(shown.contains("rmse"), "{shown}");
    // No ids in common, and one file only.
    site.write("guest.csv", &rows.replace('u', "v"));
    assert!(site.begin_fails(2, &files, &["--overwrite"]).contains("no rows would be found in common"));
    site.begin_fails(2, &files[..1], &[]);
}

#[test]
fn several_hosts_and_classes_and_a_person_who_answers() {
    let site = Site::default();
    let files = ["guest.csv", "host.csv", "other.csv"];
    site.write("host.csv", &host());
    site.write("other.csv", &host().replace("client", "uid").replace("visits", "target"));
    // Two columns of 0 and 1, and none is named like a label; the third file has one that is, a number.
    let rows = (0..200).map(|i| format!("{i},u{i},{},{}\n", i % 2, i * 7 % 20 / 7));
    site.write("guest.csv", &format!("row,customer,flag,class\n{}", rows.collect::<String>()));
    assert!(site.begin_fails(2, &files, &[]).contains("several columns could be the label: \"flag\" of"));
    // On a terminal it asks; the first answer is none of the numbers.
    let words = site.beginning(&files, &[]);
    let quoted: Vec<String> = words.iter().map(|word| format!("'{word}'")).collect();
    let command = format!("'{}' {}", binary().display(), quoted.join(" "));
    let mut child = Command::new("script")
        .args(["--quiet", "--return", "--command", &command, "/dev/null"])
        .env("TRIBUTARY_HOME", site.home())
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    child.stdin.take().unwrap().write_all(b"9\n2\n").unwrap();
    let output = child.wait_with_output().unwrap();
    let said = text(&output.stdout);
    assert!(output.status.success() && said.contains("Which column is to be predicted?"), "{said}");
    assert!(said.contains("3 classes"), "{said}");
    site.run_begun();
    assert!(site.measured("multi_accuracy") > 0.5);
}
