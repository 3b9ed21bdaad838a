//! Settings that are neither numbers nor paths: one of a few words, or a word with a value.

use std::fmt;
use std::path::Path;
use std::str::FromStr;

use clap::ValueEnum;
use serde::{Deserialize, Serialize};

/// How connections come to workers. (No doc comments inside: clap would then spread its help over many lines.)
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum, Deserialize, Serialize)]
#[serde(rename_all = "kebab-case")]
#[allow(missing_docs)]
pub(crate) enum Distribution {
    // One socket for all; whoever is free takes the next.
    Shared,
    // One socket a worker; the kernel chooses by a hash.
    #[value(name = "reuseport")]
    #[serde(rename = "reuseport")]
    ReusePort,
    // A dispatcher hands them out in turn.
    RoundRobin,
    // A dispatcher hands them to the worker with the fewest.
    LeastLoaded,
    // A dispatcher hands those of one address to one worker.
    Sticky,
}

/// Whether workers are bound to cores.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum, Deserialize, Serialize)]
#[serde(rename_all = "kebab-case")]
#[allow(missing_docs)]
pub(crate) enum Affinity {
    // The kernel decides.
    None,
    // Place n runs on the n-th usable core.
    Pin,
}

/// Where pictures of strangers are decoded.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum, Deserialize, Serialize)]
#[serde(rename_all = "kebab-case")]
#[allow(missing_docs)]
pub(crate) enum Isolation {
    // On the CPU threads of the workers.
    Thread,
    // In job processes.
    Process,
}

/// What becomes of the sandbox of job processes where the kernel lacks a part of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum, Deserialize, Serialize)]
#[serde(rename_all = "kebab-case")]
#[allow(missing_docs)]
pub(crate) enum Sandboxing {
    // The server starts with what there is, and says what is missing.
    Prefer,
    // It does not start.
    Require,
    // Nothing is denied.
    Off,
}

/// What a new worker must pass before the old one leaves.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, Serialize)]
#[serde(try_from = "String", into = "String")]
pub(crate) enum HealthGate {
    /// Its own word.
    Ready,
    /// A success for this path, asked through its own HTTP server.
    Path(String),
    /// This shell line ends with 0.
    Command(String),
}

impl FromStr for HealthGate {
    type Err = String;
    fn from_str(text: &str) -> Result<Self, String> {
        match text.split_once(':') {
            _ if text == "ready" => Ok(HealthGate::Ready),
            _ if text.starts_with('/') => Ok(HealthGate::Path(text.to_owned())),
            Some(("command", line)) if !line.trim().is_empty() => Ok(HealthGate::Command(line.to_owned())),
            _ => Err(format!("{text:?} is no health gate; write ready, a path such as /readyz, or command:LINE")),
        }
    }
}

impl TryFrom<String> for HealthGate {
    type Error = String;
    fn try_from(text: String) -> Result<Self, String> {
        text.parse()
    }
}

impl From<HealthGate> for String {
    fn from(gate: HealthGate) -> String {
        gate.to_string()
    }
}

impl fmt::Display for HealthGate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            HealthGate::Ready => f.write_str("ready"),
            HealthGate::Path(path) => f.write_str(path),
            HealthGate::Command(line) => write!(f, "command:{line}"),
        }
    }
}

/// A user, and a group: names of `/etc/passwd` and `/etc/group`, or numbers. Without a group, the user's own.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, Serialize)]
#[serde(try_from = "String", into = "String")]
pub(crate) struct Account {
    written: String,
    /// User id.
    pub(crate) user: u32,
    /// Group id.
    pub(crate) group: u32,
}

const USERS: &str = "/etc/passwd";
const GROUPS: &str = "/etc/group";

impl FromStr for Account {
    type Err = String;
    fn from_str(text: &str) -> Result<Self, String> {
        let (user_name, group_name) = text.split_once(':').map_or((text, None), |(user, group)| (user, Some(group)));
        let known = Entry::find(Path::new(USERS), user_name);
        let user = user_name.parse().ok().or(known.as_ref().map(|entry| entry.id));
        let user =
            user.ok_or_else(|| format!("there is no user {user_name:?} in {USERS}; write its name or number"))?;
        let group = match group_name {
            Some(name) => name.parse().ok().or_else(|| Some(Entry::find(Path::new(GROUPS), name)?.id)),
            None => known.and_then(|entry| entry.group),
        };
        let group =
            group.ok_or_else(|| format!("{text:?} names no known group; write USER:GROUP, names or numbers"))?;
        Ok(Account { written: text.to_owned(), user, group })
    }
}

impl TryFrom<String> for Account {
    type Error = String;
    fn try_from(text: String) -> Result<Self, String> {
        text.parse()
    }
}

impl From<Account> for String {
    fn from(account: Account) -> String {
        account.written
    }
}

/// A line of `passwd(5)` or `group(5)`.
struct Entry {
    id: u32,
    group: Option<u32>,
}

impl Entry {
    fn find(file: &Path, name: &str) -> Option<Entry> {
        let text = std::fs::read_to_string(file).ok()?;
        text.lines().find_map(|line| {
            let mut parts = line.split(':');
            let (its_name, _password, id) = (parts.next()?, parts.next()?, parts.next()?);
            let group = parts.next().and_then(|group| group.parse().ok());
            (its_name == name || id == name).then_some(Entry { id: id.parse().ok()?, group })
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_gate_is_a_word_a_path_or_a_command() {
        for (text, gate) in [
            ("ready", HealthGate::Ready),
            ("/readyz", HealthGate::Path("/readyz".into())),
            ("command:curl -f x", HealthGate::Command("curl -f x".into())),
        ] {
            assert_eq!(text.parse(), Ok(gate.clone()));
            assert_eq!(gate.to_string(), text);
        }
        for text in ["", "yes", "command:", "readyz"] {
            assert!(text.parse::<HealthGate>().unwrap_err().contains("is no health gate"), "{text:?}");
        }
    }

    #[test]
    fn an_account_is_found_by_name_and_number() {
        let root: Account = "root".parse().unwrap();
        assert_eq!((root.user, root.group), (0, 0));
        let numbers: Account = "1234:5678".parse().unwrap();
        assert_eq!((numbers.user, numbers.group), (1234, 5678));
        assert!("no-such-user-here".parse::<Account>().unwrap_err().contains("no user"));
    }
}
