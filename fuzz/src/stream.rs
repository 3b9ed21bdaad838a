//! Decoders of `phalanx-stream`: the pieces of a script through a pipeline.

use std::io::Read;

use phalanx_stream::{Chunk, DecodeError, Limits, Source, Stage, pipeline};

use crate::{Script, bytes};

/// The most that an input may become: a bomb ends here.
pub const LARGEST_CONTENT: u64 = 4 << 20;
/// What goes with it: a byte may become as many as it likes.
pub const LIMITS: Limits = Limits { most_bytes: Some(LARGEST_CONTENT), most_ratio: None };

/// What the script becomes, which must be the same in all splits; `None` is an error. It must be one of those that a decoder
/// has.
pub fn decoded<S: Stage<In = Chunk, Out = Chunk>>(script: &Script<'_>, stage: impl Fn() -> S) -> Option<Vec<u8>> {
    let decode = |pieces: &mut dyn Iterator<Item = &[u8]>| {
        let chunks: Vec<Chunk> = pieces.filter(|piece| !piece.is_empty()).map(Chunk::from).collect();
        let run = pipeline(Source::iter(chunks)).threads(1).through(stage());
        match run.collect_blocking() {
            Ok(given) => Some(given.iter().flat_map(|chunk| chunk.iter().copied()).collect::<Vec<u8>>()),
            Err(error) => {
                assert!(error.cause_as::<DecodeError>().is_some(), "an error of another kind: {error}");
                None
            }
        }
    };
    bytes::same_in_all_splits(script, decode);
    decode(&mut std::iter::once(script.stream))
}

/// What another decoder, that all trust, makes of the stream must be the same, if both take it.
pub fn as_another_says(ours: Option<Vec<u8>>, other: impl Read) {
    let mut theirs = Vec::new();
    let is_taken = other.take(LARGEST_CONTENT + 1).read_to_end(&mut theirs).is_ok();
    if let Some(ours) = ours
        && is_taken
    {
        assert!(ours == theirs, "we make {} bytes of it, others {}", ours.len(), theirs.len());
    }
}
