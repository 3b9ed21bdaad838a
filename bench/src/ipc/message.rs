//! What is sent. The Node rivals send the same (`bench/peers/node/ipc.js`).

use serde::{Deserialize, Serialize};

/// Bytes of one payload.
pub(crate) const PAYLOAD_BYTES: usize = 1 << 20;
/// Most messages of 1 KiB that are sent to a stopped receiver.
pub(crate) const UNREAD_MESSAGES: u64 = 100_000;

const TEXT_BYTES: usize = 1024;
/// What payloads are filled with.
const FILLING: u8 = 1;

/// The small message of the ping-pong.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Small {
    id: u64,
    kind: u8,
    name: String,
    values: [i32; 4],
    flag: bool,
}

impl Small {
    pub(crate) fn new() -> Self {
        Self { id: 1, kind: 7, name: "job.run".to_owned(), values: [1, 2, 3, 4], flag: true }
    }
}

/// The message of 1 KiB.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Record {
    pub(crate) id: u64,
    pub(crate) text: String,
}

impl Record {
    pub(crate) fn new() -> Self {
        Self { id: 0, text: "x".repeat(TEXT_BYTES) }
    }

    pub(crate) fn is_whole(&self) -> bool {
        self.text.len() == TEXT_BYTES
    }
}

pub(crate) fn payload() -> Vec<u8> {
    vec![FILLING; PAYLOAD_BYTES]
}

/// Reads every byte of a payload, as words; false if it is not the one that was sent.
pub(crate) fn is_whole_payload(bytes: &[u8]) -> bool {
    let (words, rest) = bytes.as_chunks::<8>();
    let sum = words.iter().fold(0u64, |sum, word| sum.wrapping_add(u64::from_ne_bytes(*word)));
    let expected = u64::from_ne_bytes([FILLING; 8]).wrapping_mul((PAYLOAD_BYTES / 8) as u64);
    rest.is_empty() && sum == expected
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_payload_with_one_wrong_or_missing_byte_is_noticed() {
        let mut payload = payload();
        assert!(is_whole_payload(&payload));
        payload[PAYLOAD_BYTES / 2 + 3] = 0;
        assert!(!is_whole_payload(&payload));
        assert!(!is_whole_payload(&super::payload()[1..]));
    }
}
