//! `seeds TARGET FOLDER` writes the inputs from which fuzzing begins: good streams, made by the code that is tested.

mod channel;
mod node;
mod picture;
mod stream;

use std::path::PathBuf;
use std::process::ExitCode;

use phalanx_image::Format;

fn main() -> ExitCode {
    let mut arguments = std::env::args().skip(1);
    let (Some(target), Some(folder)) = (arguments.next(), arguments.next().map(PathBuf::from)) else {
        eprintln!("usage: seeds TARGET FOLDER");
        return ExitCode::FAILURE;
    };
    let seeds = match target.as_str() {
        "channel_frames" => channel::seeds(),
        "node_json" => node::json(),
        "node_advanced" => node::advanced(),
        "jpeg_decoder" => picture::for_the_decoder(),
        "picture_gif" => picture::of(Format::Gif),
        "picture_jpeg" => picture::of(Format::Jpeg),
        "picture_png" => picture::of(Format::Png),
        "picture_webp" => picture::of(Format::WebP),
        "stream_age" => stream::age_files(),
        "stream_gzip" => stream::gzip_members(),
        "stream_zstd" => stream::zstd_frames(),
        unknown => {
            eprintln!("seeds: there is no target {unknown:?}");
            return ExitCode::FAILURE;
        }
    };
    for (number, seed) in seeds.iter().enumerate() {
        let file = folder.join(format!("seed-{number:03}"));
        if let Err(error) = std::fs::write(&file, seed) {
            eprintln!("seeds: cannot write {}: {error}", file.display());
            return ExitCode::FAILURE;
        }
    }
    ExitCode::SUCCESS
}
