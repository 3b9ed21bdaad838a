//! Resizes a file and says where the time went.
//!
//! ```text
//! cargo run --release -p phalanx-image --example resize -- photo.jpg small.jpg 800
//! cargo run --release -p phalanx-image --example resize -- photo.png small.webp 400 --rounds 20
//! ```
//!
//! Without arguments it resizes a picture made by code and writes nothing.

use std::time::{Duration, Instant};

use phalanx_image::{
    Format, Jpeg, Limits, Output, Picture, Png, Scratch, Size, Transform, WebP, plan, probe, process, sample_jpeg,
};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut arguments: Vec<String> = std::env::args().skip(1).collect();
    let rounds = match arguments.iter().position(|argument| argument == "--rounds") {
        Some(at) => {
            let rounds = arguments.get(at + 1).ok_or("--rounds needs a number")?.parse()?;
            arguments.drain(at..at + 2);
            rounds
        }
        None => 1,
    };
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
    let plan = plan(&header, &Transform::default().size(Size::width(width)).output(output), &Limits::default())?;
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
    for _ in 0..rounds.max(1) {
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

fn milliseconds(duration: Duration) -> f64 {
    duration.as_secs_f64() * 1e3
}
