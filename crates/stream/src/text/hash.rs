//! [`hash()`]: the digest of what passes.

use std::borrow::Cow;
use std::fmt;
use std::str::FromStr;
use std::sync::{Arc, OnceLock};

use blake3::hazmat::{ChainingValue, HasherExt, Mode, merge_subtrees_non_root, merge_subtrees_root};
use sha2::Digest as _;

use crate::{CHUNK_BYTES, Cause, Chunk, Flow, Outlet, ParallelTransform, Pipe, Stage, Transform, chunks};

/// How a digest is made.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Algorithm {
    /// BLAKE3, 256 bits: several times as fast as the other, and on all cores if [asked](Hash::parallel).
    Blake3,
    /// SHA-256, as `sha256sum`.
    Sha256,
}

impl fmt::Display for Algorithm {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            Algorithm::Blake3 => "blake3",
            Algorithm::Sha256 => "sha-256",
        })
    }
}

/// The name of an algorithm that is not known.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UnknownAlgorithm(String);

impl fmt::Display for UnknownAlgorithm {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "no algorithm `{}`: there are blake3 and sha-256", self.0)
    }
}

impl std::error::Error for UnknownAlgorithm {}

impl FromStr for Algorithm {
    type Err = UnknownAlgorithm;

    fn from_str(name: &str) -> Result<Algorithm, UnknownAlgorithm> {
        match name.to_ascii_lowercase().as_str() {
            "blake3" => Ok(Algorithm::Blake3),
            "sha-256" | "sha256" => Ok(Algorithm::Sha256),
            _ => Err(UnknownAlgorithm(name.to_owned())),
        }
    }
}

/// The digest of the bytes that pass, which go on as they are. It can stand anywhere, also several times; the handle has the
/// digest once all bytes have passed.
///
/// ```
/// use phalanx_stream::{Algorithm, Source, hash, pipeline};
///
/// let (hashing, digest) = hash(Algorithm::Sha256);
/// let heard = pipeline(Source::reader("a text", &b"abc"[..])).through(hashing).collect_blocking()?;
/// assert_eq!(*heard[0], *b"abc");
/// assert_eq!(digest.hex().unwrap(), "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
/// assert_eq!(digest.length(), Some(3));
/// # Ok::<(), phalanx_stream::Error>(())
/// ```
pub fn hash(algorithm: Algorithm) -> (Hash, Digest) {
    let digest = Digest { algorithm, made: Arc::default() };
    (Hash { algorithm, permits: 1, digest: digest.clone() }, digest)
}

/// Where the digest of a [`Hash`](struct@Hash) will be. Clones are the same.
#[derive(Debug, Clone)]
pub struct Digest {
    algorithm: Algorithm,
    made: Arc<OnceLock<Made>>,
}

#[derive(Debug)]
struct Made {
    bytes: [u8; 32],
    length: u64,
}

impl Digest {
    /// How it is made.
    pub fn algorithm(&self) -> Algorithm {
        self.algorithm
    }

    /// The digest; `None` before all bytes have passed.
    pub fn bytes(&self) -> Option<[u8; 32]> {
        self.made.get().map(|made| made.bytes)
    }

    /// The digest in hexadecimal digits, lower case.
    pub fn hex(&self) -> Option<String> {
        self.bytes().map(|bytes| bytes.iter().map(|byte| format!("{byte:02x}")).collect())
    }

    /// How many bytes have passed.
    pub fn length(&self) -> Option<u64> {
        self.made.get().map(|made| made.length)
    }

    fn is(&self, bytes: [u8; 32], length: u64) {
        // A transform is flushed once.
        let _ = self.made.set(Made { bytes, length });
    }
}

/// See [`hash()`].
#[derive(Debug)]
pub struct Hash {
    algorithm: Algorithm,
    permits: usize,
    digest: Digest,
}

impl Hash {
    /// On so many pieces at a time, if the algorithm allows it (BLAKE3: a tree; SHA-256 is a chain and stays as it is).
    /// The bytes are then cut into pieces of 256 KiB, and short ones wait for more.
    pub fn parallel(mut self, permits: usize) -> Hash {
        self.permits = permits.max(1);
        self
    }
}

impl Stage for Hash {
    type In = Chunk;
    type Out = Chunk;

    fn attach(self, pipe: Pipe<Chunk>) -> Pipe<Chunk> {
        let Hash { algorithm, permits, digest } = self;
        match algorithm {
            Algorithm::Blake3 if permits > 1 => {
                let branches = pipe.through(chunks(BRANCH_BYTES)).spread(Branching, permits).mark(2 * permits);
                branches.serial(Joining { digest, root: None, last: None, whole: Vec::new(), branches: 0, length: 0 })
            }
            Algorithm::Blake3 => pipe.serial(Serial { state: blake3::Hasher::new(), digest, length: 0 }),
            Algorithm::Sha256 => pipe.serial(Serial { state: sha2::Sha256::new(), digest, length: 0 }),
        }
    }
}

trait State: Send + 'static {
    fn update(&mut self, bytes: &[u8]);
    fn end(&mut self) -> [u8; 32];
}

impl State for blake3::Hasher {
    fn update(&mut self, bytes: &[u8]) {
        blake3::Hasher::update(self, bytes);
    }

    fn end(&mut self) -> [u8; 32] {
        self.finalize().into()
    }
}

impl State for sha2::Sha256 {
    fn update(&mut self, bytes: &[u8]) {
        sha2::Digest::update(self, bytes);
    }

    fn end(&mut self) -> [u8; 32] {
        self.finalize_reset().into()
    }
}

struct Serial<S> {
    state: S,
    digest: Digest,
    length: u64,
}

impl<S: State> Transform for Serial<S> {
    type In = Chunk;
    type Out = Chunk;

    fn name(&self) -> Cow<'static, str> {
        self.digest.algorithm.to_string().into()
    }

    fn transform(&mut self, chunk: Chunk, out: &mut Outlet<'_, Chunk>) -> Result<Flow, Cause> {
        self.state.update(&chunk);
        self.length += chunk.len() as u64;
        out.push(chunk);
        Ok(Flow::Next)
    }

    fn flush(&mut self, _: &mut Outlet<'_, Chunk>) -> Result<Flow, Cause> {
        self.digest.is(self.state.end(), self.length);
        Ok(Flow::Next)
    }
}

/// The bytes under one branch of BLAKE3's tree: a power of two of its chunks of 1 KiB, as large as our buffers.
const BRANCH_BYTES: usize = CHUNK_BYTES;

/// A branch with its value.
struct Branch {
    chunk: Chunk,
    value: ChainingValue,
    /// Its digest, should it be all that comes.
    alone: Option<[u8; 32]>,
}

/// Hashes branches, each by itself.
struct Branching;

impl ParallelTransform for Branching {
    type In = Chunk;
    type Out = Branch;

    fn name(&self) -> Cow<'static, str> {
        Algorithm::Blake3.to_string().into()
    }

    fn apply(&self, number: u64, chunk: Chunk, out: &mut Outlet<'_, Branch>) -> Result<(), Cause> {
        let mut hasher = blake3::Hasher::new();
        hasher.set_input_offset(number * BRANCH_BYTES as u64).update(&chunk);
        let value = hasher.finalize_non_root();
        let alone = (number == 0).then(|| blake3::hash(&chunk).into());
        out.push(Branch { chunk, value, alone });
        Ok(())
    }
}

/// Joins branches to a tree: two of one size as soon as it is sure that more comes behind them.
struct Joining {
    digest: Digest,
    root: Option<[u8; 32]>,
    /// Not joined yet: it may be the right side of the root.
    last: Option<ChainingValue>,
    /// Whole trees, the largest first, one for each bit of `branches`.
    whole: Vec<ChainingValue>,
    branches: u64,
    length: u64,
}

impl Joining {
    fn settle(&mut self, mut value: ChainingValue) {
        self.branches += 1;
        for _ in 0..self.branches.trailing_zeros() {
            if let Some(left) = self.whole.pop() {
                value = merge_subtrees_non_root(&left, &value, Mode::Hash);
            }
        }
        self.whole.push(value);
    }

    fn root(&mut self) -> [u8; 32] {
        let Some(mut right) = self.last.take() else { return blake3::hash(b"").into() };
        while let Some(left) = self.whole.pop() {
            if self.whole.is_empty() {
                return merge_subtrees_root(&left, &right, Mode::Hash).into();
            }
            right = merge_subtrees_non_root(&left, &right, Mode::Hash);
        }
        self.root.unwrap_or_default()
    }
}

impl Transform for Joining {
    type In = Branch;
    type Out = Chunk;

    fn name(&self) -> Cow<'static, str> {
        Algorithm::Blake3.to_string().into()
    }

    fn transform(&mut self, branch: Branch, out: &mut Outlet<'_, Chunk>) -> Result<Flow, Cause> {
        if let Some(before) = self.last.replace(branch.value) {
            self.settle(before);
        }
        self.root = self.root.or(branch.alone);
        self.length += branch.chunk.len() as u64;
        out.push(branch.chunk);
        Ok(Flow::Next)
    }

    fn flush(&mut self, _: &mut Outlet<'_, Chunk>) -> Result<Flow, Cause> {
        let root = self.root();
        self.digest.is(root, self.length);
        Ok(Flow::Next)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::text::cut::tests::pieces;
    use crate::{Source, pipeline};

    fn digest(bytes: &[u8], sizes: &[usize], algorithm: Algorithm, permits: usize) -> Digest {
        let (hash, digest) = hash(algorithm);
        let cut = pieces(bytes, sizes).into_iter().map(Chunk::from);
        let passed = pipeline(Source::iter(cut)).through(hash.parallel(permits)).collect_blocking().unwrap();
        assert!(passed.iter().flat_map(|chunk| chunk.iter()).eq(bytes));
        digest
    }

    #[test]
    fn in_parallel_blake3_is_the_same_for_every_shape_of_the_tree() {
        let bytes: Vec<u8> = (0..17 * BRANCH_BYTES + 5).map(|at| ((at * 31) >> 3) as u8).collect();
        for branches in [0, 1, 2, 3, 4, 7, 8, 9, 16, 17] {
            for more in [0, 1, 5] {
                let some = &bytes[..branches * BRANCH_BYTES + more];
                let expected = blake3::hash(some).to_hex().to_string();
                for permits in [1, 2] {
                    let digest = digest(some, &[100_000, 300_001], Algorithm::Blake3, permits);
                    assert_eq!(digest.hex().as_deref(), Some(&*expected), "{branches} branches and {more}, {permits}");
                    assert_eq!(digest.length(), Some(some.len() as u64));
                }
            }
        }
    }

    #[test]
    fn sha_256_is_that_of_the_standard() {
        let million = vec![b'a'; 1_000_000];
        let expected = "cdc76e5c9914fb9281a1c7e284d73e67f1809a48a497200e046d39ccc7112cd0";
        for permits in [1, 2] {
            assert_eq!(digest(&million, &[999, 70_000], Algorithm::Sha256, permits).hex().as_deref(), Some(expected));
        }
    }

    #[test]
    fn there_is_no_digest_before_the_end() {
        let (stage, digest) = hash(Algorithm::Blake3);
        let fails = crate::map(|_: Chunk| -> Result<Chunk, Cause> { Err("no".into()) });
        let failed = pipeline(Source::reader("a text", &b"abc"[..])).through(fails).through(stage).collect_blocking();
        assert!(failed.is_err());
        assert_eq!(digest.bytes(), None);
    }

    #[test]
    fn names_are_read_and_written() {
        for name in ["blake3", "sha-256"] {
            assert_eq!(name.parse::<Algorithm>().unwrap().to_string(), name);
        }
        assert_eq!("SHA256".parse(), Ok(Algorithm::Sha256));
        assert_eq!(
            "md5".parse::<Algorithm>().unwrap_err().to_string(),
            "no algorithm `md5`: there are blake3 and sha-256"
        );
    }
}
