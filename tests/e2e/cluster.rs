//! The same jobs on a cluster that `cluster up` starts: one file edited, equal results.

use std::io::{BufRead, BufReader, Read};
use std::process::{Child, Stdio};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::Value;

use crate::apart::Pair;
use crate::site::{Site, example};

/// `cluster up`, until it is stopped.
pub struct Up {
    child: Child,
    address: String,
}

impl Up {
    pub fn start(site: &Site) -> Self {
        let arguments = ["cluster", "up", "--executors", "2", "--cores", "1", "--port", "0"];
        let mut child =
            site.command(&arguments).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        let mut output = BufReader::new(child.stdout.take().unwrap()).lines().map(Result::unwrap);
        let ready = output.find_map(|line| Some(line.strip_prefix("cluster ready at ")?.to_owned()));
        let Some(ready) = ready else {
            let mut said = String::new();
            child.stderr.take().unwrap().read_to_string(&mut said).unwrap();
            panic!("the cluster ended: {said}")
        };
        // Its last line says that it is up: nothing else comes that could fill the pipe.
        output.find(|line| line.contains("Ctrl-C")).unwrap();
        let (address, _) = ready.split_once(": ").unwrap();
        Self { address: address.to_owned(), child }
    }

    pub fn configuration(&self) -> String {
        format!(
            "default_engines: {{computing: spark}}\ncomputing: {{spark: {{cores: 2, nodes: 2}}}}\ncluster: {{scheduler: \"{}\"}}\n",
            self.address
        )
    }

    /// As Ctrl-C does.
    pub fn end(mut self) {
        kill(Pid::from_raw(self.child.id() as i32), Signal::SIGINT).unwrap();
        assert_eq!(self.child.wait().unwrap().code(), Some(0));
    }
}

impl Drop for Up {
    fn drop(&mut self) {
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

/// What both parties learned from the latest job, less what differs from run to run.
fn learned(site: &Site) -> Vec<Value> {
    let mut all = site.metrics("9999", "guest", "binning_0");
    all.push(site.model("9999", "guest", "binning_0"));
    all.push(site.model("10000", "host", "binning_0"));
    let mut text = serde_json::to_string(&all).unwrap();
    for job in ["alone", "together", "mixed"] {
        text = text.replace(job, "job");
    }
    serde_json::from_str(&text).unwrap()
}

fn run(site: &Site, job: &str) -> Vec<Value> {
    site.ok(&["run", "--quiet", "--job-id", job, &example("breast/job.yaml").display().to_string()]);
    learned(site)
}

/// The trees of both parties, less the name of the model, and how well they predict.
fn boosted(site: &Site, job: &str) -> Vec<Value> {
    let path = example("breast/boost.yaml").display().to_string();
    site.ok(&["run", "--quiet", "--job-id", &format!("boost-{job}"), &path]);
    let mut all = vec![site.model("9999", "guest", "sbt_0"), site.model("10000", "host", "sbt_0")];
    all.iter_mut().for_each(|model| model["parts"]["id"] = Value::Null);
    // A sum over rows, which partitions add up in another order.
    let rounded = |losses: &mut Value| {
        for loss in losses.as_array_mut().unwrap() {
            *loss = format!("{:.12}", loss.as_f64().unwrap()).into();
        }
    };
    rounded(&mut all[0]["loss_history"]);
    rounded(&mut all[0]["parts"]["losses"]);
    all
}

#[test]
fn a_job_gives_the_same_on_a_cluster_and_where_parties_differ() {
    let site = Site::with_breast_tables();
    let (alone, trees) = (run(&site, "alone"), boosted(&site, "alone"));
    let up = Up::start(&site);

    site.write("service_conf.yaml", &up.configuration());
    assert_eq!(run(&site, "together"), alone);
    assert_eq!(boosted(&site, "together"), trees);
    let status = site.json(&["cluster", "status", "--json"]);
    assert_eq!(status["executors"].as_array().unwrap().len(), 2, "{status}");
    assert_eq!(status["jobs"].as_array().unwrap().len(), 0, "{status}");
    let explained = site.ok(&["explain", &example("breast/job.yaml").display().to_string()]);
    assert!(explained.contains("num-executors=2") && explained.contains("spark"), "{explained}");

    site.write("parties/10000/service_conf.yaml", "default_engines: {computing: standalone}\n");
    assert_eq!(run(&site, "mixed"), alone);

    // Sessions leave nothing but what is in use.
    let store = site.home().join("cluster/store/sessions");
    let left = std::fs::read_dir(store).map_or(0, |sessions| sessions.count());
    assert_eq!(left, 0);
    assert!(site.ok(&["gc", "--sessions-older-than", "0"]).contains("files of 0 sessions"));
    up.end();
    let gone = site.fails(5, &["cluster", "status"]);
    assert!(gone.contains("scheduler"), "{gone}");
}

#[test]
fn a_guest_on_its_own_cores_and_a_host_on_a_cluster_are_two_sites() {
    let pair = Pair::with_breast_tables();
    let up = Up::start(&pair.host);
    let conf = std::fs::read_to_string(pair.host.home().join("service_conf.yaml")).unwrap();
    let conf = conf.replace("{federation: direct}", "{federation: direct, computing: spark}");
    let (_, cluster) =
        up.configuration().split_once('\n').map(|(a, b)| (a.to_owned(), b.to_owned())).unwrap();
    pair.host.write("service_conf.yaml", &format!("{conf}{cluster}"));
    pair.runs_the_example();
    let log = pair.host.ok(&["output", "log", "-p", "10000", "-r", "host", "-tn", "psi_0"]);
    assert!(log.contains("num-executors"), "it ran on the cluster: {log}");
    up.end();
}

#[test]
fn a_cluster_without_keys_says_how_to_make_them() {
    let site = Site::default();
    site.write("service_conf.yaml", "default_engines: {computing: eggroll}\n");
    let said = site.fails(3, &["explain", &example("toy/job.yaml").display().to_string()]);
    assert!(said.contains("cluster keys") && said.contains("ca.pem"), "{said}");
    site.ok(&["cluster", "keys"]);
    let again = site.fails(4, &["cluster", "keys"]);
    assert!(again.contains("remove them"), "{again}");
    assert!(site.ok(&["explain", &example("toy/job.yaml").display().to_string()]).contains("eggroll"));
}
