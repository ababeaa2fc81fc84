//! Tables as users meet them.

use crate::site::{Site, example};

const TABLE: [&str; 6] = ["-p", "9999", "-ns", "experiment", "-n", "breast_guest"];

fn on_table<'a>(command: &[&'a str], more: &[&'a str]) -> Vec<&'a str> {
    [command, &TABLE, more].concat()
}

#[test]
fn a_table_is_uploaded_listed_looked_at_and_deleted() {
    let site = Site::default();
    site.upload("9999", "breast_guest", &["--label", "y"]);
    let list = site.json(&["table", "list", "-p", "9999", "--json"]);
    assert_eq!(list[0]["rows"], 500);
    let record = site.json(&on_table(&["table", "query"], &["--json"]));
    assert_eq!(record["table"]["name"], "breast_guest");
    assert!(site.ok(&on_table(&["table", "query"], &[])).contains("label"));
    let preview = site.json(&on_table(&["table", "preview"], &["--json", "--rows", "3"]));
    assert_eq!(preview.as_array().unwrap().len(), 3);
    let first =
        std::fs::read_to_string(example("breast/guest.csv")).unwrap().lines().nth(1).unwrap().to_string();
    assert!(first.starts_with(preview[0][0].as_str().unwrap()), "rows come in the file's order");
    site.ok(&on_table(&["table", "delete"], &[]));
    site.fails(3, &on_table(&["table", "query"], &[]));
    site.fails(3, &on_table(&["table", "delete"], &[]));
}

#[test]
fn an_existing_table_is_replaced_only_on_request() {
    let site = Site::default();
    site.upload("9999", "breast_guest", &["--label", "y"]);
    let file = example("breast/host.csv").display().to_string();
    let again = on_table(&["data", "upload"], &["--file", &file]);
    let message = site.fails(4, &again);
    assert!(message.contains("experiment/breast_guest"), "{message}");
    site.ok(&[&again[..], &["--if-exists", "replace"]].concat());
    let columns =
        site.json(&on_table(&["table", "query"], &["--json"]))["schema"]["fields"].as_array().unwrap().len();
    assert_eq!(columns, 20);
}

#[test]
fn a_bad_row_is_named_by_file_and_line_and_nothing_is_stored() {
    let site = Site::default();
    let file = site.write("bad.csv", "id,x\na,1\nb,2,3\n");
    let message = site.fails(2, &on_table(&["data", "upload"], &["--file", &file]));
    assert!(message.contains("bad.csv:3"), "{message}");
    assert_eq!(site.json(&["table", "list", "-p", "9999", "--json"]).as_array().unwrap().len(), 0);
    site.fails(3, &on_table(&["data", "upload"], &["--file", "no-such.csv"]));
}

#[test]
fn an_upload_file_of_fate_works_as_it_is() {
    let site = Site::default();
    let config = example("breast/upload_guest.json").display().to_string();
    let summary = site.json(&["data", "upload", "-p", "9999", "-c", &config, "--json"]);
    assert_eq!(summary["rows"], 500);
}

#[test]
fn components_describe_themselves() {
    let site = Site::default();
    let names = site.json(&["component", "list", "--json"]);
    for name in names.as_array().unwrap() {
        let description = site.json(&["component", "describe", name.as_str().unwrap(), "--json"]);
        assert_eq!(description["component"]["name"], *name);
    }
    assert!(site.ok(&["component", "describe", "psi"]).contains("ecdh_psi"));
    assert!(site.fails(3, &["component", "describe", "psj"]).contains("did you mean \"psi\"?"));
}

#[test]
fn a_name_may_begin_with_a_hyphen_and_a_home_may_be_behind_a_link() {
    let site = Site::default();
    let rows = site.write("rows.csv", "id,x\na,1\n");
    let (real, link) = (site.home().join("real"), site.home().join("link"));
    std::fs::create_dir(&real).unwrap();
    std::os::unix::fs::symlink(&real, &link).unwrap();
    let run = |home: &std::path::Path, arguments: &[&str]| {
        let mut command = site.command(arguments);
        let output = command.env("TRIBUTARY_HOME", home).output().unwrap();
        assert!(output.status.success(), "{arguments:?} {}", crate::site::text(&output.stderr));
        crate::site::text(&output.stdout)
    };
    let table = ["-p", "9999", "--namespace=-n", "--name=-t"];
    run(&link, &[&["data", "upload", "--file", &rows], &table[..]].concat());
    for home in [&link, &real] {
        assert!(run(home, &[&["table", "verify"], &table[..]].concat()).contains("-n/-t"));
        assert!(run(home, &["gc"]).contains("party 9999"));
    }
    run(&real, &[&["table", "delete"], &table[..]].concat());
}
