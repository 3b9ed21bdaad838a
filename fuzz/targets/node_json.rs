//! Node's serialization `json`: decoded in all splits, written and read again, and received
//! through a socket, with descriptors.

#![no_main]

use libfuzzer_sys::fuzz_target;
use phalanx_channel::node::{Serialization, json};
use phalanx_fuzz::node::{self, Codec, LARGEST_MESSAGE, Taken};
use phalanx_fuzz::{Script, bytes};

const CODEC: Codec = Codec { write: |value| json::encode(value), read: json::decode };

fuzz_target!(|input: &[u8]| {
    let script = Script::parse(input);
    bytes::same_in_all_splits(&script, |pieces| {
        let mut decoder = json::Decoder::new(LARGEST_MESSAGE);
        let mut taken = Vec::new();
        for piece in pieces {
            decoder.push(piece);
            while node::note(decoder.take(), &CODEC, &mut taken) {}
            if taken.last() == Some(&Taken::TooLarge) {
                break;
            }
        }
        taken
    });
    node::receive_through_a_socket(&script, Serialization::Json);
});
