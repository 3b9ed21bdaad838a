//! A large file is copied in chunks, and however large it is, memory stays small.
//!
//! `cargo run --release --example stream_copy -- --size 1073741824`

use std::error::Error;
use std::fs::File;
use std::path::PathBuf;

use phalanx::stream::{Sink, Source, pipeline};

/// What is copied if no `--size` is given.
const DEFAULT_BYTES: u64 = 256 << 20;

fn main() -> Result<(), Box<dyn Error>> {
    let bytes = match argument("--size") {
        Some(size) => size.parse()?,
        None => DEFAULT_BYTES,
    };
    // Not /tmp, which is memory on many machines.
    let folder = std::env::current_exe()?.with_extension(std::process::id().to_string());
    std::fs::create_dir(&folder)?;
    let outcome = copy(bytes, folder.join("large"), folder.join("copy"));
    std::fs::remove_dir_all(&folder)?;
    println!("{} bytes, peak {} MiB", outcome?, peak_bytes()? >> 20);
    Ok(())
}

fn copy(bytes: u64, from: PathBuf, to: PathBuf) -> Result<u64, Box<dyn Error>> {
    // A file with nothing in it but its length.
    File::create(&from)?.set_len(bytes)?;
    // The copy has its name when it is whole; an error would leave nothing.
    let summary = pipeline(Source::file(&from)?).into(Sink::file(&to)?).run_blocking()?;
    println!("{:.0} MB/s", summary.written as f64 / summary.time.as_secs_f64() / 1e6);
    Ok(std::fs::metadata(&to)?.len())
}

/// The most memory that this process ever had.
fn peak_bytes() -> Result<u64, Box<dyn Error>> {
    let status = std::fs::read_to_string("/proc/self/status")?;
    let peak = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).ok_or("the kernel tells no VmHWM")?;
    Ok(peak.trim().trim_end_matches(" kB").parse::<u64>()? << 10)
}

fn argument(name: &str) -> Option<String> {
    std::env::args().skip_while(|argument| argument != name).nth(1)
}
