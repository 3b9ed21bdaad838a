//! What `bench stream` needs beside the programs that it compares.
//!
//! ```text
//! phalanx-bench ──▶ time [--input F] [--output F] -- PROGRAM ARGUMENTS…   any contender, once
//!        ▲            │
//!        └── {"seconds":…,"cpu":…,"peak":…,"bytes":…}
//! ```
//!
//! `text` makes the input; `by-hand` and `aead` are rivals: the least that a copy and an encryption can cost.

mod aead;
mod by_hand;
mod text;
mod timed;

use std::ffi::OsString;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Parser, Subcommand};

#[derive(Parser)]
#[command(name = "phalanx-bench-stream")]
struct CommandLine {
    #[command(subcommand)]
    role: Role,
}

#[derive(Subcommand)]
enum Role {
    /// Runs PROGRAM to its end and prints one line of JSON: seconds, CPU seconds, peak memory in KiB, bytes of the output
    Time {
        /// Its standard input
        #[arg(long)]
        input: Option<PathBuf>,
        /// What it writes: counted afterwards
        #[arg(long)]
        output: PathBuf,
        /// The output is its standard output
        #[arg(long)]
        to_stdout: bool,
        program: OsString,
        #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
        arguments: Vec<OsString>,
    },
    /// Writes a file of so many bytes that compresses as logs do
    Text { file: PathBuf, bytes: u64 },
    /// Upper-case copy by two threads with eight buffers, and nothing else
    ByHand { from: PathBuf, to: PathBuf },
    /// Seals so many bytes in memory, in age's pieces, on so many threads
    Aead { bytes: u64, threads: u64 },
}

fn main() -> ExitCode {
    let done = match CommandLine::parse().role {
        Role::Time { input, output, to_stdout, program, arguments } => {
            timed::run(input.as_deref(), &output, to_stdout, &program, &arguments)
        }
        Role::Text { file, bytes } => text::write(&file, bytes),
        Role::ByHand { from, to } => by_hand::copy(&from, &to),
        Role::Aead { bytes, threads } => aead::seal(bytes, threads),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            eprintln!("{failure}");
            ExitCode::FAILURE
        }
    }
}
