//! The text of a first job.

use tributary_core::{PartyId, TableName};

use super::Goal;

// Texts that begin with spaces begin beside their quotes: a line that continues another loses them.

/// Trees of the model: enough to learn something, in seconds.
const TREES: u32 = 10;

/// Parties, tables and tasks; every name that came from outside is within quotes, or has the letters of an id.
pub(super) fn text(parties: &[PartyId], guest: usize, tables: &[&TableName], goal: Option<&Goal>) -> String {
    let role = |file: usize| if file == guest { "guest" } else { "host" };
    let mut text = HEAD.to_owned();
    for (file, party) in parties.iter().enumerate() {
        text += &format!("  - {{role: {}, party_id: [\"{party}\"]}}\n", role(file));
    }
    text += "  party_tasks:\n";
    for (file, (party, table)) in parties.iter().zip(tables).enumerate() {
        text += &format!(
            "    {role}_{party}:\n      parties: [{{role: {role}, party_id: [\"{party}\"]}}]\n      tasks: {{reader_0: {{parameters: {{namespace: \
             \"{}\", name: \"{}\"}}}}}}\n",
            table.namespace,
            table.name,
            role = role(file),
        );
    }
    text += COMMON_ROWS;
    text += &match goal {
        None => STATISTICS.to_owned(),
        Some(goal) => training(goal, &parties[guest]),
    };
    text + "schema_version: 2.2.0\nkind: fate\n"
}

fn training(goal: &Goal, guest: &PartyId) -> String {
    let (objective, setting, stratified) = match goal {
        Goal::Binary => ("binary:bce".to_owned(), "binary", true),
        Goal::Multi { classes } => (format!("multi:ce, num_class: {classes}"), "multi", true),
        Goal::Regression => ("regression:l2".to_owned(), "regression", false),
    };
    TRAINING
        .replace("OBJECTIVE", &objective)
        .replace("SETTING", setting)
        .replace("STRATIFIED", &stratified.to_string())
        .replace("TREES", &TREES.to_string())
        .replace("GUEST", guest.as_str())
}

const HEAD: &str = "\
# Made by `tributary init`. Change it, and run it again: `tributary component describe NAME` shows the parameters of a component.
dag:
  parties:
";

const COMMON_ROWS: &str = "  stage: train
  tasks:
    reader_0: {component_ref: reader, stage: default}
    # The rows whose ids all parties have; nobody learns the others' ids.
    psi_0:
      component_ref: psi
      stage: default
      inputs: {data: {input_data: {task_output_artifact: {producer_task: reader_0, output_artifact_key: output_data}}}}
";

const STATISTICS: &str = "    # There is no label, so there is nothing to predict: what each party's columns look like in the common rows.
    statistics_0:
      component_ref: statistics
      stage: default
      inputs: {data: {input_data: {task_output_artifact: {producer_task: psi_0, output_artifact_key: output_data}}}}
      parameters: {metrics: [count, mean, std, min, max, missing_ratio]}
";

const TRAINING: &str = "    # 70% of them to learn from, 30% to measure with.
    split_0:
      component_ref: data_split
      stage: default
      inputs: {data: {input_data: {task_output_artifact: {producer_task: psi_0, output_artifact_key: output_data}}}}
      parameters: {train_size: 0.7, test_size: 0.3, stratified: STRATIFIED, random_state: 42}
    # Trees on the columns of all parties; the guest's label is encrypted for the others.
    sbt_0:
      component_ref: hetero_secureboost
      inputs: {data: {train_data: {task_output_artifact: {producer_task: split_0, output_artifact_key: train_output_data}}}}
      parameters: {num_trees: TREES, max_depth: 3, objective: OBJECTIVE}
    # The same trees on rows that they did not see.
    sbt_1:
      component_ref: hetero_secureboost
      stage: predict
      inputs:
        data: {test_data: {task_output_artifact: {producer_task: split_0, output_artifact_key: test_output_data}}}
        model: {input_model: {task_output_artifact: {producer_task: sbt_0, output_artifact_key: output_model}}}
    # How good they are: train_set, and test_set, which counts.
    eval_0:
      component_ref: evaluation
      stage: default
      parties: [{role: guest, party_id: [\"GUEST\"]}]
      inputs:
        data:
          input_datas:
            task_output_artifact:
            - {producer_task: sbt_0, output_artifact_key: train_output_data}
            - {producer_task: sbt_1, output_artifact_key: test_output_data}
      parameters: {default_eval_setting: SETTING}
";
