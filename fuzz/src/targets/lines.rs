//! What a stranger, a site or a disk gives to a line between sites. The decoders are `tributary_direct::fuzzing`'s, because they are
//! private otherwise.

use tributary_direct::{Identity, fuzzing};

pub(super) fn greetings() -> Vec<Vec<u8>> {
    let mut made = fuzzing::greetings();
    made.extend([vec![0; 64], (0..160).collect()]);
    made
}

/// The first byte tells how long the pieces are in which the rest comes.
pub(super) fn messages() -> Vec<Vec<u8>> {
    let stream = fuzzing::stream();
    [1, 7, 255].map(|length| [&[length], &stream[..]].concat()).into()
}

/// Without a temporary folder there is no seed, which the short run notices.
pub(super) fn held() -> Vec<Vec<u8>> {
    let folder = tempfile::tempdir().ok();
    folder.map(|folder| fuzzing::held_file(folder.path())).into_iter().collect()
}

pub(super) fn read_held(bytes: &[u8]) {
    if let Ok(folder) = tempfile::tempdir() {
        fuzzing::held(folder.path(), bytes);
    }
}

pub(super) fn certificates() -> Vec<Vec<u8>> {
    let made = "9999".parse().and_then(|site| Identity::generate(&site, 30));
    made.map(|made| made.certificate().to_vec()).into_iter().collect()
}
