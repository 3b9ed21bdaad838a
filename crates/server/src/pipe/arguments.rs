//! What `phalanx pipe` can be asked.

use std::path::{Path, PathBuf};

use clap::Args;

use super::stages::{Asked, Stages};
use crate::config::quantity::ByteSize;

const EXAMPLES: &str = "\
Examples:
  phalanx pipe words.txt loud.txt --upper
      copies a file in upper case, on all cores, in a few MiB of memory whatever its size
  phalanx pipe big.log big.log.gz --gzip=9 --progress
      compresses; gunzip, zcat and the like read it
  zcat access.gz | phalanx pipe --zstd > access.zst
      standard input and output, also written as -
  phalanx pipe --keygen key.txt
      makes a key and tells its recipient: age1…
  phalanx pipe backup.tar backup.tar.zst.age --zstd --encrypt -r age1…
      compresses, then encrypts; -r may be given again for more recipients
  phalanx pipe backup.tar.zst.age backup.tar --decrypt -i key.txt --unzstd --max-size 50GiB
      the way back: the stages stand in the order in which they work
  phalanx pipe secret.txt secret.age --encrypt -p
      asks for a passphrase on the terminal; in scripts: --passphrase-file or --passphrase-env
  phalanx pipe release.tar release.tar.gz --hash=sha-256 --gzip --hash=sha-256
      tells two digests, of what was read and of what was written

Output appears whole or not at all: it is written beside OUT and renamed at the end. After an error, SIGINT or \
SIGTERM nothing is left, and what OUT was before is untouched. What is no regular file (a FIFO, a device) is written \
directly. A stage that decrypts or decompresses checks all that it reads; what came through a FIFO or standard output \
before an error was found has been read already: use it only if the exit code is 0.

Exit code: 0 done; 1 failed (one line on standard error says on what, why and what to do); 2 a wrong command line; \
129, 130, 143 ended by SIGHUP, SIGINT, SIGTERM; 141 whoever read standard output is gone (no message, as with cat).";

/// Copies bytes from IN to OUT through stages, in the order given: on all cores, in bounded memory
#[derive(Debug, Clone, Default, Args)]
#[command(after_help = EXAMPLES, override_usage = "phalanx pipe [IN] [OUT] [STAGES] [OPTIONS]")]
pub(crate) struct PipeArguments {
    /// What is read: a file, or - for standard input [default: -]
    #[arg(value_name = "IN", hide_default_value = true)]
    pub(super) from: Option<PathBuf>,
    /// What is written: a file, or - for standard output [default: -]
    #[arg(value_name = "OUT")]
    pub(super) to: Option<PathBuf>,

    #[command(flatten)]
    pub(super) stages: Stages,

    /// Threads that work [default: the cores]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=1024))]
    pub(super) threads: Option<u16>,
    /// Show on standard error how far it is: bytes, rate, time left
    #[arg(long)]
    pub(super) progress: bool,
    /// The most that each --gunzip and --unzstd may give, such as 10GiB; more is an error [default: no limit]
    #[arg(long, value_name = "SIZE", visible_alias = "limit")]
    pub(super) max_size: Option<ByteSize>,
    /// The most times larger that each --gunzip and --unzstd may make its input [default: no limit]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    pub(super) max_ratio: Option<u32>,
    /// How much may wait between two stages [default: 1MiB]
    #[arg(long, value_name = "SIZE")]
    pub(super) buffer: Option<ByteSize>,
    /// Write the digests of --hash into this file, for sha256sum -c, instead of on standard error
    #[arg(long, value_name = "FILE")]
    pub(super) hash_file: Option<PathBuf>,
    /// Write compressed or encrypted bytes also to a terminal
    #[arg(long)]
    pub(super) force: bool,

    #[command(flatten)]
    pub(super) keys: KeyArguments,
}

/// Who can read what is encrypted, and what opens it.
#[derive(Debug, Clone, Default, Args)]
#[command(next_help_heading = "Keys of --encrypt and --decrypt")]
pub(crate) struct KeyArguments {
    /// Encrypt to this recipient, age1…; may be given again
    #[arg(long, short, value_name = "RECIPIENT")]
    pub(super) recipient: Vec<String>,
    /// Encrypt to the recipients in this file, one on each line; may be given again
    #[arg(long, short = 'R', value_name = "FILE")]
    pub(super) recipients_file: Vec<PathBuf>,
    /// Decrypt with the keys in this file (AGE-SECRET-KEY-1…), as --keygen or age-keygen makes it; may be given again
    #[arg(long, short, value_name = "KEYFILE")]
    pub(super) identity: Vec<PathBuf>,
    /// Ask for a passphrase on the terminal
    #[arg(long, short, conflicts_with_all = ["passphrase_file", "passphrase_env"])]
    pub(super) passphrase: bool,
    /// Take the passphrase from the first line of this file
    #[arg(long, value_name = "FILE", conflicts_with = "passphrase_env")]
    pub(super) passphrase_file: Option<PathBuf>,
    /// Take the passphrase from this environment variable
    #[arg(long, value_name = "NAME")]
    pub(super) passphrase_env: Option<String>,
    /// Write what is encrypted as text (PEM)
    #[arg(long)]
    pub(super) armor: bool,
    /// Only make a new key: into KEYFILE, which must not exist (or - for standard output); its recipient is told
    #[arg(long, value_name = "KEYFILE", exclusive = true)]
    pub(super) keygen: Option<PathBuf>,
}

impl KeyArguments {
    pub(super) fn has_passphrase(&self) -> bool {
        self.passphrase || self.passphrase_file.is_some() || self.passphrase_env.is_some()
    }

    pub(super) fn has_recipients(&self) -> bool {
        !(self.recipient.is_empty() && self.recipients_file.is_empty())
    }
}

impl PipeArguments {
    /// The file that is read; `None` is standard input.
    pub(super) fn input(&self) -> Option<&Path> {
        named(self.from.as_deref())
    }

    /// The file that is written; `None` is standard output.
    pub(super) fn output(&self) -> Option<&Path> {
        named(self.to.as_deref())
    }

    /// Flags that do not fit each other, in one line.
    pub(super) fn check(&self) -> Result<(), String> {
        let has = |stage| self.stages.0.contains(&stage);
        let has_hash = self.stages.0.iter().any(|stage| matches!(stage, Asked::Hash(_)));
        let (keys, encrypts, decrypts) = (&self.keys, has(Asked::Encrypt), has(Asked::Decrypt));
        let opens = !keys.identity.is_empty();
        let passphrase = keys.has_passphrase();
        let by_passphrase = encrypts && !keys.has_recipients() || decrypts && !opens;
        let wrong = if keys.has_recipients() && !encrypts {
            "-r and -R name who can read what is encrypted, and there is no --encrypt"
        } else if opens && !decrypts {
            "-i names the key for --decrypt, which is not given"
        } else if keys.armor && !encrypts {
            "--armor is for --encrypt, which is not given"
        } else if encrypts && !keys.has_recipients() && !passphrase {
            "--encrypt needs to know for whom: a recipient with -r (phalanx pipe --keygen key.txt makes a key), \
             or -p for a passphrase"
        } else if decrypts && !opens && !passphrase {
            "--decrypt needs a key: -i KEYFILE, or -p for a passphrase"
        } else if passphrase && !by_passphrase {
            match encrypts || decrypts {
                true => "the passphrase is not used: -r, -R and -i say the keys already",
                false => "a passphrase is for --encrypt or --decrypt, and neither is given",
            }
        } else if self.hash_file.is_some() && !has_hash {
            "--hash-file is for the digests of --hash, which is not given"
        } else if (self.max_size.is_some() || self.max_ratio.is_some()) && !has(Asked::Gunzip) && !has(Asked::Unzstd) {
            "--max-size and --max-ratio are for --gunzip and --unzstd, and neither is given"
        } else {
            return Ok(());
        };
        Err(wrong.into())
    }

    /// Whether what comes out is nothing for a terminal.
    pub(super) fn gives_binary(&self) -> bool {
        let stages = self.stages.0.iter().rev();
        stages.filter_map(|stage| stage.gives_binary(self.keys.armor)).next().unwrap_or(false)
    }
}

fn named(path: Option<&Path>) -> Option<&Path> {
    path.filter(|path| *path != Path::new("-"))
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    #[derive(Debug, Parser)]
    struct Line {
        #[command(flatten)]
        pipe: PipeArguments,
    }

    fn parsed(line: &str) -> PipeArguments {
        Line::try_parse_from(std::iter::once("pipe").chain(line.split(' '))).unwrap().pipe
    }

    #[test]
    fn keys_belong_to_a_stage() {
        for (line, says) in [
            ("-r age1x", "no --encrypt"),
            ("-i key --upper", "--decrypt"),
            ("--encrypt", "-r"),
            ("--decrypt", "-i KEYFILE"),
            ("-p --gzip", "neither"),
            ("-p --encrypt -r age1x", "not used"),
            ("--hash-file f", "--hash"),
            ("--max-size 1MiB --gzip", "--gunzip"),
            ("--armor --decrypt -p", "--encrypt"),
        ] {
            let told = parsed(line).check().unwrap_err();
            assert!(told.contains(says), "{line}: {told}");
        }
        for line in ["-p --encrypt", "-i k --decrypt", "-i k --decrypt --encrypt -p", "--decrypt --passphrase-env P"] {
            assert_eq!(parsed(line).check(), Ok(()), "{line}");
        }
    }

    #[test]
    fn a_minus_is_a_standard_stream() {
        assert_eq!((parsed("- -").input(), parsed("- -").output()), (None, None));
        assert_eq!(parsed("in").input(), Some(Path::new("in")));
    }

    #[test]
    fn the_last_format_says_whether_it_is_text() {
        for (line, binary) in [
            ("--gzip", true),
            ("--gzip --upper", true),
            ("--gunzip", false),
            ("--zstd --encrypt -p --armor", false),
            ("--encrypt -p", true),
            ("--upper", false),
        ] {
            assert_eq!(parsed(line).gives_binary(), binary, "{line}");
        }
    }
}
