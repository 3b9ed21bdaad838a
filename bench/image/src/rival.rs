//! libjpeg-turbo by its own interface: a picture to a picture as sharp would do it, and JPEG to planes.

use fast_image_resize::images::{Image, ImageRef};
use fast_image_resize::{PixelType, ResizeAlg, ResizeOptions, Resizer};
use turbojpeg::{Compressor, Decompressor, PixelFormat, ScalingFactor, Subsamp, YuvImage, yuv_pixels_len};

use crate::measure::Work;

const QUALITY: i32 = 80;
const ALIGNMENT: usize = 4;

/// Decoded at a fraction of its size to RGB, resized with Lanczos3, encoded 4:2:0 with optimised Huffman tables.
pub(crate) struct Pipeline<'a> {
    source: &'a [u8],
    width: usize,
    decompressor: Decompressor,
    compressor: Compressor,
    resizer: Resizer,
    pixels: Vec<u8>,
    small: Image<'static>,
    output: Vec<u8>,
}

impl<'a> Pipeline<'a> {
    pub(crate) fn new(source: &'a [u8], width: u32) -> Result<Self, String> {
        let mut compressor = Compressor::new().map_err(of_turbojpeg)?;
        compressor.set_quality(QUALITY).map_err(of_turbojpeg)?;
        compressor.set_subsamp(Subsamp::Sub2x2).map_err(of_turbojpeg)?;
        compressor.set_optimize(true).map_err(of_turbojpeg)?;
        Ok(Self {
            source,
            width: width as usize,
            decompressor: Decompressor::new().map_err(of_turbojpeg)?,
            compressor,
            resizer: Resizer::new(),
            pixels: Vec::new(),
            small: Image::new(1, 1, PixelType::U8x3),
            output: Vec::new(),
        })
    }
}

/// sharp's rule: the largest fraction that leaves more than the target has; one less if the target is that fraction, nearly.
fn fraction(shrink: f64) -> usize {
    match shrink as usize {
        0..=2 => 1,
        3..=4 => 2,
        5..=8 => 4,
        _ => 8,
    }
}

impl Work for Pipeline<'_> {
    fn once(&mut self) -> Result<(), String> {
        let header = self.decompressor.read_header(self.source).map_err(of_turbojpeg)?;
        let width = self.width.min(header.width);
        let height = ((header.height * width) as f64 / header.width as f64).round().max(1.0) as usize;
        let factor = ScalingFactor::new(1, fraction(header.width as f64 / width as f64));
        self.decompressor.set_scaling_factor(factor).map_err(of_turbojpeg)?;
        let scaled = header.scaled(factor);
        self.pixels.resize(scaled.width * scaled.height * 3, 0);
        let image = turbojpeg::Image {
            pixels: self.pixels.as_mut_slice(),
            width: scaled.width,
            pitch: scaled.width * 3,
            height: scaled.height,
            format: PixelFormat::RGB,
        };
        self.decompressor.decompress(self.source, image).map_err(of_turbojpeg)?;
        let from = ImageRef::new(scaled.width as u32, scaled.height as u32, &self.pixels, PixelType::U8x3)
            .map_err(|error| error.to_string())?;
        if (self.small.width(), self.small.height()) != (width as u32, height as u32) {
            self.small = Image::new(width as u32, height as u32, PixelType::U8x3);
        }
        let options = ResizeOptions::new()
            .resize_alg(ResizeAlg::Convolution(fast_image_resize::FilterType::Lanczos3))
            .use_alpha(false);
        self.resizer.resize(&from, &mut self.small, &options).map_err(|error| error.to_string())?;
        let small =
            turbojpeg::Image { pixels: self.small.buffer(), width, pitch: width * 3, height, format: PixelFormat::RGB };
        self.output = self.compressor.compress_to_vec(small).map_err(of_turbojpeg)?;
        Ok(())
    }

    fn output(&self) -> &[u8] {
        &self.output
    }
}

/// The decoder alone: planes, without any conversion.
pub(crate) struct Planes<'a> {
    source: &'a [u8],
    decompressor: Decompressor,
    planes: Vec<u8>,
}

impl<'a> Planes<'a> {
    pub(crate) fn new(source: &'a [u8], eighths: u32) -> Result<Self, String> {
        let mut decompressor = Decompressor::new().map_err(of_turbojpeg)?;
        decompressor.set_scaling_factor(ScalingFactor::new(eighths as usize, 8)).map_err(of_turbojpeg)?;
        Ok(Self { source, decompressor, planes: Vec::new() })
    }
}

impl Work for Planes<'_> {
    fn once(&mut self) -> Result<(), String> {
        let header = self.decompressor.read_header(self.source).map_err(of_turbojpeg)?;
        let scaled = header.scaled(self.decompressor.scaling_factor());
        let length = yuv_pixels_len(scaled.width, ALIGNMENT, scaled.height, scaled.subsamp).map_err(of_turbojpeg)?;
        self.planes.resize(length, 0);
        let image = YuvImage {
            pixels: self.planes.as_mut_slice(),
            width: scaled.width,
            align: ALIGNMENT,
            height: scaled.height,
            subsamp: scaled.subsamp,
        };
        self.decompressor.decompress_to_yuv(self.source, image).map_err(of_turbojpeg)
    }
}

fn of_turbojpeg(error: turbojpeg::Error) -> String {
    format!("libjpeg-turbo: {error}")
}
