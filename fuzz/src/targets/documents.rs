//! What people write: jobs, configuration, upload files.

use std::sync::LazyLock;

use tributary_component::Components;
use tributary_flow::spec::JobSpec;
use tributary_runtime::{ENGINES, Settings};

use super::judge;

pub(super) fn jobs() -> Vec<Vec<u8>> {
    [
        include_str!("../../../examples/breast/job.yaml"),
        include_str!("../../../examples/breast/job-two-hosts.yaml"),
        include_str!("../../../examples/breast/predict.yaml"),
        include_str!("../../../examples/toy/job.yaml"),
        include_str!("../../../flow/src/spec/samples/wrong.yaml"),
    ]
    .map(Into::into)
    .to_vec()
}

static COMPONENTS: LazyLock<Components> = LazyLock::new(tributary_components::all);

pub(super) fn job(bytes: &[u8]) {
    match JobSpec::parse("job.yaml", bytes, &COMPONENTS) {
        // what parties agree on must be there for every job that is taken
        Ok(job) => drop(job.canonical()),
        Err(problems) => drop(problems.to_string()),
    }
}

pub(super) fn configurations() -> Vec<Vec<u8>> {
    [
        "default_engines: {computing: standalone, storage: file}\ncomputing: {standalone: {cores: 8, memory: 4GiB}}\n",
        "party_id: 9999\nfederation:\n  patience: 1h\ncluster: {scheduler: \"host:50050\", keys: k}\n",
        "# nothing\n",
    ]
    .map(Into::into)
    .to_vec()
}

pub(super) fn configuration(bytes: &[u8]) {
    judge(Settings::new(&ENGINES).and_then(|mut settings| settings.overlay("service_conf.yaml", bytes)));
}

pub(super) fn upload_files() -> Vec<Vec<u8>> {
    [
        include_str!("../../../examples/breast/upload_guest.json"),
        include_str!("../../../examples/breast/upload_host.json"),
    ]
    .map(Into::into)
    .to_vec()
}

pub(super) fn upload_file(bytes: &[u8]) {
    judge(tributary_ingest::from_fate(bytes, "upload.json"));
}
