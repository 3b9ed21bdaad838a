//! Who is compared, and how each is told what to do.

use std::path::Path;
use std::process::Command;

use clap::ValueEnum;

use super::plan::Work;
use crate::peers::{
    Absent, built_beside_us, crate_version, node_program, node_script_with_packages, node_version, package_version,
    phalanx_version,
};

const PROGRAM: &str = "phalanx-bench-image";
/// What the crate turbojpeg-sys 1.2.0 brings with it.
const LIBJPEG_TURBO: &str = "3.1.0";

/// Ours or a rival's.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, ValueEnum)]
pub(crate) enum Contender {
    /// `probe`, `plan`, `process`; the decoder alone: `jpeg::Decoder`
    Phalanx,
    /// sharp, `concurrency(1)`, `cache(false)`
    Sharp,
    /// libjpeg-turbo, with the resizer that we use
    Turbojpeg,
    /// Every Huffman symbol is read once, and nothing is done with it
    Symbols,
}

impl Contender {
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Phalanx => "phalanx",
            Self::Sharp => "sharp",
            Self::Turbojpeg => "libjpeg-turbo",
            Self::Symbols => "every symbol once",
        }
    }

    /// Names and versions of what it is made of.
    pub(super) fn versions(self) -> String {
        match self {
            Self::Phalanx | Self::Symbols => phalanx_version(),
            Self::Sharp => format!("{}, sharp {}", node_version(), package_version("sharp").unwrap_or_default()),
            Self::Turbojpeg => format!(
                "libjpeg-turbo {LIBJPEG_TURBO} (crate turbojpeg {}), fast_image_resize {}",
                crate_version("turbojpeg").unwrap_or_default(),
                crate_version("fast_image_resize").unwrap_or_default()
            ),
        }
    }

    /// The command that does `work` with `file` for `seconds`.
    pub(super) fn command(self, work: Work, file: &Path, seconds: f64, output: &Path) -> Result<Command, Absent> {
        if self == Self::Sharp {
            let Work::Shrink { width, to, threads } = work else {
                return Err(Absent("sharp does not show its decoder".into()));
            };
            let mut command = Command::new(node_program()?);
            command
                .env("UV_THREADPOOL_SIZE", threads.to_string())
                .arg(node_script_with_packages("image.js")?)
                .arg(file);
            command.args([&width.to_string(), to.word(), &threads.to_string(), &seconds.to_string()]).arg(output);
            return Ok(command);
        }
        let mut command = Command::new(built_beside_us(PROGRAM)?);
        command.args(["measure", self.word()]).arg(file).arg("--output").arg(output);
        command.args(["--seconds", &seconds.to_string()]);
        match work {
            Work::Shrink { width, to, threads } => {
                command.args(["--width", &width.to_string(), "--to", to.word(), "--threads", &threads.to_string()])
            }
            Work::Decode { eighths } => command.args(["--eighths", &eighths.to_string()]),
        };
        Ok(command)
    }

    fn word(self) -> &'static str {
        match self {
            Self::Phalanx => "phalanx",
            Self::Sharp => "sharp",
            Self::Turbojpeg => "turbojpeg",
            Self::Symbols => "symbols",
        }
    }
}
