//! Pictures made by code, good and bad.

use phalanx::image::sample_jpeg;

/// A sound JPEG of this size.
pub(crate) fn jpeg(width: u32, height: u32) -> Vec<u8> {
    sample_jpeg(width, height)
}

/// A JPEG whose EXIF says that it must be turned by 90° clockwise.
pub(crate) fn rotated_jpeg(width: u32, height: u32) -> Vec<u8> {
    let plain = jpeg(width, height);
    let tiff = b"II*\0\x08\0\0\0\x01\0\x12\x01\x03\0\x01\0\0\0\x06\0\0\0\0\0\0\0";
    let mut segment = vec![0xFF, 0xE1];
    segment.extend_from_slice(&(2 + 6 + tiff.len() as u16).to_be_bytes());
    segment.extend_from_slice(b"Exif\0\0");
    segment.extend_from_slice(tiff);
    [&plain[..2], &segment, &plain[2..]].concat()
}

/// A JPEG of four inks (Adobe, inverted).
pub(crate) fn cmyk_jpeg(width: u16, height: u16) -> Vec<u8> {
    let pixels: Vec<u8> = (0..usize::from(width) * usize::from(height) * 4).map(|i| (i * 7 % 256) as u8).collect();
    let mut bytes = Vec::new();
    jpeg_encoder::Encoder::new(&mut bytes, 90)
        .encode(&pixels, width, height, jpeg_encoder::ColorType::Cmyk)
        .expect("a CMYK JPEG");
    bytes
}

/// A PNG with 16 bits a channel and transparency.
pub(crate) fn png_16_bit(width: u32, height: u32) -> Vec<u8> {
    let pixels: Vec<u8> = (0..width as usize * height as usize * 8).map(|i| (i * 11 % 256) as u8).collect();
    png_of(width, height, png::ColorType::Rgba, png::BitDepth::Sixteen, &pixels)
}

/// A PNG in one colour.
pub(crate) fn png(width: u32, height: u32) -> Vec<u8> {
    png_of(width, height, png::ColorType::Rgb, png::BitDepth::Eight, &vec![90; width as usize * height as usize * 3])
}

/// One that keeps a job busy for a while, however fast the machine is, if it is sent to [`SLOW_PATH`].
pub(crate) fn slow_photo() -> Vec<u8> {
    jpeg(4000, 3000)
}

/// Encoding a large WebP takes long: a second on a fast machine.
pub(crate) const SLOW_PATH: &str = "/v1/images?w=3400&format=webp";

fn png_of(width: u32, height: u32, color: png::ColorType, depth: png::BitDepth, pixels: &[u8]) -> Vec<u8> {
    let mut bytes = Vec::new();
    let mut encoder = png::Encoder::new(&mut bytes, width, height);
    encoder.set_color(color);
    encoder.set_depth(depth);
    encoder.write_header().and_then(|mut writer| writer.write_image_data(pixels)).expect("a PNG");
    bytes
}

/// A GIF of three frames.
pub(crate) fn animated_gif(width: u16, height: u16) -> Vec<u8> {
    let mut bytes = Vec::new();
    let mut encoder = gif::Encoder::new(&mut bytes, width, height, &[255, 0, 0, 0, 0, 255]).expect("a GIF");
    for frame in 0..3 {
        let indices = vec![frame % 2; usize::from(width) * usize::from(height)];
        encoder.write_frame(&gif::Frame::from_indexed_pixels(width, height, indices, None)).expect("a frame");
    }
    drop(encoder);
    bytes
}

/// The same JPEG with another size written into its header.
pub(crate) fn lying_jpeg(width: u16, height: u16) -> Vec<u8> {
    let mut bytes = jpeg(64, 64);
    let frame = bytes.windows(2).position(|marker| matches!(marker, [0xFF, 0xC0..=0xC2])).expect("a frame header");
    bytes[frame + 5..frame + 7].copy_from_slice(&height.to_be_bytes());
    bytes[frame + 7..frame + 9].copy_from_slice(&width.to_be_bytes());
    bytes
}

/// A text that calls itself a picture.
pub(crate) const TEXT: &[u8] = b"This is a text file, whatever its name says. It has more than a few bytes.\n";

/// A progressive JPEG: its decoder stores coefficients.
pub(crate) fn progressive_jpeg(width: u16, height: u16) -> Vec<u8> {
    let row =
        |y: usize| (0..usize::from(width)).flat_map(move |x| [(x / 16) as u8, (y / 16) as u8, (x * y / 512) as u8]);
    let pixels: Vec<u8> = (0..usize::from(height)).flat_map(row).collect();
    let mut bytes = Vec::new();
    let mut encoder = jpeg_encoder::Encoder::new(&mut bytes, 85);
    encoder.set_progressive(true);
    encoder.encode(&pixels, width, height, jpeg_encoder::ColorType::Rgb).expect("a progressive JPEG");
    bytes
}
