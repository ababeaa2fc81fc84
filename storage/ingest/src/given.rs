//! Options that a user gives one by one. They override those of an upload file, and what they say nothing of stays.

use std::path::{Path, PathBuf};

use tributary_core::{Error, Result, ResultExt, TableName};
use tributary_csv::{Quoting, ValueType};

use crate::conf::from_fate;
use crate::options::{Duplicates, Existing, Header, SampleId, UploadOptions};

/// Options that were given; each means what [`UploadOptions`] says.
#[derive(Debug, Clone, Default)]
pub struct Given {
    /// The table's namespace.
    pub namespace: Option<String>,
    /// The table's name.
    pub name: Option<String>,
    /// The files, in place of those of the upload file; none are no others.
    pub files: Vec<PathBuf>,
    /// See [`UploadOptions::delimiter`].
    pub delimiter: Option<u8>,
    /// See [`UploadOptions::quoting`].
    pub quoting: Option<Quoting>,
    /// See [`UploadOptions::header`].
    pub header: Option<Header>,
    /// See [`UploadOptions::sample_id`].
    pub sample_id: Option<SampleId>,
    /// See [`UploadOptions::match_id`].
    pub match_id: Option<String>,
    /// See [`UploadOptions::label`].
    pub label: Option<String>,
    /// See [`UploadOptions::weight`].
    pub weight: Option<String>,
    /// Columns to leave out besides those of the upload file.
    pub skip: Vec<String>,
    /// Types of single columns.
    pub types: Vec<(String, ValueType)>,
    /// See [`UploadOptions::nulls`].
    pub nulls: Option<Vec<String>>,
    /// See [`UploadOptions::partitions`].
    pub partitions: Option<u32>,
    /// See [`UploadOptions::if_exists`].
    pub if_exists: Option<Existing>,
    /// See [`UploadOptions::duplicates`].
    pub duplicates: Option<Duplicates>,
    /// See [`UploadOptions::max_rejects`].
    pub max_rejects: Option<u64>,
    /// See [`UploadOptions::reject_to`].
    pub reject_to: Option<PathBuf>,
    /// See [`UploadOptions::max_unpacked`].
    pub max_unpacked: Option<u64>,
}

impl Given {
    /// The options of an upload: over those of an upload file in FATE's format, if there is one, or else over the defaults.
    /// `InvalidInput` without a table, or for a file with mistakes.
    pub fn options(self, upload_file: Option<&Path>) -> Result<UploadOptions> {
        let mut options = match upload_file {
            Some(path) => {
                let text = std::fs::read(path).at(|| format!("read {}", path.display()))?;
                from_fate(&text, &path.display().to_string())?
            }
            None => {
                let missing = || Error::invalid("an upload needs the namespace and the name of its table");
                let (namespace, name) = (self.namespace.clone(), self.name.clone());
                let table = TableName::new(namespace.ok_or_else(missing)?, name.ok_or_else(missing)?)?;
                UploadOptions::new(table, &self.files)
            }
        };
        self.override_options(&mut options)?;
        Ok(options)
    }

    fn override_options(self, options: &mut UploadOptions) -> Result<()> {
        let TableName { namespace, name } = options.table.clone();
        options.table = TableName::new(self.namespace.unwrap_or(namespace), self.name.unwrap_or(name))?;
        if !self.files.is_empty() {
            options.files = self.files;
        }
        set(&mut options.delimiter, self.delimiter);
        set(&mut options.quoting, self.quoting);
        set(&mut options.header, self.header);
        set(&mut options.sample_id, self.sample_id);
        set(&mut options.match_id, self.match_id.map(Some));
        set(&mut options.label, self.label.map(Some));
        set(&mut options.weight, self.weight.map(Some));
        options.skip.extend(self.skip);
        for (column, value_type) in self.types {
            options.columns.entry(column).or_default().value_type = Some(value_type);
        }
        set(&mut options.nulls, self.nulls);
        set(&mut options.partitions, self.partitions.map(Some));
        set(&mut options.if_exists, self.if_exists);
        set(&mut options.duplicates, self.duplicates);
        set(&mut options.max_rejects, self.max_rejects);
        set(&mut options.reject_to, self.reject_to.map(Some));
        set(&mut options.max_unpacked, self.max_unpacked.map(Some));
        Ok(())
    }
}

fn set<T>(to: &mut T, given: Option<T>) {
    if let Some(given) = given {
        *to = given;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_given_overrides_the_upload_file_and_the_rest_stays() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("upload.json");
        let text = r#"{"file": "a.csv", "head": false, "partitions": 3, "namespace": "n", "name": "t", "if_exists": "merge",
            "meta": {"delimiter": ";", "label_name": "y", "sample_id_name": "id", "dtype": {"a": "int", "b": "int"}}}"#;
        std::fs::write(&file, text).unwrap();
        let (types, skip) = (vec![("b".into(), ValueType::Text)], vec!["c".into()]);
        let given = Given {
            name: Some("other".into()),
            files: vec!["b.csv".into(), "c.csv".into()],
            sample_id: Some(SampleId::Made),
            types,
            skip,
            max_rejects: Some(2),
            ..Given::default()
        };
        let options = given.clone().options(Some(&file)).unwrap();
        assert_eq!(options.table, TableName::new("n", "other").unwrap());
        assert_eq!(options.files, [Path::new("b.csv"), Path::new("c.csv")]);
        assert_eq!((options.sample_id, options.max_rejects), (SampleId::Made, 2));
        assert_eq!((options.delimiter, options.partitions), (b';', Some(3)));
        assert_eq!((options.header, options.if_exists), (Header::Numbered, Existing::Merge));
        assert_eq!((options.label.as_deref(), options.skip), (Some("y"), vec!["c".to_owned()]));
        let types = ["a", "b"].map(|column| options.columns[column].value_type);
        assert_eq!(types, [Some(ValueType::Int64), Some(ValueType::Text)]);

        let lacking = given.clone().options(None).unwrap_err().to_string();
        assert!(lacking.contains("namespace"), "{lacking}");
        let alone = Given { namespace: Some("m".into()), ..given }.options(None).unwrap();
        assert_eq!((alone.delimiter, alone.partitions, alone.files.len()), (b',', None, 2));
    }
}
