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

pub(super) fn held() -> Vec<Vec<u8>> {
    let folder = tempfile::tempdir().expect("a temporary folder can be made");
    vec![fuzzing::held_file(folder.path())]
}

pub(super) fn read_held(bytes: &[u8]) {
    let folder = tempfile::tempdir().expect("a temporary folder can be made");
    fuzzing::held(folder.path(), bytes);
}

pub(super) fn certificates() -> Vec<Vec<u8>> {
    let site = "9999".parse().expect("it is an id");
    vec![Identity::generate(&site, 30).expect("a certificate is made").certificate().to_vec()]
}
