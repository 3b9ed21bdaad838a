//! Every kind of file that is read, once.

use jpeg_encoder::ColorType;
use phalanx_image::{Error, Size, Transform};

use super::*;

/// One small picture of each kind of file.
pub(crate) fn zoo() -> Vec<(&'static str, Vec<u8>)> {
    let (width, height) = (48, 40);
    let pixels = rgb(width, height);
    let rgba: Vec<u8> = pixels.chunks(3).flat_map(|p| [p[0], p[1], p[2], p[0]]).collect();
    let rows: Vec<u8> = pixels.chunks((width * 3) as usize).flat_map(|row| [&[0], row].concat()).collect();
    let mut zoo = vec![
        ("jpeg", Jpeg::default().encode(&pixels, width, height)),
        ("jpeg with restarts", Jpeg { restart: 2, ..Jpeg::default() }.encode(&pixels, width, height)),
        ("jpeg progressive", Jpeg { progressive: true, ..Jpeg::default() }.encode(&pixels, width, height)),
        ("jpeg refined", include_bytes!("../data/progressive-420.jpg").to_vec()),
        ("jpeg of inks", Jpeg { color: ColorType::Cmyk, ..Jpeg::default() }.encode(&rgba, width, height)),
        ("png", png(&rgba, width, height, png::ColorType::Rgba)),
        ("png uncompressed", png_by_hand((width, height), 8, 2, 0, &[], &rows)),
        ("gif", gif(48, 40, 1, 4)),
        ("gif animated", gif(48, 40, 2, 0)),
        ("webp lossless", webp_lossless(&rgba, width, height, true)),
        ("webp animated", webp_animated(width, height)),
    ];
    for (name, source) in [("webp lossy", zoo[0].1.clone()), ("webp lossy with alpha", zoo[5].1.clone())] {
        let output = as_webp(80);
        match convert(&source, &Transform::default().size(Size::original()).output(output)) {
            // A build without libwebp.
            Err(Error::Unsupported { .. }) => {}
            picture => zoo.push((name, picture.unwrap().bytes)),
        }
    }
    zoo
}
