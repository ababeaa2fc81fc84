//! What a peer or a broker sends. The decoders are `tributary_wire::fuzzing`'s, because they are private otherwise.

pub(super) fn hellos() -> Vec<Vec<u8>> {
    vec![vec![0; 96], (0..160).collect()]
}

pub(super) fn frames() -> Vec<Vec<u8>> {
    vec![vec![0; 16], vec![1; 64], (0..64).collect()]
}

pub(super) fn headers() -> Vec<Vec<u8>> {
    vec![vec![0; 16], vec![1; 32], (0..128).collect()]
}

/// Three bytes a change: where (two) and what.
pub(super) fn damages() -> Vec<Vec<u8>> {
    vec![vec![0, 0, 1], (0..30).collect(), vec![200, 0, 7, 40, 1, 255], vec![9; 40]]
}
