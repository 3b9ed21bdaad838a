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
    let read = |file: &PathBuf| Some(Photo { name: name_of(file), jpeg: std::fs::read(file).ok()?.into() });
    let photos: Vec<Photo> = files(folder, &["jpg", "jpeg"]).iter().filter_map(read).collect();
    if photos.is_empty() { made() } else { photos }
}

/// The PNG, WebP and GIF files of the same folder: name, extension, bytes.
pub fn others(folder: Option<&Path>) -> Vec<(String, String, Vec<u8>)> {
    let read = |file: &PathBuf| {
        let extension = file.extension()?.to_string_lossy().into_owned();
        Some((name_of(file), extension, std::fs::read(file).ok()?))
    };
    files(folder, &["png", "webp", "gif"]).iter().filter_map(read).collect()
}

fn files(folder: Option<&Path>, extensions: &[&str]) -> Vec<PathBuf> {
    let beside = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared/photos");
    let folder =
        folder.map(PathBuf::from).or_else(|| std::env::var_os("PHALANX_PHOTOS").map(PathBuf::from)).unwrap_or(beside);
    let mut files: Vec<PathBuf> = folder.read_dir().into_iter().flatten().flatten().map(|entry| entry.path()).collect();
    files.retain(|file| file.extension().is_some_and(|own| extensions.iter().any(|extension| own == *extension)));
    files.sort();
    files
}

fn name_of(file: &Path) -> String {
    file.file_stem().map_or_else(String::new, |name| name.to_string_lossy().into_owned())
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

/// `picture` as a PNG that fades from left to right.
pub fn fading(picture: &Picture) -> Vec<u8> {
    let byte = |component: f32| (component * 255.0).round() as u8;
    let mut bytes = Vec::with_capacity(picture.pixels.len() * 4);
    for row in picture.pixels.chunks_exact(picture.width) {
        for (column, pixel) in row.iter().enumerate() {
            bytes.extend(pixel.map(byte));
            bytes.push(255 - (column * 256 / picture.width) as u8);
        }
    }
    let mut file = Vec::new();
    let mut encoder = png::Encoder::new(&mut file, picture.width as u32, picture.height as u32);
    encoder.set_color(png::ColorType::Rgba);
    encoder
        .write_header()
        .and_then(|mut writer| writer.write_image_data(&bytes))
        .expect("a vector takes all bytes, and they are as many as the header says");
    file
}
