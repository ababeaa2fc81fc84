//! An inferred type keeps every cell exactly as the file has it, or the column stays text and a note says why; and a preview
//! shows the stored values.

use arrow_array::cast::AsArray;
use arrow_array::types::{Float64Type, TimestampMicrosecondType};
use arrow_schema::DataType;
use tributary_core::Purpose;
use tributary_ingest::{Existing, SampleId, UploadOptions, ValueType};

use crate::site::Site;

/// Uploads cells as a column `x`: its type, its note, and its cells as the preview shows them.
fn found(cells: &[&str]) -> (String, String, Vec<String>) {
    let site = Site::new();
    let rows: String = cells.iter().enumerate().map(|(i, cell)| format!("r{i},{cell}\n")).collect();
    let summary = site.upload(site.options(format!("id,x\n{rows}"))).unwrap();
    let column = &summary.columns[0];
    let shown = site.record().preview.into_iter().map(|row| row[1].clone().unwrap_or_default()).collect();
    (column.data_type.to_string(), column.note.clone().unwrap_or_default(), shown)
}

/// Checks that cells stay text as they are written, with a note that contains `note`.
fn kept_as_text(cells: &[&str], note: &str) {
    let (data_type, found_note, shown) = found(cells);
    assert_eq!(data_type, "Utf8", "{cells:?}");
    assert!(found_note.contains(note), "{cells:?}: {found_note}");
    assert_eq!(shown, cells);
}

/// Cells of a type, as they are shown.
fn typed(cells: &[&str], data_type: &str, note: &str, shown: &[&str]) {
    let (found_type, found_note, found_shown) = found(cells);
    assert_eq!(found_type, data_type, "{cells:?}");
    assert!(if note.is_empty() { found_note.is_empty() } else { found_note.contains(note) }, "{found_note}");
    assert_eq!(found_shown, shown);
}

#[test]
fn cells_that_a_number_would_change_stay_text_with_a_note() {
    let zeros = "would not keep a number with leading zeros or a plus sign";
    kept_as_text(&["01220", "94107"], zeros);
    kept_as_text(&["00", "1"], zeros);
    kept_as_text(&["-01", "2"], zeros);
    kept_as_text(&["007.5", "1.5"], zeros);
    kept_as_text(&["+5", "12"], "an integer with a plus sign (");
    kept_as_text(&["9007199254740993", "1.5"], "an integer beyond 2^53 (");
    kept_as_text(&["0.5", "99999999999999999999"], "an integer beyond 64 bits (");
    kept_as_text(&["0.5", "0.12345678901234567891"], "a number of more digits than a double keeps (");
    kept_as_text(&["0.5", "1e-400"], "a number of more digits than a double keeps (");
    kept_as_text(&["12", "3E4"], "digits with an exponent (");
    let (_, note, _) = found(&["007", "1"]);
    assert!(note.ends_with("for numbers: --types x=int64"), "{note}");
    let (_, note, _) = found(&["007", "1.5"]);
    assert!(note.ends_with("for numbers: --types x=float64"), "{note}");
}

#[test]
fn numbers_that_are_kept_are_numbers() {
    typed(&["1", "-2", "9007199254740993"], "Int64", "", &["1", "-2", "9007199254740993"]);
    typed(&["1.50", ".5", "5."], "Float64", "", &["1.5", "0.5", "5.0"]);
    typed(&["-0", "1"], "Float64", "", &["-0.0", "1.0"]);
    typed(&["1e5", "2.5e-3"], "Float64", "", &["100000.0", "0.0025"]);
    typed(&["0.1234567890123456", "1e-320"], "Float64", "", &["0.1234567890123456", "1e-320"]);
    // as numpy prints 0.1
    typed(&["1.000000000000000056e-01"], "Float64", "", &["0.1"]);
    typed(&["+5", "-1.5"], "Float64", "plus signs are not kept", &["5.0", "-1.5"]);
    typed(&["100000000000000000000", "0.5"], "Float64", "", &["1e+20", "0.5"]);
}

#[test]
fn times_are_kept_to_their_last_digit_or_stay_text() {
    kept_as_text(
        &["2024-01-31T12:30:00.1234567", "2024-01-31"],
        "a time with more than six digits of a second",
    );
    typed(
        &["2024-01-31T12:30:00.123456000", "2024-01-31 12:30:00.5"],
        "Timestamp(µs)",
        "",
        &["2024-01-31T12:30:00.123456", "2024-01-31T12:30:00.5"],
    );
    typed(
        &["2024-01-31", "2024-01-31T12:30"],
        "Timestamp(µs)",
        "days become their midnights",
        &["2024-01-31T00:00:00", "2024-01-31T12:30:00"],
    );
    typed(
        &["2024-01-31T12:30Z", "2024-01-31T12:30+01:00"],
        "Timestamp(µs, \"UTC\")",
        "times of other zones are kept in UTC",
        &["2024-01-31T12:30:00Z", "2024-01-31T11:30:00Z"],
    );
    let site = Site::new();
    let mut options = site.options("id,t\na,2024-01-31T12:30:00.123456789\n");
    options.columns.entry("t".into()).or_default().value_type = Some(ValueType::Timestamp);
    let error = site.refused(options);
    let expected = "a time with more than six digits of a second, expected a time without zone";
    assert!(error.contains(expected), "{error}");
    assert!(error.ends_with("round it, or keep the text: --types t=text"), "{error}");
}

#[test]
fn missing_values_have_the_spellings_of_other_programs() {
    // of numpy and pandas; of fields of a fixed width
    typed(&["NaN", "2.5", "nan"], "Float64", "NaN means a missing value (", &["", "2.5", ""]);
    typed(&["NaN", "2"], "Int64", "NaN means", &["", "2"]);
    typed(&["  ", "2", ""], "Int64", "cells of spaces are missing values", &["", "2", ""]);
    typed(&[" ", "true"], "Boolean", "cells of spaces", &["", "true"]);
    kept_as_text(&["NaN", "Nina"], "text, because it holds NaN");
    let site = Site::new();
    // a given spelling beside empty cells: both are missing for numbers, but a text may be empty
    let mut options = site.options("id,x,s\n1,NA,NA\n2,,\n3,2.5,b\n");
    (options.nulls, options.partitions) = (vec!["NA".into()], Some(1));
    let summary = site.upload(options).unwrap();
    assert_eq!(summary.columns.iter().map(|c| c.nulls).collect::<Vec<_>>(), [Some(2), Some(1)]);
    assert_eq!(summary.columns[0].data_type, DataType::Float64);
    let rows = site.rows();
    let numbers = rows.column(1).as_primitive::<Float64Type>();
    assert_eq!(numbers.iter().collect::<Vec<_>>(), [None, None, Some(2.5)]);
    assert_eq!(rows.column(2).as_string::<i32>().iter().collect::<Vec<_>>(), [None, Some(""), Some("b")]);
}

#[test]
fn given_types_take_what_other_programs_write() {
    let site = Site::new();
    let mut options =
        site.options("id,y,f,i,t,w\na,1.0,NaN,3.0,2024-01-31,1\nb,0.0,inf,,,2\nc,1,-1.5,4,  ,3\n");
    (options.label, options.weight, options.partitions) = (Some("y".into()), Some("w".into()), Some(1));
    for (name, value_type) in
        [("f", ValueType::Float64), ("i", ValueType::Int64), ("t", ValueType::Timestamp)]
    {
        options.columns.entry(name.into()).or_default().value_type = Some(value_type);
    }
    let summary = site.upload(options).unwrap();
    let nulls: Vec<_> = summary.columns.iter().map(|column| column.nulls.unwrap()).collect();
    assert_eq!(nulls, [0, 0, 1, 1, 2]);
    let rows = site.rows();
    let numbers = rows.column(3).as_primitive::<Float64Type>();
    assert_eq!(numbers.iter().collect::<Vec<_>>(), [None, Some(f64::INFINITY), Some(-1.5)]);
    assert_eq!(rows.column(5).as_primitive::<TimestampMicrosecondType>().iter().flatten().count(), 1);
}

#[test]
fn a_type_that_rounds_says_so_and_a_label_says_how_to_give_its_type() {
    let site = Site::new();
    let mut options = site.options("id,x\na,9007199254740993\nb,1.5\n");
    options.columns.entry("x".into()).or_default().value_type = Some(ValueType::Float64);
    let note = site.upload(options).unwrap().columns[0].note.clone().unwrap();
    assert!(
        note.starts_with("rounded to float64, which keeps fewer digits than there are; the first"),
        "{note}"
    );
    let site = Site::new();
    let mut options = site.options("id,x,z\na,1,0.123456789\nb,16777217,1\n");
    options.default_type = Some(ValueType::Float32);
    let columns = site.upload(options).unwrap().columns;
    assert!(columns[0].note.as_deref().unwrap().ends_with(":3"), "{:?}", columns[0].note);
    assert_eq!(columns[1].note, None);
    let site = Site::new();
    let mut options = site.options("id,y\na,0.5\n");
    options.label = Some("y".into());
    let error = site.refused(options);
    assert!(
        error.ends_with("expected an integer of 32 bits; for such numbers: --types y=float64"),
        "{error}"
    );
}

/// The columns with roles, and the notes.
fn roles(text: &str, change: impl FnOnce(&mut UploadOptions)) -> (String, String) {
    let site = Site::new();
    let mut options = site.options(text);
    options.if_exists = Existing::Replace;
    change(&mut options);
    let summary = site.upload(options).unwrap();
    let role = |role: &tributary_ingest::Role| format!("{}: {} ({})", role.role, role.column, role.why);
    (summary.roles.iter().map(role).collect::<Vec<_>>().join(", "), summary.notes.join("; "))
}

#[test]
fn the_summary_says_which_columns_have_roles_and_why() {
    let (found, notes) = roles("id,y\na,1\n", |options| options.label = Some("y".into()));
    assert_eq!(
        (found.as_str(), notes.as_str()),
        ("sample id: id (the first column), label: y (as given)", "")
    );
    let (found, notes) = roles("y,id,x\n1,a,5\n2,b,5\n", |_| {});
    assert_eq!(found, "sample id: y (the first column)");
    assert_eq!(notes, "column \"id\" is a feature; if it has the ids, name it (--id)");
    let (_, notes) = roles("id,y\na,1\n", |_| {});
    assert!(notes.starts_with("column \"y\" is a feature, because no label was named"), "{notes}");
    let id_type = |options: &mut UploadOptions| {
        options.columns.entry("id".into()).or_default().value_type = Some(ValueType::Int64);
    };
    assert!(roles("id,x\n1,5\n", id_type).1.contains("its type int64 was ignored"));
    let (_, notes) = roles("id,x\n\"a \",5\n", |_| {});
    assert!(
        notes.starts_with("ids have spaces or NUL bytes around them (") && notes.contains(":2)"),
        "{notes}"
    );
    assert!(roles("1,2\n3,4\n", |_| {}).1.contains("--no-header"));
    assert!(roles("id, x\n3,4\n", |_| {}).1.contains("names of columns have spaces"));
}

#[test]
fn a_first_column_without_a_name_is_reported_as_an_index() {
    let (found, notes) = roles(",name\n0,a\n1,b\n", |_| {});
    assert!(
        found.contains("sample id: Unnamed: 0 (the first column, which has no name, as pandas"),
        "{found}"
    );
    assert!(notes.contains("if it is pandas' index, name another as id (--id)"), "{notes}");
    let named = |options: &mut UploadOptions| {
        (options.sample_id, options.skip) =
            (SampleId::Column("id".into()), vec!["Unnamed: 0".into(), "x".into()]);
    };
    assert_eq!(roles(",id,x\n0,a,5\n1,b,5\n", named).0, "sample id: id (as given)");
    // in several files
    let site = Site::new();
    let paths = [site.file("1.csv", ",x\n0,1\n"), site.file("2.csv", ",x\n1,1\n")];
    assert_eq!(site.upload(UploadOptions::new(Site::table(), paths)).unwrap().rows, 2);
}

#[test]
fn a_category_that_is_given_stays_one() {
    let site = Site::new();
    let mut options = site.options("id,c\na,007\nb,1\n");
    options.columns.entry("c".into()).or_default().value_type = Some(ValueType::Category);
    site.upload(options).unwrap();
    assert_eq!(site.stored().schema.fields()[0].purpose, Purpose::Category);
}
