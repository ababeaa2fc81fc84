//! The tuning bench as users meet it: tiny grids, results in every form, mistakes, Ctrl-C.

use std::io::{BufRead, BufReader};
use std::process::Stdio;

use crate::site::{Site, text};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::Value;

const TUNE: [&str; 2] = ["bench", "tune"];

fn tune<'a>(more: &[&'a str]) -> Vec<&'a str> {
    [&TUNE[..], more].concat()
}

/// A site of two cores, whatever the machine has.
fn site() -> Site {
    let site = Site::default();
    site.write("service_conf.yaml", "computing: {standalone: {cores: 2, memory: 256MiB}}\n");
    site
}

fn lines(output: &str) -> Vec<Value> {
    output.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

#[test]
fn a_grid_is_measured_shown_drawn_and_written() {
    let site = site();
    let [json, svg, png] =
        ["tune.json", "tune.svg", "tune.png"].map(|name| site.home().join(name).display().to_string());
    let grid = ["--cores", "1,2", "--partitions", "1,3", "--rows", "2_000", "--repeat", "2"];
    let shown = site.ok(&tune(&[&grid[..], &["--json", &json, "--picture", &svg]].concat()));
    for expected in [
        "join: match",
        "mask: hash",
        "1 core",
        "2 cores",
        "Best for all of them together",
        "computing_partitions:",
    ] {
        assert!(shown.contains(expected), "{expected} in {shown}");
    }
    assert!(!shown.contains("cannot be placed"), "{shown}");
    let measured = lines(&std::fs::read_to_string(&json).unwrap());
    // Six operations on four settings, and the default: two cores, two partitions.
    assert_eq!(measured.len(), 6 * 5);
    assert_eq!(measured.iter().filter(|m| m["default"] == true).count(), 6);
    for m in &measured {
        assert_eq!(m["engine"], "standalone");
        assert_eq!(m["rows"], if m["operation"] == "mask" { 1000 } else { 2000 }, "{m}");
        assert_eq!(m["placed_cores"], m["cores"]);
        assert!(
            m["seconds_min"].as_f64() <= m["seconds_median"].as_f64() && m["cpu_seconds"].is_number(),
            "{m}"
        );
    }
    assert!(std::fs::read_to_string(svg).unwrap().contains("mask, 1,000 rows"));

    site.ok(&tune(&[&grid[..], &["--operations", "map", "--picture", &png]].concat()));
    assert!(std::fs::read(png).unwrap().starts_with(b"\x89PNG\r\n"));
    assert!(!site.home().join("parties").exists(), "a bench stores nothing");
}

#[test]
fn more_cores_than_the_site_has_are_no_failure() {
    let site = site();
    let shown = site.ok(&tune(&[
        "--cores",
        "1,64",
        "--partitions",
        "1",
        "--rows",
        "500",
        "--repeat",
        "1",
        "--operations",
        "map",
    ]));
    assert!(shown.contains('–'), "{shown}");
    assert_eq!(shown.matches("engine standalone of this site has at most 2").count(), 1, "{shown}");
    let message = site.fails(2, &tune(&["--cores", "64"]));
    assert!(message.contains("no setting fits this site"), "{message}");
}

#[test]
fn lines_on_standard_output_have_it_for_themselves_and_compare_with_a_file() {
    let site = site();
    let grid = [
        "--cores",
        "1",
        "--partitions",
        "1,2",
        "--rows",
        "500",
        "--repeat",
        "2",
        "--operations",
        "map,reduce",
    ];
    let output = site.run(&tune(&[&grid[..], &["--json", "-"]].concat()));
    let (out, aside) = (text(&output.stdout), text(&output.stderr));
    assert_eq!(lines(&out).len(), 2 * 3);
    assert!(aside.contains("reduce, 1 core, 2 partitions: ") && aside.contains("Best for all"), "{aside}");
    let before = site.write("before.json", &out);
    let twice = |m: &Value| {
        let mut m = m.clone();
        for name in ["seconds_median", "seconds_q1", "seconds_q3"] {
            m[name] = (m[name].as_f64().unwrap() * 1000.0).into();
        }
        m.to_string() + "\n"
    };
    let after = site.write("after.json", &lines(&out).iter().map(twice).collect::<String>());
    let shown = site.ok(&tune(&["--compare", &before, &after]));
    assert!(shown.contains("1000.00 slower") && shown.contains("0 faster, 6 slower, 0 the same"), "{shown}");
    let message = site.fails(2, &tune(&["--compare", &before, &site.write("bad.json", "{}\n")]));
    assert!(message.contains("bad.json:1: not a measurement"), "{message}");
    site.fails(3, &tune(&["--compare", &before, "no-such.json"]));
}

#[test]
fn mistakes_are_reported_before_anything_is_measured() {
    let site = site();
    for (arguments, says) in [
        (&["--rows", "100000000000"][..], "GiB of memory and a task of this site may hold 0.2 GiB"),
        (&["--rows", "0"], "expected a number of rows from 1"),
        (&["--cores", "0"], "0 is not in 1.."),
        (&["--cores", "two"], "invalid value 'two'"),
        (&["--partitions", "70000"], "70000 partitions, expected 1 to 65536"),
        (&["--operations", "map,jon"], "operation \"jon\", expected some of map, exchange, join"),
        (&["--picture", "tune.jpg"], "ends in .svg or .png"),
        (&["--picture", "no-such-folder/tune.svg"], "folder no-such-folder does not exist"),
        (&["--engine", "standalon"], "did you mean \"standalone\"?"),
        (&["--compare", "a.json", "b.json", "--rows", "5"], "cannot be used with"),
    ] {
        let message = site.fails(2, &tune(arguments));
        assert!(message.contains(says), "{arguments:?}: {message}");
    }
}

#[test]
fn ctrl_c_shows_what_was_measured_so_far() {
    let site = site();
    let json = site.home().join("tune.json").display().to_string();
    // The first measurement is done at once; all of them would take hours.
    let grid = [
        "--cores",
        "1",
        "--partitions",
        "1",
        "--rows",
        "20000",
        "--repeat",
        "1000",
        "--operations",
        "reduce,mask",
    ];
    let mut command = site.command(&tune(&[&grid[..], &["--json", &json]].concat()));
    let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let mut progress = BufReader::new(child.stderr.take().unwrap());
    let mut line = String::new();
    progress.read_line(&mut line).unwrap();
    assert!(line.starts_with("reduce, 1 core, 1 partition: "), "{line}");
    kill(Pid::from_raw(child.id() as i32), Signal::SIGINT).unwrap();
    let output = child.wait_with_output().unwrap();
    let shown = text(&output.stdout);
    assert_eq!(output.status.code(), Some(130), "{shown}");
    assert!(shown.contains("reduce: sum") && shown.contains("· not measured"), "{shown}");
    assert!(shown.contains("none is advised"), "{shown}");
    assert_eq!(lines(&std::fs::read_to_string(json).unwrap()).len(), 1);
}
