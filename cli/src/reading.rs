//! The command line's arguments about files and columns, as options.

use tributary_core::{Error, Result};
use tributary_ingest::{Header, Quoting, SampleId, UploadOptions};

use crate::args;

/// Arguments of the command line override the options.
pub(crate) fn apply(options: &mut UploadOptions, reading: &args::Reading) -> Result<()> {
    if let Some(delimiter) = &reading.delimiter {
        options.delimiter = self::delimiter(delimiter)?;
    }
    if let Some(names) = &reading.no_header {
        options.header = if names.is_empty() { Header::Numbered } else { Header::Names(names.clone()) };
    }
    if reading.no_quotes {
        options.quoting = Quoting::None;
    }
    if let Some(id) = &reading.id {
        options.sample_id = SampleId::Column(id.clone());
    }
    if reading.extend_sid {
        options.sample_id = SampleId::Made;
    }
    for (to, from) in [
        (&mut options.match_id, &reading.match_id),
        (&mut options.label, &reading.label),
        (&mut options.weight, &reading.weight),
    ] {
        if from.is_some() {
            to.clone_from(from);
        }
    }
    options.skip.extend(reading.skip.iter().cloned());
    for pair in reading.types.iter().flat_map(|list| types(list)) {
        let (column, name) = pair
            .rsplit_once('=')
            .ok_or_else(|| Error::invalid(format!("--types {pair:?}, expected column=type")))?;
        options.columns.entry(column.into()).or_default().value_type = Some(name.parse()?);
    }
    if let Some(nulls) = &reading.nulls {
        options.nulls.clone_from(nulls);
    }
    options.max_unpacked = reading.max_unpacked.or(options.max_unpacked);
    Ok(())
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
