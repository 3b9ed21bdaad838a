//! How good pictures are that were made of one source, by whomever.

use std::path::{Path, PathBuf};

use pictures::quality::{Judge, Score};

/// Prints a line for each result.
pub(crate) fn print(source: &Path, results: &[PathBuf]) -> Result<(), String> {
    let mut judge = Judge::new(&read(source)?).map_err(|why| format!("{} has no score: {why}", source.display()))?;
    println!("{:>11} {:>8} {:>9}  beside {}", "SSIMULACRA2", "PSNR dB", "bytes", source.display());
    for result in results {
        let bytes = read(result)?;
        let Score { ssimulacra2, psnr } =
            judge.compare(&bytes).map_err(|why| format!("{} has no score: {why}", result.display()))?;
        println!("{ssimulacra2:>11.2} {psnr:>8.2} {:>9}  {}", bytes.len(), result.display());
    }
    Ok(())
}

fn read(file: &Path) -> Result<Vec<u8>, String> {
    std::fs::read(file).map_err(|error| format!("cannot read {}: {error}", file.display()))
}
