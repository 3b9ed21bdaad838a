//! The encryption of an age file without the file: ChaCha20-Poly1305 over pieces of 64 KiB, in memory.

use std::thread;

use measuring::Failure;
use ring::aead::{Aad, CHACHA20_POLY1305, LessSafeKey, NONCE_LEN, Nonce, UnboundKey};

const PIECE: usize = 64 << 10;
const KEY: [u8; 32] = [7; 32];

pub(super) fn seal(bytes: u64, threads: u64) -> Result<(), Failure> {
    let pieces = bytes.div_ceil(PIECE as u64).div_ceil(threads.max(1));
    thread::scope(|scope| {
        let workers: Vec<_> = (0..threads).map(|thread| scope.spawn(move || pieces_of(thread, pieces))).collect();
        workers.into_iter().try_for_each(|worker| worker.join().map_err(|_| Failure::new("a thread panicked"))?)
    })
}

fn pieces_of(thread: u64, pieces: u64) -> Result<(), Failure> {
    let failed = |_| Failure::new("ring refuses the key or the piece");
    let key = LessSafeKey::new(UnboundKey::new(&CHACHA20_POLY1305, &KEY).map_err(failed)?);
    let mut piece = vec![thread as u8; PIECE];
    for number in 0..pieces {
        let mut nonce = [0; NONCE_LEN];
        nonce[..8].copy_from_slice(&number.to_be_bytes());
        let _tag = key
            .seal_in_place_separate_tag(Nonce::assume_unique_for_key(nonce), Aad::empty(), &mut piece)
            .map_err(failed)?;
    }
    Ok(())
}
