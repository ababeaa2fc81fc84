//! What a peer or a broker sends. The decoders are `tributary_wire::fuzzing`'s, because they are private otherwise.

pub(super) fn hellos() -> Vec<Vec<u8>> {
    vec![vec![0; 96], (0..160).collect()]
}

pub(super) fn frames() -> Vec<Vec<u8>> {
    vec![vec![0; 16], vec![1; 64], (0..64).collect()]
}

/// Frames packed into a message of a broker, where any of its users may put anything.
pub(super) fn bundles() -> Vec<Vec<u8>> {
    let mut frames = [&b"first"[..], b"", b"third"].map(bytes::Bytes::from_static).into();
    let packed = tributary_broker::pack(&mut frames, 1000).map(|bundle| bundle.body.to_vec());
    packed.into_iter().chain([vec![0; 8], vec![255; 20]]).collect()
}

pub(super) fn bundle(bytes: &[u8]) {
    drop(tributary_broker::unpack(bytes::Bytes::copy_from_slice(bytes), tributary_wire::MAX_FRAME_BYTES));
}

pub(super) fn headers() -> Vec<Vec<u8>> {
    vec![vec![0; 16], vec![1; 32], (0..128).collect()]
}

/// Three bytes a change: where (two) and what.
pub(super) fn damages() -> Vec<Vec<u8>> {
    vec![vec![0, 0, 1], (0..30).collect(), vec![200, 0, 7, 40, 1, 255], vec![9; 40]]
}
