//! What Hadoop's own configuration says: the file system that it names as the default one.
//!
//! The client reads the folder by itself. Only this value is needed before there is a client, since addresses begin with it.

use std::fs;
use std::io::ErrorKind::NotFound;
use std::path::{Path, PathBuf};

use tributary_core::{Error, Result, ResultExt};

/// Longest file that is read.
const MOST_BYTES: u64 = 4 << 20;

/// The folder that the environment names, as Hadoop's own programs look for it.
pub(crate) fn folder() -> Option<PathBuf> {
    let named = |name| std::env::var_os(name).map(PathBuf::from);
    named("HADOOP_CONF_DIR").or_else(|| named("HADOOP_HOME").map(|home| home.join("etc/hadoop")))
}

/// `fs.defaultFS` in a folder's `core-site.xml`. None if it does not say.
pub(crate) fn default_file_system(folder: &Path) -> Result<Option<String>> {
    let file = folder.join("core-site.xml");
    let at = || format!("read {}", file.display());
    let bytes = match fs::metadata(&file) {
        Err(reason) if reason.kind() == NotFound => return Ok(None),
        about => about.at(at)?.len(),
    };
    if bytes > MOST_BYTES {
        return Err(Error::invalid(format!("it has {bytes} bytes, expected at most {MOST_BYTES}")).at(at()));
    }
    property(&fs::read_to_string(&file).at(at)?, "fs.defaultFS").at(at)
}

/// A value in the text of a configuration; of several the last, which counts.
fn property(text: &str, name: &str) -> Result<Option<String>> {
    let options = roxmltree::ParsingOptions { allow_dtd: true, ..roxmltree::ParsingOptions::default() };
    let tree = roxmltree::Document::parse_with_options(text, options)
        .map_err(|why| Error::invalid("expected a configuration of Hadoop, in XML").because(why))?;
    let child = |node: roxmltree::Node<'_, '_>, tag: &str| {
        let found = node.children().find(|child| child.has_tag_name(tag));
        found.and_then(|child| child.text()).map(|text| text.trim().to_owned())
    };
    let properties = tree.root_element().children().filter(|node| node.has_tag_name("property"));
    let named = properties.filter(|node| child(*node, "name").is_some_and(|found| found == name));
    Ok(named.filter_map(|node| child(node, "value")).next_back())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_default_file_system_is_found() {
        let folder = tempfile::tempdir().unwrap();
        assert_eq!(default_file_system(folder.path()).unwrap(), None);
        let write = |text: &str| fs::write(folder.path().join("core-site.xml"), text).unwrap();
        write(
            "<?xml version=\"1.0\"?><configuration><property><name>x</name><value>y</value></property>\
             <property><name>fs.defaultFS</name><value> hdfs://clinic </value></property></configuration>",
        );
        assert_eq!(default_file_system(folder.path()).unwrap().unwrap(), "hdfs://clinic");
        write("<configuration/>");
        assert_eq!(default_file_system(folder.path()).unwrap(), None);
        write("fs.defaultFS = hdfs://clinic");
        let error = default_file_system(folder.path()).unwrap_err().chain();
        assert!(error.contains("core-site.xml") && error.contains("XML"), "{error}");
    }
}
