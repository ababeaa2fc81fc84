//! One file with every mistake there is a message for, and small ones for what hides behind others.

use super::*;

fn refusal(source: &str) -> String {
    parse(source.as_bytes()).unwrap_err().to_string()
}

/// A job of a guest and a host with these tasks is refused with these lines.
fn check(tasks: &str, expected: &[&str]) {
    let parties = "[{role: guest, party_id: [1]}, {role: host, party_id: [2]}]";
    let source = format!("schema_version: 2\ndag:\n  parties: {parties}\n  tasks:\n{tasks}");
    assert_eq!(refusal(&source), expected.join("\n"), "{}", refusal(&source));
}

#[test]
fn all_mistakes_of_a_file_are_reported_at_once() {
    let problems = refusal(include_str!("../samples/wrong.yaml"));
    assert_eq!(problems, include_str!("../samples/wrong.txt").trim_end(), "{problems}");
}

#[test]
fn each_circle_is_reported_once_with_all_its_tasks() {
    let toy = |name: &str, after: &str| {
        format!(
            "    {name}: {{component_ref: toy_example, parameters: {{data_num: 1, partition: 1}}, dependent_tasks: [{after}]}}\n"
        )
    };
    let tasks =
        [toy("last", "c"), toy("a", "c"), toy("b", "a"), toy("c", "b"), toy("x", "y"), toy("y", "x, c")];
    check(
        &tasks.concat(),
        &[
            "job.yaml:6:96: dag.tasks.a.dependent_tasks[0]: tasks wait for each other: a → b → c → a",
            "job.yaml:10:96: dag.tasks.y.dependent_tasks[0]: tasks wait for each other: y → x → y",
        ],
    );
}

#[test]
fn a_stage_of_the_job_that_is_none_is_one_mistake() {
    let tasks = "    b: {component_ref: hetero_feature_binning}\n";
    let source = format!(
        "schema_version: 2\ndag:\n  stage: Train\n  parties: [{{role: guest, party_id: [1]}}]\n  tasks:\n{tasks}"
    );
    let problems = refusal(&source);
    assert!(problems.contains("did you mean \"train\"?") && problems.lines().count() == 1, "{problems}");
}

#[test]
fn what_only_one_party_lacks_names_the_party() {
    let tasks = "    r: {component_ref: reader, parameters: {namespace: n}, parties: [{role: guest, party_id: [1]}]}
    p: {component_ref: psi, inputs: {data: {input_data: {task_output_artifact: {producer_task: r, output_artifact_key: output_data}}}}}
";
    check(
        tasks,
        &[
            "job.yaml:5:32: dag.tasks.r.parameters.name: required, but not given (text)",
            "job.yaml:6:45: dag.tasks.p.inputs.data.input_data: required, but no source applies at host_2",
        ],
    );
    check(
        "    b: {component_ref: hetero_feature_binning, stage: train}\n",
        &["job.yaml:5:5: dag.tasks.b.inputs.data.train_data: required, but not given"],
    );
}

#[test]
fn what_a_component_finds_wrong_is_reported_after_what_its_definition_refuses() {
    let toy =
        |parameters: &str| format!("    t: {{component_ref: toy_example, parameters: {{{parameters}}}}}\n");
    let of = "dag.tasks.t.parameters";
    check(
        &toy("data_num: 5, partition: 6"),
        &[&format!("job.yaml:5:63: {of}.partition: more partitions than values")],
    );
    check(
        &toy("data_num: 5, partition: 6, more: 1"),
        &[&format!("job.yaml:5:77: {of}.more: unknown parameter (known: data_num, partition)")],
    );
    let bug = TRAIN.replace("n_bins: 20", "n_bins: 666");
    assert_eq!(refusal(&bug), "job.yaml:82:5: dag.tasks.binning_0: not of my type at guest_9999");
}

#[test]
fn parties_are_checked_only_where_they_are_known() {
    let psi = |parties: &str| {
        format!(
            "    r: {{component_ref: reader, parameters: {{name: t, namespace: n}}}}
    p: {{component_ref: psi, parties: {parties}, inputs: {{data: {{input_data: {{task_output_artifact: {{producer_task: r, output_artifact_key: output_data}}}}}}}}}}
"
        )
    };
    check(&psi("[{role: guest, party_id: [1]}]"), &["job.yaml:6:5: dag.tasks.p: needs a host"]);
    check(
        &psi("[{role: guest, party_id: [1]}, {role: hots, party_id: [2]}]"),
        &[
            "job.yaml:6:70: dag.tasks.p.parties[1].role: expected one of guest, host, arbiter, local, got \"hots\" \
           (did you mean \"host\"?)",
        ],
    );
}

#[test]
fn a_table_is_no_dataframe() {
    let tasks = "    r: {component_ref: reader, parameters: {name: t, namespace: n}}
    p: {component_ref: psi, inputs: {data: {input_data: {task_output_artifact: {producer_task: r, output_artifact_key: output_data}}}}}
    t: {component_ref: dataframe_transformer, inputs: {data: {table: {task_output_artifact: {producer_task: p, output_artifact_key: output_data}}}}}
";
    let place = "dag.tasks.t.inputs.data.table.task_output_artifact.output_artifact_key";
    check(tasks, &[&format!("job.yaml:7:112: {place}: output_data is dataframe, but table takes table")]);
}

#[test]
fn a_component_with_stages_needs_one() {
    check(
        "    b: {component_ref: hetero_feature_binning}\n",
        &["job.yaml:5:5: dag.tasks.b.stage: neither the task nor the job names a stage; \
           hetero_feature_binning has train, predict"],
    );
    check(
        "    p: {component_ref: psi, stage: train}\n",
        &["job.yaml:5:29: dag.tasks.p.stage: psi has no stage train, only default"],
    );
}

#[test]
fn one_mistake_is_reported_once() {
    let check = |source: String, expected: &str| assert_eq!(refusal(&source), expected);
    check(
        PREDICT.replace("model_id: 202307171452088269870, ", ""),
        "job.yaml:5:5: dag.conf.model_warehouse.model_id: required, but not given",
    );
    check(
        TRAIN.replace("component_ref: psi", "component_ref: ps1"),
        "job.yaml:63:7: dag.tasks.psi_0.component_ref: unknown component \"ps1\" (did you mean \"psi\"?)",
    );
    check(
        TRAIN.replace("  parties:\n  - party_id: ['9999']\n", "  parties:\n  - party_id: ['99/9']\n"),
        "job.yaml:13:16: dag.parties[0].party_id[0]: \
         expected a party id of letters, digits, '_' and '-', got \"99/9\"",
    );
    check(
        TRAIN.replace("- output_artifact_key: train_output_data", "- output_artifact: train_output_data"),
        "job.yaml:47:15: dag.tasks.eval_0.inputs.data.input_datas.task_output_artifact[0].output_artifact_key: \
         required, but not given\n\
         job.yaml:47:15: dag.tasks.eval_0.inputs.data.input_datas.task_output_artifact[0].output_artifact: \
         unknown key (did you mean \"output_artifact_key\"?)",
    );
}

#[test]
fn a_version_of_another_schema_is_refused() {
    let of = |version: &str| {
        refusal(&TRAIN.replace("schema_version: 2.2.0", &format!("schema_version: {version}")))
    };
    for (version, shown) in [("3.0.0", "3.0.0"), ("banana", "banana"), ("'20.1'", "20.1")] {
        let expected = format!(
            "job.yaml:107:1: schema_version: expected a version 2.x of the schema of jobs, got \"{shown}\""
        );
        assert_eq!(of(version), expected);
    }
}

#[test]
fn a_site_with_a_duty_is_a_party_of_the_job_and_named_in_conf() {
    let of = |dag: &str| {
        let parties = "[{role: guest, party_id: [9999]}, {role: host, party_id: [10000]}]";
        let tasks = "{a: {component_ref: toy_example, parameters: {data_num: 1, partition: 1}}}";
        refusal(&format!(
            "schema_version: 2\ndag: {{stage: default, {dag}, parties: {parties}, tasks: {tasks}}}"
        ))
    };
    assert_eq!(
        of("conf: {initiator_party_id: '4711', scheduler_party_id: 999}"),
        "job.yaml:2:30: dag.conf.initiator_party_id: \"4711\" is not a party of the job (known: 10000, 9999)\n\
         job.yaml:2:58: dag.conf.scheduler_party_id: \"999\" is not a party of the job (known: 10000, 9999) \
         (did you mean \"9999\"?)"
    );
    let misplaced = of("initiator_party_id: '9999'");
    assert!(
        misplaced.contains("dag.initiator_party_id: unknown key (it belongs into dag.conf"),
        "{misplaced}"
    );
}

#[test]
fn cores_are_counted_by_the_rules_of_one_version() {
    let of = |conf: &str| {
        let parties = "[{role: guest, party_id: [1]}, {role: host, party_id: [2]}]";
        let tasks = "{a: {component_ref: toy_example, parameters: {data_num: 1, partition: 1}}}";
        refusal(&format!(
            "schema_version: 2\ndag: {{stage: default, conf: {conf}, parties: {parties}, tasks: {tasks}}}"
        ))
    };
    let both = of("{cores: 4, eggroll_run: {}}");
    assert!(both.contains("dag.conf.cores: counts cores by the rules of FATE 2"), "{both}");
    let wrong = of("{task_cores: 0, task_parallelism: many, spark_run: 2}");
    let expected = [
        "dag.conf.task_cores: expected an integer from 1 to 1000000, got 0",
        "dag.conf.task_parallelism: expected an integer from 1 to 1000000, got \"many\"",
        "dag.conf.spark_run: expected a map, got 2",
    ];
    for line in expected {
        assert!(wrong.contains(line), "{wrong}");
    }
}

#[test]
fn what_brokers_of_fate_1_would_not_take_is_refused_at_its_place() {
    let conf = "{rabbitmq_run: {queue: {durable: maybe, durabel: true, arguments: {x-expires: 0, x-queue-type: stream}}, connection: {heartbeat: -1}}, \
                pulsar_run: {producer: {max_pending_messages: 0}, consumer: [1], max_message_size: 1MiB}}";
    let problems = refusal(&format!(
        "schema_version: 2\ndag:\n  conf: {conf}\n  parties: [{{role: guest, party_id: [1]}}, {{role: host, party_id: [2]}}]\n  \
         tasks: {{toy_0: {{component_ref: toy_example, parameters: {{data_num: 1, partition: 1}}}}}}\n"
    ));
    let expected = [
        "dag.conf.rabbitmq_run.queue.durable: expected true or false, got \"maybe\"",
        "dag.conf.rabbitmq_run.queue.durabel: unknown key (did you mean \"durable\"?)",
        "queue.arguments.x-expires: expected an integer from 1 to 315360000000, got 0",
        "queue.arguments.x-queue-type: expected one of quorum, classic, got \"stream\"",
        "rabbitmq_run.connection.heartbeat: expected an integer from 0 to 2147483647, got -1",
        "pulsar_run.producer.max_pending_messages: expected an integer from 1 to 2147483647, got 0",
        "pulsar_run.consumer: expected a map, got a list",
        "pulsar_run.max_message_size: expected an integer from 1 to 2147483647, got \"1MiB\"",
    ];
    for expected in expected {
        assert!(
            problems.lines().any(|line| line.starts_with("job.yaml:3:") && line.contains(expected)),
            "{expected}: {problems}"
        );
    }
    assert_eq!(problems.lines().count(), expected.len(), "{problems}");
}
