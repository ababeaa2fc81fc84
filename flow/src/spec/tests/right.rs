//! Jobs as the published guides and the pipeline client write them.

use serde_json::json;

use super::*;

fn job(source: &str) -> JobSpec {
    parse(source.as_bytes()).unwrap_or_else(|problems| panic!("{problems}"))
}

fn party(role: &str, id: &str) -> Party {
    Party::new(role, id).unwrap()
}

fn guest() -> Party {
    party("guest", "9999")
}

fn part<'a>(job: &'a JobSpec, task: &str, party: &Party) -> &'a PartyTask {
    job.tasks[task].party(party).unwrap()
}

fn output(task: &str, key: &str) -> ArtifactRef {
    ArtifactRef::TaskOutput { producer_task: task.to_owned(), output_artifact_key: key.to_owned() }
}

#[test]
fn a_training_job_resolves_for_every_party() {
    let (job, host) = (job(TRAIN), party("host", "10000"));
    assert_eq!(job.parties, [guest(), host.clone()]);
    assert_eq!(job.levels, [["reader_0"], ["psi_0"], ["binning_0"], ["sbt_0"], ["eval_0"]]);
    assert_eq!((job.conf.cores, job.conf.priority, job.conf.auto_retries), (Some(8), 2, 1));
    assert_eq!(job.tasks["psi_0"].stage, Stage::Default);
    assert_eq!(job.tasks["binning_0"].stage, Stage::Train);
    assert_eq!(job.tasks["binning_0"].dependent_tasks, BTreeSet::from(["psi_0".to_owned()]));

    let read = |party: &Party| json!(part(&job, "reader_0", party).parameters);
    assert_eq!(read(&guest()), json!({"name": "customers_guest", "namespace": "experiment"}));
    assert_eq!(read(&host), json!({"name": "customers_host", "namespace": "experiment"}));

    let eval = &job.tasks["eval_0"];
    assert_eq!(eval.parties.len(), 1);
    let sources = &eval.parties[0].inputs.data["input_datas"];
    assert_eq!(*sources, [output("sbt_0", "train_output_data"), output("psi_0", "output_data")]);
    assert_eq!(json!(eval.parties[0].parameters), json!({"metrics": ["auc"]}));
    assert_eq!(
        job.notes,
        ["dag.conf.task_parallelism has no effect without task_cores, eggroll_run or spark_run"]
    );
}

#[test]
fn parameters_are_replaced_key_by_key_even_by_null_and_then_filled() {
    let job = job(TRAIN);
    let binning = |party: &Party| json!(part(&job, "binning_0", party).parameters);
    assert_eq!(binning(&guest()), json!({"n_bins": 20, "transform_method": "bin_idx"}));
    assert_eq!(
        binning(&party("host", "10000")),
        json!({"n_bins": 10, "transform_method": "bin_idx", "bin_col": ["x0", "x1"]})
    );
    let he = &part(&job, "sbt_0", &guest()).parameters["he_param"];
    assert_eq!(*he, json!({"kind": "paillier", "key_length": 2048}));
}

#[test]
fn confs_are_replaced_key_by_key_from_the_job_down_to_the_task_of_a_party() {
    let job = job(TRAIN);
    let conf = |task: &str, party: &Party| part(&job, task, party).conf.clone();
    let cores = |conf: TaskConf| conf.engine_run.unwrap()["cores"].as_u64();
    assert_eq!(cores(conf("sbt_0", &guest())), Some(2));
    assert_eq!(cores(conf("sbt_0", &party("host", "10000"))), Some(4));
    assert_eq!(conf("sbt_0", &guest()).timeout_seconds, None);
    assert_eq!(conf("psi_0", &guest()).timeout_seconds, Some(3600));
    assert_eq!(conf("psi_0", &guest()).provider.unwrap().to_string(), "fate:2.2.0@local");
}

#[test]
fn a_predict_job_takes_models_from_the_warehouse_and_ignores_training_parameters() {
    let job = job(PREDICT);
    let model = |task| match &part(&job, task, &guest()).inputs.model["input_model"][..] {
        [ArtifactRef::ModelWarehouse { model, producer_task, .. }] => {
            (producer_task.clone(), model.model_id.clone(), model.model_version.clone())
        }
        other => panic!("{other:?}"),
    };
    let text = |text: &str| text.to_owned();
    assert_eq!(model("binning_0"), (text("binning_0"), text("202307171452088269870"), text("0")));
    assert_eq!(model("sbt_0"), (text("sbt_0"), text("other"), text("3")));
    assert_eq!(job.tasks["psi_0"].stage, Stage::Default, "has no other, whatever the job's stage");
    assert_eq!(part(&job, "sbt_0", &guest()).parameters.len(), 0);
    assert!(job.notes.contains(&text("task sbt_0: parameter num_trees has no effect at stage predict")));
}

#[test]
fn many_hosts_each_get_their_own_view() {
    let job = job(MULTI_HOST);
    let host = |id: &str| party("host", id);
    let name = |party: &Party| part(&job, "reader_0", party).parameters["name"].clone();
    assert_eq!(name(&host("10000")), "rows");
    assert_eq!(job.parties.len(), 5);
    assert_eq!(part(&job, "reader_0", &host("10001")).parameters["namespace"], "default");
    assert_eq!(name(&host("10001")), "other_rows");
    let source = |party: &Party| part(&job, "psi_0", party).inputs.data["input_data"].clone();
    assert_eq!(source(&host("10001")), [output("reader_0", "output_data")]);
    assert_eq!(
        source(&host("10002")),
        [ArtifactRef::Table(TableName::new("archive", "rows_of_10002").unwrap())]
    );
    assert_eq!(job.tasks["toy_0"].dependent_tasks, BTreeSet::from(["psi_0".to_owned()]));
    assert_eq!(job.levels, [["reader_0"], ["psi_0"], ["toy_0"]]);
    let conf = &part(&job, "toy_0", &guest()).conf;
    assert_eq!(json!(conf.engine_run), json!({"num-executors": 2, "executor-cores": 2}));
}

#[test]
fn a_job_in_json_is_the_same_job() {
    let yaml = tributary_document::parse(TRAIN.as_bytes(), &Limits::default(), &Collector::new("")).unwrap();
    let source = serde_json::to_string_pretty(&yaml.to_json().unwrap()).unwrap();
    let (json, yaml) = (job(&source), job(TRAIN));
    assert_eq!(json.tasks, yaml.tasks);
    assert_eq!(json.canonical().unwrap(), yaml.canonical().unwrap());
}

#[test]
fn numbers_in_quotes_and_merge_keys_make_the_same_job() {
    let respelt = TRAIN.replace("n_bins: 20", "n_bins: '20'").replace("auto_retries: 1", "auto_retries: '1'");
    assert_ne!(respelt, TRAIN);
    assert_eq!(job(TRAIN).canonical().unwrap(), job(&respelt).canonical().unwrap());
    let merged = TRAIN.replace("component_ref: psi\n", "<<: {component_ref: psi}\n");
    assert_ne!(merged, TRAIN);
    assert_eq!(job(TRAIN).canonical().unwrap(), job(&merged).canonical().unwrap());
}

#[test]
fn parties_for_which_the_file_says_the_same_share_their_parameters() {
    let job = job(MULTI_HOST);
    let toy = &job.tasks["toy_0"].parties;
    assert!(toy.len() > 1 && toy.windows(2).all(|two| Arc::ptr_eq(&two[0].parameters, &two[1].parameters)));
}

#[test]
fn a_resolved_job_survives_being_stored() {
    for source in [TRAIN, PREDICT, MULTI_HOST] {
        let job = job(source);
        let stored: JobSpec = serde_json::from_slice(&job.canonical().unwrap()).unwrap();
        assert_eq!(stored, JobSpec { notes: Vec::new(), needs: Needs::default(), ..job });
    }
}

#[test]
fn what_a_job_takes_from_outside_is_known_with_its_places() {
    let check = |source: &str, expected: &[&str]| {
        let needs = job(source).needs;
        assert_eq!(needs.file, "job.yaml");
        let shown = needs.list.iter().map(|need| {
            let what = match &need.source {
                ArtifactRef::Table(table) => table.to_string(),
                ArtifactRef::ModelWarehouse { model, producer_task, .. } => {
                    format!("{}#{} {producer_task}", model.model_id, model.model_version)
                }
                other => panic!("{other:?}"),
            };
            format!("{}:{} {}: {} {what}", need.at.line, need.at.column, need.path, need.party)
        });
        assert_eq!(shown.collect::<Vec<_>>(), expected);
    };
    let warehouse = |task: &str| format!("dag.tasks.{task}.inputs.model.input_model.model_warehouse");
    let (binning, sbt) = (warehouse("binning_0"), warehouse("sbt_0"));
    let reader = |party: &str| format!("dag.party_tasks.{party}.tasks.reader_1.parameters.name");
    check(
        PREDICT,
        &[
            &format!("10:91 {}: guest_9999 experiment/new_guest", reader("guest")),
            &format!("11:90 {}: host_10000 experiment/new_host", reader("host")),
            &format!("27:13 {binning}: guest_9999 202307171452088269870#0 binning_0"),
            &format!("27:13 {binning}: host_10000 202307171452088269870#0 binning_0"),
            &format!("37:13 {sbt}: guest_9999 other#3 sbt_0"),
            &format!("37:13 {sbt}: host_10000 other#3 sbt_0"),
        ],
    );
    let reader = |entry: &str| format!("dag.party_tasks.{entry}.tasks.reader_0.parameters.name");
    check(
        MULTI_HOST,
        &[
            &format!("16:33 {}: guest_9999 default/rows", reader("everyone")),
            &format!("16:33 {}: host_10000 default/rows", reader("everyone")),
            &format!("20:33 {}: host_10001 default/other_rows", reader("one_host")),
            &format!("16:33 {}: host_10002 default/rows", reader("everyone")),
            "39:15 dag.tasks.psi_0.inputs.data.input_data.data_warehouse[0]: host_10002 archive/rows_of_10002",
        ],
    );
}

#[test]
fn the_canonical_plan_changes_with_the_plan_and_not_with_its_spelling() {
    let plan = |source: &str| job(source).canonical().unwrap();
    let respelt = TRAIN.replace("kind: fate", "").replace("n_bins: 20", "n_bins: 20 # as before");
    assert_eq!(plan(TRAIN), plan(&respelt));
    assert_ne!(plan(TRAIN), plan(&TRAIN.replace("n_bins: 20", "n_bins: 21")));
    let text = String::from_utf8(plan(TRAIN)).unwrap();
    assert!(
        text.starts_with("{\"conf\":{\"auto_retries\":1,\"computing_partitions\":null,\"cores\":8,"),
        "{text}"
    );
}

#[test]
fn a_provider_may_leave_pieces_open() {
    let check = |text: &str, expected| {
        let provider = Provider::try_from(text.to_owned());
        assert_eq!(provider.map(|provider| provider.to_string()).ok().as_deref(), expected, "{text}");
    };
    check("fate", Some("fate:*@*"));
    check("fate:2.0.1@local", Some("fate:2.0.1@local"));
    check("*:2.0.1", Some("*:2.0.1@*"));
    check("fate@local", Some("fate:*@local"));
    check("", None);
    check("fate:2 @x", None);
    check("a@b@c", None);
}

/// A small job with this `dag.conf`.
fn with_conf(conf: &str) -> String {
    format!(
        "schema_version: 2\ndag:\n  conf: {conf}\n  parties: [{{role: guest, party_id: [1]}}, {{role: host, party_id: [2]}}]\n  \
         tasks: {{toy_0: {{component_ref: toy_example, parameters: {{data_num: 1, partition: 1}}}}}}\n"
    )
}

#[test]
fn what_fate_1_says_to_its_brokers_is_a_wish_or_told_why_it_is_none() {
    let job = job(&with_conf(
        "{rabbitmq_run: {max_message_size: 65536, connection: {heartbeat: 10000}, queue: {durable: true, arguments: {x-expires: 60000, x-max-length: 8, \
         x-max-length-bytes: 1048576, x-queue-type: quorum, x-max-priority: 9}}}, pulsar_run: {max_message_size: 1000000, \
         producer: {max_pending_messages: 5, batching_max_allowed_size_in_bytes: 131072, block_if_queue_full: false}, \
         consumer: {receiver_queue_size: 3, consumer_name: me}}}",
    ));
    let rabbitmq = &job.conf.carriage["rabbitmq"];
    assert_eq!(
        (rabbitmq.message_bytes, rabbitmq.expires_ms, rabbitmq.replicated),
        (Some(65_536), Some(60_000), true)
    );
    assert_eq!((rabbitmq.waiting, rabbitmq.waiting_bytes), (Some(8), Some(1 << 20)));
    let pulsar = &job.conf.carriage["pulsar"];
    assert_eq!((pulsar.message_bytes, pulsar.unconfirmed, pulsar.ahead), (Some(131_072), Some(5), Some(3)));
    let told = [
        "dag.conf.pulsar_run.consumer.consumer_name has no effect because ",
        "dag.conf.pulsar_run.producer.block_if_queue_full has no effect because ",
        "dag.conf.rabbitmq_run.connection.heartbeat has no effect because ",
        "dag.conf.rabbitmq_run.queue.arguments.x-max-priority has no effect because ",
        "dag.conf.rabbitmq_run.queue.durable has no effect because ",
    ];
    assert_eq!(job.notes.len(), told.len(), "{:?}", job.notes);
    for (note, told) in job.notes.iter().zip(told) {
        assert!(note.starts_with(told), "{note}");
    }
}

#[test]
fn a_job_without_wishes_is_written_as_before() {
    let job = job(&with_conf("{rabbitmq_run: {}, pulsar_run: {producer: {}}}"));
    assert!(job.notes.is_empty() && !json!(job.conf).to_string().contains("carriage"), "{:?}", job.notes);
}
