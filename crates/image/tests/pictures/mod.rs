//! Test pictures of every format, made here: known pixels in, files out.
#![allow(dead_code, clippy::unwrap_used)] // Each test file uses its own part; a test may panic.

pub(crate) mod zoo;

use phalanx_image::{Error, Limits, Output, Picture, Scratch, Size, Transform, plan, probe, process};

/// A smooth coloured pixel: no two neighbouring regions look alike.
pub(crate) fn pixel(x: u32, y: u32, width: u32, height: u32) -> [u8; 3] {
    [(x * 255 / width.max(1)) as u8, (y * 255 / height.max(1)) as u8, ((x + y) * 127 / (width + height).max(1)) as u8]
}

/// Interleaved RGB.
pub(crate) fn rgb(width: u32, height: u32) -> Vec<u8> {
    (0..height).flat_map(|y| (0..width).flat_map(move |x| pixel(x, y, width, height))).collect()
}

/// The colours of the four quarters: top left, top right, bottom left, bottom right.
pub(crate) const QUARTERS: [[u8; 3]; 4] = [[250, 20, 20], [20, 240, 20], [20, 20, 250], [240, 240, 30]];

/// Four quarters of plain colour, RGB.
pub(crate) fn quarters(width: u32, height: u32) -> Vec<u8> {
    (0..height)
        .flat_map(|y| {
            (0..width).flat_map(move |x| QUARTERS[usize::from(y >= height / 2) * 2 + usize::from(x >= width / 2)])
        })
        .collect()
}

/// The segment or chunk content that tells an orientation: a TIFF block with the one tag.
pub(crate) fn tiff(orientation: u16) -> Vec<u8> {
    let mut block = b"MM\0*\0\0\0\x08\0\x01\x01\x12\0\x03\0\0\0\x01".to_vec();
    block.extend_from_slice(&orientation.to_be_bytes());
    block.extend_from_slice(&[0; 6]);
    block
}

/// How a test JPEG is written.
pub(crate) struct Jpeg {
    pub(crate) color: jpeg_encoder::ColorType,
    pub(crate) progressive: bool,
    pub(crate) sampling: jpeg_encoder::SamplingFactor,
    pub(crate) restart: u16,
    pub(crate) exif: Option<u16>,
    pub(crate) icc: Option<Vec<u8>>,
}

impl Default for Jpeg {
    fn default() -> Self {
        Self {
            color: jpeg_encoder::ColorType::Rgb,
            progressive: false,
            sampling: jpeg_encoder::SamplingFactor::F_1_1,
            restart: 0,
            exif: None,
            icc: None,
        }
    }
}

impl Jpeg {
    pub(crate) fn encode(&self, pixels: &[u8], width: u32, height: u32) -> Vec<u8> {
        let mut out = Vec::new();
        let mut encoder = jpeg_encoder::Encoder::new(&mut out, 95);
        encoder.set_progressive(self.progressive);
        encoder.set_sampling_factor(self.sampling);
        encoder.set_chroma_subsampling_method(jpeg_encoder::ChromaSubsamplingMethod::Average);
        encoder.set_restart_interval(self.restart);
        if let Some(orientation) = self.exif {
            encoder.add_exif_metadata_block(&tiff(orientation));
        }
        if let Some(icc) = &self.icc {
            encoder.add_icc_profile(icc).unwrap();
        }
        encoder.encode(pixels, width as u16, height as u16, self.color).unwrap();
        out
    }
}

/// `add_app_segment` with the EXIF signature.
trait ExifBlock {
    fn add_exif_metadata_block(&mut self, block: &[u8]);
}

impl<W: jpeg_encoder::JfifWrite> ExifBlock for jpeg_encoder::Encoder<W> {
    fn add_exif_metadata_block(&mut self, block: &[u8]) {
        let mut content = b"Exif\0\0".to_vec();
        content.extend_from_slice(block);
        self.add_app_segment(1, content).unwrap();
    }
}

/// One PNG chunk with its checksum.
pub(crate) fn png_chunk(kind: &[u8; 4], data: &[u8]) -> Vec<u8> {
    let mut chunk = (data.len() as u32).to_be_bytes().to_vec();
    chunk.extend_from_slice(kind);
    chunk.extend_from_slice(data);
    let mut crc = u32::MAX;
    for &byte in &chunk[4..] {
        crc ^= u32::from(byte);
        for _ in 0..8 {
            crc = if crc & 1 == 1 { crc >> 1 ^ 0xEDB8_8320 } else { crc >> 1 };
        }
    }
    chunk.extend_from_slice(&(!crc).to_be_bytes());
    chunk
}

/// Deflate without compression, in a zlib frame.
pub(crate) fn zlib_stored(data: &[u8]) -> Vec<u8> {
    let mut out = vec![0x78, 0x01];
    let parts: Vec<&[u8]> = data.chunks(65_535).collect();
    for (index, part) in parts.iter().enumerate() {
        out.push(u8::from(index + 1 == parts.len()));
        out.extend_from_slice(&(part.len() as u16).to_le_bytes());
        out.extend_from_slice(&(!(part.len() as u16)).to_le_bytes());
        out.extend_from_slice(part);
    }
    let (mut a, mut b) = (1u32, 0u32);
    for &byte in data {
        a = (a + u32::from(byte)) % 65_521;
        b = (b + a) % 65_521;
    }
    out.extend_from_slice(&(b << 16 | a).to_be_bytes());
    out
}

/// A PNG by hand: header fields, extra chunks before the data, raw rows (each with its filter byte).
pub(crate) fn png_by_hand(
    size: (u32, u32),
    depth: u8,
    color: u8,
    interlace: u8,
    extra: &[(&[u8; 4], Vec<u8>)],
    rows: &[u8],
) -> Vec<u8> {
    let mut file = b"\x89PNG\r\n\x1a\n".to_vec();
    let mut header = size.0.to_be_bytes().to_vec();
    header.extend_from_slice(&size.1.to_be_bytes());
    header.extend_from_slice(&[depth, color, 0, 0, interlace]);
    file.extend(png_chunk(b"IHDR", &header));
    for (kind, data) in extra {
        file.extend(png_chunk(kind, data));
    }
    file.extend(png_chunk(b"IDAT", &zlib_stored(rows)));
    file.extend(png_chunk(b"IEND", &[]));
    file
}

/// An ordinary PNG.
pub(crate) fn png(pixels: &[u8], width: u32, height: u32, color: png::ColorType) -> Vec<u8> {
    let mut out = Vec::new();
    let mut encoder = png::Encoder::new(&mut out, width, height);
    encoder.set_color(color);
    encoder.set_depth(png::BitDepth::Eight);
    let mut writer = encoder.write_header().unwrap();
    writer.write_image_data(pixels).unwrap();
    writer.finish().unwrap();
    out
}

/// A GIF of one or two frames in the four colours of [`QUARTERS`]; the second frame is all red. Colour 4 is transparent and fills a stripe
/// on top when asked for.
pub(crate) fn gif(width: u16, height: u16, frames: usize, stripe: u16) -> Vec<u8> {
    let mut out = Vec::new();
    let mut palette = QUARTERS.concat();
    palette.extend_from_slice(&[0, 0, 0]);
    let mut encoder = gif::Encoder::new(&mut out, width, height, &palette).unwrap();
    for index in 0..frames {
        let pixels: Vec<u8> = (0..height)
            .flat_map(|y| (0..width).map(move |x| (x, y)))
            .map(|(x, y)| match (index, y < stripe) {
                (0, true) => 4,
                (0, false) => u8::from(y >= height / 2) * 2 + u8::from(x >= width / 2),
                _ => 0,
            })
            .collect();
        let transparent = (stripe > 0).then_some(4);
        let frame = gif::Frame { width, height, buffer: pixels.into(), transparent, ..gif::Frame::default() };
        encoder.write_frame(&frame).unwrap();
    }
    drop(encoder);
    out
}

/// A lossless WebP.
pub(crate) fn webp_lossless(pixels: &[u8], width: u32, height: u32, alpha: bool) -> Vec<u8> {
    let mut out = Vec::new();
    let color = if alpha { image_webp::ColorType::Rgba8 } else { image_webp::ColorType::Rgb8 };
    image_webp::WebPEncoder::new(&mut out).encode(pixels, width, height, color).unwrap();
    out
}

/// A RIFF chunk with its padding.
pub(crate) fn riff_chunk(kind: &[u8; 4], data: &[u8]) -> Vec<u8> {
    let mut chunk = kind.to_vec();
    chunk.extend_from_slice(&(data.len() as u32).to_le_bytes());
    chunk.extend_from_slice(data);
    if data.len() % 2 == 1 {
        chunk.push(0);
    }
    chunk
}

/// An extended WebP: feature flags, canvas, and what follows.
pub(crate) fn webp_extended(flags: u8, size: (u32, u32), chunks: &[Vec<u8>]) -> Vec<u8> {
    let mut head = vec![flags, 0, 0, 0];
    head.extend_from_slice(&(size.0 - 1).to_le_bytes()[..3]);
    head.extend_from_slice(&(size.1 - 1).to_le_bytes()[..3]);
    let mut body = b"WEBP".to_vec();
    body.extend(riff_chunk(b"VP8X", &head));
    chunks.iter().for_each(|chunk| body.extend_from_slice(chunk));
    riff_chunk(b"RIFF", &body)
}

/// The bit stream chunk of a simple WebP.
pub(crate) fn webp_stream(file: &[u8]) -> Vec<u8> {
    file[12..].to_vec()
}

/// An animated WebP of two frames.
pub(crate) fn webp_animated(width: u32, height: u32) -> Vec<u8> {
    let frame = |pixels: &[u8]| {
        let mut data = vec![0; 6];
        data.extend_from_slice(&(width - 1).to_le_bytes()[..3]);
        data.extend_from_slice(&(height - 1).to_le_bytes()[..3]);
        data.extend_from_slice(&[100, 0, 0, 2]);
        data.extend(webp_stream(&webp_lossless(pixels, width, height, false)));
        riff_chunk(b"ANMF", &data)
    };
    let second: Vec<u8> = QUARTERS[0].repeat((width * height) as usize);
    let frames = [riff_chunk(b"ANIM", &[0; 6]), frame(&quarters(width, height)), frame(&second)];
    webp_extended(0x02, (width, height), &frames)
}

/// The whole way with a fresh scratch.
pub(crate) fn convert(bytes: &[u8], transform: &Transform) -> Result<Picture, Error> {
    let plan = plan(&probe(bytes)?, transform, &Limits::default())?;
    process(bytes, &plan, &mut Scratch::new(), &|| false)
}

/// Pixels of a picture: width, height, channels, bytes.
pub(crate) struct Pixels {
    pub(crate) width: u32,
    pub(crate) height: u32,
    pub(crate) channels: usize,
    pub(crate) data: Vec<u8>,
}

impl Pixels {
    pub(crate) fn at(&self, x: u32, y: u32) -> &[u8] {
        let start = (y * self.width + x) as usize * self.channels;
        &self.data[start..start + self.channels]
    }
}

/// Reads a PNG that this crate wrote.
pub(crate) fn read_png(file: &[u8]) -> Pixels {
    let mut reader = png::Decoder::new(std::io::Cursor::new(file)).read_info().unwrap();
    let mut data = vec![0; reader.output_buffer_size().unwrap()];
    let info = reader.next_frame(&mut data).unwrap();
    Pixels { width: info.width, height: info.height, channels: info.color_type.samples(), data }
}

/// Makes a PNG of the original size and reads it: the decoded pixels, nearly.
pub(crate) fn decoded(bytes: &[u8]) -> Pixels {
    read_png(&convert(bytes, &Transform::default().size(Size::original()).output(as_png())).unwrap().bytes)
}

/// Whether two colours are alike within `tolerance` a channel.
pub(crate) fn alike(a: &[u8], b: &[u8], tolerance: u8) -> bool {
    a.len() == b.len() && a.iter().zip(b).all(|(a, b)| a.abs_diff(*b) <= tolerance)
}

/// The outputs, by short names; `Jpeg` is the maker of sources here.
pub(crate) fn as_jpeg(quality: u8) -> Output {
    phalanx_image::Jpeg::quality(quality).into()
}

pub(crate) fn as_png() -> Output {
    phalanx_image::Png::new().into()
}

pub(crate) fn as_webp(quality: u8) -> Output {
    phalanx_image::WebP::quality(quality).into()
}
