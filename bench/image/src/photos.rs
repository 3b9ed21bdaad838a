//! The pictures that are uploaded: a folder of photos, or pictures made here.

use std::path::{Path, PathBuf};

use bytes::Bytes;

use crate::quality::Picture;

/// One JPEG.
#[derive(Clone, Debug)]
pub struct Photo {
    /// Of its file, without the extension.
    pub name: String,
    /// The file.
    pub jpeg: Bytes,
}

/// The JPEG files of `folder`, or of `PHALANX_PHOTOS`, or of `shared/photos` beside the repository; made pictures if there are none.
pub fn load(folder: Option<&Path>) -> Vec<Photo> {
    let beside = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared/photos");
    let folder =
        folder.map(PathBuf::from).or_else(|| std::env::var_os("PHALANX_PHOTOS").map(PathBuf::from)).unwrap_or(beside);
    let mut files: Vec<PathBuf> = folder.read_dir().into_iter().flatten().flatten().map(|entry| entry.path()).collect();
    files.retain(|file| file.extension().is_some_and(|extension| extension == "jpg" || extension == "jpeg"));
    files.sort();
    let read = |file: &PathBuf| {
        let name = file.file_stem()?.to_string_lossy().into_owned();
        Some(Photo { name, jpeg: std::fs::read(file).ok()?.into() })
    };
    let photos: Vec<Photo> = files.iter().filter_map(read).collect();
    if photos.is_empty() { made() } else { photos }
}

/// Stand-ins of the sizes that telephones and cameras make.
fn made() -> Vec<Photo> {
    let photo = |name: &str, width, height| Photo { name: name.to_owned(), jpeg: generated(width, height, 90).into() };
    vec![photo("made-2mp", 1920, 1080), photo("made-12mp", 4000, 3000)]
}

/// A picture of gradients, edges and noise: it costs a decoder about what a photo does.
pub fn generated(width: u16, height: u16, quality: u8) -> Vec<u8> {
    let (columns, rows) = (usize::from(width), usize::from(height));
    let mut noise = 0x1234_5678_u32;
    let mut pixels = Vec::with_capacity(columns * rows);
    for index in 0..columns * rows {
        let (x, y) = ((index % columns) as f32 / columns as f32, (index / columns) as f32 / rows as f32);
        noise ^= noise << 13;
        noise ^= noise >> 17;
        noise ^= noise << 5;
        let grain = (noise & 0xff) as f32 / 255.0 * 0.06;
        let wave = (x * 40.0).sin() * (y * 31.0).cos() * 0.2;
        let edge = if (x - 0.5).hypot(y - 0.5) < 0.3 { 0.25 } else { 0.0 };
        pixels.push(
            [x * 0.5 + wave + edge, y * 0.5 + wave, 0.5 - x * 0.3 + edge].map(|part| (part + grain).clamp(0.0, 1.0)),
        );
    }
    encode(&Picture { width: columns, height: rows, pixels }, quality)
}

/// `picture` as a baseline JPEG.
pub fn encode(picture: &Picture, quality: u8) -> Vec<u8> {
    let bytes: Vec<u8> = picture.pixels.iter().flatten().map(|component| (component * 255.0).round() as u8).collect();
    let mut jpeg = Vec::new();
    let (width, height) = (picture.width as u16, picture.height as u16);
    jpeg_encoder::Encoder::new(&mut jpeg, quality)
        .encode(&bytes, width, height, jpeg_encoder::ColorType::Rgb)
        .expect("a vector takes all bytes and the sizes are those of the picture");
    jpeg
}
