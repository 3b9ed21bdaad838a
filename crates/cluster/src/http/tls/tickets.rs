//! Session tickets that every worker of the cluster can read.
//!
//! ```text
//!   secret (32 bytes of the primary) ──HKDF, number of the day──► key of the day
//!   ticket = number of the day (4) · nonce (12) · the session, sealed with AES-256-GCM
//! ```
//!
//! A ticket is good on the day it was made and on the next. Nothing is stored: the keys follow from the secret, which
//! lives as long as the cluster. Who learns the secret can read sessions of TLS 1.2 that were resumed; those of TLS 1.3
//! are protected by a key exchange of their own.

use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{SystemTime, UNIX_EPOCH};

use ring::aead::{AES_256_GCM, Aad, LessSafeKey, NONCE_LEN, Nonce, UnboundKey};
use ring::hkdf::{HKDF_SHA256, Prk, Salt};
use ring::rand::{SecureRandom, SystemRandom};
use rustls::server::ProducesTickets;

use crate::secret::ClusterSecret;

/// How long one key makes tickets, in seconds.
const DAY: u64 = 24 * 60 * 60;

/// What the keys are for: another use of the same secret gets other keys.
const PURPOSE: &[u8] = b"phalanx session tickets 1";

const DAY_LEN: usize = 4;

/// Makes and reads tickets.
pub(super) struct Tickets {
    root: Prk,
    random: SystemRandom,
    /// The two keys that were used last.
    keys: Mutex<Vec<(u32, Arc<LessSafeKey>)>>,
    today: fn() -> u32,
}

impl Tickets {
    pub(super) fn new(secret: &ClusterSecret) -> Tickets {
        let root = Salt::new(HKDF_SHA256, PURPOSE).extract(secret.bytes());
        Tickets { root, random: SystemRandom::new(), keys: Mutex::default(), today }
    }

    fn key(&self, day: u32) -> Option<Arc<LessSafeKey>> {
        let mut keys = self.keys.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((_, key)) = keys.iter().find(|(of, _)| *of == day) {
            return Some(Arc::clone(key));
        }
        let day_bytes = day.to_be_bytes();
        let info = [&day_bytes[..]];
        let key = UnboundKey::from(self.root.expand(&info, &AES_256_GCM).ok()?);
        let key = Arc::new(LessSafeKey::new(key));
        keys.truncate(1);
        keys.insert(0, (day, Arc::clone(&key)));
        Some(key)
    }
}

impl fmt::Debug for Tickets {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Tickets")
    }
}

impl ProducesTickets for Tickets {
    fn enabled(&self) -> bool {
        true
    }

    fn lifetime(&self) -> u32 {
        DAY as u32
    }

    fn encrypt(&self, plain: &[u8]) -> Option<Vec<u8>> {
        let day = (self.today)();
        let key = self.key(day)?;
        let mut nonce = [0; NONCE_LEN];
        self.random.fill(&mut nonce).ok()?;
        let mut sealed = plain.to_vec();
        let aad = Aad::from(day.to_be_bytes());
        key.seal_in_place_append_tag(Nonce::assume_unique_for_key(nonce), aad, &mut sealed).ok()?;
        Some([&day.to_be_bytes()[..], &nonce, &sealed].concat())
    }

    fn decrypt(&self, ticket: &[u8]) -> Option<Vec<u8>> {
        let (day, rest) = ticket.split_first_chunk::<DAY_LEN>()?;
        let (nonce, sealed) = rest.split_first_chunk::<NONCE_LEN>()?;
        let today = (self.today)();
        let made = u32::from_be_bytes(*day);
        // A clock may differ by a little from that of the worker that made it, but there is only one clock here.
        if made != today && made.checked_add(1) != Some(today) {
            return None;
        }
        let key = self.key(made)?;
        let mut opened = sealed.to_vec();
        let plain = key.open_in_place(Nonce::assume_unique_for_key(*nonce), Aad::from(*day), &mut opened).ok()?;
        Some(plain.to_vec())
    }
}

fn today() -> u32 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    (since.as_secs() / DAY) as u32
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tickets(secret: &ClusterSecret, today: fn() -> u32) -> Tickets {
        Tickets { today, ..Tickets::new(secret) }
    }

    #[test]
    fn a_ticket_of_one_worker_is_read_by_another_of_the_same_cluster_only() {
        let [ours, other] = [ClusterSecret::generate().unwrap(), ClusterSecret::generate().unwrap()];
        let ticket = tickets(&ours, || 100).encrypt(b"session").unwrap();
        assert_eq!(tickets(&ours, || 100).decrypt(&ticket).as_deref(), Some(&b"session"[..]));
        assert_eq!(tickets(&other, || 100).decrypt(&ticket), None);
    }

    #[test]
    fn a_ticket_is_good_for_two_days() {
        let secret = ClusterSecret::generate().unwrap();
        let ticket = tickets(&secret, || 100).encrypt(b"session").unwrap();
        assert!(tickets(&secret, || 101).decrypt(&ticket).is_some());
        assert_eq!(tickets(&secret, || 102).decrypt(&ticket), None);
        assert_eq!(tickets(&secret, || 99).decrypt(&ticket), None, "from the future");
    }

    #[test]
    fn no_byte_of_a_ticket_can_be_changed_or_left_out() {
        let tickets = tickets(&ClusterSecret::generate().unwrap(), || 100);
        let ticket = tickets.encrypt(b"session").unwrap();
        for index in 0..ticket.len() {
            let mut changed = ticket.clone();
            changed[index] ^= 1;
            assert_eq!(tickets.decrypt(&changed), None);
            assert_eq!(tickets.decrypt(&ticket[..index]), None);
        }
    }
}
