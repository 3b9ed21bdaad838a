//! A passphrase from the terminal, without an echo. Whatever ends the process meanwhile, the echo comes back.

use std::fs::File;
use std::io::{BufRead, BufReader, Write};
use std::sync::{Mutex, PoisonError};

use rustix::termios::{LocalModes, OptionalActions, Termios, tcgetattr, tcsetattr};

/// The controlling terminal, also if the standard streams are redirected.
const TERMINAL: &str = "/dev/tty";

/// What the terminal was before, while its echo is off.
static BEFORE: Mutex<Option<(File, Termios)>> = Mutex::new(None);

/// Asks for a passphrase; with `again` a second time, so that nobody encrypts with a slip of the finger.
pub(super) fn passphrase(again: bool) -> Result<String, String> {
    let first = ask("Passphrase: ")?;
    if first.is_empty() {
        return Err("the passphrase is empty".into());
    }
    if again && ask("The same again: ")? != first {
        return Err("the two passphrases differ".into());
    }
    Ok(first)
}

/// The echo comes back, if it was switched off.
pub(super) fn restore() {
    if let Some((terminal, before)) = BEFORE.lock().unwrap_or_else(PoisonError::into_inner).take() {
        let _ = tcsetattr(&terminal, OptionalActions::Flush, &before);
        let _ = writeln!(&terminal);
    }
}

fn ask(prompt: &str) -> Result<String, String> {
    let failed = |error: std::io::Error| {
        format!("cannot ask for a passphrase on {TERMINAL}: {error}; use --passphrase-file or --passphrase-env")
    };
    let terminal = File::options().read(true).write(true).open(TERMINAL).map_err(failed)?;
    silence(&terminal).map_err(failed)?;
    let asked = (&terminal).write_all(prompt.as_bytes());
    let mut line = String::new();
    let read = asked.and_then(|()| BufReader::new(&terminal).read_line(&mut line));
    restore();
    read.map_err(failed)?;
    line.truncate(line.trim_end_matches(['\n', '\r']).len());
    Ok(line)
}

fn silence(terminal: &File) -> std::io::Result<()> {
    let before = tcgetattr(terminal)?;
    let mut silent = before.clone();
    silent.local_modes.remove(LocalModes::ECHO);
    *BEFORE.lock().unwrap_or_else(PoisonError::into_inner) = Some((terminal.try_clone()?, before));
    Ok(tcsetattr(terminal, OptionalActions::Flush, &silent)?)
}
