//! A key, and a file of several pieces that was sealed with it.

use std::sync::OnceLock;

use phalanx_stream::{DecodeError, Identity, decrypt, encrypt, through};

use crate::Script;

/// Small, so that inputs reach it.
pub const HEADER_LIMIT: usize = 4096;
/// Guards nothing.
const SECRET: &str = "AGE-SECRET-KEY-18ADNYFA3U7M50XVHRKFANHFCRAVNF669WYQF5LULL3VV5M75Y8CQFKJPGQ";
const PIECE_BYTES: usize = 64 << 10;
const SEALED_PIECE_BYTES: usize = PIECE_BYTES + 16;
/// Five whole ones and a short one.
const PLAIN_BYTES: usize = 5 * PIECE_BYTES + 100;
const PIECES: usize = 6;
/// More are not looked at.
const MOST_PIECES: usize = 9;

/// The key of all inputs.
pub fn identity() -> Identity {
    SECRET.parse().expect("a key")
}

/// What the crate `age` makes of the stream must be the same, if both take it.
pub fn as_age_says(ours: Option<Vec<u8>>, stream: &[u8]) {
    let identity: age::x25519::Identity = SECRET.parse().expect("a key");
    let Ok(decryptor) = age::Decryptor::new(stream) else { return };
    if let Ok(reader) = decryptor.decrypt(std::iter::once(&identity as &dyn age::Identity)) {
        crate::stream::as_another_says(ours, reader);
    }
}

/// Puts the pieces of a file together as the bytes of the stream say.
pub fn only_its_own_order_opens(script: &Script<'_>) {
    static FILE: OnceLock<(Vec<u8>, usize)> = OnceLock::new();
    let (file, header_bytes) = FILE.get_or_init(|| {
        let file = through(encrypt(identity().recipient()), vec![vec![7; PLAIN_BYTES]]).expect("memory takes all");
        let payload_bytes = PLAIN_BYTES + PIECES * (SEALED_PIECE_BYTES - PIECE_BYTES);
        let header_bytes = file.len() - payload_bytes;
        (file, header_bytes)
    });
    let (header, payload) = file.split_at(*header_bytes);
    let pieces: Vec<&[u8]> = payload.chunks(SEALED_PIECE_BYTES).collect();
    let order = script.stream.iter().take(MOST_PIECES).map(|byte| usize::from(*byte) % PIECES);
    let chunks = std::iter::once(header).chain(order.map(|piece| pieces[piece])).map(<[u8]>::to_vec);
    let chunks: Vec<Vec<u8>> = chunks.collect();
    let is_whole = chunks.concat() == *file;
    match through(decrypt(identity()), chunks) {
        Ok(plain) => assert!(is_whole && plain.len() == PLAIN_BYTES, "pieces in another order were taken"),
        Err(error) => {
            assert!(!is_whole, "the file itself was refused: {error}");
            assert!(error.cause_as::<DecodeError>().is_some(), "an error of another kind: {error}");
        }
    }
}
