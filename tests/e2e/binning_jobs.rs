//! Jobs on tables of a few rows: repeated match ids, cut points of several parties, categories, and predictions without metrics.

use serde_json::Value;

use crate::site::Site;

const PARTIES: &str =
    "  parties:\n  - {role: guest, party_id: ['9999']}\n  - {role: host, party_id: HOSTS}\n";

/// Tables by party, as CSV; the guest's table has its own options.
fn site(guest: &str, options: &[&str], hosts: &[(&str, &str)]) -> Site {
    let site = Site::default();
    let upload = |party: &str, rows: &str, options: &[&str]| {
        let file = site.write(&format!("{party}.csv"), rows);
        let command =
            ["data", "upload", "--party", party, "--namespace", "n", "--name", "t", "--file", &file];
        site.ok(&[&command[..], options].concat());
    };
    upload("9999", guest, &[&["--label", "y"], options].concat());
    hosts.iter().for_each(|(party, rows)| upload(party, rows, &[]));
    site
}

/// reader, psi and binning, with these lines after the stage and these parameters.
fn job(site: &Site, hosts: &str, train: &str, of_guest: &str) -> String {
    let mut job = format!("schema_version: 2.2.0\ndag:\n  stage: train\n{}", PARTIES.replace("HOSTS", hosts));
    if !of_guest.is_empty() {
        job += &format!(
            "  party_tasks: {{g: {{parties: [{{role: guest, party_id: ['9999']}}], tasks: {{binning_0: {{parameters: {of_guest}}}}}}}}}\n"
        );
    }
    job += "  tasks:\n    reader_0: {component_ref: reader, stage: default, parameters: {namespace: n, name: t}}\n";
    let input = |key: &str, task: &str| {
        format!(
            "inputs: {{data: {{{key}: {{task_output_artifact: {{producer_task: {task}, output_artifact_key: output_data}}}}}}}}"
        )
    };
    job +=
        &format!("    psi_0: {{component_ref: psi, stage: default, {}}}\n", input("input_data", "reader_0"));
    job += &format!(
        "    binning_0: {{component_ref: hetero_feature_binning, {}, parameters: {train}}}\n",
        input("train_data", "psi_0")
    );
    site.write("job.yaml", &job)
}

fn rows(site: &Site, party: &str, role: &str, task: &str, key: &str) -> Vec<Vec<String>> {
    let shown = site.json(&["output", "data", "-p", party, "-r", role, "-tn", task, "--json"]);
    let text = |cell: &Value| cell.as_str().map_or(cell.to_string(), str::to_owned);
    let rows = shown[key][0]["data"].as_array().unwrap();
    rows.iter().map(|row| row.as_array().unwrap().iter().map(text).collect()).collect()
}

#[test]
fn all_rows_of_a_guest_s_repeated_match_id_stay_aligned_with_every_host() {
    let guest = "sid,id,y,v\ns1,a,1,1\ns2,b,0,2\ns3,a,0,3\ns4,c,1,4\ns5,z,1,5\ns6,a,1,6\n";
    let hosts = [("10000", "id,w\nb,20\na,10\nc,30\nd,40\n"), ("10001", "id,u\nc,3\nb,2\na,1\ne,5\n")];
    for count in 1..=2 {
        let site = site(guest, &["--match-id", "id"], &hosts[..count]);
        let ids = if count == 1 { "['10000']" } else { "['10000', '10001']" };
        let path = job(&site, ids, "{n_bins: 2, he_param: {key_length: 1024}}", "");
        site.ok(&["run", "--quiet", &path]);
        let of_guest = rows(&site, "9999", "guest", "psi_0", "output_data");
        assert_eq!(of_guest.len(), 5, "{of_guest:?}");
        let mut samples: Vec<&str> = of_guest.iter().map(|row| row[0].as_str()).collect();
        samples.sort_unstable();
        assert_eq!(samples, ["s1", "s2", "s3", "s4", "s6"]);
        for (party, _) in &hosts[..count] {
            let of_host = rows(&site, party, "host", "psi_0", "output_data");
            assert_eq!(of_host.len(), 5);
            for (own, other) in of_guest.iter().zip(&of_host) {
                assert!(own.contains(&other[0]), "{own:?} beside {other:?}");
            }
        }
        let model = site.model("9999", "guest", "binning_0");
        for (party, _) in &hosts[..count] {
            let counts = &model["data"]["host_metrics_summary"][format!("host_{party}")]["event_count"];
            let events: u64 = counts
                .as_object()
                .unwrap()
                .values()
                .next()
                .unwrap()
                .as_object()
                .unwrap()
                .values()
                .map(|n| n.as_u64().unwrap())
                .sum();
            assert_eq!(events, 3, "{counts}");
        }
    }
}

#[test]
fn a_host_s_repeated_match_id_is_refused() {
    let site = site("id,y,v\na,1,1\nb,0,2\n", &[], &[("10000", "sid,id,w\n1,a,1\n2,a,2\n3,b,3\n")]);
    let file = site.home().join("10000.csv").display().to_string();
    let again = ["data", "upload", "--party", "10000", "--namespace", "n", "--name", "t", "--file", &file];
    site.ok(&[&again[..], &["--match-id", "id", "--if-exists", "replace"]].concat());
    let message = site.fails(2, &["run", "--quiet", &job(&site, "['10000']", "{n_bins: 2}", "")]);
    assert!(message.contains("those of a host must be unique"), "{message}");
}

#[test]
fn each_party_takes_its_own_cut_points_and_categories_count_as_features() {
    let guest = "id,y,color,age\na,1,red,30\nb,0,blue,40\nc,1,red,50\nd,0,,60\n";
    let site = site(
        guest,
        &["--types", "color=category"],
        &[("10000", "id,w,income\na,1,5\nb,2,6\nc,3,7\nd,4,8\n")],
    );
    site.write("parties/10000/service_conf.yaml", "limits: {min_rows: 1, cuts_from_job: use}\n");
    let points =
        "{method: manual, split_pt_dict: {age: [45, 60], income: [6, 8]}, he_param: {key_length: 1024}}";
    let path = job(&site, "['10000']", points, "{category_idx: [0]}");
    site.ok(&["run", "--quiet", &path]);
    let model = site.model("9999", "guest", "binning_0");
    let data = &model["data"];
    assert_eq!(
        (&data["bin_col"], &data["category_col"]),
        (&serde_json::json!(["age"]), &serde_json::json!(["color"]))
    );
    assert_eq!(
        data["metrics_summary"]["event_count"]["color"],
        serde_json::json!({"blue": 0, "red": 2, "missing": 0})
    );
    assert_eq!(
        model["meta"]["anonymous"],
        serde_json::json!({"guest_9999_x0": "color", "guest_9999_x1": "age"})
    );
    let host = &data["host_metrics_summary"]["host_10000"]["event_count"];
    assert_eq!(*host, serde_json::json!({"host_10000_x1": {"0": 1, "1": 1}}));

    let text = job(&site, "['10000']", "{}", "{bin_col: [color]}");
    let message = site.fails(2, &["run", "--quiet", &text]);
    assert!(
        message.contains("holds text, which has no order to bin by; measure it by value with category_col"),
        "{message}"
    );
}

#[test]
fn a_prediction_gives_its_rows_whatever_the_label() {
    let guest = "id,y,v\na,1,1\nb,0,2\nc,1,3\nd,0,4\n";
    let site = site(guest, &[], &[("10000", "id,w\na,1\nb,2\nc,3\nd,4\n")]);
    let path = job(&site, "['10000']", "{n_bins: 2, he_param: {key_length: 1024}}", "");
    site.ok(&["run", "--quiet", "--job-id", "trained", &path]);
    let predict = std::fs::read_to_string(path).unwrap();
    let predict = predict
        .replace("stage: train\n", "stage: predict\n  conf: {model_warehouse: {model_id: trained, model_version: '0'}}\n")
        .replace("train_data:", "test_data:")
        .replace(
            "output_data}}}}, parameters: {n_bins: 2, he_param: {key_length: 1024}}",
            "output_data}}}, model: {input_model: {model_warehouse: {producer_task: binning_0, output_artifact_key: output_model}}}}, \
             parameters: {transform_method: bin_idx}",
        );
    let labels: [(&str, &[&str]); 4] = [
        ("id,y,v\na,0,1\nb,0,2\nc,0,3\n", &["--label", "y"]),
        ("id,y,v\na,1,1\nb,1,2\nc,1,3\n", &["--label", "y"]),
        ("id,y,v\na,-1,1\nb,1,2\nc,1,3\n", &["--label", "y"]),
        ("id,v\na,1\nb,2\nc,3\n", &[]),
    ];
    for (rows_of_guest, options) in labels {
        let file = site.write("new.csv", rows_of_guest);
        let upload =
            ["data", "upload", "--party", "9999", "--namespace", "n", "--name", "t", "--file", &file];
        site.ok(&[&upload[..], options, &["--if-exists", "replace"]].concat());
        let output = site.run(&["run", "--quiet", &site.write("predict.yaml", &predict)]);
        let shown = crate::site::text(&output.stderr);
        assert_eq!(output.status.code(), Some(0), "{shown}");
        assert!(shown.contains("metrics are left out"), "{shown}");
        assert_eq!(rows(&site, "9999", "guest", "binning_0", "test_output_data").len(), 3);
        assert_eq!(rows(&site, "10000", "host", "binning_0", "test_output_data").len(), 3);
    }
}
