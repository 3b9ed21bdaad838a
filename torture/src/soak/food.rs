//! What clients send: photos (those beside the checkout, or made ones) and other bytes, good and bad.

use std::path::{Path, PathBuf};

use crate::random::Random;

/// A picture of a format that the server reads.
#[derive(Debug, Clone)]
pub(crate) struct Photo {
    pub(crate) name: String,
    pub(crate) bytes: Vec<u8>,
}

/// Everything that is sent.
#[derive(Debug)]
pub(crate) struct Larder {
    pub(crate) photos: Vec<Photo>,
    /// What should be refused, with its name.
    pub(crate) bad: Vec<Photo>,
    /// For hashes, compression, encryption.
    pub(crate) texts: Vec<Vec<u8>>,
}

/// Extensions of what the server reads.
const READ: [&str; 6] = ["jpg", "jpeg", "png", "webp", "gif", "jpe"];

impl Larder {
    /// The photos of `folder`, or of `PHALANX_PHOTOS`, or of `shared/photos` beside the repository; and always some made ones.
    pub(crate) fn fill(folder: Option<&Path>, random: &mut Random) -> Larder {
        let beside = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../shared/photos");
        let named = folder.map(PathBuf::from).or_else(|| std::env::var_os("PHALANX_PHOTOS").map(PathBuf::from));
        let mut photos = in_folder(&named.unwrap_or(beside));
        if photos.is_empty() {
            photos.extend([made("made-2mp", jpeg(1920, 1080)), made("made-12mp", jpeg(4000, 3000))]);
        }
        photos.extend([
            made("progressive", coded(900, 600, jpeg_encoder::ColorType::Rgb, Scans::Progressive)),
            made("four inks", coded(500, 400, jpeg_encoder::ColorType::Cmyk, Scans::Baseline)),
            made("grey", coded(700, 500, jpeg_encoder::ColorType::Luma, Scans::Baseline)),
            made("png", png(600, 400)),
            made("gif", gif(300, 200)),
        ]);
        let texts = [0, 1, 1000, 30_000, 200_000, 1_500_000].map(|length| text(random, length)).into();
        let bad = bad(&photos);
        Larder { photos, bad, texts }
    }
}

fn made(name: &str, bytes: Vec<u8>) -> Photo {
    Photo { name: name.to_owned(), bytes }
}

fn in_folder(folder: &Path) -> Vec<Photo> {
    let mut files: Vec<PathBuf> = folder.read_dir().into_iter().flatten().flatten().map(|entry| entry.path()).collect();
    files.retain(|file| {
        file.extension().is_some_and(|extension| READ.iter().any(|read| extension.eq_ignore_ascii_case(read)))
    });
    files.sort();
    let read = |file: &PathBuf| {
        Some(Photo { name: file.file_stem()?.to_string_lossy().into_owned(), bytes: std::fs::read(file).ok()? })
    };
    files.iter().filter_map(read).collect()
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Scans {
    Baseline,
    Progressive,
}

fn jpeg(width: u16, height: u16) -> Vec<u8> {
    coded(width, height, jpeg_encoder::ColorType::Rgb, Scans::Baseline)
}

/// Told by its first bytes; not by the code that is under test.
pub(crate) fn looks_like_a_picture(bytes: &[u8]) -> bool {
    let webp = bytes.starts_with(b"RIFF") && bytes.get(8..12) == Some(b"WEBP");
    let ends = bytes.starts_with(b"\xff\xd8\xff") && bytes.ends_with(b"\xff\xd9");
    webp || ends || bytes.starts_with(b"\x89PNG\r\n\x1a\n") && bytes.ends_with(b"IEND\xae\x42\x60\x82")
}

fn coded(width: u16, height: u16, colour: jpeg_encoder::ColorType, scans: Scans) -> Vec<u8> {
    let bytes = match colour {
        jpeg_encoder::ColorType::Luma => 1,
        jpeg_encoder::ColorType::Cmyk => 4,
        _ => 3,
    };
    let row = usize::from(width) * bytes;
    let pixels: Vec<u8> = (0..row * usize::from(height)).map(|i| ((i % row) / 3 + i / row / 2) as u8).collect();
    let mut out = Vec::new();
    let mut encoder = jpeg_encoder::Encoder::new(&mut out, 88);
    encoder.set_progressive(scans == Scans::Progressive);
    // A picture that cannot be made is an empty one, which the server refuses; the test below keeps it from being so.
    let _ = encoder.encode(&pixels, width, height, colour);
    out
}

fn png(width: u32, height: u32) -> Vec<u8> {
    let pixels: Vec<u8> = (0..width as usize * height as usize * 4).map(|i| (i / 7 % 256) as u8).collect();
    let mut bytes = Vec::new();
    let mut encoder = png::Encoder::new(&mut bytes, width, height);
    encoder.set_color(png::ColorType::Rgba);
    encoder.set_depth(png::BitDepth::Eight);
    let _ = encoder.write_header().and_then(|mut writer| writer.write_image_data(&pixels));
    bytes
}

fn gif(width: u16, height: u16) -> Vec<u8> {
    let mut bytes = Vec::new();
    if let Ok(mut encoder) = gif::Encoder::new(&mut bytes, width, height, &[255, 0, 0, 0, 0, 255]) {
        for frame in 0..3 {
            let indices = vec![frame % 2; usize::from(width) * usize::from(height)];
            let _ = encoder.write_frame(&gif::Frame::from_indexed_pixels(width, height, indices, None));
        }
    }
    bytes
}

/// Half of it repeats itself.
fn text(random: &mut Random, length: usize) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(length + 16);
    while bytes.len() < length {
        match random.below(2) {
            0 => bytes.extend_from_slice(b"It was a quiet day. "),
            _ => bytes.extend_from_slice(&random.next().to_le_bytes()),
        }
    }
    bytes.truncate(length);
    bytes
}

/// Truncated, damaged, lying, and no picture at all.
fn bad(good: &[Photo]) -> Vec<Photo> {
    let mut bad = vec![
        made("no picture", b"This is a text file, whatever its name says. It has more than a few bytes.\n".to_vec()),
        made("nothing", Vec::new()),
        made("random bytes", (0..5000_u32).map(|i| (i.wrapping_mul(2_654_435_761) >> 24) as u8).collect()),
        made("50 000 x 50 000", lying(&jpeg(64, 64), 50_000, 50_000)),
        made("a little larger than it is", lying(&jpeg(640, 480), 5000, 4000)),
        // 65 535 x 65 535 and two colours.
        made(
            "gif bomb",
            b"GIF89a\xff\xff\xff\xff\x80\0\0\0\0\0\xff\xff\xff,\0\0\0\0\xff\xff\xff\xff\0\x02\x02\x44\x01\0;".to_vec(),
        ),
    ];
    for photo in good.iter().filter(|photo| photo.bytes.len() < 2_000_000) {
        for part in [3, 2] {
            let cut = photo.bytes.len() / part;
            let damaged = [&photo.bytes[..cut], &[0xFF; 2000]].concat();
            bad.push(made(&format!("{} after 1/{part}: cut", photo.name), photo.bytes[..cut].to_vec()));
            bad.push(made(&format!("{} after 1/{part}: damaged", photo.name), damaged));
        }
    }
    bad
}

/// The same JPEG with another size written into its header.
fn lying(jpeg: &[u8], width: u16, height: u16) -> Vec<u8> {
    let mut bytes = jpeg.to_vec();
    if let Some(frame) = bytes.windows(2).position(|marker| matches!(marker, [0xFF, 0xC0..=0xC2])) {
        bytes[frame + 5..frame + 7].copy_from_slice(&height.to_be_bytes());
        bytes[frame + 7..frame + 9].copy_from_slice(&width.to_be_bytes());
    }
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_made_picture_is_one_and_of_every_kind() {
        let larder = Larder::fill(Some(Path::new("/nonexistent")), &mut Random::new(1, "food"));
        for photo in &larder.photos {
            assert!(looks_like_a_picture(&photo.bytes) || photo.bytes.starts_with(b"GIF89a"), "{}", photo.name);
        }
        assert!(larder.photos.len() >= 7 && larder.bad.len() > 10);
        assert_eq!(larder.texts.iter().map(Vec::len).max(), Some(1_500_000));
    }
}
