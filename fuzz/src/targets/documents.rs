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

/// What stands between the two files of one input.
const BETWEEN: &[u8] = b"\n---\n";

pub(super) fn fate1_jobs() -> Vec<Vec<u8>> {
    let train =
        [include_str!("../../../examples/fate1/dsl.json"), include_str!("../../../examples/fate1/conf.json")];
    let predict = [
        include_str!("../../../examples/fate1/predict_dsl.json"),
        include_str!("../../../examples/fate1/predict_conf.json"),
    ];
    let toy = [
        r#"{"components": {"a": {"module": "SecureAddExample", "output": {"data": ["d"]}}}}"#,
        r#"{"initiator": {"role": "guest", "party_id": 1}, "role": {"guest": [1], "host": [1, 2]}, "job_parameters": {"backend": 1},
            "role_parameters": {"host": {"a": {"seed": [1, 2]}}}, "algorithm_parameters": {"a": {"data_num": 9}}}"#,
    ];
    [train, predict, toy].map(|files| files.map(str::as_bytes).join(BETWEEN)).to_vec()
}

pub(super) fn fate1_job(bytes: &[u8]) {
    let at = bytes.windows(BETWEEN.len()).position(|window| window == BETWEEN).unwrap_or(0);
    let (dsl, conf) = bytes.split_at(at);
    let conf = conf.strip_prefix(BETWEEN).unwrap_or(conf);
    let file = |name, text| tributary_fate1::File { name, text };
    let parse =
        |job: &tributary_fate1::Job| JobSpec::parse(&job.file, job.text.as_bytes(), &COMPONENTS).err();
    let problems = match tributary_fate1::convert(&file("dsl.json", dsl), &file("conf.json", conf)) {
        Ok(job) => parse(&job).map(|problems| job.origins.trace(&problems)),
        Err(mistakes) => Some(mistakes.with(parse)),
    };
    // Nothing is reported in a text that nobody wrote.
    for problem in problems.iter().flat_map(|problems| problems.list()) {
        assert!(["dsl.json", "conf.json"].contains(&problem.file.as_str()), "{problem}");
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
