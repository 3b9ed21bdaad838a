//! The contenders of `bench image` that are not Node's, each a process of its own, and the judge of their pictures.
//!
//! ```text
//! phalanx-bench ──▶ measure CONTENDER FILE … ──▶ {"cpu":…,"wall":…,"per_second":…,"bytes":…,"peak":…,"heap":…,"announced":…}
//! ```
//!
//! Times are milliseconds a picture, medians; `peak` is the highest resident size of the process, `heap` the most that the first
//! picture held, both in bytes. The Node rival takes the same words (`bench/peers/node/image.js`).

mod counting;
mod measure;
mod ours;
#[cfg(feature = "turbojpeg")]
mod rival;
mod score;
mod symbols;

use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

use clap::{Parser, Subcommand, ValueEnum};
use measure::{Amount, Work};
use phalanx_image::Scratch;
use phalanx_image::jpeg::Scale;

#[derive(Parser)]
#[command(name = "phalanx-bench-image")]
struct CommandLine {
    #[command(subcommand)]
    role: Role,
}

#[derive(Subcommand)]
enum Role {
    /// SSIMULACRA2 and PSNR of pictures beside their source, resized by Lanczos3 in floating point
    Score {
        /// What was shrunk, at its full size: JPEG, PNG or WebP
        source: PathBuf,
        /// What became of it
        #[arg(required = true)]
        results: Vec<PathBuf>,
    },
    /// Shrinks FILE again and again and prints one line of JSON
    Measure {
        contender: Contender,
        file: PathBuf,
        /// Pixels across at most
        #[arg(long, default_value_t = 800)]
        width: u32,
        #[arg(long, default_value = "jpeg")]
        to: To,
        /// Only decodes, to planes of so many eighths of the size
        #[arg(long)]
        eighths: Option<u32>,
        #[arg(long, default_value_t = 1)]
        threads: usize,
        #[arg(long, default_value_t = 0.5)]
        seconds: f64,
        /// Where the picture is put
        #[arg(long)]
        output: Option<PathBuf>,
    },
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum Contender {
    Phalanx,
    Turbojpeg,
    /// Reads every Huffman symbol and does nothing with it
    Symbols,
}

/// The format of the result.
#[derive(Clone, Copy, Debug, ValueEnum)]
enum To {
    Jpeg,
    Png,
    #[value(name = "webp")]
    WebP,
}

fn main() -> ExitCode {
    let done = match CommandLine::parse().role {
        Role::Score { source, results } => score::print(&source, &results),
        Role::Measure { contender, file, width, to, eighths, threads, seconds, output } => {
            let amount =
                Amount { threads: threads.max(1), counted: Duration::from_secs_f64(seconds.clamp(0.0, 3600.0)) };
            measure(contender, &file, eighths, width, to, amount, output.as_deref())
        }
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(why) => {
            eprintln!("phalanx-bench-image: {why}");
            ExitCode::FAILURE
        }
    }
}

fn measure(
    contender: Contender,
    file: &Path,
    eighths: Option<u32>,
    width: u32,
    to: To,
    amount: Amount,
    output: Option<&Path>,
) -> Result<(), String> {
    let source = std::fs::read(file).map_err(|error| format!("cannot read {}: {error}", file.display()))?;
    let make = || -> Result<Box<dyn Work + '_>, String> {
        Ok(match (contender, eighths) {
            (Contender::Phalanx, None) => Box::new(ours::Pipeline::new(&source, width, to)),
            (Contender::Phalanx, Some(eighths)) => {
                let scale = Scale::eighths(eighths).ok_or_else(|| format!("there is no scale of {eighths} eighths"))?;
                Box::new(ours::Planes { source: &source, scale, scratch: Scratch::new() })
            }
            (Contender::Symbols, _) => Box::new(symbols::Symbols { source: &source, symbols: 0 }),
            (Contender::Turbojpeg, eighths) => rival(&source, eighths, width, to)?,
        })
    };
    let picture = measure::run(&make, amount)?;
    match output {
        Some(output) => {
            std::fs::write(output, picture).map_err(|error| format!("cannot write {}: {error}", output.display()))
        }
        None => Ok(()),
    }
}

#[cfg(feature = "turbojpeg")]
fn rival<'a>(source: &'a [u8], eighths: Option<u32>, width: u32, to: To) -> Result<Box<dyn Work + 'a>, String> {
    match (eighths, to) {
        (Some(eighths), _) => Ok(Box::new(rival::Planes::new(source, eighths)?)),
        (None, To::Jpeg) => Ok(Box::new(rival::Pipeline::new(source, width)?)),
        (None, to) => Err(format!("libjpeg-turbo does not write {to:?}")),
    }
}

#[cfg(not(feature = "turbojpeg"))]
fn rival<'a>(_: &'a [u8], _: Option<u32>, _: u32, _: To) -> Result<Box<dyn Work + 'a>, String> {
    Err("built without the feature `turbojpeg`".into())
}
