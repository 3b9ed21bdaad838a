//! The header of a picture: all that is needed to judge what it will cost, read without allocating.

use crate::jpeg::{self, ColorModel, JpegHeader};
use crate::{Error, Format, Orientation, gif, png, webp};

/// How the pixels of the source make a colour.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ColorKind {
    /// One channel.
    Grey,
    /// Red, green, blue (also what is stored as luma and chroma).
    Rgb,
    /// Colours from a table.
    Palette,
    /// Four inks (also as YCCK).
    Cmyk,
}

/// What the header of a picture says.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Header {
    /// The format, from the first bytes.
    pub format: Format,
    /// Width in pixels as stored, before [`Header::orientation`] is applied.
    pub width: u32,
    /// Height in pixels as stored.
    pub height: u32,
    /// How the stored picture must be turned to be upright.
    pub orientation: Orientation,
    /// Frames of an animation; 1 for a still. Only the first is ever used.
    pub frames: u32,
    /// Whether it comes in passes: progressive JPEG, interlaced PNG.
    pub progressive: bool,
    /// Whether pixels may be transparent.
    pub has_alpha: bool,
    /// Whether a colour profile is embedded.
    pub has_icc: bool,
    /// The kind of colour.
    pub color: ColorKind,
    /// Bits per channel.
    pub bit_depth: u8,
    /// Bytes of the file.
    pub file_bytes: u64,
    /// Bytes of the profile at most, unpacked.
    pub(crate) icc_bytes: u64,
    pub(crate) detail: Detail,
}

/// What only the format's own module understands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Detail {
    Jpeg(JpegHeader),
    /// A WebP that is decoded into planes.
    Lossy(webp::Lossy),
    /// Bytes a pixel of the decoded picture.
    Pixels {
        channels: usize,
        lossless: bool,
    },
}

impl Header {
    /// Width and height after the orientation is applied: what a viewer shows.
    #[must_use]
    pub fn upright_size(&self) -> (u32, u32) {
        if self.orientation.swaps_sides() { (self.height, self.width) } else { (self.width, self.height) }
    }

    /// Pixels, width × height.
    #[must_use]
    pub fn pixels(&self) -> u64 {
        u64::from(self.width) * u64::from(self.height)
    }
}

/// Reads the header. Allocates nothing, whatever size the picture claims; enforces no limit ([`plan`](crate::plan()) does).
///
/// # Errors
/// [`Error::UnknownFormat`], [`Error::Unsupported`], or [`Error::Damaged`] when the header itself is cut or impossible.
///
/// ```
/// let jpeg = phalanx_image::sample_jpeg(320, 240);
/// let header = phalanx_image::probe(&jpeg)?;
/// assert_eq!((header.width, header.height, header.progressive), (320, 240, false));
/// # Ok::<(), phalanx_image::Error>(())
/// ```
pub fn probe(bytes: &[u8]) -> Result<Header, Error> {
    let unread = || Format::name_unread(bytes).map_or(Error::UnknownFormat, Error::unsupported);
    match Format::sniff(bytes).ok_or_else(unread)? {
        Format::Jpeg => probe_jpeg(bytes),
        Format::Png => png::probe(bytes),
        Format::WebP => webp::probe(bytes),
        Format::Gif => gif::probe(bytes),
    }
}

fn probe_jpeg(bytes: &[u8]) -> Result<Header, Error> {
    let header = jpeg::read_header(bytes)?;
    let color = match jpeg::color_model(&header.frame, header.marks) {
        ColorModel::Grey => ColorKind::Grey,
        ColorModel::Ycc | ColorModel::Rgb => ColorKind::Rgb,
        ColorModel::Cmyk { .. } | ColorModel::Ycck => ColorKind::Cmyk,
    };
    Ok(Header {
        format: Format::Jpeg,
        width: header.frame.width,
        height: header.frame.height,
        orientation: header.orientation,
        frames: 1,
        progressive: header.frame.progressive,
        has_alpha: false,
        has_icc: header.icc_bytes > 0,
        icc_bytes: header.icc_bytes,
        color,
        bit_depth: 8,
        file_bytes: bytes.len() as u64,
        detail: Detail::Jpeg(header),
    })
}
