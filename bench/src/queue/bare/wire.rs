//! Requests and answers of the bare queue, all of one size: a letter, the number of a job, a body.

use std::io::{Read, Write};
use std::path::{Path, PathBuf};

use crate::PAYLOAD_BYTES;

pub(crate) const SIZE: usize = 1 + 8 + PAYLOAD_BYTES;

/// What a client asks for, or what it is told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Enqueue,
    Claim,
    Finish,
    Confirmed,
}

/// A request or an answer.
#[derive(Clone)]
pub(crate) struct Record {
    pub(crate) kind: Kind,
    pub(crate) job: u64,
    pub(crate) body: [u8; PAYLOAD_BYTES],
}

impl Record {
    pub(crate) fn of(kind: Kind, job: u64) -> Self {
        Self { kind, job, body: [b'x'; PAYLOAD_BYTES] }
    }

    /// The first record of `bytes`, if it is whole and its letter is known.
    pub(crate) fn parse(bytes: &[u8; SIZE]) -> Option<Self> {
        let kind = match bytes[0] {
            b'e' => Kind::Enqueue,
            b'c' => Kind::Claim,
            b'f' => Kind::Finish,
            b'y' => Kind::Confirmed,
            _ => return None,
        };
        let (job, body) = bytes[1..].split_first_chunk()?;
        Some(Self { kind, job: u64::from_be_bytes(*job), body: *body.first_chunk()? })
    }

    pub(crate) fn bytes(&self) -> [u8; SIZE] {
        let mut bytes = [0; SIZE];
        bytes[0] = match self.kind {
            Kind::Enqueue => b'e',
            Kind::Claim => b'c',
            Kind::Finish => b'f',
            Kind::Confirmed => b'y',
        };
        bytes[1..9].copy_from_slice(&self.job.to_be_bytes());
        bytes[9..].copy_from_slice(&self.body);
        bytes
    }

    pub(crate) fn write(&self, mut to: impl Write) -> std::io::Result<()> {
        to.write_all(&self.bytes())
    }

    pub(crate) fn read(mut from: impl Read) -> std::io::Result<Self> {
        let mut bytes = [0; SIZE];
        from.read_exact(&mut bytes)?;
        Self::parse(&bytes).ok_or_else(|| std::io::Error::other("an unknown letter"))
    }
}

pub(crate) fn socket(folder: &Path) -> PathBuf {
    folder.join("socket")
}
