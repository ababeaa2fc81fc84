//! The keys of FATE's own `service_conf.yaml` that mean nothing here: known, so that a site can use its file here, and
//! passed over with a note. A misspelt one is still a mistake.
//!
//! From FATE-Flow's 1.x and 2.x configurations. Keys that FATE and this program share are declared by the engines; what its section `database`
//! says of a server is what [`own_section`] and [`CHOOSES_META`] say it is here.

/// Full names, dots between levels; a name that ends in `.*` covers the key before it with whatever is below.
const NAMES: &[&str] = &[
    "authentication.client.*",
    "authentication.permission.*",
    "authentication.site.*",
    "computing.eggroll.cores_per_node",
    "computing.eggroll.host",
    "computing.eggroll.port",
    "computing.spark.cores_per_node",
    "computing.spark.home",
    "computing.standalone.cores_per_node",
    "computing.standalone.nodes",
    "database.decrypt_key",
    "database.host",
    "database.max_connections",
    "database.name",
    "database.passwd",
    "database.port",
    "database.sqlite.path",
    "database.stale_timeout",
    "database.user",
    "default_provider.device",
    "default_provider.name",
    "default_provider.version",
    "dependent_distribution",
    "enable_model_store",
    "encrypt.*",
    "encrypt_module",
    "encrypt_password",
    "fate_on_eggroll.*",
    "fate_on_spark.*",
    "fate_on_standalone.*",
    "fateboard.host",
    "fateboard.port",
    "fateflow.grpc_port",
    "fateflow.host",
    "fateflow.http_app_key",
    "fateflow.http_port",
    "fateflow.http_secret_key",
    "fateflow.nginx.grpc_port",
    "fateflow.nginx.host",
    "fateflow.nginx.http_port",
    "fateflow.protocol",
    "fateflow.proxy.*",
    "fateflow.proxy_name",
    "fateflow.random_instance_id",
    "fatemanager.federatedId",
    "fatemanager.host",
    "fatemanager.port",
    "federation.nginx.grpc_port",
    "federation.nginx.host",
    "federation.nginx.http_port",
    "federation.nginx.protocol",
    "federation.osx.mode",
    "force_use_sqlite",
    "hook_module.*",
    "hook_server_name",
    "log_level",
    "model_store.decrypt_key",
    "model_store.engine",
    "model_store.file.*",
    "model_store.mysql.*",
    "model_store.tencent_cos.*",
    "model_store_address.*",
    "permission.*",
    "private_key",
    "servings.*",
    "storage.hive.*",
    "use_deserialize_safe_module",
    "use_registry",
    "worker.*",
    "zookeeper.hosts",
    "zookeeper.password",
    "zookeeper.use_acl",
    "zookeeper.user",
];

/// FATE's key that chooses where a site's metadata are: here, which engine of the contract `storage_meta`.
pub(crate) const CHOOSES_META: &str = "database.engine";

/// FATE's key that says how the password of its database is decrypted: by a function of FATE's own, which the site names under `encrypt`. Whoever
/// passed it over would log in with what is no password.
pub(crate) const DECRYPTS: &str = "database.decrypt_key";
/// Why a file that has it is refused.
pub(crate) const ENCRYPTED: &str = "passwords that FATE encrypts are not read; leave it empty, and give passwd in clear, as file:PATH, or as \
                                    ${NAME} of the environment";

/// A section of FATE's that this program has by another name.
pub(crate) fn own_section(name: &str) -> Option<String> {
    let engine = name.strip_prefix("database.").filter(|engine| ["mysql", "postgresql"].contains(engine))?;
    Some(format!("storage_meta.{engine}"))
}

/// What a key of FATE's is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Foreign {
    /// To be passed over, with all that is below.
    Value,
    /// A group of keys, some of which are known.
    Group,
}

/// What FATE calls by this full name, if anything.
pub(crate) fn known(name: &str) -> Option<Foreign> {
    let whole = |known: &&str| known.strip_suffix(".*").unwrap_or(known) == name;
    let below = |known: &&str| known.strip_prefix(name).is_some_and(|rest| rest.starts_with('.'));
    if NAMES.iter().any(whole) {
        return Some(Foreign::Value);
    }
    NAMES.iter().any(below).then_some(Foreign::Group)
}

/// The names that FATE has one level below a group; the empty name is the whole file.
pub(crate) fn names_below(group: &str) -> impl Iterator<Item = &'static str> {
    let rest = move |known: &'static str| match group {
        "" => Some(known),
        group => known.strip_prefix(group)?.strip_prefix('.'),
    };
    NAMES.iter().filter_map(move |known| rest(known)?.split('.').next()).filter(|name| *name != "*")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_in_order_and_none_is_one_of_our_keys() {
        assert!(NAMES.is_sorted_by(|a, b| a.trim_end_matches(".*") < b.trim_end_matches(".*")));
        for section in crate::engines::ENGINES.declared() {
            for key in section.keys.iter().flatten() {
                let name = format!("{}.{}", section.path, key.name);
                assert_ne!(known(name.trim_start_matches('.')), Some(Foreign::Value), "{name}");
            }
        }
    }

    #[test]
    fn values_groups_and_other_names_are_distinguished() {
        let cases = [
            ("use_registry", Some(Foreign::Value)),
            ("worker", Some(Foreign::Value)),
            ("fateflow", Some(Foreign::Group)),
            ("fateflow.proxy", Some(Foreign::Value)),
            ("federation.osx.mode", Some(Foreign::Value)),
            ("fateflo", None),
            ("federation.osx.hosts", None),
        ];
        for (name, expected) in cases {
            assert_eq!(known(name), expected, "{name}");
        }
        assert!(names_below("zookeeper").eq(["hosts", "password", "use_acl", "user"]));
    }
}
