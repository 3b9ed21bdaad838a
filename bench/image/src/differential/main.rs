//! `cargo xtask differential`: our JPEG decoder beside libjpeg-turbo's, on every kind of file that its programs can make.
//!
//! ```text
//! pixels ── cjpeg ──┐
//! photos ─ jpegtran ┴─▶ variants ──▶ jpeg::Decoder at N/8 ──▶ compare: samples, colours, the definition in floating point
//!                          └───────▶ djpeg -scale N/8 ──────────┘
//! ```
//!
//! Ends with an error if two are further apart than [`compare::Check::bound`] says, or if too many damaged files come to a
//! picture there and to none here.

#![forbid(unsafe_code)]

mod compare;
mod outcomes;
mod tools;
mod truncated;
mod variants;

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::Parser;
use compare::{Apart, Check};
use outcomes::{KEPT_AT_LEAST, Outcomes};
use phalanx_image::jpeg::Decoder;
use tools::Tools;
use variants::{Extent, Variant};

/// Our JPEG decoder beside libjpeg-turbo's
#[derive(Parser)]
#[command(name = "cargo xtask differential", bin_name = "cargo xtask differential")]
struct CommandLine {
    /// Only small pictures, none of the photos
    #[arg(long)]
    short: bool,
    /// Folder of JPEG files [default: PHALANX_PHOTOS, or shared/photos beside the repository, or made pictures]
    #[arg(long)]
    photos: Option<PathBuf>,
    /// Only variants whose names contain this
    #[arg(long, default_value = "")]
    only: String,
}

fn main() -> ExitCode {
    let line = CommandLine::parse();
    match run(&line) {
        Ok(findings) if findings.is_empty() => ExitCode::SUCCESS,
        Ok(findings) => {
            eprintln!("{} findings:\n{}", findings.len(), findings.join("\n"));
            ExitCode::FAILURE
        }
        Err(why) => {
            eprintln!("differential: {why}");
            ExitCode::FAILURE
        }
    }
}

/// Prints a table and gives what should not be.
fn run(line: &CommandLine) -> Result<Vec<String>, String> {
    let tools = Tools::find()?;
    let folder = Folder::new()?;
    let extent = if line.short { Extent::Short } else { Extent::Whole };
    let mut variants = variants::all(&tools, &folder.0, extent, line.photos.as_deref())?;
    variants.retain(|variant| variant.name.contains(&line.only));
    println!("{} files beside {}", variants.len(), tools.version());
    let mut tally: BTreeMap<(Check, u32), Apart> = BTreeMap::new();
    let mut findings = Vec::new();
    for variant in &variants {
        match compare::compare(&tools, variant) {
            Ok(found) => {
                for (check, eighths, apart) in found {
                    tally.entry((check, eighths)).or_default().and(apart);
                    if check.bound().is_some_and(|bound| apart.highest > bound) {
                        findings.push(too_far(variant, check, eighths, apart));
                    }
                }
            }
            Err(why) => findings.push(format!("{}: {why}", variant.name)),
        }
    }
    for jpeg in variants::arithmetic(&tools)? {
        if Decoder::new(&jpeg).is_ok() {
            findings.push("a file with arithmetic coding is not refused".into());
        }
    }
    print(&tally);
    let outcomes = Outcomes::of(&tools, &variants)?;
    outcomes.print();
    if outcomes.share_kept() < KEPT_AT_LEAST {
        findings.extend(outcomes.refused);
    }
    Ok(findings)
}

/// For what libjpeg's programs read from files; gone when this is.
struct Folder(PathBuf);

impl Folder {
    fn new() -> Result<Self, String> {
        let path = std::env::temp_dir().join(format!("phalanx-differential-{}", std::process::id()));
        std::fs::create_dir(&path).map_err(|error| format!("cannot create {}: {error}", path.display()))?;
        Ok(Self(path))
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

fn too_far(variant: &Variant, check: Check, eighths: u32, apart: Apart) -> String {
    format!(
        "{}: {}, {eighths}/8: {:.2} apart at most, {:.3} in the mean",
        variant.name,
        check.name(),
        apart.highest,
        apart.mean()
    )
}

fn print(tally: &BTreeMap<(Check, u32), Apart>) {
    println!("\n| compared | scale | samples | apart in the mean | at most | bound |\n|---|---|---|---|---|---|");
    for ((check, eighths), apart) in tally {
        let bound = check.bound().map_or_else(|| "–".to_owned(), |bound| bound.to_string());
        println!(
            "| {} | {eighths}/8 | {} | {:.4} | {:.2} | {bound} |",
            check.name(),
            apart.samples,
            apart.mean(),
            apart.highest
        );
    }
}
