//! Keys and passphrases: where they come from, and what trying a passphrase may cost.
//!
//! A passphrase is stretched by scrypt, which takes 2^n KiB of memory and about as many microseconds by design. So one at a time is
//! tried in each worker, its memory is charged to the budget, and what a file may ask for is bounded.

use crate::app::App;
use crate::config::Config;
use crate::problem::{Code, Problem};
use http::HeaderMap;
use http::header::HeaderName;
use phalanx_stream::{Identities, Identity};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::timeout;

const PASSPHRASE: HeaderName = HeaderName::from_static("phalanx-passphrase");
const IDENTITY: HeaderName = HeaderName::from_static("phalanx-identity");
/// Longest passphrase, in bytes.
const LONGEST_PASSPHRASE: usize = 1024;
/// Most identities that one request may try.
const MOST_IDENTITIES: usize = 16;
/// Work of encrypting: 64 MiB and a fifth of a second. (`age` itself takes four times as much.)
const WORK_TO_ENCRYPT: Work = Work(16);
/// Most work of decrypting: what `age` encrypts with, 256 MiB and a second.
const MOST_WORK_TO_DECRYPT: Work = Work(18);
/// Less work protects nothing.
const LEAST_WORK: Work = Work(10);
/// When to try again: the lane moves on about once a second.
const RETRY_AFTER: Duration = Duration::from_secs(1);

/// How much work a passphrase is, as a power of two.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Work(u8);

impl Work {
    pub(crate) fn log2(self) -> u8 {
        self.0
    }

    /// The memory that it takes.
    pub(crate) fn bytes(self) -> u64 {
        1024 << self.0
    }

    /// No more than takes half of this memory.
    fn within(self, bytes: u64) -> Work {
        let fits = (bytes / 2 / 1024).checked_ilog2().unwrap_or(0) as u8;
        self.min(Work(fits)).max(LEAST_WORK)
    }
}

/// The one lane in which passphrases are tried, and the keys of the server.
pub(crate) struct Passphrases {
    lane: Arc<Semaphore>,
    memory_bytes: u64,
}

impl Passphrases {
    pub(crate) fn new(config: &Config) -> Passphrases {
        Passphrases { lane: Arc::new(Semaphore::new(1)), memory_bytes: config.memory_bytes }
    }

    pub(crate) fn work_to_encrypt(&self) -> Work {
        WORK_TO_ENCRYPT.within(self.memory_bytes)
    }

    pub(crate) fn most_work_to_decrypt(&self) -> Work {
        MOST_WORK_TO_DECRYPT.within(self.memory_bytes)
    }

    /// Waits for the lane as long as for a CPU thread.
    pub(crate) async fn lane(&self, app: &App) -> Result<OwnedSemaphorePermit, Problem> {
        match timeout(app.config.max_wait, Arc::clone(&self.lane).acquire_owned()).await {
            Ok(Ok(lane)) => Ok(lane),
            _ => Err(Problem::new(Code::Overloaded, "other passphrases are being tried; try again later")
                .retry_after(RETRY_AFTER)),
        }
    }
}

/// The passphrase in its header.
pub(crate) fn passphrase(headers: &HeaderMap) -> Result<Option<String>, Problem> {
    let wrong = |why: &str| Problem::new(Code::BadRequest, format!("the header Phalanx-Passphrase {why}"));
    let mut values = headers.get_all(PASSPHRASE).iter();
    let (Some(value), rest) = (values.next(), values.next()) else { return Ok(None) };
    if rest.is_some() {
        return Err(wrong("is given more than once"));
    }
    match std::str::from_utf8(value.as_bytes()) {
        Ok("") => Err(wrong("is empty")),
        Ok(text) if text.len() > LONGEST_PASSPHRASE => Err(wrong("is longer than 1024 bytes")),
        Ok(text) => Ok(Some(text.to_owned())),
        Err(_) => Err(wrong("is no UTF-8 text")),
    }
}

/// The identities in their headers: one in each, or several with commas.
pub(crate) fn identities(headers: &HeaderMap) -> Result<Vec<Identity>, Problem> {
    let mut identities = Vec::new();
    for value in headers.get_all(IDENTITY) {
        let text = value.to_str().unwrap_or_default();
        for one in text.split(',').map(str::trim) {
            if identities.len() == MOST_IDENTITIES {
                return Err(Problem::new(
                    Code::BadRequest,
                    format!("there are more than {MOST_IDENTITIES} identities"),
                ));
            }
            // What the parser says might repeat the secret.
            identities.push(one.parse().map_err(|_| {
                Problem::new(
                    Code::BadRequest,
                    "the header Phalanx-Identity holds no identity of age: those begin with AGE-SECRET-KEY-1",
                )
            })?);
        }
    }
    Ok(identities)
}

/// What a body is decrypted with: what came with it, else what the server has.
pub(crate) fn keys(app: &App, passphrase: Option<String>, identities: Vec<Identity>) -> Result<Identities, Problem> {
    match (passphrase, identities.is_empty(), &app.identities) {
        (Some(passphrase), true, _) => {
            let most = app.passphrases.most_work_to_decrypt();
            Ok(Identities::passphrase(passphrase).most_work_factor(most.log2()))
        }
        (None, false, _) => Ok(identities.into_iter().collect()),
        (None, true, Some(own)) => Ok(own.clone()),
        (Some(_), false, _) => {
            Err(Problem::new(Code::BadRequest, "there is a passphrase and an identity; send one or the other"))
        }
        (None, true, None) => Err(Problem::new(
            Code::BadRequest,
            "there is no key: send one in the header Phalanx-Identity, or a passphrase in Phalanx-Passphrase",
        )),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use http::HeaderValue;

    fn headers(pairs: &[(HeaderName, &'static [u8])]) -> HeaderMap {
        pairs.iter().map(|(name, value)| (name.clone(), HeaderValue::from_bytes(value).unwrap())).collect()
    }

    #[test]
    fn work_stays_within_half_of_the_memory() {
        assert_eq!(MOST_WORK_TO_DECRYPT.bytes(), 256 << 20);
        for (memory, fits) in [(4 << 30, 18), (512 << 20, 18), (511 << 20, 17), (64 << 20, 15), (1 << 20, 10)] {
            assert_eq!(MOST_WORK_TO_DECRYPT.within(memory), Work(fits), "{memory}");
        }
    }

    #[test]
    fn a_passphrase_is_one_short_text() {
        assert_eq!(passphrase(&HeaderMap::new()).unwrap(), None);
        assert_eq!(passphrase(&headers(&[(PASSPHRASE, "öpen".as_bytes())])).unwrap().as_deref(), Some("öpen"));
        for wrong in [&b""[..], b"\xff", &[b'x'; 1025]] {
            let problem = passphrase(&headers(&[(PASSPHRASE, wrong)])).unwrap_err();
            assert_eq!(problem.code(), Code::BadRequest);
        }
        let mut twice = headers(&[(PASSPHRASE, b"a")]);
        twice.append(PASSPHRASE, HeaderValue::from_static("b"));
        assert_eq!(passphrase(&twice).unwrap_err().code(), Code::BadRequest);
    }

    #[test]
    fn a_wrong_identity_is_refused_and_not_repeated() {
        let problem = identities(&headers(&[(IDENTITY, b"AGE-SECRET-KEY-1SESAME")])).err().unwrap();
        assert_eq!(problem.code(), Code::BadRequest);
        assert!(!problem.detail().contains("SESAME"));
    }
}
