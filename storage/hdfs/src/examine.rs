//! What an operator should know of a folder in HDFS beside what a probe finds: who may look into it, and how much may still be written.
//!
//! The client does not ask how much the disks of the cluster have left, so that only quotas are known. One of a folder further up counts, too; it is
//! looked at for the next one only, because the name node counts all that is below a folder to answer.

use hdfs_native::client::ContentSummary;

use tributary_core::check::Finding;

use crate::server::Server;

/// Less than this share of a quota is worth a word: one in so many.
const LITTLE: u64 = 10;
/// A quota that is none.
const UNLIMITED: u64 = u64::MAX;

/// Looks at the folder of the store.
pub(crate) async fn examine(server: &Server) -> Vec<Finding> {
    vec![rights(server).await, room(server).await]
}

/// Tables may hold what no other user of the cluster should see.
async fn rights(server: &Server) -> Finding {
    const WHAT: &str = "permissions";
    match server.status("").await {
        Err(error) => Finding::of_error(WHAT, &error),
        Ok(about) => {
            let found = format!("{:03o} for {}, of {}", about.permission & 0o777, about.path, about.owner);
            match about.permission & 0o077 {
                0 => Finding::good(WHAT, found),
                _ => Finding::doubtful(WHAT, found, format!("hdfs dfs -chmod 700 {}", about.path)),
            }
        }
    }
}

async fn room(server: &Server) -> Finding {
    const WHAT: &str = "free space";
    match server.summary("").await {
        Err(error) => Finding::of_error(WHAT, &error),
        Ok(summary) => quota(WHAT, &server.base, &summary),
    }
}

/// How much of a folder's quotas is left.
fn quota(what: &str, folder: &str, summary: &ContentSummary) -> Finding {
    let names = summary.file_count.saturating_add(summary.directory_count);
    let left = [
        (summary.quota, names, "names", "setQuota"),
        (summary.space_quota, summary.space_consumed, "bytes, all copies counted", "setSpaceQuota"),
    ];
    let limited: Vec<_> = left.into_iter().filter(|(most, ..)| *most != UNLIMITED && *most > 0).collect();
    if limited.is_empty() {
        return Finding::good(
            what,
            "the folder has no quota; how much the cluster has left, hdfs dfs -df says",
        );
    }
    let shown = |(most, used, unit, _): &(u64, u64, &str, &str)| {
        format!("{} of {most} {unit}", most.saturating_sub(*used))
    };
    let found = format!("its quota leaves {}", limited.iter().map(shown).collect::<Vec<_>>().join(", and "));
    let short = limited.iter().find(|(most, used, ..)| most.saturating_sub(*used) < most / LITTLE);
    match short {
        None => Finding::good(what, found),
        Some((.., command)) => {
            let change =
                format!("delete tables there, or raise the quota: hdfs dfsadmin -{command} … {folder}");
            Finding::doubtful(what, found, change)
        }
    }
}

#[cfg(test)]
mod tests {
    use tributary_core::check::State;

    use super::*;

    #[test]
    fn a_quota_that_is_nearly_used_up_is_named_with_what_raises_it() {
        let summary = |quota, space_quota| ContentSummary {
            length: 10,
            file_count: 90,
            directory_count: 5,
            quota,
            space_consumed: 3 << 30,
            space_quota,
        };
        let state = |quota, space_quota| quota_of(&summary(quota, space_quota));
        assert!(matches!(state(UNLIMITED, UNLIMITED), State::Good { found } if found.contains("no quota")));
        assert!(
            matches!(state(1000, 1 << 40), State::Good { found } if found.starts_with("its quota leaves 905 of 1000 names, and "))
        );
        for (quota, space_quota, command) in
            [(100, UNLIMITED, "-setQuota"), (1000, 3 << 30, "-setSpaceQuota"), (90, UNLIMITED, "-setQuota")]
        {
            let State::Doubtful { changes, .. } = state(quota, space_quota) else { panic!("{command}") };
            assert!(changes[0].contains(command) && changes[0].ends_with("hdfs://nn/t"), "{changes:?}");
        }
    }

    fn quota_of(summary: &ContentSummary) -> State {
        quota("free space", "hdfs://nn/t", summary).state
    }
}
