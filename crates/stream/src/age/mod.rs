//! [`encrypt()`] and [`decrypt()`]: the age format (<https://age-encryption.org/v1>), on all cores.
//!
//! ```text
//!   encrypt:  cut into pieces of 64 KiB ─► seal four at a time, in parallel ─► [armor]
//!   decrypt:  [take the armor off] ─► read the header, find the key, cut ─► open four at a time, in parallel
//! ```
//!
//! The crate `age` makes and reads keys and header; the payload (ChaCha20-Poly1305 in pieces that are numbered, the last
//! one marked) is done here with `ring`, in parallel. What comes out is what `age` and `rage` read, and the other way
//! round. Nothing leaves `decrypt` that was not authenticated, but what leaves it is a part of the whole until the
//! pipeline has ended well: a file that was cut short is found at its end.
//!
//! What it does not do: SSH keys, plugins, identity files that are themselves encrypted.

mod armor;
mod decrypt;
mod encrypt;
mod header;
mod keys;
mod payload;

pub use decrypt::{Decrypt, decrypt};
pub use encrypt::{Encrypt, encrypt};
pub use keys::{Identities, Identity, KeyError, Recipient, Recipients};

/// The name in errors.
const FORMAT: &str = "age";
