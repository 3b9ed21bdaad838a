//! The output: a format, and what its encoder shall aim at.

use crate::{Error, Format};

/// What the encoder may take its time for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub(crate) enum Effort {
    /// Good files at once: what a server answers with.
    #[default]
    Quick,
    /// Smaller files for several times the time: what is made once and sent often.
    Small,
}

/// A quality that is in the middle of what people ask for: sharp's and imgproxy's default.
pub(crate) const DEFAULT_QUALITY: u8 = 80;

/// JPEG with optimised Huffman tables; 4:2:0 up to quality 90, 4:4:4 above. Baseline, or progressive in the [small](Jpeg::small) mode. The default is quality 80.
///
/// ```
/// use phalanx_image::Jpeg;
///
/// let answer = Jpeg::quality(80); // baseline, at once
/// let published = Jpeg::quality(80).small(); // made once, sent often
/// # let _ = (answer, published);
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct Jpeg {
    pub(crate) quality: u8,
    pub(crate) effort: Effort,
}

impl Jpeg {
    /// A quality of 1 (smallest) to 100 (best), as libjpeg's; [`plan`](crate::plan()) refuses any other.
    #[must_use]
    pub const fn quality(quality: u8) -> Self {
        Self { quality, effort: Effort::Quick }
    }

    /// Fewer bytes for more time: progressive, and each value weighed by the bits that it takes.
    ///
    /// Measured with five photos 700 to 960 px wide at quality 80: 10.9 to 14.6 % fewer bytes (12.7 % on average) for 0.6 to 1.6 points of
    /// SSIMULACRA2 (0.9); a lower quality pays 2.6 points for as much. Encoding takes about twenty times as long: tens of milliseconds.
    #[must_use]
    pub const fn small(self) -> Self {
        Self { effort: Effort::Small, ..self }
    }
}

impl Default for Jpeg {
    fn default() -> Self {
        Self::quality(DEFAULT_QUALITY)
    }
}

/// PNG, 8 bits a channel, without loss.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct Png {
    pub(crate) effort: Effort,
}

impl Png {
    /// In one fast pass for photos, with effort for drawings.
    #[must_use]
    pub const fn new() -> Self {
        Self { effort: Effort::Quick }
    }

    /// Fewer bytes for more time.
    #[must_use]
    pub const fn small(self) -> Self {
        Self { effort: Effort::Small }
    }
}

/// Lossy WebP; needs the feature `webp-encode` (on by default). The default is quality 80.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct WebP {
    pub(crate) quality: u8,
    pub(crate) effort: Effort,
}

impl WebP {
    /// A quality of 1 (smallest) to 100 (best), as libwebp's; [`plan`](crate::plan()) refuses any other.
    #[must_use]
    pub const fn quality(quality: u8) -> Self {
        Self { quality, effort: Effort::Quick }
    }

    /// Fewer bytes for more time.
    #[must_use]
    pub const fn small(self) -> Self {
        Self { effort: Effort::Small, ..self }
    }
}

impl Default for WebP {
    fn default() -> Self {
        Self::quality(DEFAULT_QUALITY)
    }
}

/// One of the output formats, with its settings. Each of them converts into it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[non_exhaustive]
pub enum Output {
    /// JPEG.
    Jpeg(Jpeg),
    /// PNG.
    Png(Png),
    /// Lossy WebP.
    WebP(WebP),
}

impl Output {
    /// The format that is written.
    #[must_use]
    pub const fn format(self) -> Format {
        match self {
            Self::Jpeg(_) => Format::Jpeg,
            Self::Png(_) => Format::Png,
            Self::WebP(_) => Format::WebP,
        }
    }

    /// Refuses a quality that does not exist, and a format that this build cannot write.
    pub(crate) fn check(self) -> Result<(), Error> {
        let quality = match self {
            Self::Jpeg(Jpeg { quality, .. }) | Self::WebP(WebP { quality, .. }) => quality,
            Self::Png(_) => return Ok(()),
        };
        if !(1..=100).contains(&quality) {
            return Err(Error::invalid(format_args!("quality is {quality} and must be 1 to 100")));
        }
        if cfg!(not(feature = "webp-encode")) && matches!(self, Self::WebP(_)) {
            return Err(Error::unsupported("WebP output in a build without the feature `webp-encode`"));
        }
        Ok(())
    }
}

impl Default for Output {
    /// JPEG at quality 80.
    fn default() -> Self {
        Self::Jpeg(Jpeg::default())
    }
}

impl From<Jpeg> for Output {
    fn from(jpeg: Jpeg) -> Self {
        Self::Jpeg(jpeg)
    }
}

impl From<Png> for Output {
    fn from(png: Png) -> Self {
        Self::Png(png)
    }
}

impl From<WebP> for Output {
    fn from(webp: WebP) -> Self {
        Self::WebP(webp)
    }
}
