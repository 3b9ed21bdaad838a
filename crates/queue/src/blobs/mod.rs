//! [`BlobStore`]: large bytes, by the hash of what is in them, so that every broker carries the same small message (*claim check*).

mod folder;
#[cfg(feature = "s3")]
mod s3;

use std::fmt::Write;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use phalanx_task::Blob;
use sha2::{Digest, Sha256};

use crate::{BoxFuture, Error, QueueUrl, without_password};

pub use folder::FolderStore;
#[cfg(feature = "s3")]
pub use s3::{S3Settings, S3Store};

/// Payloads of more than this many bytes are put into the blob store: 64 KiB.
pub const INLINE_LIMIT: usize = 64 * 1024;

/// The SHA-256 of a blob's bytes.
pub type BlobHash = [u8; 32];

/// Where large bytes are kept: a folder ([`FolderStore`]), which all machines must see, or a bucket of S3 (`S3Store`, with the feature `s3`).
pub trait BlobStore: Send + Sync + 'static {
    /// Keeps these bytes; the same ones are kept once. Durable when it returns.
    fn put(&self, bytes: Blob) -> BoxFuture<'_, Result<BlobHash, Error>>;

    /// The bytes of this hash, checked against it.
    fn get(&self, hash: BlobHash) -> BoxFuture<'_, Result<Blob, Error>>;

    /// Throws away what nobody has put (or got, where the store knows of that) for this long; how many that were. Longer than any job that
    /// needs it waits or is kept.
    fn sweep(&self, unused_for: Duration) -> BoxFuture<'_, Result<u64, Error>>;
}

/// The blob store that a URL names with `blobs=`; else the folder that its broker has for them, if any.
#[allow(dead_code)] // Whether it is used depends on the brokers that are built.
pub(crate) fn of(url: &QueueUrl, or_else: Option<PathBuf>) -> Result<Option<Arc<dyn BlobStore>>, Error> {
    let bad = |reason: String| Error::BadUrl { url: format!("{url:?}"), reason };
    match url.blobs.as_deref() {
        Some(place) if place.starts_with("s3://") => bucket(place, &url.blob_settings).map(Some),
        Some(place) if place.contains("://") => {
            Err(bad("blobs= names neither a folder that all machines see nor s3://BUCKET/PREFIX".to_owned()))
        }
        _ if !url.blob_settings.is_empty() => {
            Err(bad("it has settings of S3 (s3_…), and large payloads go elsewhere; give blobs=s3://BUCKET/PREFIX"
                .to_owned()))
        }
        Some(folder) => Ok(Some(Arc::new(FolderStore::new(PathBuf::from(folder))))),
        None => Ok(or_else.map(|folder| Arc::new(FolderStore::new(folder)) as Arc<dyn BlobStore>)),
    }
}

#[cfg(feature = "s3")]
fn bucket(place: &str, settings: &[(String, String)]) -> Result<Arc<dyn BlobStore>, Error> {
    let bad = |reason: String| Error::BadUrl { url: without_password(place), reason };
    let settings = S3Settings::read(settings).map_err(bad)?;
    Ok(Arc::new(S3Store::new(place, &settings)?))
}

#[cfg(not(feature = "s3"))]
fn bucket(place: &str, _: &[(String, String)]) -> Result<Arc<dyn BlobStore>, Error> {
    let reason = "this program was built without the feature \"s3\" of phalanx-queue".to_owned();
    Err(Error::BadUrl { url: without_password(place), reason })
}

fn hash_of(bytes: &[u8]) -> BlobHash {
    Sha256::digest(bytes).into()
}

pub(crate) fn hexadecimal(hash: &BlobHash) -> String {
    hash.iter().fold(String::with_capacity(hash.len() * 2), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}
