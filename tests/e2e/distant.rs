//! Real servers that keep tables and files for sites, one of each kind for all tests of this binary.

use std::sync::LazyLock;

use tributary_services::Service;

use crate::site::Site;

pub static S3_SERVER: LazyLock<Service> = LazyLock::new(|| Service::start("s3", &[]));
pub static HDFS_SERVER: LazyLock<Service> = LazyLock::new(|| Service::start("hdfs", &[]));

/// A store far from a site.
pub struct Far {
    pub name: &'static str,
    /// Its section, with a place of its own for the site that has this name.
    section: fn(&Site, &str) -> String,
    /// What addresses of files there begin with, anywhere but below the tables.
    lake: fn() -> String,
}

pub const S3: Far = Far { name: "s3", section: s3_section, lake: s3_lake };
pub const HDFS: Far = Far { name: "hdfs", section: hdfs_section, lake: hdfs_lake };

fn s3_section(site: &Site, place: &str) -> String {
    site.write("secret", &format!("{}\n", S3_SERVER.value("S3_SECRET_KEY")));
    format!(
        "  s3:\n    bucket: {}\n    prefix: '{place}/{{party}}'\n    endpoint: {}\n    access_key_id: {}\n    \
         secret_access_key: 'file:secret'\n",
        S3_SERVER.value("S3_BUCKET"),
        S3_SERVER.value("S3_ENDPOINT"),
        S3_SERVER.value("S3_ACCESS_KEY")
    )
}

fn s3_lake() -> String {
    format!("s3://{}", S3_SERVER.value("S3_BUCKET"))
}

fn hdfs_section(_: &Site, place: &str) -> String {
    format!(
        "  hdfs:\n    name_node: {}\n    path_prefix: '/{place}/{{party}}'\n",
        HDFS_SERVER.value("HDFS_URI")
    )
}

fn hdfs_lake() -> String {
    HDFS_SERVER.value("HDFS_URI").trim_end_matches('/').to_owned()
}

/// What nothing of another site is called.
fn place(site: &Site) -> String {
    site.home().file_name().unwrap().to_string_lossy().trim_start_matches('.').to_owned()
}

/// The sections of stores, without the engine that is chosen.
pub fn sections(site: &Site, stores: &[&Far]) -> String {
    let place = place(site);
    let sections: String = stores.iter().map(|far| (far.section)(site, &place)).collect();
    format!("storage:\n{sections}")
}

impl Far {
    /// The address of a file that no other test has, beside all tables.
    pub fn address(&self, site: &Site, name: &str) -> String {
        format!("{}/lake-{}/{name}", (self.lake)(), place(site))
    }
}
