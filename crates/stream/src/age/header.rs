//! The header: lines that hold the key of the file, wrapped for each recipient. Its text is the work of the crate `age`,
//! which is asked for no payload; we only see the key of the file pass by.

use std::cell::RefCell;
use std::collections::HashSet;
use std::io::{self, BufRead, Read};

use age::secrecy::ExposeSecret;
use age::{DecryptError, Decryptor, EncryptError, Encryptor};
use age_core::format::{FileKey, Stanza};
use memchr::memchr;

use super::FORMAT;
use super::keys::{Identities, Recipients};
use super::payload::{FILE_KEY_BYTES, PayloadKey, SALT_BYTES};
use crate::{Cause, DecodeError};

/// What every version begins with.
const MAGIC: &[u8] = b"age-encryption.org/";
const FIRST_LINE: &[u8] = b"age-encryption.org/v1\n";
/// What its last line begins with.
const LAST_LINE: &[u8] = b"---";

/// Makes a header, with the salt of the payload behind it, and the key of the payload.
pub(super) fn seal(to: &Recipients) -> Result<(Vec<u8>, PayloadKey), Cause> {
    let seen = RefCell::new(None);
    let recipients: Vec<Seen<'_, Box<dyn age::Recipient>>> =
        to.as_age().into_iter().map(|by| Seen { by, file_key: &seen }).collect();
    let encryptor = Encryptor::with_recipients(recipients.iter().map(|recipient| recipient as &dyn age::Recipient))
        .map_err(|error| error.to_string())?;
    let mut header = Vec::new();
    // The payload that would be written behind it is given up.
    drop(encryptor.wrap_output(&mut header)?);
    let key = payload_key(&header, &seen).ok_or("the crate age made no key")?;
    Ok((header, key))
}

/// Finds the key of the payload with a whole header and the salt behind it.
pub(super) fn open(header: &[u8], with: &Identities) -> Result<PayloadKey, DecodeError> {
    let seen = RefCell::new(None);
    let identities: Vec<Seen<'_, Box<dyn age::Identity>>> =
        with.as_age().into_iter().map(|by| Seen { by, file_key: &seen }).collect();
    let identity = Seen { by: identities, file_key: &seen };
    Decryptor::new_buffered(WholeHeader(header))
        .and_then(|decryptor| decryptor.decrypt(std::iter::once(&identity as &dyn age::Identity)))
        .map_err(|error| refused(error, header, with))?;
    payload_key(header, &seen).ok_or(DecodeError::WrongKey { format: FORMAT })
}

fn payload_key(header: &[u8], seen: &RefCell<Option<FileKey>>) -> Option<PayloadKey> {
    let salt = &header[header.len().checked_sub(SALT_BYTES)?..];
    PayloadKey::derive(seen.borrow().as_ref()?.expose_secret(), salt).ok()
}

fn refused(error: DecryptError, header: &[u8], with: &Identities) -> DecodeError {
    match error {
        DecryptError::NoMatchingKeys | DecryptError::DecryptionFailed | DecryptError::KeyDecryptionFailed => {
            DecodeError::WrongKey { format: FORMAT }
        }
        DecryptError::ExcessiveWork { required, .. } => {
            DecodeError::TooMuchWork { format: FORMAT, asked: required, limit: with.work_factor_limit() }
        }
        DecryptError::Io(_) => DecodeError::Truncated { format: FORMAT, offset: header.len() as u64 },
        DecryptError::InvalidMac => DecodeError::malformed(FORMAT, 0, "its header was changed after it was encrypted"),
        _ => DecodeError::malformed(FORMAT, 0, "its header breaks the rules of the format"),
    }
}

/// Where a header ends.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Found {
    /// Behind this many bytes.
    End(usize),
    /// Not in what came so far.
    Nothing,
}

/// Looks for the end of the header, from the line on that was not whole before. What is clearly no header is refused at
/// once, so that nobody gathers a large file of another kind.
pub(super) fn find_end(bytes: &[u8], line: &mut usize) -> Result<Found, DecodeError> {
    let known = bytes.len().min(FIRST_LINE.len());
    if bytes[..known] != FIRST_LINE[..known] {
        let is_age = bytes.len() > MAGIC.len() && bytes.starts_with(MAGIC);
        let what = if is_age { "its version is not v1" } else { "it does not begin with age-encryption.org/v1" };
        return Err(DecodeError::malformed(FORMAT, 0, what));
    }
    while let Some(length) = memchr(b'\n', &bytes[*line..]) {
        let end = *line + length + 1;
        if bytes[*line..].starts_with(LAST_LINE) {
            return Ok(Found::End(end));
        }
        *line = end;
    }
    Ok(Found::Nothing)
}

/// A recipient or identity, or several, with a place where the key of the file is kept when it passes.
struct Seen<'a, T> {
    by: T,
    file_key: &'a RefCell<Option<FileKey>>,
}

impl<T> Seen<'_, T> {
    fn keep(&self, file_key: &FileKey) {
        let copy = |bytes: &mut [u8; FILE_KEY_BYTES]| bytes.copy_from_slice(file_key.expose_secret());
        *self.file_key.borrow_mut() = Some(FileKey::init_with_mut(copy));
    }
}

impl age::Recipient for Seen<'_, Box<dyn age::Recipient>> {
    fn wrap_file_key(&self, file_key: &FileKey) -> Result<(Vec<Stanza>, HashSet<String>), EncryptError> {
        self.keep(file_key);
        self.by.wrap_file_key(file_key)
    }
}

impl age::Identity for Seen<'_, Box<dyn age::Identity>> {
    fn unwrap_stanza(&self, stanza: &Stanza) -> Option<Result<FileKey, DecryptError>> {
        self.unwrap_stanzas(std::slice::from_ref(stanza))
    }

    fn unwrap_stanzas(&self, stanzas: &[Stanza]) -> Option<Result<FileKey, DecryptError>> {
        let unwrapped = self.by.unwrap_stanzas(stanzas);
        if let Some(Ok(file_key)) = &unwrapped {
            self.keep(file_key);
        }
        unwrapped
    }
}

impl age::Identity for Seen<'_, Vec<Seen<'_, Box<dyn age::Identity>>>> {
    fn unwrap_stanza(&self, stanza: &Stanza) -> Option<Result<FileKey, DecryptError>> {
        self.unwrap_stanzas(std::slice::from_ref(stanza))
    }

    /// A passphrase that is wrong does not keep the next one from being tried.
    fn unwrap_stanzas(&self, stanzas: &[Stanza]) -> Option<Result<FileKey, DecryptError>> {
        let mut refused = None;
        for identity in &self.by {
            match identity.unwrap_stanzas(stanzas) {
                None => {}
                Some(Err(DecryptError::DecryptionFailed)) => refused = Some(Err(DecryptError::DecryptionFailed)),
                Some(outcome) => return Some(outcome),
            }
        }
        refused
    }
}

/// A header in memory. The crate reads it by lines, and begins again with each; all at once is one line for it, so that the
/// time that a large header takes does not grow with the square of its length.
struct WholeHeader<'a>(&'a [u8]);

impl Read for WholeHeader<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.0.read(buffer)
    }
}

impl BufRead for WholeHeader<'_> {
    fn fill_buf(&mut self) -> io::Result<&[u8]> {
        Ok(self.0)
    }

    fn consume(&mut self, bytes: usize) {
        self.0.consume(bytes);
    }

    fn read_until(&mut self, _: u8, line: &mut Vec<u8>) -> io::Result<usize> {
        let (header, salt) = self.0.split_at(self.0.len().saturating_sub(SALT_BYTES));
        line.extend_from_slice(header);
        self.0 = salt;
        Ok(header.len())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_end_of_a_header_is_found_however_it_comes() {
        let header = b"age-encryption.org/v1\n-> X25519 abc\nbody\n--- mac\nrest";
        let whole = header.len() - 4;
        let mut line = 0;
        for came in 1..=header.len() {
            let found = find_end(&header[..came], &mut line);
            let expected = if came >= whole { Found::End(whole) } else { Found::Nothing };
            assert_eq!(found, Ok(expected), "{came} bytes");
        }
    }

    #[test]
    fn what_is_no_header_is_refused_at_once() {
        let what = |bytes: &[u8]| find_end(bytes, &mut 0).unwrap_err().to_string();
        assert!(what(b"agf").contains("it does not begin with age-encryption.org/v1"));
        assert!(what(b"age-encryption.org/v2").contains("its version is not v1"));
    }
}
