//! [`S3Store`]: blobs as objects of a bucket, on S3 or whatever speaks it (MinIO, Ceph, …).
//!
//! ```text
//!   put:    HEAD PREFIX/ab/cdef… (SHA-256) ── of this length, put within 12 h? ── no ──► PUT
//!   get:    GET, compare with the hash ── put within 12 h? ── no ──► PUT, behind the caller's back
//!   sweep:  list, page by page ── last put too long ago? ── HEAD, still? ──► DELETE
//! ```
//!
//! An object is there whole or not at all. S3 knows when one was put last and not when it was read, so what is used and was put more than
//! 12 h ago is put again (a copy onto itself is refused by S3 unless something else about the object changes), and
//! [`sweep`](BlobStore::sweep) goes by the last put. A rule of the bucket's lifecycle (expire PREFIX/ after so many days) does the same
//! without anybody's sweep.
//!
//! Requests are made on a thread of the store, never on the thread of whoever awaits.

mod connector;
#[cfg(test)]
mod fake;
#[cfg(test)]
mod tests;

use std::fmt;
use std::future::poll_fn;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use bytes::Bytes;
use object_store::aws::{AmazonS3, AmazonS3Builder, AmazonS3ConfigKey};
use object_store::path::Path;
use object_store::{BackoffConfig, ClientConfigKey, ObjectMeta, ObjectStore, ObjectStoreExt, PutPayload, RetryConfig};
use phalanx_task::Blob;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::task::JoinSet;

use self::connector::{Connector, longest, says_yes};
use super::{BlobHash, BlobStore, hash_of, hexadecimal};
use crate::io::Io;
use crate::{BoxFuture, Error, without_password};

const SCHEME: &str = "s3://";
/// Transfers at once. The others wait as long as it takes: whoever asked for them has a deadline of its own.
const MOST_AT_ONCE: usize = 8;
/// Objects that are thrown away at once.
const SWEPT_AT_ONCE: usize = 8;
/// An object that was put longer ago is put again when it is used.
const FRESH: Duration = Duration::from_secs(12 * 60 * 60);
/// So much older has to be what is swept: what was put within [`FRESH`] is left alone when it is used, and clocks differ, by 15 min at most,
/// or S3 takes no request.
const SWEEP_MARGIN: Duration = FRESH.saturating_mul(2);
/// After a failed request that may be repeated: as with brokers.
const FIRST_PAUSE: Duration = Duration::from_millis(50);
const LONGEST_PAUSE: Duration = Duration::from_secs(2);
/// More than the patience allows, with pauses of this length.
const MOST_RETRIES: usize = 100;
/// No request is begun again after this long: as with brokers.
const PATIENCE: Duration = Duration::from_secs(30);

const MAY_NOT: &str = "check AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY, the region, the clock, and what these keys may do: s3:GetObject, \
                       s3:PutObject, s3:ListBucket (without which what is missing looks forbidden), and s3:DeleteObject to sweep";
const NO_BUCKET: &str = "make the bucket first, or name another with blobs=s3://BUCKET/PREFIX";

/// Blobs as objects of a bucket, under the same names as the files of a [`FolderStore`](super::FolderStore). Cheap to clone.
///
/// A request that fails is repeated for 30 s; then, or if the bucket cannot be reached, it is [`Error::Unavailable`]. What S3 refuses (keys,
/// rights, no such bucket) is [`Error::Refused`].
#[derive(Clone)]
pub struct S3Store(Arc<Shared>);

struct Shared {
    bucket: Arc<Bucket>,
    io: Io,
}

/// What a program says of S3 itself; keys come from the environment only.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct S3Settings {
    /// `https://host:port` of what is not Amazon's. Default: `AWS_ENDPOINT`, else Amazon's of the region.
    pub endpoint: Option<String>,
    /// Default: `AWS_REGION`, else `us-east-1`.
    pub region: Option<String>,
}

impl S3Settings {
    /// From the settings of a URL: `s3_endpoint`, `s3_region`.
    pub(super) fn read(settings: &[(String, String)]) -> Result<S3Settings, String> {
        let mut read = S3Settings::default();
        for (name, value) in settings {
            match name.as_str() {
                "s3_endpoint" => read.endpoint = Some(value.clone()),
                "s3_region" => read.region = Some(value.clone()),
                _ => {
                    return Err(format!(
                        "nobody knows the setting {name}; of S3 there are s3_endpoint and s3_region, all else is in AWS_… variables"
                    ));
                }
            }
        }
        Ok(read)
    }
}

impl S3Store {
    /// The store in `s3://BUCKET/PREFIX`, with the keys of the environment: `AWS_ACCESS_KEY_ID`, `AWS_SECRET_ACCESS_KEY`,
    /// `AWS_SESSION_TOKEN`, else those of the machine's or container's role. `AWS_ALLOW_HTTP=true` allows an endpoint without TLS. Certificates
    /// are those that the system trusts (or of the file `SSL_CERT_FILE`).
    ///
    /// Nothing is asked of S3 yet. [`Error::BadUrl`] for what can never work.
    pub fn new(place: &str, settings: &S3Settings) -> Result<S3Store, Error> {
        let retry = RetryConfig {
            backoff: BackoffConfig { init_backoff: FIRST_PAUSE, max_backoff: LONGEST_PAUSE, base: 2.0 },
            max_retries: MOST_RETRIES,
            retry_timeout: PATIENCE,
        };
        S3Store::open(place, settings, AmazonS3Builder::from_env(), retry)
    }

    fn open(place: &str, settings: &S3Settings, from: AmazonS3Builder, retry: RetryConfig) -> Result<S3Store, Error> {
        let wrong = |reason: String| Error::BadUrl { url: without_password(place), reason };
        let (name, prefix) = parts_of(place).map_err(|reason| wrong(reason.to_owned()))?;
        let mut builder = from.with_bucket_name(name).with_retry(retry).with_http_connector(Connector);
        // One by one: not everybody who speaks S3 takes many.
        builder = builder.with_disable_bulk_delete(true);
        if let Some(endpoint) = &settings.endpoint {
            // The one that goes before all others.
            builder = builder.with_config(AmazonS3ConfigKey::S3Endpoint, endpoint);
        }
        if let Some(region) = &settings.region {
            builder = builder.with_region(region);
        }
        if is_open_to_all(&builder) {
            return Err(wrong(
                "its endpoint is http://, and what is sent there can be read on the way; set AWS_ALLOW_HTTP=true if that is right, \
                 or give an https:// endpoint"
                    .to_owned(),
            ));
        }
        let store = builder.build().map_err(|error| wrong(told(&error)))?;
        let room = Arc::new(Semaphore::new(MOST_AT_ONCE));
        let bucket = Arc::new(Bucket { store, name: name.to_owned(), prefix, room });
        Ok(S3Store(Arc::new(Shared { bucket, io: Io::start("blobs-s3")? })))
    }
}

impl fmt::Debug for S3Store {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("S3Store").field(&self.0.bucket.to_string()).finish()
    }
}

impl BlobStore for S3Store {
    fn put(&self, bytes: Blob) -> BoxFuture<'_, Result<BlobHash, Error>> {
        let bucket = self.0.bucket.clone();
        Box::pin(self.0.io.run(async move { bucket.put(bytes).await }))
    }

    fn get(&self, hash: BlobHash) -> BoxFuture<'_, Result<Blob, Error>> {
        let bucket = self.0.bucket.clone();
        Box::pin(self.0.io.run(async move { bucket.get(hash).await }))
    }

    /// Up to a day later than asked for.
    fn sweep(&self, unused_for: Duration) -> BoxFuture<'_, Result<u64, Error>> {
        let bucket = self.0.bucket.clone();
        Box::pin(self.0.io.run(async move { bucket.sweep(unused_for).await }))
    }
}

/// Bucket and prefix of `s3://BUCKET/PREFIX`.
fn parts_of(place: &str) -> Result<(&str, Path), &'static str> {
    let place = place.strip_prefix(SCHEME).ok_or("it is not s3://BUCKET/PREFIX")?;
    let (bucket, prefix) = place.split_once('/').unwrap_or((place, ""));
    if bucket.contains('@') {
        return Err("keys do not belong into a URL; set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY");
    }
    let is_name = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'-' | b'_');
    if bucket.is_empty() || !bucket.bytes().all(is_name) {
        return Err("it names no bucket; give s3://BUCKET/PREFIX");
    }
    let prefix = Path::parse(prefix).map_err(|_| "its prefix is no path such as a/b")?;
    Ok((bucket, prefix))
}

/// Whether it goes without TLS though nobody allowed it.
fn is_open_to_all(builder: &AmazonS3Builder) -> bool {
    let value = |key| builder.get_config_value(&key);
    let endpoint = value(AmazonS3ConfigKey::S3Endpoint).or_else(|| value(AmazonS3ConfigKey::Endpoint));
    let allowed = value(AmazonS3ConfigKey::Client(ClientConfigKey::AllowHttp));
    endpoint.is_some_and(|endpoint| endpoint.starts_with("http://")) && !says_yes(allowed.as_deref())
}

/// The part that lives on the thread.
struct Bucket {
    store: AmazonS3,
    name: String,
    prefix: Path,
    room: Arc<Semaphore>,
}

impl Bucket {
    async fn put(&self, bytes: Blob) -> Result<BlobHash, Error> {
        let _room = self.room().await?;
        let hash = hashed(bytes.clone()).await?;
        let place = self.place_of(&hash);
        if !self.is_there(&place, bytes.len() as u64).await? {
            self.write(&place, bytes).await.map_err(|error| self.failure(&error))?;
        }
        Ok(hash)
    }

    async fn get(self: Arc<Bucket>, hash: BlobHash) -> Result<Blob, Error> {
        let room = self.room().await?;
        let place = self.place_of(&hash);
        let wrong = |reason: String| Error::Blob { hash: hexadecimal(&hash), reason };
        let found = self.store.get(&place).await.map_err(|error| match error {
            object_store::Error::NotFound { .. } if !is_about_the_bucket(&error) => wrong(format!(
                "it is not in {self}: it was swept, or whoever put it has another bucket; give all programs the same blobs={SCHEME}…"
            )),
            error => self.failure(&error),
        })?;
        let is_fresh = is_fresh(&found.meta);
        let in_time = longest(found.meta.size);
        let bytes = match tokio::time::timeout(in_time, found.bytes()).await {
            Ok(bytes) => Blob::from_owner(bytes.map_err(|error| self.failure(&error))?),
            Err(_) => return Err(self.unavailable(format_args!("a blob did not come within {in_time:.0?}"))),
        };
        if hashed(bytes.clone()).await? != hash {
            return Err(wrong(format!("the bytes in {self} are others: the object was damaged; remove it")));
        }
        if !is_fresh {
            let (bucket, bytes) = (self.clone(), bytes.clone());
            // With keys that can only read nothing is swept either.
            tokio::spawn(async move { bucket.write(&place, bytes).await.map(|()| drop(room)) });
        }
        Ok(bytes)
    }

    async fn write(&self, place: &Path, bytes: Blob) -> object_store::Result<()> {
        let body = PutPayload::from_bytes(Bytes::from_owner(bytes));
        self.store.put(place, body).await.map(|_| ())
    }

    async fn sweep(self: Arc<Bucket>, unused_for: Duration) -> Result<u64, Error> {
        let Some(before) = SystemTime::now().checked_sub(unused_for.saturating_add(SWEEP_MARGIN)) else { return Ok(0) };
        let prefix = Some(&self.prefix).filter(|prefix| !prefix.is_root());
        let mut objects = self.store.list(prefix);
        let (mut running, mut swept) = (JoinSet::new(), 0);
        loop {
            let object = poll_fn(|cx| objects.as_mut().poll_next(cx)).await;
            let Some(object) = object.transpose().map_err(|error| self.failure(&error))? else { break };
            if !is_older(&object, before) || !self.is_ours(&object.location) {
                continue;
            }
            if running.len() == SWEPT_AT_ONCE {
                swept += counted(running.join_next().await)?;
            }
            let bucket = self.clone();
            running.spawn(async move { bucket.throw_away(&object.location, before).await });
        }
        while !running.is_empty() {
            swept += counted(running.join_next().await)?;
        }
        Ok(swept)
    }

    /// Whether it is gone by our hand: somebody may have put it again since it was listed, or have swept it.
    async fn throw_away(&self, place: &Path, before: SystemTime) -> Result<bool, Error> {
        match self.store.head(place).await {
            Ok(object) if is_older(&object, before) => {}
            Ok(_) | Err(object_store::Error::NotFound { .. }) => return Ok(false),
            Err(error) => return Err(self.failure(&error)),
        }
        self.store.delete(place).await.map_err(|error| self.failure(&error))?;
        Ok(true)
    }

    async fn room(&self) -> Result<OwnedSemaphorePermit, Error> {
        self.room.clone().acquire_owned().await.map_err(|_| Error::Closed)
    }

    /// Whether an object of this length is there that no sweep throws away soon.
    async fn is_there(&self, place: &Path, length: u64) -> Result<bool, Error> {
        match self.store.head(place).await {
            Ok(object) => Ok(object.size == length && is_fresh(&object)),
            Err(object_store::Error::NotFound { .. }) => Ok(false),
            // What S3 says of a missing object to whoever may not list the bucket. If it is about more, the put says so.
            Err(object_store::Error::PermissionDenied { .. }) => Ok(false),
            Err(error) => Err(self.failure(&error)),
        }
    }

    fn place_of(&self, hash: &BlobHash) -> Path {
        let name = hexadecimal(hash);
        let (first, rest) = name.split_at(2);
        self.prefix.clone().join(first).join(rest)
    }

    /// Whether it is called as a blob is: others may have objects under the prefix too.
    fn is_ours(&self, place: &Path) -> bool {
        let lengths = [2, 2 * size_of::<BlobHash>() - 2];
        let is_digit = |byte: u8| matches!(byte, b'0'..=b'9' | b'a'..=b'f');
        let Some(parts) = place.prefix_match(&self.prefix) else { return false };
        let parts: Vec<_> = parts.collect();
        parts.len() == lengths.len()
            && parts.iter().zip(lengths).all(|(part, length)| {
                let name = part.as_ref();
                name.len() == length && name.bytes().all(is_digit)
            })
    }

    fn unavailable(&self, reason: impl fmt::Display) -> Error {
        Error::unavailable(&self.to_string(), reason)
    }

    fn failure(&self, error: &object_store::Error) -> Error {
        let told = told(error);
        let hint = match error {
            object_store::Error::PermissionDenied { .. } | object_store::Error::Unauthenticated { .. } => MAY_NOT,
            object_store::Error::NotFound { .. } => NO_BUCKET,
            // Of a list the status is in the text only.
            _ if told.contains(" 403 ") || told.contains(" 401 ") => MAY_NOT,
            _ if told.contains(" 404 ") => NO_BUCKET,
            _ => return self.unavailable(told),
        };
        Error::Refused { broker: self.to_string(), reason: format!("{told}; {hint}") }
    }
}

/// `s3://BUCKET/PREFIX`.
impl fmt::Display for Bucket {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{SCHEME}{}/{}", self.name, self.prefix)
    }
}

/// The hash, without keeping the other transfers waiting for it.
async fn hashed(bytes: Blob) -> Result<BlobHash, Error> {
    tokio::task::spawn_blocking(move || hash_of(&bytes)).await.map_err(|_| Error::Closed)
}

fn is_fresh(object: &ObjectMeta) -> bool {
    SystemTime::now().checked_sub(FRESH).is_some_and(|from| !is_older(object, from))
}

fn is_older(object: &ObjectMeta, than: SystemTime) -> bool {
    SystemTime::from(object.last_modified) < than
}

fn counted(swept: Option<Result<Result<bool, Error>, tokio::task::JoinError>>) -> Result<u64, Error> {
    match swept {
        None => Ok(0),
        Some(Ok(swept)) => swept.map(u64::from),
        Some(Err(_)) => Err(Error::Closed),
    }
}

/// Both are 404: a missing object and a missing bucket.
fn is_about_the_bucket(error: &object_store::Error) -> bool {
    error.to_string().contains("NoSuchBucket")
}

/// An error with its last cause, which its own words often leave out.
fn told(error: &object_store::Error) -> String {
    let mut told = error.to_string();
    let mut cause: &dyn std::error::Error = error;
    while let Some(deeper) = cause.source() {
        cause = deeper;
    }
    let last = cause.to_string();
    if !told.contains(&last) {
        told.push_str(": ");
        told.push_str(&last);
    }
    told
}
