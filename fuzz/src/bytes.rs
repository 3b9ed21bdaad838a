//! Decoders that need no socket: they are fed with slices.

use crate::Script;

/// The most bytes that are also fed one by one.
const ONE_BY_ONE: usize = 2048;

/// Feeds the same stream whole, in the pieces of the script, and byte by byte; all must give the same.
pub fn same_in_all_splits<T: PartialEq + std::fmt::Debug>(
    script: &Script<'_>,
    decode: impl Fn(&mut dyn Iterator<Item = &[u8]>) -> T,
) {
    let whole = decode(&mut std::iter::once(script.stream));
    let pieces = script.pieces();
    let in_pieces = decode(&mut pieces.iter().map(|(piece, _)| *piece));
    assert_eq!(whole, in_pieces, "the messages depend on how the bytes were split: {script:?}");
    if script.stream.len() <= ONE_BY_ONE {
        let one_by_one = decode(&mut script.stream.chunks(1));
        assert_eq!(whole, one_by_one, "the messages depend on how the bytes were split: {script:?}");
    }
}
