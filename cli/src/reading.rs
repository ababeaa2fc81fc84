//! The command line's arguments about files and columns, as options.

use tributary_core::{Error, Result};
use tributary_ingest::{Given, Header, Quoting, SampleId, ValueType};

use crate::args;

/// What was given.
pub(crate) fn given(reading: &args::Reading) -> Result<Given> {
    let header = |names: &Vec<String>| match &names[..] {
        [] => Header::Numbered,
        names => Header::Names(names.to_vec()),
    };
    let types = reading.types.iter().flat_map(|list| types(list)).map(column_and_type);
    let made = reading.extend_sid.then_some(SampleId::Made);
    Ok(Given {
        delimiter: reading.delimiter.as_deref().map(delimiter).transpose()?,
        header: reading.no_header.as_ref().map(header),
        quoting: reading.no_quotes.then_some(Quoting::None),
        sample_id: made.or_else(|| reading.id.clone().map(SampleId::Column)),
        match_id: reading.match_id.clone(),
        label: reading.label.clone(),
        weight: reading.weight.clone(),
        skip: reading.skip.clone(),
        types: types.collect::<Result<_>>()?,
        nulls: reading.nulls.clone(),
        max_unpacked: reading.max_unpacked,
        ..Given::default()
    })
}

fn column_and_type(pair: &str) -> Result<(String, ValueType)> {
    let wrong = || Error::invalid(format!("--types {pair:?}, expected column=type"));
    let (column, name) = pair.rsplit_once('=').ok_or_else(wrong)?;
    Ok((column.to_owned(), name.parse()?))
}

/// `a=int64,b=decimal(10,2)` to its pairs: a comma within parentheses is no separator.
fn types(list: &str) -> Vec<&str> {
    let mut depth = 0_usize;
    let separates = |letter| {
        match letter {
            '(' => depth += 1,
            ')' => depth = depth.saturating_sub(1),
            _ => {}
        }
        letter == ',' && depth == 0
    };
    list.split(separates).collect()
}

pub(crate) fn delimiter(text: &str) -> Result<u8> {
    match text.as_bytes() {
        b"\\t" => Ok(b'\t'),
        [byte] => Ok(*byte),
        _ => Err(Error::invalid(format!("--delimiter {text:?}, expected one character or \\t"))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn types_are_separated_by_commas_outside_of_parentheses() {
        assert_eq!(types("a=int64,b=decimal(10,2),c=text"), ["a=int64", "b=decimal(10,2)", "c=text"]);
        assert_eq!(types("a=int64"), ["a=int64"]);
        assert_eq!(types("a)=x,b"), ["a)=x", "b"]);
    }
}
