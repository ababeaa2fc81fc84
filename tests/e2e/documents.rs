//! Every command and job file in the documents: run, or where it cannot be run, looked up in the binary's own help.
//!
//! A block that is not run is below a comment that says why: `<!-- not run: it takes an hour -->`. Commands within
//! running text are never run, and always looked up.

use std::path::Path;
use std::process::Command;

use crate::site::{Site, binary, example, text, top};

/// A fenced block of a document.
struct Block {
    document: String,
    line: usize,
    language: String,
    text: String,
    /// Why it is not run.
    not_run: Option<String>,
}

fn documents() -> Vec<String> {
    let mut found = vec!["README.md".to_owned()];
    for folder in ["docs", "examples/breast", "examples/fate1", "examples/scores"] {
        let names = std::fs::read_dir(top().join(folder)).unwrap().map(|e| e.unwrap().file_name());
        let pages = names.map(|name| name.into_string().unwrap()).filter(|name| name.ends_with(".md"));
        found.extend(pages.map(|name| format!("{folder}/{name}")));
    }
    found.sort();
    found
}

fn content(document: &str) -> String {
    std::fs::read_to_string(top().join(document)).unwrap()
}

fn blocks(document: &str) -> Vec<Block> {
    let content = content(document);
    let (mut found, mut open, mut last) = (Vec::new(), None::<Block>, "");
    for (line, written) in (1..).zip(content.lines()) {
        match (written.strip_prefix("```"), &mut open) {
            (Some(_), Some(_)) => found.extend(open.take()),
            (Some(language), None) => {
                let reason = last.strip_prefix("<!-- not run:").and_then(|rest| rest.strip_suffix("-->"));
                open = Some(Block {
                    document: document.to_owned(),
                    line,
                    language: language.to_owned(),
                    text: String::new(),
                    not_run: reason.map(|reason| reason.trim().to_owned()),
                });
            }
            (None, Some(block)) => block.text += &format!("{written}\n"),
            (None, None) if !written.trim().is_empty() => last = written,
            (None, None) => {}
        }
    }
    assert!(open.is_none(), "{document}: a block without end");
    found
}

/// The home of a document's commands, with what it supposes to be there.
fn site(document: &str) -> Site {
    let site = match document {
        "docs/run.md" | "docs/component.md" | "docs/fate1.md" => Site::with_breast_tables(),
        _ => Site::default(),
    };
    std::os::unix::fs::symlink(top().join("examples"), site.home().join("examples")).unwrap();
    if document == "docs/sites.md" {
        let partner = Site::default();
        partner.ok(&["site", "init", "--party", "10000"]);
        site.write("10000.card", &partner.ok(&["site", "card", "--party", "10000"]));
    }
    if document == "docs/upload.md" {
        let rows = "order,returned,price\n1,0,2.5\n2,1,3.5\n";
        site.write("orders.csv", rows);
        let compress = "gzip -c orders.csv | tee orders.csv.Z > orders-2024-01.csv.gz";
        assert!(
            Command::new("sh").args(["-c", compress]).current_dir(site.home()).status().unwrap().success()
        );
        site.write("today.csv", "order,returned,price\n3,1,4.5\n");
        site.write(
            "upload.json",
            r#"{"file": "orders.csv", "head": true, "namespace": "fate", "name": "orders", "meta": {"label_name": "returned"}}"#,
        );
    }
    site
}

fn shell(site: &Site, block: &Block) {
    let paths = [binary().parent().unwrap().to_owned()];
    let system = std::env::var_os("PATH").unwrap();
    let path = std::env::join_paths(paths.into_iter().chain(std::env::split_paths(&system))).unwrap();
    let output = Command::new("bash")
        .args(["-euo", "pipefail", "-c", &block.text])
        .env("PATH", path)
        .env("TRIBUTARY_HOME", site.home())
        .current_dir(site.home())
        .output()
        .unwrap();
    let shown = format!("{}\n{}{}", block.text, text(&output.stdout), text(&output.stderr));
    assert!(output.status.success(), "{}:{}:\n{shown}", block.document, block.line);
}

/// A whole job is run, a piece of one explained within another, grants are checked, and all else is a site's configuration.
fn yaml(site: &Site, block: &Block) {
    let cores = |cores: u32| {
        site.write("service_conf.yaml", &format!("computing: {{standalone: {{cores: {cores}}}}}\n"));
    };
    if block.text.contains("\nschema_version:") {
        cores(1);
        let job = site.write("document.yaml", &block.text);
        site.ok(&["run", "--quiet", &job]);
    } else if block.text.starts_with("dag:\n") {
        cores(2);
        let toy = std::fs::read_to_string(example("toy/job.yaml")).unwrap();
        let (_, rest) = toy.split_once("dag:\n").unwrap();
        let job = site.write("document.yaml", &format!("{}{rest}", block.text));
        site.ok(&["explain", &job]);
    } else if block.text.contains("\ngrants:") {
        site.write("parties/9999/grants.yaml", &block.text);
        site.ok(&["site", "grants"]);
    } else {
        let conf = site.write("service_conf.yaml", &block.text);
        let shown = site.run(&["config", "show", "--party", "9999"]);
        assert!(shown.status.success(), "{}:{}: {}", block.document, block.line, text(&shown.stderr));
        std::fs::remove_file(conf).unwrap();
    }
}

#[test]
fn what_the_documents_show_works() {
    for document in documents() {
        let (site, mut run) = (site(&document), 0);
        for block in blocks(&document).iter().filter(|block| block.not_run.is_none()) {
            match block.language.as_str() {
                "sh" => shell(&site, block),
                "yaml" => yaml(&site, block),
                "rust" | "" => continue,
                other => panic!("{document}:{}: what is to be done with a block of {other:?}?", block.line),
            }
            run += 1;
        }
        let shows = [
            "README.md",
            "docs/configure.md",
            "docs/fate1.md",
            "docs/run.md",
            "docs/sites.md",
            "docs/tune.md",
            "docs/upload.md",
        ];
        assert!(run > 0 || !shows.contains(&document.as_str()), "{document} shows nothing that works");
    }
}

/// Commands in running text and in blocks that are not run.
fn commands() -> Vec<(String, String)> {
    let mut found = Vec::new();
    for document in documents() {
        let (mut prose, mut fenced) = (String::new(), false);
        for line in content(&document).lines() {
            fenced ^= line.starts_with("```");
            if !fenced {
                prose += &format!("{line}\n");
            }
        }
        let spans = prose.split('`').skip(1).step_by(2);
        let spans = spans.filter(|span| span.starts_with("tributary ")).map(str::to_owned);
        let not_run = blocks(&document).into_iter().filter(|block| block.not_run.is_some());
        let lines: Vec<String> =
            not_run.flat_map(|b| b.text.lines().map(str::to_owned).collect::<Vec<_>>()).collect();
        let lines = lines.into_iter().filter(|line| line.starts_with("tributary "));
        found.extend(spans.chain(lines).map(|command| (document.clone(), command)));
    }
    found
}

#[test]
fn what_the_documents_name_is_there() {
    let site = Site::default();
    let commands = commands();
    assert!(commands.len() > 10, "{commands:?}");
    for (document, command) in commands {
        let command = command.split(" #").next().unwrap();
        let words: Vec<&str> = command.split_whitespace().skip(1).collect();
        if !cfg!(feature = "ballista") && matches!(words[0], "cluster" | "gc") {
            continue; // not in this binary
        }
        let is_name =
            |word: &&&str| word.chars().all(|c| c.is_ascii_lowercase() || c == '-') && !word.starts_with('-');
        let names: Vec<&str> = words.iter().take_while(is_name).copied().collect();
        let help = site.ok(&[names.as_slice(), &["--help"]].concat());
        for option in words.iter().filter(|word| word.starts_with('-')) {
            let known = help.split(|c: char| c.is_whitespace() || c == ',').any(|word| word == *option)
                || matches!(*option, "--help" | "--json")
                || SHORT.contains(option);
            assert!(known, "{document}: `{command}`: {option} is no option of {names:?}:\n{help}");
        }
    }
}

/// Spellings of FATE's client, which the binary takes without listing them.
const SHORT: [&str; 2] = ["-tn", "-ns"];

#[test]
fn every_job_among_the_examples_is_sound_on_one_core() {
    let site = Site::with_breast_tables();
    site.write("service_conf.yaml", "computing: {standalone: {cores: 1}}\n");
    site.upload("10000", "breast_host_a", &[]);
    site.upload("10001", "breast_host_b", &[]);
    for (id, trains) in [("t", "breast/job.yaml"), ("b", "breast/boost.yaml")] {
        site.ok(&["run", "--quiet", "--job-id", id, &example(trains).display().to_string()]);
    }
    let mut jobs = 0;
    for folder in ["breast", "toy"] {
        for entry in std::fs::read_dir(example(folder)).unwrap() {
            let path = entry.unwrap().path();
            if path.extension().is_none_or(|end| end != "yaml") {
                continue;
            }
            let job = std::fs::read_to_string(&path).unwrap();
            let trained = if job.contains("hetero_secureboost") { "b" } else { "t" };
            let job = job.replace("${model_id}", trained).replace("${model_version}", "0");
            let job = site.write(Path::new(path.file_name().unwrap()).to_str().unwrap(), &job);
            site.ok(&["run", "--quiet", &job]);
            jobs += 1;
        }
    }
    assert!(jobs >= 4, "{jobs}");
}
