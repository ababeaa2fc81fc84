//! FATE's upload file (`flow data upload -c conf.json`) to options.
//!
//! Two departures, both in favour of the data: without a `dtype` types are inferred (FATE makes everything float32), and
//! `na_values` are applied (FATE stores and forgets them). Keys of FATE 1 and 2 that mean nothing here are ignored and named
//! in a note. A key with a meaning that this product does not support is a problem, and so is a key that FATE does not have.
//! Two keys are ours: `if_exists` and `duplicates`, as on the command line.

use tributary_core::{Error, Layout, Result, TableName};
use tributary_csv::ValueType;
use tributary_document::{Collector, Item, Keys, Limits, parse, quoted};

use crate::options::{Duplicates, Existing, Header, SampleId, UploadOptions};

/// Reads an upload file; messages call it `name`. The path in it is used as written.
///
/// Errors: `InvalidInput` whose source is a [`tributary_document::Problems`] with every mistake and its place.
pub fn from_fate(source: &[u8], name: &str) -> Result<UploadOptions> {
    let report = Collector::new(name);
    let options = parse(source, &Limits::default(), &report)
        .and_then(|node| Item::root(&node, &report).map(upload_options));
    let read = report.finish(options);
    read.map_err(|problems| Error::invalid(format!("upload file {name} cannot be used")).because(problems))
}

fn upload_options(keys: &mut Keys<'_>) -> Option<UploadOptions> {
    // placeholders for missing values let the reading continue; the report refuses the file anyway
    let file = keys.required("file").text().unwrap_or_default();
    let head = keys.required("head").bool();
    let partitions = either(keys, "partitions", "partition").int_in(1..=Layout::MAX_PARTITIONS);
    let made_ids = keys.take("extend_sid").bool() == Some(true);
    let table = table(keys).or_else(|| TableName::new("unknown", "unknown").ok())?;
    let mut options = UploadOptions::new(table, [file]);
    if head == Some(false) {
        options.header = Header::Numbered;
    }
    if made_ids {
        options.sample_id = SampleId::Made;
    }
    options.partitions = partitions;
    read_collisions(keys, &mut options);
    let id_delimiter = keys.take("id_delimiter");
    read_delimiter(&id_delimiter, &mut options);
    let mut passed_over = passed_over(keys, &PASSED_OVER, "");
    keys.required("meta").map(|meta| {
        read_meta(meta, &mut options);
        passed_over.extend(self::passed_over(meta, &PASSED_OVER_IN_META, "meta."));
    });
    if !passed_over.is_empty() {
        options.notes.push(format!("ignored, because they mean nothing here: {}", passed_over.join(", ")));
    }
    Some(options)
}

/// Keys of FATE that mean nothing here: the site's configuration decides where tables are stored.
const PASSED_OVER: [&str; 13] = [
    "role",
    "party_id",
    "storage_engine",
    "engine",
    "address",
    "storage_address",
    "is_temp_file",
    "use_local_data",
    "work_mode",
    "backend",
    "in_serialized",
    "auto_increasing_sid",
    "with_meta",
];

/// The same within `meta`.
const PASSED_OVER_IN_META: [&str; 7] = [
    "match_id_range",
    "tag_value_delimiter",
    "with_label",
    "with_match_id",
    "id_range",
    "with_weight",
    "site_name",
];

fn passed_over(keys: &mut Keys<'_>, known: &[&'static str], path: &str) -> Vec<String> {
    let given = known.iter().filter(|key| keys.take(key).is_given());
    given.map(|key| format!("{path}{key}")).collect()
}

/// Keys with one name in FATE 2 and another in FATE 1.
fn either<'a>(keys: &mut Keys<'a>, name: &'static str, older: &'static str) -> Item<'a> {
    let (item, older) = (keys.take(name), keys.take(older));
    if item.is_given() && older.is_given() {
        older.problem(format!("is the older name of {name}; leave one of them out"));
    }
    if older.is_given() { older } else { item }
}

fn read_delimiter(item: &Item<'_>, options: &mut UploadOptions) {
    match item.text().map(str::as_bytes) {
        Some([one]) if one.is_ascii() => options.delimiter = *one,
        Some(b"\\t") => options.delimiter = b'\t',
        Some(_) => item.problem("expected one ASCII character"),
        None => {}
    }
}

/// Options without a key in FATE 2, which replaces tables and keeps the last of rows with one id. FATE 1 replaced tables if
/// a key asked to drop or destroy them.
fn read_collisions(keys: &mut Keys<'_>, options: &mut UploadOptions) {
    let existing = [("fail", Existing::Fail), ("replace", Existing::Replace), ("merge", Existing::Merge)];
    let duplicates = [("fail", Duplicates::Fail), ("first", Duplicates::First), ("last", Duplicates::Last)];
    let drops = ["drop", "destroy"].map(|key| keys.take(key).bool() == Some(true)).contains(&true);
    let drops = if drops { Existing::Replace } else { Existing::Fail };
    options.if_exists = keys.take("if_exists").choice(&existing).unwrap_or(drops);
    options.duplicates = keys.take("duplicates").choice(&duplicates).unwrap_or_default();
}

fn table(keys: &mut Keys<'_>) -> Option<TableName> {
    let namespace = keys.required("namespace");
    let older = keys.take("table_name");
    let name = if older.is_given() && !keys.take("name").is_given() { older } else { keys.required("name") };
    match TableName::new(namespace.text()?, name.text()?) {
        Ok(table) => Some(table),
        Err(error) => {
            name.problem(error.to_string());
            None
        }
    }
}

fn read_meta(keys: &mut Keys<'_>, options: &mut UploadOptions) {
    let text = |item: Item<'_>| item.text().map(str::to_owned);
    read_format(keys, options);
    read_sample_id(&keys.take("sample_id_name"), options);
    read_match_id(keys, options);
    options.label = text(keys.take("label_name"));
    options.weight = text(keys.take("weight_name"));
    let label_type = value_type(&keys.take("label_type"));
    let weight_type = value_type(&keys.take("weight_type"));
    read_types(&either(keys, "dtype", "data_type"), options);
    read_types(&keys.take("exclusive_data_type"), options);
    for (column, value_type, role) in
        [(&options.label, label_type, "label"), (&options.weight, weight_type, "weight")]
    {
        if column.is_none() && value_type.is_some() {
            options.notes.push(format!("meta.{role}_type was ignored, because there is no {role}_name"));
        }
        if let (Some(column), Some(_)) = (column, value_type) {
            options.columns.entry(column.clone()).or_default().value_type = value_type;
        }
    }
    read_nulls(&keys.take("na_values"), options);
}

fn read_format(keys: &mut Keys<'_>, options: &mut UploadOptions) {
    read_delimiter(&keys.take("delimiter"), options);
    keys.take("input_format").choice(&[("dense", ())]);
    let tags = keys.take("tag_with_value");
    if tags.bool() == Some(true) {
        tags.problem("only the dense format is supported");
    }
    let header = keys.take("header");
    if header.is_given() {
        header.problem("is read from the file; leave it out");
    }
}

fn read_sample_id(item: &Item<'_>, options: &mut UploadOptions) {
    match (item.text(), &options.sample_id) {
        (None, _) | (Some("extend_sid"), SampleId::Made) => {}
        (Some(_), SampleId::Made) => item.problem("contradicts extend_sid; leave one of them out"),
        (Some(name), _) => options.sample_id = SampleId::Column(name.to_owned()),
    }
}

/// The named candidate is used, the others are left out of the table.
fn read_match_id(keys: &mut Keys<'_>, options: &mut UploadOptions) {
    let (named, list) = (keys.take("match_id_name"), either(keys, "match_id_list", "id_list"));
    let candidates: Vec<&str> = list.list().iter().filter_map(Item::text).collect();
    options.match_id = match (named.text(), candidates.as_slice()) {
        (Some(name), []) => Some(name.to_owned()),
        (Some(name), several) if several.contains(&name) => Some(name.to_owned()),
        (Some(name), several) => {
            named.unknown("match id", name, several.iter().copied());
            None
        }
        (None, [only]) => Some((*only).to_owned()),
        (None, []) => None,
        (None, _) => {
            list.problem("has several; give one of them as match_id_name");
            None
        }
    };
    let others = candidates.iter().filter(|name| options.match_id.as_deref() != Some(**name));
    options.skip = others.map(|name| (*name).to_owned()).collect();
    if !options.skip.is_empty() {
        let names: Vec<String> = options.skip.iter().map(|name| quoted(name)).collect();
        options.notes.push(format!("left out, because another column is the match id: {}", names.join(", ")));
    }
}

/// `dtype` is a type, or a map from columns to types.
fn read_types(item: &Item<'_>, options: &mut UploadOptions) {
    if !is_map(item) {
        options.default_type = value_type(item).or(options.default_type);
        return;
    }
    for (column, own) in item.entries() {
        options.columns.entry(column.to_owned()).or_default().value_type = value_type(&own);
    }
}

/// FATE's types, and the other types under their command-line names.
fn value_type(item: &Item<'_>) -> Option<ValueType> {
    let text = item.text()?;
    // FATE's names for types that have other names here
    match text {
        "object" | "str" => return Some(ValueType::Text),
        "float" => return Some(ValueType::Float64),
        "int" => return Some(ValueType::Int64),
        _ => {}
    }
    let found = text.parse::<ValueType>();
    if let Err(error) = &found {
        item.problem(error.to_string());
    }
    found.ok()
}

/// `na_values` is one spelling, a list of them, or a map from columns to either; each in addition to the empty one.
fn read_nulls(item: &Item<'_>, options: &mut UploadOptions) {
    if !is_map(item) {
        options.nulls.extend(spellings(item));
        return;
    }
    for (column, own) in item.entries() {
        let nulls = options.nulls.iter().cloned().chain(spellings(&own)).collect();
        options.columns.entry(column.to_owned()).or_default().nulls = Some(nulls);
    }
}

fn is_map(item: &Item<'_>) -> bool {
    item.json().is_some_and(|value| value.is_object())
}

/// Spellings as text; a number means its text.
fn spellings(item: &Item<'_>) -> Vec<String> {
    let spelling = |item: &Item<'_>| {
        let value = item.json()?;
        match value.as_str() {
            Some(text) => Some(text.to_owned()),
            None if value.is_number() => Some(value.to_string()),
            None => {
                item.problem("expected the spelling of a missing value");
                None
            }
        }
    };
    item.one_or_many().iter().filter_map(spelling).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const FULL: &str = r#"{ "file": "data/guest.csv", "head": true, "partitions": 16, "extend_sid": true,
        "meta": { "delimiter": ";", "label_name": "y", "label_type": "int64", "match_id_list": ["id", "phone"],
                  "match_id_name": "id", "weight_name": null, "dtype": {"x0": "float32", "name": "object", "paid": "decimal(8,2)"},
                  "na_values": ["NA", -9999], "input_format": "dense", "tag_with_value": false },
        "namespace": "experiment", "name": "guest", "role": "guest", "party_id": "9999",
        "if_exists": "merge", "duplicates": "last" }"#;

    #[test]
    fn a_full_upload_file_becomes_options() {
        let options = from_fate(FULL.as_bytes(), "upload.json").unwrap();
        assert_eq!(options.table, TableName::new("experiment", "guest").unwrap());
        assert_eq!((options.delimiter, options.partitions), (b';', Some(16)));
        assert_eq!((options.if_exists, options.duplicates), (Existing::Merge, Duplicates::Last));
        assert_eq!(options.sample_id, SampleId::Made);
        assert_eq!((options.match_id.as_deref(), options.label.as_deref()), (Some("id"), Some("y")));
        assert_eq!(options.skip, ["phone"]);
        assert_eq!(options.nulls, ["", "NA", "-9999"]);
        let given = |name: &str| options.columns.get(name).and_then(|column| column.value_type);
        assert_eq!(given("x0"), Some(ValueType::Float32));
        assert_eq!(given("name"), Some(ValueType::Text));
        assert_eq!(given("y"), Some(ValueType::Int64));
        assert_eq!(given("paid"), Some("decimal(8,2)".parse().unwrap()));
    }

    #[test]
    fn keys_of_fate_that_mean_nothing_here_are_named_in_one_note() {
        let source = br#"{"file": "a.csv", "head": true, "partition": 8, "namespace": "n", "table_name": "t", "drop": true,
            "storage_engine": "standalone", "is_temp_file": false, "address": {"name": "x"}, "role": "guest", "work_mode": 0,
            "id_delimiter": ";", "meta": {"with_label": true, "match_id_range": 0, "id_list": ["a", "b"], "match_id_name": "a",
            "data_type": "float64", "exclusive_data_type": {"z": "str"}}}"#;
        let options = from_fate(source, "upload.json").unwrap();
        assert_eq!(options.table, TableName::new("n", "t").unwrap());
        assert_eq!((options.partitions, options.delimiter), (Some(8), b';'));
        assert_eq!((options.if_exists, options.default_type), (Existing::Replace, Some(ValueType::Float64)));
        assert_eq!(options.columns["z"].value_type, Some(ValueType::Text));
        assert_eq!(
            options.notes,
            [
                "left out, because another column is the match id: \"b\"",
                "ignored, because they mean nothing here: role, storage_engine, address, is_temp_file, work_mode, \
                 meta.match_id_range, meta.with_label",
            ]
        );
        for (from, to, expected) in [
            (
                "storage_engine",
                "storage_engin",
                "storage_engin: unknown key (did you mean \"storage_engine\"?)",
            ),
            ("with_label", "with_labels", "meta.with_labels: unknown key"),
            (
                "\"partition\": 8",
                "\"partition\": 8, \"partitions\": 8",
                "partition: is the older name of partitions",
            ),
        ] {
            let source = String::from_utf8_lossy(source).replacen(from, to, 1);
            let error = from_fate(source.as_bytes(), "upload.json").unwrap_err().chain();
            assert!(error.contains(expected), "{error}");
        }
    }

    #[test]
    fn every_mistake_is_reported_with_its_place() {
        let source = br#"{"file": "a.csv", "hed": true, "partitions": 0,
            "meta": {"delimiter": "::", "lable_name": "y", "dtype": "flaot32", "match_id_list": ["a", "b"],
                     "sample_id_name": "id"},
            "extend_sid": true, "namespace": "ns", "name": "a/b", "if_exists": "merg"}"#;
        let error = from_fate(source, "upload.json").unwrap_err().chain();
        for expected in [
            "upload.json:1:19: hed: unknown key (did you mean \"head\"?)",
            "head: required, but not given",
            "partitions: expected an integer from 1 to 65536, got 0",
            "name: table name \"a/b\" must be",
            "if_exists: expected one of fail, replace, merge, got \"merg\"",
            "meta.delimiter: expected one ASCII character",
            "meta.lable_name: unknown key (did you mean \"label_name\"?)",
            "meta.dtype: unknown type \"flaot32\" (did you mean \"float32\"?)",
            "meta.match_id_list: has several",
            "meta.sample_id_name: contradicts extend_sid",
        ] {
            assert!(error.contains(expected), "{expected}\nin\n{error}");
        }
    }

    #[test]
    fn a_match_id_is_one_of_its_list_and_missing_values_may_differ_by_column() {
        let source = |meta: &str| {
            format!(r#"{{"file": "a", "head": false, "namespace": "n", "name": "n", "meta": {{{meta}}}}}"#)
        };
        let read = |meta: &str| from_fate(source(meta).as_bytes(), "upload.json");
        let error = read(r#""match_id_name": "c", "match_id_list": ["a", "b"]"#).unwrap_err().chain();
        assert!(error.contains("unknown match id \"c\""), "{error}");
        let options = read(r#""match_id_list": ["a"], "na_values": {"x": "-"}"#).unwrap();
        assert_eq!((options.match_id.as_deref(), options.header), (Some("a"), Header::Numbered));
        assert_eq!(options.columns["x"].nulls, Some(vec![String::new(), "-".into()]));
        assert!(
            read(r#""header": "a,b""#).unwrap_err().chain().contains("meta.header: is read from the file")
        );
    }
}
