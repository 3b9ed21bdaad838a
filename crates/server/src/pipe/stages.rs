//! The stages of `phalanx pipe`, in the order in which they stand on the command line.
//!
//! clap groups values by flag; their order is put together again from the places at which they stood. So that a flag
//! without a value has such a place, it is an option whose missing value is filled in.

use std::path::PathBuf;

use clap::error::ErrorKind;
use clap::{Arg, ArgAction, ArgMatches, Args, Command, FromArgMatches};
use phalanx_stream::Algorithm;

use crate::config::quantity::ByteSize;

/// Levels of gzip, as libdeflate has them.
const GZIP_LEVELS: std::ops::RangeInclusive<i64> = 1..=12;
/// Level of `--gzip` without a value, as the program gzip has it.
const GZIP_LEVEL: &str = "6";
/// Levels of zstd.
const ZSTD_LEVELS: std::ops::RangeInclusive<i64> = 1..=22;
/// Level of `--zstd` without a value, as the program zstd has it.
const ZSTD_LEVEL: &str = "3";
const HEADING: &str = "Stages, worked in the order given";

/// One stage, as it was asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Asked {
    Upper(Letters),
    Gzip(u32),
    Gunzip,
    Zstd(i32),
    Unzstd,
    Encrypt,
    Decrypt,
    Hash(Algorithm),
    Tee(PathBuf),
    Throttle(u64),
}

/// Which letters become upper case.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Letters {
    Ascii,
    Unicode,
}

impl Asked {
    /// Whether other bytes come out than went in.
    pub(super) fn changes(&self) -> bool {
        !matches!(self, Asked::Hash(_) | Asked::Tee(_) | Asked::Throttle(_))
    }

    /// Whether what it gives is nothing for a terminal, if `armored` data is.
    pub(super) fn gives_binary(&self, armored: bool) -> Option<bool> {
        match self {
            Asked::Gzip(_) | Asked::Zstd(_) => Some(true),
            Asked::Encrypt => Some(!armored),
            Asked::Gunzip | Asked::Unzstd | Asked::Decrypt => Some(false),
            Asked::Upper(_) | Asked::Hash(_) | Asked::Tee(_) | Asked::Throttle(_) => None,
        }
    }
}

/// All that were asked for, in their order.
#[derive(Debug, Clone, Default)]
pub(super) struct Stages(pub(super) Vec<Asked>);

/// Its flags.
fn flags() -> [Arg; 10] {
    [
        flag("upper", "ascii", upper)
            .value_name("LETTERS")
            .help("Upper case: `ascii` letters [the default], or all of `unicode` (the input is UTF-8 then)"),
        flag("gzip", GZIP_LEVEL, |text| level(text, GZIP_LEVELS).map(|level| Asked::Gzip(level as u32)))
            .value_name("LEVEL")
            .help("Compress as gzip, level 1 to 12 [default: 6]; any gunzip reads it"),
        bare("gunzip", Asked::Gunzip).help("Decompress gzip"),
        flag("zstd", ZSTD_LEVEL, |text| level(text, ZSTD_LEVELS).map(|level| Asked::Zstd(level as i32)))
            .value_name("LEVEL")
            .help("Compress as zstd, level 1 to 22 [default: 3]; any unzstd reads it"),
        bare("unzstd", Asked::Unzstd).help("Decompress zstd"),
        bare("encrypt", Asked::Encrypt).help("Encrypt as age: to the recipients of -r and -R, or with the passphrase"),
        bare("decrypt", Asked::Decrypt).help("Decrypt age: with the keys of -i, or with the passphrase"),
        flag("hash", "blake3", hash)
            .value_name("ALGORITHM")
            .help("Let the bytes pass and tell their digest at the end: `blake3` [the default] or `sha-256`"),
        bare("tee", Asked::Tee(PathBuf::new()))
            .num_args(1)
            .value_name("FILE")
            .value_parser(|text: &str| Ok::<_, String>(Asked::Tee(text.into())))
            .help("Also write what is here into a file"),
        bare("throttle", Asked::Throttle(0))
            .num_args(1)
            .value_name("SIZE")
            .value_parser(throttle)
            .help("Let no more than this through in a second, such as 10MiB"),
    ]
}

/// An option whose value may be left out, and else stands behind `=`: what follows is never taken for it.
fn flag(name: &'static str, missing: &'static str, parse: fn(&str) -> Result<Asked, String>) -> Arg {
    let option = Arg::new(name).long(name).action(ArgAction::Append).help_heading(HEADING);
    option.num_args(0..=1).require_equals(true).default_missing_value(missing).value_parser(parse)
}

fn bare(name: &'static str, stage: Asked) -> Arg {
    let option = Arg::new(name).long(name).action(ArgAction::Append).help_heading(HEADING);
    option.num_args(0).default_missing_value("").value_parser(move |_: &str| Ok::<_, String>(stage.clone()))
}

fn upper(text: &str) -> Result<Asked, String> {
    match text {
        "ascii" => Ok(Asked::Upper(Letters::Ascii)),
        "unicode" => Ok(Asked::Upper(Letters::Unicode)),
        _ => Err("choose ascii or unicode".into()),
    }
}

fn hash(text: &str) -> Result<Asked, String> {
    text.parse().map(Asked::Hash).map_err(|_| "choose blake3 or sha-256".into())
}

fn throttle(text: &str) -> Result<Asked, String> {
    let ByteSize(bytes) = text.trim_end_matches("/s").parse()?;
    if bytes == 0 { Err("nothing would ever come through".into()) } else { Ok(Asked::Throttle(bytes)) }
}

fn level(text: &str, levels: std::ops::RangeInclusive<i64>) -> Result<i64, String> {
    let wrong = || format!("levels are {} to {}", levels.start(), levels.end());
    text.parse().ok().filter(|level| levels.contains(level)).ok_or_else(wrong)
}

impl FromArgMatches for Stages {
    fn from_arg_matches(matches: &ArgMatches) -> Result<Self, clap::Error> {
        let mut asked = Vec::new();
        for flag in flags() {
            let name = flag.get_id().as_str();
            let stages = matches.try_get_many::<Asked>(name);
            let stages = stages.map_err(|error| clap::Error::raw(ErrorKind::InvalidValue, error))?;
            let places = matches.indices_of(name).into_iter().flatten();
            asked.extend(places.zip(stages.into_iter().flatten().cloned()));
        }
        asked.sort_by_key(|(place, _)| *place);
        Ok(Stages(asked.into_iter().map(|(_, stage)| stage).collect()))
    }

    fn update_from_arg_matches(&mut self, matches: &ArgMatches) -> Result<(), clap::Error> {
        *self = Stages::from_arg_matches(matches)?;
        Ok(())
    }
}

impl Args for Stages {
    fn augment_args(command: Command) -> Command {
        command.args(flags())
    }

    fn augment_args_for_update(command: Command) -> Command {
        Stages::augment_args(command)
    }
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::super::PipeArguments;
    use super::*;

    #[derive(Debug, Parser)]
    struct Line {
        #[command(flatten)]
        pipe: PipeArguments,
    }

    fn stages(line: &str) -> Vec<Asked> {
        Line::try_parse_from(std::iter::once("pipe").chain(line.split(' '))).unwrap().pipe.stages.0
    }

    #[test]
    fn they_keep_their_order() {
        use Asked::*;
        let upper = Upper(Letters::Ascii);
        assert_eq!(stages("in --gunzip --upper --zstd=9 out"), [Gunzip, upper.clone(), Zstd(9)]);
        assert_eq!(stages("--zstd --upper in --gunzip out"), [Zstd(3), upper.clone(), Gunzip]);
        let all = "--hash --decrypt -i k --gunzip --upper=unicode --tee f --throttle 1MiB/s --gzip --hash=sha-256 -r r --encrypt";
        let hash = |how| Hash(how);
        assert_eq!(
            stages(all),
            [
                hash(Algorithm::Blake3),
                Decrypt,
                Gunzip,
                Upper(Letters::Unicode),
                Tee("f".into()),
                Throttle(1 << 20),
                Gzip(6),
                hash(Algorithm::Sha256),
                Encrypt
            ]
        );
        assert_eq!(stages("--upper --upper"), [upper.clone(), upper]);
    }

    #[test]
    fn a_wrong_value_says_which_are_right() {
        for (line, says) in [
            ("--gzip=13", "levels are 1 to 12"),
            ("--zstd=no", "levels are 1 to 22"),
            ("--hash=md5", "choose blake3 or sha-256"),
            ("--upper=all", "choose ascii or unicode"),
            ("--throttle 0", "nothing would ever come through"),
        ] {
            let told = Line::try_parse_from(std::iter::once("pipe").chain(line.split(' '))).unwrap_err().to_string();
            assert!(told.contains(says), "{told}");
        }
    }
}
