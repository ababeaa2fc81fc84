//! What a cluster keeps from those who hold one of its certificates, and from those who read its store.

use std::path::Path;
use std::time::Duration;

use ballista_core::serde::protobuf::execute_query_params::Query;
use ballista_core::serde::protobuf::scheduler_grpc_client::SchedulerGrpcClient;
use ballista_core::serde::protobuf::{CreateUpdateSessionParams, ExecuteQueryParams, KeyValuePair};
use ballista_core::version::insert_version_header;
use tonic::transport::{Certificate, Channel, ClientTlsConfig, Endpoint, Identity as TlsIdentity};
use tonic::{Code, Request};
use tributary_ballista::Identity;
use tributary_conformance::computing::kernels::ShowBlobs;
use tributary_conformance::computing::{loose, model};
use tributary_core::KeyType;
use tributary_core::computing::{Blob, End};
use tributary_core::kernel::KernelCall;

use crate::faults::until;
use crate::nodes::{Cluster, Driver, kernels};

/// Somebody with a certificate of the cluster, who says that it is this build.
async fn insider(cluster: &Cluster) -> SchedulerGrpcClient<Channel> {
    let pem = |name: &str| std::fs::read_to_string(cluster.folder.path().join("keys").join(name)).unwrap();
    let tls = ClientTlsConfig::new()
        .identity(TlsIdentity::from_pem(pem("node.pem"), pem("node.key")))
        .ca_certificate(Certificate::from_pem(pem("ca.pem")))
        .domain_name("node.cluster.tributary");
    let endpoint = Endpoint::from_shared(format!("https://{}", cluster.address)).unwrap();
    let endpoint = endpoint.user_agent(Identity::of(&kernels()).to_string()).unwrap();
    SchedulerGrpcClient::new(endpoint.tls_config(tls).unwrap().connect().await.unwrap())
}

fn query(query: Query, settings: &[(&str, &str)]) -> Request<ExecuteQueryParams> {
    let setting = |(key, value): &(&str, &str)| KeyValuePair {
        key: (*key).to_owned(),
        value: Some((*value).to_owned()),
    };
    let settings = settings.iter().map(setting).collect();
    let mut request = Request::new(ExecuteQueryParams {
        query: Some(query),
        settings,
        session_id: "insider".into(),
        operation_id: String::new(),
    });
    insert_version_header(request.metadata_mut());
    request
}

#[test]
fn the_scheduler_runs_jobs_of_drivers_and_nothing_else() {
    let cluster = Cluster::start(1, 1);
    let driver = Driver::new(&cluster);
    driver.block_on(async {
        let mut scheduler = insider(&cluster).await;
        let name = ("ballista.job.name", "insider action 1 on 1x1");
        let queries = [
            (query(Query::LogicalPlan(Vec::new()), &[name]), "a logical plan"),
            (query(Query::SubstraitPlan(Vec::new()), &[name]), "a Substrait plan"),
            (query(Query::PhysicalPlan(Vec::new()), &[]), "says no session and share"),
            (
                query(Query::PhysicalPlan(Vec::new()), &[name, ("datafusion.execution.batch_size", "1")]),
                "setting \"datafusion.execution.batch_size\"",
            ),
        ];
        for (request, reason) in queries {
            let refused = scheduler.execute_query_push(request).await.unwrap_err();
            assert_eq!(refused.code(), Code::PermissionDenied, "{refused:?}");
            assert!(refused.message().contains(reason), "{refused:?}");
        }
        let refused = scheduler.execute_query(query(Query::LogicalPlan(Vec::new()), &[])).await.unwrap_err();
        assert_eq!(refused.code(), Code::PermissionDenied, "{refused:?}");
        let session = CreateUpdateSessionParams { session_id: "insider".into(), settings: Vec::new() };
        let refused = scheduler.create_update_session(session).await.unwrap_err();
        assert_eq!(refused.code(), Code::PermissionDenied, "{refused:?}");

        let session = driver.session(1).await;
        let table = loose(&session, KeyType::UInt64, &model::numbered(0..100), 2).await;
        assert_eq!(table.keyed(2).unwrap().count().await.unwrap(), 100);
        session.close(End::Done).await.unwrap();
    });
}

/// Those that are there for longer than it takes to look: executors make some and remove them meanwhile.
fn files(folder: &Path) -> Vec<std::path::PathBuf> {
    let entries = std::fs::read_dir(folder).into_iter().flatten().map(|entry| entry.unwrap().path());
    entries.flat_map(|path| if path.is_dir() { files(&path) } else { vec![path] }).collect()
}

#[test]
fn a_secret_blob_lies_sealed_and_is_removed_with_its_last_reference() {
    const SECRET: &[u8] = b"a number that masks ids";
    const PLAIN: &[u8] = b"the edges of bins";
    let cluster = Cluster::start(1, 1);
    let driver = Driver::new(&cluster);
    let store = cluster.folder.path().join("store");
    let holding = |text: &[u8]| {
        let read = |path: &Path| std::fs::read(path).unwrap_or_default();
        let holds = |path: &Path| read(path).windows(text.len()).any(|part| part == text);
        files(&store).into_iter().filter(|path| holds(path)).count()
    };
    let blobs = || files(&store).iter().filter(|path| path.parent().unwrap().ends_with("blobs")).count();
    driver.block_on(async {
        let session = driver.session(1).await;
        let secret = session.put_blob(Blob::secret(SECRET.to_vec())).await.unwrap();
        let plain = session.put_blob(Blob::Plain(PLAIN.into())).await.unwrap();
        assert_eq!((blobs(), holding(PLAIN), holding(SECRET)), (2, 1, 0));
        let table = loose(&session, KeyType::UInt64, &model::numbered(0..10), 1).await;
        let call = KernelCall::map::<ShowBlobs>(&()).unwrap();
        let shown = table.map(call.with_blob(secret).with_blob(plain)).unwrap();
        assert_eq!(shown.collect().await.unwrap().iter().map(|rows| rows.num_rows()).sum::<usize>(), 10);
        drop(shown);
        until("blobs are removed", Duration::from_secs(5), async || blobs() == 0).await;
        session.close(End::Done).await.unwrap();
    });
}
