//! What a reader of a document gets, and which mistakes are reported.

#![allow(clippy::unwrap_used)]

use tributary_document::{Collector, Item, Keys, Limits, Node, Problems, Step, parse};

fn read<T>(source: &str, reader: impl FnOnce(&mut Keys<'_>) -> T) -> Result<T, Problems> {
    let report = Collector::new("f");
    let value = parse(source.as_bytes(), &Limits::default(), &report)
        .map(|node| Item::root(&node, &report).map(reader));
    report.finish(value)
}

fn tree(source: &[u8], limits: &Limits) -> Result<Node, Problems> {
    let report = Collector::new("f");
    let node = parse(source, limits, &report);
    report.finish(node)
}

/// The lines that `source` is refused with.
fn refusal(source: &[u8]) -> String {
    tree(source, &Limits::default()).unwrap_err().to_string()
}

fn json(source: &str) -> serde_json::Value {
    tree(source.as_bytes(), &Limits::default()).unwrap().to_json().unwrap()
}

#[test]
fn every_mistake_is_reported_at_its_key_in_the_order_of_the_file() {
    let source = "\
name: 12
size: {width: wide, hieght: 3}
kind: rond
party: [9999, ~, {}]
extra: 1
";
    let problems = read(source, |keys| {
        keys.take("party").list().iter().for_each(|item| drop(item.id()));
        keys.take("name").text();
        keys.take("kind").choice(&[("round", 1), ("square", 2)]);
        keys.take("size").map(|keys| {
            keys.take("width").int_in(1..=10u32);
            keys.required("height").float_in(0.0..=1.0);
        });
        keys.required("colour").text();
    })
    .unwrap_err();
    assert_eq!(
        problems.to_string(),
        "f:1:1: name: expected text, got 12 (put it in quotes)
f:1:1: colour: required, but not given
f:2:1: size.height: required, but not given
f:2:8: size.width: expected an integer from 1 to 10, got \"wide\"
f:2:21: size.hieght: unknown key (did you mean \"height\"?)
f:3:1: kind: expected one of round, square, got \"rond\" (did you mean \"round\"?)
f:4:18: party[2]: expected text, got a map
f:5:1: extra: unknown key (known: party, name, kind, size, colour)"
    );
}

#[test]
fn null_is_absence() {
    let read = read("a: ~\nb:\nc: null\nd: {}\n", |keys| {
        assert!(keys.take("a").is_written() && !keys.take("a").is_given());
        (
            keys.take("a").bool(),
            keys.take("b").int_in(0..=1u8),
            keys.take("c").list().len(),
            keys.take("d").entries().len(),
        )
    });
    assert_eq!(read.unwrap(), (None, None, 0, 0));
}

#[test]
fn an_absent_map_lacks_nothing_it_requires() {
    read("{}", |keys| keys.take("a").map(|keys| keys.required("b").text().is_some())).unwrap();
    assert!(read("a: {}", |keys| keys.take("a").map(|keys| keys.required("b").text().is_some())).is_err());
}

#[test]
fn a_list_that_must_not_be_empty_is_not() {
    let check = |source, expected: &str| {
        let problems = read(source, |keys| keys.take("a").non_empty_list().len()).unwrap_err();
        assert_eq!(problems.to_string(), expected);
    };
    check("a: []", "f:1:1: a: expected a list of at least one, got an empty one");
    check("a: {}", "f:1:1: a: expected a list, got a map");
    assert_eq!(read("a: ~", |keys| keys.take("a").non_empty_list().len()).unwrap(), 0);
}

#[test]
fn ids_survive_lost_quotes() {
    let ids = read("ids: [9999, '010', 202307171452088269870, a-b]", |keys| {
        keys.take("ids").list().iter().filter_map(Item::id).collect::<Vec<_>>()
    });
    assert_eq!(ids.unwrap(), ["9999", "010", "202307171452088269870", "a-b"]);
    assert!(read("id: ''", |keys| keys.take("id").id()).is_err());
}

#[test]
fn a_place_below_an_item_is_found_or_as_near_as_the_document_allows() {
    let report = Collector::new("f");
    let node = parse(b"a:\n  b: [1, 22]\n", &Limits::default(), &report).unwrap();
    let below = |steps: &[Step]| {
        let item = Item::root(&node, &report).below(steps);
        (item.at().line, item.at().column, item.path().to_owned(), item.is_written())
    };
    let key = |name: &str| Step::Key(name.to_owned());
    assert_eq!(below(&[key("a"), key("b"), Step::Index(1)]), (2, 10, "a.b[1]".to_owned(), true));
    assert_eq!(below(&[key("a"), key("x"), Step::Index(1)]), (1, 1, "a.x[1]".to_owned(), false));
}

#[test]
fn json_is_read_as_the_yaml_it_is() {
    let source = "{\n\t\"dag\":{\"a/b\":[1,2.5,true,null,\"x\\ty\\u00e9\\/\"],\"c\":{}}\n}";
    let expected: serde_json::Value = serde_json::from_str(source).unwrap();
    assert_eq!(json(source), expected);
}

#[test]
fn quotes_and_the_str_tag_make_text() {
    assert_eq!(json("[1, '1', \"1\", !!str 1, yes, ~]"), serde_json::json!([1, "1", "1", "1", "yes", null]));
}

#[test]
fn aliases_repeat_a_value() {
    assert_eq!(
        json("a: &x [1, {b: 2}]\nc: *x\n"),
        serde_json::json!({"a": [1, {"b": 2}], "c": [1, {"b": 2}]})
    );
}

#[test]
fn a_number_json_cannot_hold_is_a_problem_with_its_place() {
    let problems = read("a: {b: [1, 99999999999999999999]}", |keys| keys.take("a").json()).unwrap_err();
    let expected = "f:1:12: a: the integer has more than 64 bits (put it in quotes if it is an id)";
    assert_eq!(problems.to_string(), expected);
}

#[test]
fn unreadable_documents_are_refused_with_reason_and_place() {
    let check = |source: &[u8], expected: &str| assert_eq!(refusal(source), expected);
    check(b"", "f:1:1: the file is empty");
    check(b"# nothing\n", "f:1:1: the file is empty");
    check(b"a: 1\nb: \"caf\xe9\"\n", "f:2:8: the file is not UTF-8 text (save the file as UTF-8)");
    check(b"a: 1\nb: 2\na: 3\n", "f:3:1: key \"a\" again, first in line 1");
    check(b"a: 1\n---\nb: 2\n", "f:3:1: a second document begins here (keep one document in a file)");
    check(
        b"a: !!python/object:os.system [ls]\n",
        "f:1:4: tags are not supported, got \"tag:yaml.org,2002:!python/object:os.system\"",
    );
    check(b"a: 007\n", "f:1:4: \"007\" is ambiguous: put it in quotes, or drop the leading zeros");
    check(b"a: &x [*x]\n", "f:1:8: this alias is inside the value that it names");
    check(
        b"[a, b]: 1\n",
        "f:1:1: expected a key, got a list, a map or an alias (quote text that begins with * { [)",
    );
    for broken in
        [&b"a:\n\tb: 1\n"[..], b"a: [1, 2\n", b"a: \"x\n", b"a: b: c\n", b"a: *nowhere\n", b"\x00", b"}"]
    {
        assert!(refusal(broken).contains("neither YAML nor JSON: "), "{}", refusal(broken));
    }
}

#[test]
fn documents_beyond_the_bounds_are_refused_at_once() {
    let mut limits = Limits::default();
    let check = |source: String, limits: &Limits, expected: &str| {
        let got = tree(source.as_bytes(), limits).unwrap_err().to_string();
        assert!(got.contains(expected), "{got}");
    };
    check("x".repeat(10 << 20), &limits, "expected at most 4194304 bytes, got 10485760");
    check("- ".repeat(10_000), &limits, "nested deeper than 64 levels");
    check("[".repeat(200), &limits, "nested deeper than 64 levels");
    check("[".repeat(10_000), &limits, "recursion limit exceeded");
    check("{a: ".repeat(200), &limits, "nested deeper than 64 levels");
    check("- 1\n".repeat(300_000), &limits, "more than 200000 values");
    check(format!("{}: 1", "k".repeat(300)), &limits, "a key of more than 256 bytes");
    let mut laughs = "a0: &a0 [lol, lol]\n".to_owned();
    for level in 1..60 {
        laughs += &format!("a{level}: &a{level} [*a{0}, *a{0}, *a{0}, *a{0}]\n", level - 1);
    }
    check(laughs, &limits, "more than 200000 values");
    let long = format!("a: &a {}\nb: [{}]\n", "x".repeat(100_000), "*a, ".repeat(100));
    check(long, &limits, "aliases repeat more than 4194304 bytes");
    limits.depth = 2;
    check("a: &a [1]\nb: {c: *a}".to_owned(), &limits, "nested deeper than 2 levels");
}

#[test]
fn a_file_full_of_mistakes_is_refused_with_a_bounded_message() {
    let source: String = (0..50_000).map(|i| format!("key{i}: {}\n", "v".repeat(40))).collect();
    let problems = read(&source, |keys| keys.take("kea1").text().is_some()).unwrap_err();
    assert_eq!(problems.list().len(), 1000);
}

mod mutations {
    use proptest::prelude::*;

    use super::*;

    const SAMPLE: &str = "\
# a comment
dag: &d {a: [1, -2.5e3, 'x', \"\\u00e9\"], ? b : ~}
text: |
  block
  - not a list
folded: >-
  one
  two
list:
- a: 1
  b: !!str 2
- *d
...
";

    proptest! {
        #[test]
        fn any_mutilation_of_a_document_is_read_or_refused(
            edits in prop::collection::vec((0..SAMPLE.len(), any::<u8>(), 0..4u8), 1..12)
        ) {
            let mut source = SAMPLE.as_bytes().to_vec();
            for (at, byte, edit) in edits {
                let at = at % source.len().max(1);
                match edit {
                    0 => source.insert(at, byte & 0x7f),
                    1 => drop(source.drain(at..(at + byte as usize).min(source.len()))),
                    2 => source.insert(at, b"-:{}[],&*!|>'\"%@`?# \n\t"[byte as usize % 22]),
                    _ => source[at] = if byte == 255 { byte } else { byte & 0x7f },
                }
                if source.is_empty() {
                    break;
                }
            }
            if let Err(problems) = tree(&source, &Limits::default()) {
                prop_assert!(!problems.list().is_empty());
            }
        }

        #[test]
        fn any_bytes_are_read_or_refused(source in prop::collection::vec(any::<u8>(), 0..200)) {
            let _ = tree(&source, &Limits::default()).map_err(|problems| problems.to_string());
        }
    }
}

#[test]
fn merge_keys_give_the_entries_that_a_map_lacks() {
    let json = |source: &str| {
        let report = Collector::new("f");
        let node = parse(source.as_bytes(), &Limits::default(), &report);
        report.finish(node).map(|node| node.to_json().unwrap().to_string()).map_err(|e| e.to_string())
    };
    let check = |source: &str, expected: &str| assert_eq!(json(source).as_deref(), Ok(expected), "{source}");
    check("a: &a {x: 1, y: 2}\nb: {<<: *a, y: 3, z: 4}\n", r#"{"a":{"x":1,"y":2},"b":{"x":1,"y":3,"z":4}}"#);
    check("b:\n  z: 4\n  <<: [{x: 1}, {x: 2, y: 2}]\n", r#"{"b":{"z":4,"x":1,"y":2}}"#);
    check("a: &a {<<: {x: 1}}\nb: {<<: *a}\n", r#"{"a":{"x":1},"b":{"x":1}}"#);
    check(r#"{"<<": 1}"#, r#"{"<<":1}"#);
    let wrong = json("a: {<<: 1}\n").unwrap_err();
    assert!(wrong.starts_with("f:1:9: expected a map, or a list of maps, to merge"), "{wrong}");
    assert!(json("{<<: {a: 1}, <<: {b: 1}}").unwrap_err().contains("key \"<<\" again"));
}

#[test]
fn aliases_and_merges_together_stay_within_the_bounds() {
    let mut laughs = "a0: &a0 {k: 1}\n".to_owned();
    for i in 1..40 {
        let keys: String = (0..9).map(|k| format!("k{k}: *a{}, ", i - 1)).collect();
        laughs += &format!("a{i}: &a{i} {{<<: *a{}, {keys}}}\n", i - 1);
    }
    let report = Collector::new("f");
    assert!(parse(laughs.as_bytes(), &Limits::default(), &report).is_none());
}

#[test]
fn scalars_may_be_in_quotes_where_numbers_and_truth_values_are_wanted() {
    let report = Collector::new("f");
    let node =
        parse(b"{i: '10', f: \"0.5\", t: \"true\", o: 1, z: '0', n: '007'}", &Limits::default(), &report)
            .unwrap();
    let read = Item::root(&node, &report).map(|keys| {
        let int = keys.take("i").int_in(1..=20);
        (
            int,
            keys.take("f").float_in(0.0..=1.0),
            ["t", "o", "z"].map(|key| keys.take(key).bool()),
            keys.take("n").int_in(0..=9),
        )
    });
    assert_eq!(read, (Some(10), Some(0.5), [Some(true), Some(true), Some(false)], None));
    assert!(
        report
            .finish(Some(()))
            .unwrap_err()
            .to_string()
            .contains("n: expected an integer from 0 to 9, got \"007\"")
    );
}
