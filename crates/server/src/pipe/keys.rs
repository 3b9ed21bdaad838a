//! Keys and passphrases of `phalanx pipe`: where they come from. A passphrase is never an argument: every process of the
//! machine could read it there.

use std::fs::File;
use std::io::{self, BufRead, BufReader, IsTerminal, Read, Write};
use std::path::Path;

use phalanx_stream::{Identities, Identity, KeyError, Recipient, Recipients};

use super::arguments::KeyArguments;
use super::{PipeArguments, terminal};
use crate::ending::Ending;
use crate::pipe::stages::Asked;

/// A passphrase that is longer is none: somebody named the wrong file.
const LONGEST_PASSPHRASE: u64 = 4096;

impl From<KeyError> for Ending {
    fn from(error: KeyError) -> Ending {
        Ending::failed(error.to_string())
    }
}

/// What the stages encrypt to and decrypt with.
#[derive(Debug, Default)]
pub(super) struct Keys {
    recipients: Option<Recipients>,
    identities: Option<Identities>,
}

impl Keys {
    /// For `--encrypt`.
    pub(super) fn recipients(&self) -> Result<Recipients, Ending> {
        self.recipients.clone().ok_or_else(|| Ending::usage("--encrypt needs a recipient or a passphrase"))
    }

    /// For `--decrypt`.
    pub(super) fn identities(&self) -> Result<Identities, Ending> {
        self.identities.clone().ok_or_else(|| Ending::usage("--decrypt needs a key or a passphrase"))
    }

    /// Reads the files, asks for the passphrase: before anything is opened for writing.
    pub(super) fn gather(arguments: &PipeArguments) -> Result<Keys, Ending> {
        let (stages, given) = (&arguments.stages.0, &arguments.keys);
        let mut keys = Keys::default();
        if given.has_recipients() {
            keys.recipients = Some(recipients(given)?);
        }
        for path in &given.identity {
            let more = Identities::file(path)?;
            keys.identities = Some(match keys.identities {
                Some(all) => all.and(more),
                None => more,
            });
        }
        let encrypts = stages.contains(&Asked::Encrypt) && keys.recipients.is_none();
        let decrypts = stages.contains(&Asked::Decrypt) && keys.identities.is_none();
        if encrypts || decrypts {
            let passphrase = passphrase(given, encrypts).map_err(Ending::failed)?;
            if encrypts {
                keys.recipients = Some(Recipients::passphrase(passphrase.clone()));
            }
            if decrypts {
                keys.identities = Some(Identities::passphrase(passphrase));
            }
        }
        Ok(keys)
    }
}

fn recipients(given: &KeyArguments) -> Result<Recipients, Ending> {
    let mut recipients = Vec::new();
    for text in &given.recipient {
        let told = |error| match text.starts_with("age1") {
            true => Ending::failed(format!("-r {text}: {error}")),
            // Perhaps a secret, by mistake.
            false => Ending::from(error),
        };
        recipients.push(text.parse::<Recipient>().map_err(told)?);
    }
    for path in &given.recipients_file {
        recipients.extend(Recipient::file(path)?);
    }
    Ok(Recipients::new(recipients)?)
}

/// From where the flags say; asked for twice if something will be encrypted with it.
fn passphrase(given: &KeyArguments, encrypts: bool) -> Result<String, String> {
    if let Some(path) = &given.passphrase_file {
        return first_line(path);
    }
    let Some(name) = &given.passphrase_env else { return terminal::passphrase(encrypts) };
    match std::env::var(name) {
        Ok(passphrase) if !passphrase.is_empty() => Ok(passphrase),
        Ok(_) => Err(format!("the environment variable {name} is empty, and should be the passphrase")),
        Err(std::env::VarError::NotPresent) => {
            Err(format!("the environment variable {name} is not set, and should be the passphrase"))
        }
        Err(std::env::VarError::NotUnicode(_)) => Err(format!("the environment variable {name} is no UTF-8")),
    }
}

fn first_line(path: &Path) -> Result<String, String> {
    let shown = path.display();
    let failed = |error: io::Error| format!("cannot read the passphrase from {shown}: {error}");
    let file = File::open(path).map_err(failed)?;
    let mut line = String::new();
    BufReader::new(file.take(LONGEST_PASSPHRASE + 1)).read_line(&mut line).map_err(failed)?;
    line.truncate(line.trim_end_matches(['\n', '\r']).len());
    match line.len() as u64 {
        0 => Err(format!("the first line of {shown} is empty, and should be the passphrase")),
        1..=LONGEST_PASSPHRASE => Ok(line),
        _ => Err(format!("the first line of {shown} is too long for a passphrase")),
    }
}

/// `--keygen`: makes a key, and tells who can be encrypted to with it.
pub(super) fn generate(path: &Path) -> Result<(), Ending> {
    let identity = Identity::generate();
    let recipient = identity.recipient();
    let (told, aside) = if path == Path::new("-") {
        let aside = (!io::stdout().is_terminal()).then(|| format!("public key: {recipient}\n"));
        (format!("# public key: {recipient}\n{}\n", identity.expose()), aside)
    } else {
        identity.write_file(path)?;
        (format!("{recipient}\n"), None)
    };
    let written = io::stdout().write_all(told.as_bytes());
    written.map_err(|error| Ending::failed(format!("cannot write standard output: {error}")))?;
    eprint!("{}", aside.unwrap_or_default());
    Ok(())
}
