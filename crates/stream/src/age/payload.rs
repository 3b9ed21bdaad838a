//! The payload: pieces of 64 KiB, each sealed by itself under a nonce that holds its number and whether it is the last.

use std::sync::Arc;

use ring::aead::{Aad, CHACHA20_POLY1305, LessSafeKey, NONCE_LEN, Nonce, UnboundKey};
use ring::error::Unspecified;
use ring::hkdf::{HKDF_SHA256, Salt};

use crate::Chunk;

/// Plain bytes of every piece but the last, which may have fewer.
pub(super) const PIECE_BYTES: usize = 64 << 10;
/// What sealing adds to each.
pub(super) const TAG_BYTES: usize = 16;
pub(super) const SEALED_PIECE_BYTES: usize = PIECE_BYTES + TAG_BYTES;
/// Pieces that are sealed or opened by one hand at a time: about as much as a chunk of a file.
pub(super) const PIECES_PER_JOB: usize = 4;
pub(super) const JOB_BYTES: usize = PIECES_PER_JOB * PIECE_BYTES;
pub(super) const SEALED_JOB_BYTES: usize = PIECES_PER_JOB * SEALED_PIECE_BYTES;
/// Buffers for a job which lie idle for use again, by stage.
pub(super) const IDLE_BUFFERS: usize = 16;
/// Between header and first piece.
pub(super) const SALT_BYTES: usize = 16;
pub(super) const FILE_KEY_BYTES: usize = 16;

/// What one hand seals or opens: up to four pieces behind each other.
pub(super) struct Job {
    pub(super) key: Arc<PayloadKey>,
    /// The number of its first piece.
    pub(super) first: u64,
    /// Bytes of the encrypted input in front of it, for errors.
    pub(super) offset: u64,
    /// Whether its last piece is the last of all.
    pub(super) is_last: bool,
    pub(super) pieces: Chunk,
    /// What goes out in front of them.
    pub(super) header: Option<Chunk>,
}

/// The key of one file.
pub(super) struct PayloadKey(LessSafeKey);

impl PayloadKey {
    pub(super) fn derive(file_key: &[u8; FILE_KEY_BYTES], salt: &[u8]) -> Result<PayloadKey, Unspecified> {
        let secret = Salt::new(HKDF_SHA256, salt).extract(file_key);
        let key = UnboundKey::from(secret.expand(&[b"payload"], &CHACHA20_POLY1305)?);
        Ok(PayloadKey(LessSafeKey::new(key)))
    }

    /// Seals in place a piece that has room for the tag behind its plain bytes.
    pub(super) fn seal(&self, number: u64, is_last: bool, piece: &mut [u8]) -> Result<(), Unspecified> {
        let Some(plain_bytes) = piece.len().checked_sub(TAG_BYTES) else { return Err(Unspecified) };
        let (plain, room_for_tag) = piece.split_at_mut(plain_bytes);
        let tag = self.0.seal_in_place_separate_tag(nonce(number, is_last), Aad::empty(), plain)?;
        room_for_tag.copy_from_slice(tag.as_ref());
        Ok(())
    }

    /// Opens the piece that begins `shift` bytes behind the begin of `bytes`, and moves it there on the way.
    pub(super) fn open(&self, number: u64, is_last: bool, bytes: &mut [u8], shift: usize) -> Result<(), Unspecified> {
        self.0.open_within(nonce(number, is_last), Aad::empty(), bytes, shift..)?;
        Ok(())
    }
}

/// Eleven bytes of number, most significant first, and one of whether it is the last.
fn nonce(number: u64, is_last: bool) -> Nonce {
    let mut bytes = [0; NONCE_LEN];
    bytes[3..11].copy_from_slice(&number.to_be_bytes());
    bytes[11] = is_last.into();
    Nonce::assume_unique_for_key(bytes)
}
