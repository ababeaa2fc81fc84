//! Models as registered: by their own name, so that later jobs find them whatever job made them.
//!
//! A model as JSON is a file `<key>.json`, one of bytes `<key>.bin`, one of several files a folder `<key>`.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use tributary_component::output::Model;
use tributary_core::{Result, Role};

use super::file::{checked, names_in, read, read_json};
use super::{JobRecord, Records};
use crate::spec::ModelRef;

/// Names the job that a folder of models belongs to.
pub(super) const OWNER: &str = "job.json";

/// The folder of one name.
pub(super) fn folder(home: &Path, model: &ModelRef) -> Result<PathBuf> {
    Ok(home.join("models").join(checked(&model.model_id)?).join(checked(&model.model_version)?))
}

/// Whether models are registered in the folder of a name: anything in the folder of a task in that of a role.
pub(super) fn has_models(folder: &Path) -> Result<bool> {
    let folders = |above: &Path| -> Result<Vec<PathBuf>> {
        let below = names_in(above)?.into_iter().map(|name| above.join(name));
        Ok(below.filter(|path| path.is_dir()).collect())
    };
    for role in folders(folder)? {
        for task in folders(&role)? {
            if names_in(&task)?.iter().any(|name| is_kept(name)) {
                return Ok(true);
            }
        }
    }
    Ok(false)
}

/// Whether a name is not one that a file has only while it is written or replaced.
pub(crate) fn is_kept(name: &str) -> bool {
    !name.ends_with(".new") && !name.ends_with(".old")
}

impl Records {
    /// The name under which a job's models are registered; none if it registered none.
    pub fn model_name(&self, job: &JobRecord) -> Result<Option<ModelRef>> {
        Ok(has_models(&folder(&self.home, &job.model)?)?.then(|| job.model.clone()))
    }

    /// All names under which models are registered, as `id#version`.
    pub(crate) fn model_names(&self) -> Result<Vec<String>> {
        let mut names = Vec::new();
        for id in names_in(&self.home.join("models"))? {
            let folder = self.home.join("models").join(&id);
            for version in names_in(&folder)? {
                if has_models(&folder.join(&version))? {
                    names.push(format!("{id}#{version}"));
                }
            }
        }
        names.sort();
        Ok(names)
    }

    pub(super) fn model_folder(&self, model: &ModelRef, role: &Role, task: &str) -> Result<PathBuf> {
        Ok(folder(&self.home, model)?.join(role.as_str()).join(checked(task)?))
    }

    /// A registered model. `NotFound` names what was looked for.
    pub fn model(&self, name: &ModelRef, role: &Role, task: &str, key: &str) -> Result<Model> {
        let (folder, key) = (self.model_folder(name, role, task)?, checked(key)?);
        let what = || format!("model {key} of task {task} of {role} under {name}");
        let (bytes, files) = (folder.join(format!("{key}.bin")), folder.join(key));
        if bytes.is_file() {
            return Ok(Model::Bytes(read(&bytes, what)?.into()));
        }
        if files.is_dir() {
            let names = names_in(&files)?.into_iter().filter(|name| is_kept(name));
            let files = names.map(|name| Ok((name.clone(), read(&files.join(&name), what)?.into())));
            return Ok(Model::Files(files.collect::<Result<BTreeMap<_, _>>>()?));
        }
        Ok(Model::Json(read_json(&folder.join(format!("{key}.json")), what)?))
    }

    /// All models of one task, by output key.
    pub fn models(&self, name: &ModelRef, role: &Role, task: &str) -> Result<Vec<(String, Model)>> {
        let mut keys: Vec<String> = names_in(&self.model_folder(name, role, task)?)?
            .into_iter()
            .filter(|name| is_kept(name))
            .map(|name| name.strip_suffix(".json").or(name.strip_suffix(".bin")).unwrap_or(&name).to_owned())
            .collect();
        keys.sort();
        keys.into_iter().map(|key| Ok((key.clone(), self.model(name, role, task, &key)?))).collect()
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use tributary_core::{ErrorKind, JobId};

    use super::*;
    use crate::record::TaskOutputs;

    fn register(records: &Records, key: &str, model: &Model) -> Result<()> {
        let models = [(key.to_owned(), model.clone())];
        let name = ModelRef::new("m", "0");
        let outputs = TaskOutputs { name: &name, models: &models, metrics: &[], data: &Vec::new() };
        let (mut staged, job) = (records.staged(), JobId::new("j")?);
        records.stage(&mut staged, &job, (&Role::host(), "t"), &outputs)?;
        staged.publish()?;
        Ok(())
    }

    #[test]
    fn a_model_of_any_kind_is_found_under_the_name_it_was_registered_by() {
        let home = tempfile::tempdir().unwrap();
        let records = Records::new(home.path());
        let name = ModelRef::new("m", "0");
        let files = [("a.txt", "1"), ("b", "2")].map(|(name, bytes)| (name.to_owned(), Bytes::from(bytes)));
        let models = [
            ("bytes".to_owned(), Model::Bytes(Bytes::from_static(b"\x00\xff"))),
            ("files".to_owned(), Model::Files(files.into())),
            ("json".to_owned(), Model::Json(serde_json::json!({"x": [1, 2]}))),
        ];
        for (key, model) in &models {
            register(&records, key, model).unwrap();
            assert_eq!(records.model(&name, &Role::host(), "t", key).unwrap(), *model);
        }
        assert_eq!(records.models(&name, &Role::host(), "t").unwrap(), models);
        let missing = records.model(&ModelRef::new("m", "1"), &Role::host(), "t", "json").unwrap_err();
        assert_eq!(missing.kind(), ErrorKind::NotFound);
        assert!(missing.to_string().contains("m#1"), "{missing}");
    }

    #[test]
    fn a_name_that_leaves_the_folder_is_refused() {
        let records = Records::new("/nowhere");
        let name = ModelRef::new("m", "0");
        for bad in ["..", "a/b", ""] {
            assert!(records.model(&ModelRef::new(bad, "0"), &Role::host(), "t", "k").is_err());
            assert!(records.model(&name, &Role::host(), bad, "k").is_err());
            assert!(records.model(&name, &Role::host(), "t", bad).is_err());
        }
        for bad in ["..", "a/b", "", "weights.new", "weights.old"] {
            let file = Model::Files([(bad.to_owned(), Bytes::new())].into());
            assert!(register(&records, "k", &file).is_err());
        }
    }
}
