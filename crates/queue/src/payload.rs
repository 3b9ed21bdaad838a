//! What is inside of [`NewJob::payload`](crate::job::NewJob::payload) and of results: a packed value behind a version.
//!
//! ```text
//!   byte 0: version (1) │ postcard of Layout: Parts { bytes: Part, blobs: [Part] } │ There(address of these bytes)
//!                                             Part: Here(bytes) │ There(address)        address: SHA-256, length
//! ```
//!
//! What is longer than [`INLINE_LIMIT`] is in the blob store, each part by itself; and all of it once more, if what is left is still too
//! long. So a message of any broker is small. Without a blob store everything is in the message. A newer version is
//! [`Error::Malformed`], which fails the job and says which program is too old.

use std::sync::Arc;

use phalanx_task::{Blob, Packed, TaskError};
use serde::{Deserialize, Serialize};

use crate::Error;
use crate::blobs::{BlobHash, BlobStore, INLINE_LIMIT, hexadecimal};

/// Bytes of the longest payload that a store takes: 1 MiB. With a blob store none comes near it.
pub const LONGEST: usize = 1 << 20;

/// The version that is written. Older ones are read too.
const VERSION: u8 = 1;

#[derive(Serialize, Deserialize)]
enum Layout {
    Parts { bytes: Part, blobs: Vec<Part> },
    There(Address),
}

#[derive(Serialize, Deserialize)]
enum Part {
    Here(Blob),
    There(Address),
}

/// Where bytes are in the blob store.
#[derive(Clone, Copy, Serialize, Deserialize)]
struct Address {
    hash: BlobHash,
    length: u64,
}

/// Packs a value for a broker; its large parts are put into the blob store first. Without one, a value of more than [`LONGEST`] is
/// [`Error::TooBig`].
pub async fn pack(value: Packed, blobs: Option<&Arc<dyn BlobStore>>) -> Result<Vec<u8>, Error> {
    let (Some(store), false) = (blobs, is_small(&value)) else {
        return not_too_long(written(&here(value))?);
    };
    let bytes = put_if_large(store, Blob::from(value.bytes)).await?;
    let mut parts = Vec::with_capacity(value.blobs.len());
    for blob in value.blobs {
        parts.push(put_if_large(store, blob).await?);
    }
    let payload = written(&Layout::Parts { bytes, blobs: parts })?;
    if payload.len() <= INLINE_LIMIT {
        return Ok(payload);
    }
    let address = put(store, Blob::from(payload)).await?;
    written(&Layout::There(address))
}

/// Packs a value that is small enough to need no blob store; gives back one that is not.
pub(crate) fn pack_small(value: Packed) -> Result<Result<Vec<u8>, Error>, Packed> {
    if is_small(&value) { Ok(written(&here(value))) } else { Err(value) }
}

/// The value again. [`Error::Malformed`] if it was written by a newer program or is damaged, [`Error::Blob`] if a part of it is missing or is
/// not what was put there.
pub async fn unpack(payload: &[u8], blobs: Option<&Arc<dyn BlobStore>>) -> Result<Packed, Error> {
    let (bytes, parts) = match read(payload)? {
        Layout::Parts { bytes, blobs } => (bytes, blobs),
        Layout::There(address) => match read(&get(blobs, address).await?)? {
            Layout::Parts { bytes, blobs } => (bytes, blobs),
            Layout::There(_) => return Err(malformed("an address leads to an address")),
        },
    };
    let bytes = fetched(blobs, bytes).await?.into_vec();
    let mut fetched_blobs = Vec::with_capacity(parts.len());
    for part in parts {
        fetched_blobs.push(fetched(blobs, part).await?);
    }
    Ok(Packed { bytes, blobs: fetched_blobs })
}

/// An error of a task, for [`Outcome::Failed`](crate::job::Outcome::Failed). Its texts are cut off at 8 KiB.
pub fn error(error: &TaskError) -> Vec<u8> {
    // Numbers and texts in memory: nothing that could fail.
    postcard::to_extend(&error.clone().shortened(), vec![VERSION]).unwrap_or_default()
}

/// The error again. One that cannot be read is [`TaskError::Failed`] and says so.
pub fn as_error(bytes: &[u8]) -> TaskError {
    match bytes.split_first() {
        Some((&VERSION, error)) => postcard::from_bytes(error).unwrap_or_else(|_| {
            TaskError::failed("the error of the task cannot be read: it was damaged, or a newer program wrote it")
        }),
        Some((newer, _)) => TaskError::failed(format_args!(
            "the error of the task was written by a newer program (version {newer}, this one reads up to {VERSION})"
        )),
        None => TaskError::failed("the task failed without saying why"),
    }
}

fn not_too_long(payload: Vec<u8>) -> Result<Vec<u8>, Error> {
    if payload.len() <= LONGEST {
        return Ok(payload);
    }
    Err(Error::TooBig { bytes: payload.len() as u64, limit: LONGEST as u64 })
}

fn is_small(value: &Packed) -> bool {
    value.len() <= INLINE_LIMIT
}

fn here(value: Packed) -> Layout {
    let blobs = value.blobs.into_iter().map(Part::Here).collect();
    Layout::Parts { bytes: Part::Here(Blob::from(value.bytes)), blobs }
}

fn written(layout: &Layout) -> Result<Vec<u8>, Error> {
    postcard::to_extend(layout, vec![VERSION]).map_err(|error| malformed(&error.to_string()))
}

fn read(payload: &[u8]) -> Result<Layout, Error> {
    match payload.split_first() {
        Some((&VERSION, layout)) => postcard::from_bytes(layout).map_err(|error| malformed(&error.to_string())),
        Some((newer, _)) => Err(malformed(&format!(
            "it is of version {newer}, this program reads up to {VERSION}: bring this program to the version of the one \
             that submitted the job"
        ))),
        None => Err(malformed("it is empty")),
    }
}

async fn put_if_large(store: &Arc<dyn BlobStore>, blob: Blob) -> Result<Part, Error> {
    if blob.len() <= INLINE_LIMIT { Ok(Part::Here(blob)) } else { Ok(Part::There(put(store, blob).await?)) }
}

async fn put(store: &Arc<dyn BlobStore>, blob: Blob) -> Result<Address, Error> {
    let length = blob.len() as u64;
    let hash = store.put(blob).await?;
    Ok(Address { hash, length })
}

async fn fetched(store: Option<&Arc<dyn BlobStore>>, part: Part) -> Result<Blob, Error> {
    match part {
        Part::Here(blob) => Ok(blob),
        Part::There(address) => get(store, address).await,
    }
}

async fn get(store: Option<&Arc<dyn BlobStore>>, address: Address) -> Result<Blob, Error> {
    let wrong = |reason: String| Error::Blob { hash: hexadecimal(&address.hash), reason };
    let store = store.ok_or_else(|| {
        wrong(
            "this program was given no blob store: add blobs=FOLDER to its URL, as whoever submitted the job did"
                .into(),
        )
    })?;
    let blob = store.get(address.hash).await?;
    if blob.len() as u64 == address.length {
        return Ok(blob);
    }
    Err(wrong(format!("it has {} bytes where {} were promised", blob.len(), address.length)))
}

fn malformed(reason: &str) -> Error {
    Error::Malformed { what: "the payload of a job".to_owned(), reason: reason.to_owned() }
}

#[cfg(test)]
mod tests {
    use std::future::Future;
    use std::pin::pin;
    use std::task::{Context, Waker};

    use phalanx_task::Refusal;
    use proptest::prelude::*;

    use super::*;
    use crate::blobs::FolderStore;

    /// For futures of a folder store, which are ready after some time without any runtime.
    fn ready<T>(future: impl Future<Output = T>) -> T {
        let mut future = pin!(future);
        loop {
            match future.as_mut().poll(&mut Context::from_waker(Waker::noop())) {
                std::task::Poll::Ready(value) => return value,
                std::task::Poll::Pending => std::thread::yield_now(),
            }
        }
    }

    fn value(bytes: usize, blobs: &[usize]) -> Packed {
        let blobs = blobs.iter().map(|len| Blob::from(vec![7; *len])).collect();
        Packed { bytes: vec![1; bytes], blobs }
    }

    #[test]
    fn values_of_every_size_come_back_and_no_payload_is_long() {
        let folder = tempfile::tempdir().unwrap();
        let store: Arc<dyn BlobStore> = Arc::new(FolderStore::new(folder.path().join("blobs")));
        let many = vec![30_000; 50];
        for (bytes, blobs) in [(0, &[][..]), (10, &[5000]), (100_000, &[]), (10, &[70_000, 5000, 70_000]), (10, &many)]
        {
            let packed = value(bytes, blobs);
            let payload = ready(pack(packed.clone(), Some(&store))).unwrap();
            assert!(payload.len() <= INLINE_LIMIT + 100, "{} bytes for {bytes} and {blobs:?}", payload.len());
            assert_eq!(ready(unpack(&payload, Some(&store))).unwrap(), packed);
            match ready(pack(packed.clone(), None)) {
                Ok(alone) => assert_eq!(ready(unpack(&alone, None)).unwrap(), packed),
                Err(error) => assert!(matches!(error, Error::TooBig { .. }) && packed.len() > LONGEST),
            }
        }
    }

    #[test]
    fn what_is_missing_or_is_not_what_was_put_there_is_an_error() {
        let folder = tempfile::tempdir().unwrap();
        let store: Arc<dyn BlobStore> = Arc::new(FolderStore::new(folder.path().to_owned()));
        let payload = ready(pack(value(1, &[100_000]), Some(&store))).unwrap();
        assert!(matches!(ready(unpack(&payload, None)), Err(Error::Blob { .. })));
        let elsewhere: Arc<dyn BlobStore> = Arc::new(FolderStore::new(folder.path().join("elsewhere")));
        assert!(matches!(ready(unpack(&payload, Some(&elsewhere))), Err(Error::Blob { .. })));
        let address = Address { hash: ready(store.put(Blob::from(vec![1, 2]))).unwrap(), length: 3 };
        let lying = written(&Layout::There(address)).unwrap();
        assert!(matches!(ready(unpack(&lying, Some(&store))), Err(Error::Blob { .. })));
        let inner = written(&Layout::There(address)).unwrap();
        let length = inner.len() as u64;
        let chain = Address { hash: ready(store.put(Blob::from(inner))).unwrap(), length };
        let chain = written(&Layout::There(chain)).unwrap();
        assert!(matches!(ready(unpack(&chain, Some(&store))), Err(Error::Malformed { .. })));
    }

    #[test]
    fn a_newer_version_is_told_apart_from_damage() {
        let mut payload = written(&here(value(3, &[]))).unwrap();
        payload[0] = VERSION + 1;
        let told = ready(unpack(&payload, None)).unwrap_err().to_string();
        assert!(told.contains("version 2"), "{told}");
        assert!(as_error(&[VERSION + 1]).to_string().contains("newer"));
    }

    #[test]
    fn errors_come_back_shortened() {
        let refused = TaskError::Refused(Refusal::Unavailable { reason: "x".repeat(100_000) });
        let packed = error(&refused);
        assert!(packed.len() < 9000);
        assert_eq!(as_error(&packed), refused.shortened());
        assert!(matches!(as_error(&[]), TaskError::Failed { .. }));
    }

    proptest! {
        #[test]
        fn garbage_is_an_error_and_never_a_panic(mut bytes in proptest::collection::vec(any::<u8>(), 0..200), good in any::<bool>()) {
            if good && let Some(first) = bytes.first_mut() {
                *first = VERSION;
            }
            let _ = ready(unpack(&bytes, None));
            let _ = as_error(&bytes);
        }
    }
}
