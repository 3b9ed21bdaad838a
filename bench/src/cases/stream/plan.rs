//! What is measured, from which file, and who takes part.

use clap::ValueEnum;

use super::contender::Contender;

/// What is done to a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, ValueEnum)]
pub(crate) enum Measure {
    /// Copied in upper case
    Upper,
    /// Compressed by all cores
    Gzip,
    /// Compressed by one
    GzipAlone,
    /// Inflated
    Gunzip,
    /// Compressed with Zstandard by all cores
    Zstd,
    /// Inflated again
    Unzstd,
    /// Encrypted for one recipient
    Encrypt,
    /// Encrypted, but not written
    EncryptOnly,
    /// Decrypted
    Decrypt,
    /// Decrypted, inflated, upper-cased, compressed
    Chain,
    /// The digest of it
    Hash,
}

impl Measure {
    pub(super) const ALL: [Self; 11] = [
        Self::Upper,
        Self::Gzip,
        Self::GzipAlone,
        Self::Gunzip,
        Self::Zstd,
        Self::Unzstd,
        Self::Encrypt,
        Self::EncryptOnly,
        Self::Decrypt,
        Self::Chain,
        Self::Hash,
    ];

    pub(super) fn title(self) -> &'static str {
        match self {
            Self::Upper => "upper-case copy",
            Self::Gzip => "gzip, level 6, all cores",
            Self::GzipAlone => "gzip, level 6, one core",
            Self::Gunzip => "gunzip",
            Self::Zstd => "zstd, level 3, all cores",
            Self::Unzstd => "unzstd",
            Self::Encrypt => "age, encrypt for one recipient",
            Self::EncryptOnly => "age, encrypt, not written",
            Self::Decrypt => "age, decrypt",
            Self::Chain => "decrypt → gunzip → upper → zstd",
            Self::Hash => "BLAKE3, not written",
        }
    }

    pub(super) fn input(self) -> Input {
        match self {
            Self::Gunzip => Input::Gzipped,
            Self::Unzstd => Input::Zstd,
            Self::Decrypt => Input::Encrypted,
            Self::Chain => Input::GzippedAndEncrypted,
            _ => Input::Plain,
        }
    }

    /// Whether the plain text comes out, to the byte.
    pub(super) fn gives_as_much(self) -> bool {
        matches!(self, Self::Upper | Self::Gunzip | Self::Unzstd | Self::Decrypt)
    }

    pub(super) fn is_written(self) -> bool {
        !matches!(self, Self::EncryptOnly | Self::Hash)
    }

    pub(super) fn contenders(self) -> &'static [Contender] {
        use Contender::{Aead, Age, ByHand, Gzip, Node, NodeLarge, OneCore, Phalanx, Pigz, Rage, Zstd, ZstdTwo};
        match self {
            Self::Upper => &[Phalanx, OneCore, ByHand, Node, NodeLarge],
            Self::Gzip => &[Phalanx, Pigz],
            Self::GzipAlone => &[OneCore, Gzip, Node],
            Self::Gunzip => &[Phalanx, Pigz, Gzip],
            Self::Zstd => &[Phalanx, ZstdTwo],
            Self::Unzstd => &[Phalanx, Zstd],
            Self::Encrypt | Self::Decrypt => &[Phalanx, Rage, Age],
            Self::EncryptOnly => &[Phalanx, Aead],
            Self::Chain => &[Phalanx],
            Self::Hash => &[Phalanx, OneCore],
        }
    }
}

/// A file that is there before the first round.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Input {
    Plain,
    Gzipped,
    Zstd,
    Encrypted,
    GzippedAndEncrypted,
}

impl Input {
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Plain => "plain",
            Self::Gzipped => "plain.gz",
            Self::Zstd => "plain.zst",
            Self::Encrypted => "plain.age",
            Self::GzippedAndEncrypted => "plain.gz.age",
        }
    }

    /// What `phalanx pipe` is told to make it of the plain one.
    pub(super) fn stages(self) -> Vec<&'static str> {
        match self {
            Self::Plain => vec![],
            Self::Gzipped => vec!["--gzip=6"],
            Self::Zstd => vec!["--zstd=3"],
            Self::Encrypted => vec!["--encrypt", "-r", RECIPIENT],
            Self::GzippedAndEncrypted => vec!["--gzip=6", "--encrypt", "-r", RECIPIENT],
        }
    }
}

/// Made for this, and known to everybody.
pub(super) const RECIPIENT: &str = "age16uv564y05ujlt77g026wd54xgngrg38esph06utw329lymv7f9hq6pmj6g";
pub(super) const IDENTITY: &str = "AGE-SECRET-KEY-1QHA2FPTF68F7ERMZFL2H075Z5PVPWNJ95E308MRGQRWGA2H4YYHSTHLZGZ";
