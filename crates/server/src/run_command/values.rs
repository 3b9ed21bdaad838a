//! How values are written: as text on the command line, as text, numbers, lists or tables in a file of apps.

mod environment;
mod instances;
mod texts;

pub(super) use environment::{Variable, environment};
pub(super) use instances::Instances;
pub(super) use texts::{Words, one_or_many, watched};

use std::fmt::Display;
use std::str::FromStr;

use clap::ValueEnum;
use phalanx::process::Signal;
use serde::Deserialize;
use serde::de::{self, Deserializer};

/// For what is written as on the command line.
pub(super) fn text<'de, T, D>(from: D) -> Result<Option<T>, D::Error>
where
    T: FromStr<Err: Display>,
    D: Deserializer<'de>,
{
    String::deserialize(from)?.parse().map(Some).map_err(de::Error::custom)
}

/// A signal by name, with or without `SIG`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct StopSignal(pub(super) Signal);

impl FromStr for StopSignal {
    type Err = String;
    fn from_str(text: &str) -> Result<Self, String> {
        let name = text.to_uppercase();
        let name = if name.starts_with("SIG") { name } else { format!("SIG{name}") };
        Signal::from_name(&name)
            .map(StopSignal)
            .ok_or_else(|| format!("{text:?} is no signal; write for example SIGTERM, SIGINT or SIGQUIT"))
    }
}

/// How Node writes messages. (No doc comments inside: clap would then spread its help over many lines.)
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[allow(missing_docs)]
pub(super) enum Serialization {
    // As text.
    Json,
    // As V8 clones values.
    Advanced,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_signal_is_known_by_its_names() {
        for text in ["SIGINT", "INT", "sigint", "int"] {
            assert_eq!(text.parse(), Ok(StopSignal(Signal::Interrupt)), "{text}");
        }
        assert!("SIGWHAT".parse::<StopSignal>().unwrap_err().contains("is no signal"));
    }
}
