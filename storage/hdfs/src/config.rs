//! The store's section of a site's configuration, `storage.hdfs`, and the client that it makes.

use std::path::{Path, PathBuf};
use std::time::Duration;

use hdfs_native::{Client, ClientBuilder};
use tokio::runtime::Handle;

use tributary_core::settings::{Key, Kind, Section};
use tributary_core::{Error, Result};

use crate::hadoop;

/// What stands for the party's id in a prefix.
const PARTY: &str = "{party}";
const SCHEME: &str = "hdfs://";
/// Tries of the client itself at other name nodes, before ours with growing pauses: enough for a name service of three.
const FAILOVERS: &str = "2";
/// Milliseconds between them.
const FAILOVER_PAUSE: &str = "50";

/// The keys of the section.
pub const KEYS: &[Key] = &[
    Key::optional(
        "name_node",
        Kind::Text,
        "Name node as `hdfs://host:port`, or name service as `hdfs://name`. If it is not given: what `fs.defaultFS` is in `conf_dir`. A party \
         whose configuration gives this or `conf_dir` has this store, also if its new tables go to another.",
    ),
    Key::optional(
        "name_nodes",
        Kind::Text,
        "Name nodes of the name service, as `host:port,host:port`, where `conf_dir` does not say.",
    ),
    Key::optional(
        "conf_dir",
        Kind::Path,
        "Folder with Hadoop's `core-site.xml` and `hdfs-site.xml`. If it is not given: the variable `HADOOP_CONF_DIR`. A relative path is \
         under the party's home.",
    ),
    Key::new(
        "path_prefix",
        Kind::Text,
        "/tributary/{party}",
        "Folder of the tables; `{party}` stands for the party's id. Two parties must not have the same.",
    ),
    Key::optional(
        "user",
        Kind::Text,
        "Who reads and writes, on a cluster without Kerberos. If it is not given: the variable `HADOOP_USER_NAME`, else who runs this process.",
    ),
    Key::optional(
        "principal",
        Kind::Text,
        "Who reads and writes, on a cluster with Kerberos, as `name@REALM`. If it is not given: whose ticket `kinit` got.",
    ),
    Key::optional(
        "keytab",
        Kind::Path,
        "File with the principal's key. A relative path is under the party's home.",
    ),
    Key::optional(
        "ticket_cache",
        Kind::Path,
        "File with the principal's ticket, kept fresh by others, in place of a key. A relative path is under the party's home.",
    ),
    Key::optional(
        "replication",
        Kind::Int { least: 1, most: 512 },
        "On how many data nodes each block is. If it is not given: what the cluster says.",
    ),
    Key::new(
        "patience",
        Kind::Seconds,
        "60",
        "How long a request is repeated while no name node or data node can be reached, or the name node is in safe mode.",
    ),
];

/// The section, read.
#[derive(Debug, Clone)]
pub struct HdfsConfig {
    /// Host and port, or the name of a service.
    pub authority: String,
    /// The nodes of the service, if Hadoop's configuration does not say.
    pub name_nodes: Vec<String>,
    /// Folder of Hadoop's configuration.
    pub conf_dir: Option<PathBuf>,
    /// Folder of the tables, with `/` at its beginning and none at its end; empty for the root.
    pub folder: String,
    /// Who it is, without Kerberos.
    pub user: Option<String>,
    /// Who it is, with Kerberos, unless `kinit` said.
    pub kerberos: Option<Kerberos>,
    /// Copies of each block, unless the cluster says.
    pub replication: Option<u32>,
    /// How long requests are repeated.
    pub patience: Duration,
}

/// An identity of Kerberos.
#[derive(Debug, Clone)]
pub struct Kerberos {
    /// `name@REALM`.
    pub principal: String,
    /// Its key.
    pub keytab: Option<PathBuf>,
    /// Its ticket.
    pub ticket_cache: Option<PathBuf>,
}

impl HdfsConfig {
    /// Whether the section names a cluster, itself or by Hadoop's configuration.
    pub fn is_given(section: &Section) -> Result<bool> {
        Ok(section.find::<&str>("name_node")?.is_some() || section.find::<&Path>("conf_dir")?.is_some())
    }

    /// Reads the section for a party; a relative path is under its `home`.
    pub fn from_section(section: &Section, party: &str, home: &Path) -> Result<Self> {
        let path = |key| Ok::<_, Error>(section.find::<&Path>(key)?.map(|path| home.join(path)));
        let conf_dir = path("conf_dir")?.or_else(hadoop::folder);
        let name_nodes = section.find::<&str>("name_nodes")?.unwrap_or_default();
        Ok(Self {
            authority: authority(section, conf_dir.as_deref())?,
            name_nodes: name_nodes
                .split(',')
                .map(str::trim)
                .filter(|n| !n.is_empty())
                .map(str::to_owned)
                .collect(),
            conf_dir,
            folder: folder(section, party)?,
            user: section.find::<&str>("user")?.map(str::to_owned),
            kerberos: kerberos(section, path("keytab")?, path("ticket_cache")?)?,
            replication: section.find::<u64>("replication")?.map(|copies| copies as u32),
            patience: section.get("patience")?,
        })
    }

    /// A whole cluster, as the same user: files of others. Name nodes that are listed here are those of one cluster alone.
    #[must_use]
    pub fn elsewhere(self, authority: &str) -> Self {
        let name_nodes = if authority == self.authority { self.name_nodes } else { Vec::new() };
        Self { authority: authority.to_owned(), name_nodes, folder: String::new(), ..self }
    }

    /// What the addresses of its tables begin with.
    pub(crate) fn base(&self) -> String {
        format!("{SCHEME}{}{}", self.authority, self.folder)
    }

    /// Its own work runs on these threads.
    pub(crate) fn client(&self, threads: Handle) -> Result<Client> {
        let mut builder = ClientBuilder::new()
            .with_url(format!("{SCHEME}{}", self.authority))
            .with_config(self.overrides())
            .with_io_runtime(threads);
        if let Some(folder) = &self.conf_dir {
            builder = builder.with_config_dir(folder.display().to_string());
        }
        builder = match (&self.kerberos, &self.user) {
            (Some(kerberos), _) => kerberos.give(builder),
            (None, Some(user)) => builder.with_user(user),
            (None, None) => builder,
        };
        builder.build().map_err(|why| {
            let text = "the settings of storage.hdfs do not fit together; a name service needs name_nodes, or a conf_dir that lists them";
            Error::invalid(text).because(why.to_string())
        })
    }

    /// What counts more than Hadoop's files.
    fn overrides(&self) -> Vec<(String, String)> {
        let mut all = vec![
            ("dfs.client.failover.max.attempts".to_owned(), FAILOVERS.to_owned()),
            ("dfs.client.failover.sleep.base.millis".to_owned(), FAILOVER_PAUSE.to_owned()),
            // A block on fewer nodes than asked for is copied later, by the name node.
            ("dfs.client.block.write.replace-datanode-on-failure.best-effort".to_owned(), "true".to_owned()),
        ];
        if self.kerberos.is_some() {
            all.push(("hadoop.security.authentication".to_owned(), "kerberos".to_owned()));
        }
        if !self.name_nodes.is_empty() {
            let service = &self.authority;
            let names = (1..=self.name_nodes.len()).map(|number| format!("nn{number}"));
            let names: Vec<String> = names.collect();
            for (name, address) in names.iter().zip(&self.name_nodes) {
                all.push((format!("dfs.namenode.rpc-address.{service}.{name}"), address.clone()));
            }
            all.push((format!("dfs.ha.namenodes.{service}"), names.join(",")));
        }
        all
    }
}

impl Kerberos {
    fn give(&self, builder: ClientBuilder) -> ClientBuilder {
        let mut builder = builder.with_kerberos_principal(&self.principal);
        if let Some(file) = &self.keytab {
            builder = builder.with_kerberos_keytab(file.display().to_string());
        }
        if let Some(file) = &self.ticket_cache {
            builder = builder.with_kerberos_cache(format!("FILE:{}", file.display()));
        }
        builder
    }
}

fn authority(section: &Section, conf_dir: Option<&Path>) -> Result<String> {
    let named = section.find::<&str>("name_node")?.map(str::to_owned);
    let default = || conf_dir.map(hadoop::default_file_system).transpose().map(Option::flatten);
    let Some(address) = (match named {
        Some(address) => Some(address),
        None => default()?,
    }) else {
        return Err(
            section.problem("name_node", "expected hdfs://host:port, or a conf_dir that has fs.defaultFS")
        );
    };
    let authority = address.strip_prefix(SCHEME).map(|rest| rest.trim_end_matches('/')).unwrap_or_default();
    match authority.is_empty() || authority.contains(['/', '@', '?', '#', ' ']) {
        true => Err(section
            .problem("name_node", format!("expected hdfs://host:port or hdfs://service, found {address:?}"))),
        false => Ok(authority.to_owned()),
    }
}

fn folder(section: &Section, party: &str) -> Result<String> {
    let folder = section.get::<&str>("path_prefix")?.replace(PARTY, party);
    let folder = folder.trim_matches('/');
    let plain = |part: &str| {
        !matches!(part, "" | "." | "..") && part.bytes().all(|b| b > b' ' && b != 127 && b != b':')
    };
    match folder.is_empty() || folder.split('/').all(plain) {
        true if folder.is_empty() => Ok(String::new()),
        true => Ok(format!("/{folder}")),
        false => Err(section.problem(
            "path_prefix",
            "expected names with / between them, none of them . or .., and no colon",
        )),
    }
}

fn kerberos(
    section: &Section,
    keytab: Option<PathBuf>,
    ticket_cache: Option<PathBuf>,
) -> Result<Option<Kerberos>> {
    match section.find::<&str>("principal")? {
        Some(_) if keytab.is_some() && ticket_cache.is_some() => {
            Err(section.problem("ticket_cache", "a keytab is given too; one of them is enough"))
        }
        Some(_) if section.find::<&str>("user")?.is_some() => {
            Err(section
                .problem("user", "a principal is given too, who is the user on a cluster with Kerberos"))
        }
        Some(principal) => Ok(Some(Kerberos { principal: principal.to_owned(), keytab, ticket_cache })),
        None if keytab.is_some() => Err(section.problem("keytab", "it needs principal beside it")),
        None if ticket_cache.is_some() => {
            Err(section.problem("ticket_cache", "it needs principal beside it"))
        }
        None => Ok(None),
    }
}

#[cfg(test)]
mod tests {
    use tributary_core::settings::Origin;

    use super::*;

    const NODE: (&str, &str) = ("name_node", "hdfs://nn:8020/");

    fn section(values: &[(&'static str, &str)]) -> Section {
        let mut section = Section::new("storage.hdfs", KEYS).unwrap();
        for (name, text) in values {
            let key = KEYS.iter().find(|key| key.name == *name).unwrap();
            section.set(name, key.kind.parse(text).unwrap(), Origin::Option("test"));
        }
        section
    }

    fn read(values: &[(&'static str, &str)]) -> Result<HdfsConfig> {
        HdfsConfig::from_section(&section(values), "9999", Path::new("/home"))
    }

    #[test]
    fn each_party_has_a_folder_of_its_own() {
        for (prefix, base) in [
            (None, "hdfs://nn:8020/tributary/9999"),
            (Some("/sites/{party}/tables/"), "hdfs://nn:8020/sites/9999/tables"),
            (Some("/"), "hdfs://nn:8020"),
        ] {
            let mut values = vec![NODE];
            values.extend(prefix.map(|prefix| ("path_prefix", prefix)));
            assert_eq!(read(&values).unwrap().base(), base);
        }
        for prefix in ["a//b", "../a", "a/./b", "a b", "a:b"] {
            assert!(read(&[NODE, ("path_prefix", prefix)]).is_err(), "{prefix}");
        }
    }

    #[test]
    fn files_of_others_are_anywhere_in_a_cluster_and_not_below_the_tables() {
        let given = |values: &[(&'static str, &str)]| HdfsConfig::is_given(&section(values)).unwrap();
        assert!(given(&[NODE]) && given(&[("conf_dir", "hadoop")]) && !given(&[("user", "alice")]));
        let listed = || read(&[("name_node", "hdfs://clinic"), ("name_nodes", "a:1,b:1")]).unwrap();
        let (own, other) = (listed().elsewhere("clinic"), listed().elsewhere("nn:8020"));
        assert_eq!((own.base(), own.name_nodes.len()), ("hdfs://clinic".into(), 2));
        assert_eq!((other.base(), other.name_nodes.len()), ("hdfs://nn:8020".into(), 0));
    }

    #[test]
    fn an_address_that_is_none_of_hdfs_is_refused_by_name() {
        for address in ["nn:8020", "s3://bucket", "hdfs://", "hdfs://nn:8020/folder", "hdfs://me@nn"] {
            let error = read(&[("name_node", address)]).unwrap_err().chain();
            assert!(error.contains("name_node") && error.contains("hdfs://host:port"), "{error}");
        }
    }

    #[test]
    fn the_default_of_hadoop_counts_where_no_name_node_is_named() {
        let folder = tempfile::tempdir().unwrap();
        let site = "<configuration><property><name>fs.defaultFS</name><value>hdfs://clinic</value></property></configuration>";
        std::fs::write(folder.path().join("core-site.xml"), site).unwrap();
        let conf_dir = ("conf_dir", folder.path().to_str().unwrap());
        assert_eq!(read(&[conf_dir]).unwrap().authority, "clinic");
        assert_eq!(read(&[conf_dir, NODE]).unwrap().authority, "nn:8020");
    }

    #[test]
    fn a_service_needs_its_nodes_and_half_an_identity_is_refused() {
        let threads = tributary_threads::Threads::start("test").unwrap();
        let made = |values: &[(&'static str, &str)]| read(values).unwrap().client(threads.handle().unwrap());
        let service = ("name_node", "hdfs://clinic");
        let empty = tempfile::tempdir().unwrap();
        let no_files = ("conf_dir", empty.path().to_str().unwrap());
        assert!(made(&[service, no_files]).unwrap_err().to_string().contains("name_nodes"));
        assert!(made(&[service, no_files, ("name_nodes", "a:8020, b:8020")]).is_ok());
        let principal = ("principal", "alice@REALM");
        for (values, named) in [
            (&[("keytab", "k")][..], "keytab"),
            (&[("ticket_cache", "t")], "ticket_cache"),
            (&[principal, ("keytab", "k"), ("ticket_cache", "t")], "ticket_cache"),
            (&[principal, ("user", "alice")], "user"),
        ] {
            let error = read(&[&[NODE], values].concat()).unwrap_err().chain();
            assert!(error.contains(named), "{error}");
        }
        let whole = read(&[NODE, principal, ("keytab", "k")]).unwrap().kerberos.unwrap();
        assert_eq!(whole.keytab.unwrap(), Path::new("/home/k"));
    }
}
