//! Resizes a file and says where the time went.
//!
//! ```text
//! cargo run --release -p phalanx-image --example resize -- photo.jpg small.jpg 800
//! cargo run --release -p phalanx-image --example resize -- photo.png small.webp 400 --rounds 20
//! cargo run --release -p phalanx-image --example resize -- with-restarts.jpg small.jpg 800 --threads 2
//! ```
//!
//! Without arguments it resizes a picture made by code and writes nothing.

use std::num::NonZero;
use std::time::{Duration, Instant};

use phalanx_image::{
    Format, Jpeg, Limits, Output, Picture, Png, Scratch, Size, Transform, WebP, plan, probe, process, sample_jpeg,
};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut arguments: Vec<String> = std::env::args().skip(1).collect();
    let rounds = number(&mut arguments, "--rounds")?.unwrap_or(NonZero::<usize>::MIN);
    let threads = number(&mut arguments, "--threads")?.unwrap_or(NonZero::<usize>::MIN);
    let bytes = match arguments.first() {
        Some(path) => std::fs::read(path)?,
        None => sample_jpeg(4000, 3000),
    };
    let target = arguments.get(1);
    let output: Output = match target.and_then(|path| path.rsplit('.').next()) {
        Some("png") => Png::new().into(),
        Some("webp") => WebP::default().into(),
        _ => Jpeg::default().into(),
    };
    let width = arguments.get(2).map_or(Ok(800), |width| width.parse())?;

    let header = probe(&bytes)?;
    println!("{header:#?}");
    let limits = Limits { threads, ..Limits::default() };
    let plan = plan(&header, &Transform::default().size(Size::width(width)).output(output), &limits)?;
    println!(
        "{} px × {} px at {}/8, at most {:.1} MB, about {:.1} ms",
        plan.width,
        plan.height,
        plan.decode_eighths,
        plan.estimated_bytes as f64 / 1e6,
        milliseconds(plan.estimated_cost)
    );

    let mut scratch = Scratch::new();
    let mut best: Option<(Duration, Picture)> = None;
    for _ in 0..rounds.get() {
        let start = Instant::now();
        let picture = process(&bytes, &plan, &mut scratch, &|| false)?;
        let took = start.elapsed();
        if best.as_ref().is_none_or(|(shortest, _)| took < *shortest) {
            best = Some((took, picture));
        }
    }
    if let Some((took, picture)) = best {
        let timings = picture.timings;
        println!(
            "decode {:.2} + resize {:.2} + encode {:.2} = {:.2} ms, {} bytes {} {:?}",
            milliseconds(timings.decode),
            milliseconds(timings.resize),
            milliseconds(timings.encode),
            milliseconds(took),
            picture.bytes.len(),
            if picture.format == Format::Jpeg { "JPEG" } else { picture.format.extension() },
            picture.warnings,
        );
        if let Some(path) = target {
            std::fs::write(path, &picture.bytes)?;
        }
    }
    Ok(())
}

/// Takes `option` and the number behind it out of the arguments.
fn number(arguments: &mut Vec<String>, option: &str) -> Result<Option<NonZero<usize>>, Box<dyn std::error::Error>> {
    let Some(at) = arguments.iter().position(|argument| argument == option) else { return Ok(None) };
    let number = arguments.get(at + 1).ok_or_else(|| format!("{option} needs a number"))?.parse()?;
    arguments.drain(at..at + 2);
    Ok(Some(number))
}

fn milliseconds(duration: Duration) -> f64 {
    duration.as_secs_f64() * 1e3
}
