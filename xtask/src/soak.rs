//! `cargo xtask soak`: builds the binary and the program that soaks it, hands over to that, and draws what it recorded.

mod curve;
mod picture;

use std::path::Path;

use crate::step::{self, Failure};
use crate::torture;

/// Builds, runs `phalanx-soak` with `arguments`, and draws the picture; also of a run that failed.
///
/// `--draw FILE` only draws the picture of the last run once more, to this file.
pub(crate) fn run(arguments: &[String]) -> Result<(), Failure> {
    let output = step::target_folder()?.join("soak");
    let csv = output.join("soak.csv");
    if let [flag, file] = arguments
        && flag == "--draw"
    {
        return draw(&csv, Path::new(file));
    }
    let mut all = arguments.to_vec();
    all.extend(["--output".to_owned(), output.display().to_string()]);
    let outcome = torture::run_program("phalanx-soak", &all);
    if arguments.iter().any(|argument| torture::ONLY_TELLS.contains(&argument.as_str())) {
        return outcome;
    }
    let drawn = draw(&csv, &output.join("soak.svg"));
    outcome.and(drawn)
}

fn draw(csv: &Path, svg: &Path) -> Result<(), Failure> {
    let text = std::fs::read_to_string(csv).map_err(|error| {
        Failure::new(format!("cannot read {}: {error}; run `cargo xtask soak` first", csv.display()))
    })?;
    std::fs::write(svg, picture::draw(&curve::read(&text)))
        .map_err(|error| Failure::new(format!("cannot write {}: {error}", svg.display())))?;
    println!("the curve is in {}, its figures in {}", svg.display(), csv.display());
    Ok(())
}
