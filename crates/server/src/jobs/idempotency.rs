//! `Idempotency-Key` (IETF draft "The Idempotency-Key HTTP Header Field"): the same request again is the same job.
//!
//! The queue knows the key of a job for [`KEY_LIFETIME`], and what was asked for is in its id: the random bits of the id are
//! taken from a hash of key and request, so that the id alone tells whether a second request is the same. Nothing else has to be
//! stored, and the id is as hard to guess as the key and the request together.

use crate::problem::{Code, Problem};
use http::HeaderMap;
use http::header::HeaderName;
use phalanx_queue::JobId;
use phalanx_queue::job::Unique;
use sha2::{Digest, Sha256};
use std::time::Duration;

/// The header.
const IDEMPOTENCY_KEY: HeaderName = HeaderName::from_static("idempotency-key");
/// Longest key, in bytes.
const LONGEST_KEY: usize = 255;
/// How long a key is known.
const KEY_LIFETIME: Duration = Duration::from_secs(24 * 60 * 60);

/// A client's name for one request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct IdempotencyKey(String);

impl IdempotencyKey {
    /// The key of a request, if it has one. Quoted as the draft has it, or bare as most clients send it.
    pub(crate) fn of(headers: &HeaderMap) -> Result<Option<IdempotencyKey>, Problem> {
        let mut values = headers.get_all(IDEMPOTENCY_KEY).iter();
        let Some(value) = values.next() else { return Ok(None) };
        let wrong = || {
            Problem::new(
                Code::BadRequest,
                format!("Idempotency-Key must be given once and have 1 to {LONGEST_KEY} printable ASCII characters"),
            )
        };
        let text = value.to_str().map_err(|_| wrong())?.trim();
        let bare = text.strip_prefix('"').and_then(|rest| rest.strip_suffix('"')).unwrap_or(text);
        let printable = bare.bytes().all(|byte| byte == b' ' || byte.is_ascii_graphic());
        if values.next().is_some() || !(1..=LONGEST_KEY).contains(&bare.len()) || !printable {
            return Err(wrong());
        }
        Ok(Some(IdempotencyKey(bare.to_owned())))
    }

    /// What the queue has to hold against others.
    pub(super) fn unique(&self) -> Unique {
        // Apart from the keys that clients give as `unique`, and from those of other programs.
        Unique { key: format!("idempotency-key:{}", self.0), ttl: KEY_LIFETIME }
    }

    /// An id for this request.
    pub(super) fn job_id(&self, request: &Fingerprint) -> JobId {
        let mut hash = Sha256::new();
        hash.update((self.0.len() as u64).to_le_bytes());
        hash.update(&self.0);
        hash.update(request.0);
        let hash = hash.finalize();
        let mut bytes = *JobId::new().as_bytes();
        // The version and the variant of a UUID stay; before them is the time.
        bytes[6] = bytes[6] & 0xf0 | hash[0] & 0x0f;
        bytes[7] = hash[1];
        bytes[8] = bytes[8] & 0xc0 | hash[2] & 0x3f;
        bytes[9..].copy_from_slice(&hash[3..10]);
        JobId::from_bytes(bytes)
    }
}

/// Whether two jobs are of the same key and the same request: all but the time in their ids is the same.
pub(super) fn is_same_request(one: JobId, other: JobId) -> bool {
    one.as_bytes()[6..] == other.as_bytes()[6..]
}

/// A hash of what was asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Fingerprint([u8; 32]);

impl Fingerprint {
    /// Of these pieces, one after the other.
    pub(super) fn of<'a>(pieces: impl IntoIterator<Item = &'a [u8]>) -> Fingerprint {
        let mut hash = Sha256::new();
        for piece in pieces {
            hash.update((piece.len() as u64).to_le_bytes());
            hash.update(piece);
        }
        Fingerprint(hash.finalize().into())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use http::HeaderValue;

    fn of(values: &[&[u8]]) -> Result<Option<IdempotencyKey>, Problem> {
        let mut headers = HeaderMap::new();
        for value in values {
            headers.append(IDEMPOTENCY_KEY, HeaderValue::from_bytes(value).unwrap());
        }
        IdempotencyKey::of(&headers)
    }

    #[test]
    fn a_key_is_taken_quoted_or_bare_and_anything_else_is_refused() {
        let key = |text: &str| Ok(Some(IdempotencyKey(text.to_owned())));
        assert_eq!(of(&[]).map_err(|_| ()), Ok(None));
        assert_eq!(of(&[b"\"8e03978e\""]).map_err(|_| ()), key("8e03978e"));
        assert_eq!(of(&[b"8e03978e"]).map_err(|_| ()), key("8e03978e"));
        for values in [&[&b""[..]][..], &[b"\"\""], &[&[b'a'; 256]], &[b"a\tb"], &["é".as_bytes()], &[b"a", b"a"]] {
            assert_eq!(of(values).unwrap_err().code(), Code::BadRequest, "{values:?}");
        }
    }

    #[test]
    fn the_same_request_is_told_by_the_id_alone() {
        let key = IdempotencyKey("k".into());
        let (one, other) = (Fingerprint::of([&b"one"[..]]), Fingerprint::of([&b"other"[..]]));
        let first = key.job_id(&one);
        assert!(is_same_request(first, key.job_id(&one)));
        assert!(!is_same_request(first, key.job_id(&other)));
        assert!(!is_same_request(first, IdempotencyKey("l".into()).job_id(&one)));
        assert_eq!(first.to_string().as_bytes()[14], b'7', "it is a UUID of version 7 all the same");
    }

    #[test]
    fn pieces_do_not_flow_into_each_other() {
        assert_ne!(Fingerprint::of([&b"ab"[..], b"c"]), Fingerprint::of([&b"a"[..], b"bc"]));
    }
}
