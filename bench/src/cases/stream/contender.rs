//! Who is compared, and how each is told what to do.

use std::path::Path;
use std::process::Command;

use clap::ValueEnum;

use super::plan::{Measure, RECIPIENT};
use crate::peers::{
    Absent, built_beside_us, crate_version, find_program, first_line, node_program, node_script, node_version,
    phalanx_version,
};

pub(super) const PROGRAM: &str = "phalanx-bench-stream";

/// Ours or a rival's.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, ValueEnum)]
pub(crate) enum Contender {
    /// `phalanx pipe`
    Phalanx,
    /// `phalanx pipe --threads 1`
    OneCore,
    /// Two threads and eight buffers, by hand
    ByHand,
    /// Node's streams
    Node,
    /// Node's streams with pieces of 256 KiB, in place
    NodeLarge,
    /// pigz
    Pigz,
    /// gzip
    Gzip,
    /// zstd on all cores
    ZstdTwo,
    /// zstd
    Zstd,
    /// rage
    Rage,
    /// age
    Age,
    /// The AEAD of age in memory, on all cores
    Aead,
}

/// The files of one measurement.
pub(super) struct Files<'a> {
    pub(super) input: &'a Path,
    pub(super) output: &'a Path,
    pub(super) identity: &'a Path,
    pub(super) bytes: u64,
}

impl Contender {
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Phalanx => "phalanx pipe",
            Self::OneCore => "phalanx pipe --threads 1",
            Self::ByHand => "2 threads by hand",
            Self::Node => "node",
            Self::NodeLarge => "node, 256 KiB, in place",
            Self::Pigz => "pigz",
            Self::Gzip => "gzip",
            Self::ZstdTwo => "zstd -T",
            Self::Zstd => "zstd",
            Self::Rage => "rage",
            Self::Age => "age",
            Self::Aead => "the AEAD alone, in memory",
        }
    }

    pub(super) fn versions(self) -> String {
        let of = |program: &str| {
            let line = program_of(program).ok().and_then(|path| first_line(Command::new(path).arg("--version")));
            line.unwrap_or_else(|| "not installed".to_owned())
        };
        match self {
            Self::Phalanx | Self::OneCore => phalanx_version(),
            Self::ByHand => "std".to_owned(),
            Self::Node | Self::NodeLarge => node_version(),
            Self::Pigz => of("pigz"),
            Self::Gzip => of("gzip"),
            Self::Zstd | Self::ZstdTwo => of("zstd"),
            Self::Rage => of("rage"),
            Self::Age => format!("age {}", of("age")),
            Self::Aead => format!("ring {}", crate_version("ring").unwrap_or_default()),
        }
    }

    /// The command that does `measure` once, under the eyes of the timer.
    pub(super) fn command(self, measure: Measure, files: &Files<'_>) -> Result<Command, Absent> {
        let (input, output) = (files.input, files.output);
        let own = built_beside_us(PROGRAM)?;
        let mut timed = Command::new(&own);
        timed.arg("time").arg("--output").arg(output);
        match self {
            Self::Phalanx | Self::OneCore => {
                timed.arg("--").arg(built_beside_us("phalanx")?).arg("pipe").arg(input).arg(output);
                timed.args(stages(measure));
                if matches!(measure, Measure::Decrypt | Measure::Chain) {
                    // The stage that needs the key stands in front.
                    timed.arg("-i").arg(files.identity);
                }
                if self == Self::OneCore {
                    timed.args(["--threads", "1"]);
                }
            }
            Self::ByHand => {
                timed.arg("--").arg(own).arg("by-hand").arg(input).arg(output);
            }
            Self::Node | Self::NodeLarge => {
                let way = match (self, measure) {
                    (_, Measure::GzipAlone) => "gzip",
                    (Self::NodeLarge, _) => "upper-256",
                    _ => "upper",
                };
                timed.arg("--").arg(node_program()?).arg(node_script("stream.js")).args([way]).arg(input).arg(output);
            }
            Self::Pigz | Self::Gzip | Self::Zstd | Self::ZstdTwo => {
                let cores = std::thread::available_parallelism().map_or(1, usize::from).to_string();
                timed.arg("--to-stdout").arg("--").arg(program_of(self.program())?);
                match (self, measure) {
                    (Self::Pigz, Measure::Gzip) => timed.args(["-6", "-p", &cores]),
                    (Self::Gzip, Measure::GzipAlone) => timed.arg("-6"),
                    (Self::ZstdTwo, _) => timed.arg("-3").arg(format!("-T{cores}")),
                    _ => timed.arg("-d"),
                };
                timed.arg("-c").arg(input);
            }
            Self::Rage | Self::Age => {
                timed.arg("--").arg(program_of(self.program())?);
                match measure {
                    Measure::Decrypt => timed.arg("-d").arg("-i").arg(files.identity),
                    _ => timed.args(["-e", "-r", RECIPIENT]),
                };
                timed.arg("-o").arg(output).arg(input);
            }
            Self::Aead => {
                let cores = std::thread::available_parallelism().map_or(1, usize::from);
                timed.arg("--").arg(own).arg("aead").args([files.bytes.to_string(), cores.to_string()]);
            }
        }
        Ok(timed)
    }

    fn program(self) -> &'static str {
        match self {
            Self::Pigz => "pigz",
            Self::Gzip => "gzip",
            Self::Zstd | Self::ZstdTwo => "zstd",
            Self::Rage => "rage",
            _ => "age",
        }
    }
}

/// What `phalanx pipe` is told.
fn stages(measure: Measure) -> &'static [&'static str] {
    match measure {
        Measure::Upper => &["--upper"],
        Measure::Gzip | Measure::GzipAlone => &["--gzip=6"],
        Measure::Gunzip => &["--gunzip"],
        Measure::Zstd => &["--zstd=3"],
        Measure::Unzstd => &["--unzstd"],
        Measure::Encrypt | Measure::EncryptOnly => &["--encrypt", "-r", RECIPIENT],
        Measure::Decrypt => &["--decrypt"],
        Measure::Chain => &["--decrypt", "--gunzip", "--upper", "--zstd=3"],
        Measure::Hash => &["--hash=blake3"],
    }
}

/// A program of the system, or one that `cargo xtask bench stream` has built for this.
fn program_of(name: &str) -> Result<std::path::PathBuf, Absent> {
    let built =
        built_beside_us(PROGRAM).ok().and_then(|own| Some(own.parent()?.parent()?.join("rivals/bin").join(name)));
    let built = built.filter(|program| program.is_file());
    built.or_else(|| find_program(name)).ok_or_else(|| Absent(format!("{name} is not installed")))
}
