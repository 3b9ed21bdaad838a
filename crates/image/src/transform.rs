//! What the caller wants done with a picture.

use crate::{Enlarge, Error, Fit, Orientation};

/// Encoder quality, 1 (smallest) to 100 (best).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize), serde(try_from = "u8", into = "u8"))]
pub struct Quality(u8);

impl Quality {
    /// 80: sharp's and imgproxy's default for JPEG.
    pub const DEFAULT: Self = Self(80);

    /// A quality from 1 to 100.
    ///
    /// # Errors
    /// [`Error::InvalidTransform`] for anything else.
    pub fn new(value: u8) -> Result<Self, Error> {
        if (1..=100).contains(&value) {
            Ok(Self(value))
        } else {
            Err(Error::invalid(format_args!("quality is {value} and must be 1 to 100")))
        }
    }

    /// The number, 1 to 100.
    #[must_use]
    pub fn get(self) -> u8 {
        self.0
    }
}

impl TryFrom<u8> for Quality {
    type Error = Error;
    fn try_from(value: u8) -> Result<Self, Error> {
        Self::new(value)
    }
}

impl From<Quality> for u8 {
    fn from(quality: Quality) -> u8 {
        quality.get()
    }
}

impl Default for Quality {
    fn default() -> Self {
        Self::DEFAULT
    }
}

/// The output format.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[non_exhaustive]
pub enum Output {
    /// Baseline JPEG with optimised Huffman tables; 4:2:0 up to quality 90, 4:4:4 above.
    Jpeg {
        /// As libjpeg's.
        quality: Quality,
    },
    /// PNG, 8 bits a channel.
    Png,
    /// Lossy WebP; needs the feature `webp-encode` (on by default).
    WebP {
        /// As libwebp's.
        quality: Quality,
    },
}

impl Output {
    /// The format that is written.
    #[must_use]
    pub fn format(self) -> crate::Format {
        match self {
            Self::Jpeg { .. } => crate::Format::Jpeg,
            Self::Png => crate::Format::Png,
            Self::WebP { .. } => crate::Format::WebP,
        }
    }
}

impl Default for Output {
    fn default() -> Self {
        Self::Jpeg { quality: Quality::DEFAULT }
    }
}

/// A turn by quarters, clockwise, after the picture was set upright.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub enum Rotate {
    /// Not turned.
    #[default]
    None,
    /// 90° clockwise.
    Quarter,
    /// 180°.
    Half,
    /// 270° clockwise.
    ThreeQuarters,
}

impl Rotate {
    /// The turn for 0, 90, 180 or 270 degrees.
    ///
    /// # Errors
    /// [`Error::InvalidTransform`] for anything else.
    pub fn from_degrees(degrees: u32) -> Result<Self, Error> {
        match degrees {
            0 => Ok(Self::None),
            90 => Ok(Self::Quarter),
            180 => Ok(Self::Half),
            270 => Ok(Self::ThreeQuarters),
            _ => Err(Error::invalid(format_args!("rotate is {degrees} and must be 0, 90, 180 or 270"))),
        }
    }

    fn orientation(self) -> Orientation {
        match self {
            Self::None => Orientation::Upright,
            Self::Quarter => Orientation::Clockwise,
            Self::Half => Orientation::UpsideDown,
            Self::ThreeQuarters => Orientation::CounterClockwise,
        }
    }
}

/// An opaque colour (sRGB) for what a picture leaves empty: the bars of [`Fit::Contain`], and behind transparency when the
/// output is JPEG.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct Background {
    /// Red, 0 to 255.
    pub red: u8,
    /// Green, 0 to 255.
    pub green: u8,
    /// Blue, 0 to 255.
    pub blue: u8,
}

impl Background {
    /// White.
    pub const WHITE: Self = Self { red: 255, green: 255, blue: 255 };
    /// Black, sharp's default and ours.
    pub const BLACK: Self = Self { red: 0, green: 0, blue: 0 };
}

impl Default for Background {
    fn default() -> Self {
        Self::BLACK
    }
}

/// Ratios of device pixels to CSS pixels that make sense.
const DPR_RANGE: std::ops::RangeInclusive<f32> = 0.1..=8.0;

/// The wish: size, fit, turn, output. The default is 800 px wide, fitted inside, never enlarged, JPEG at quality 80.
///
/// ```
/// use phalanx_image::{Fit, Output, Transform};
///
/// let avatar = Transform::default().width(256).height(256).fit(Fit::Cover).output(Output::Png);
/// ```
#[derive(Debug, Clone, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct Transform {
    pub(crate) width: Option<u32>,
    pub(crate) height: Option<u32>,
    pub(crate) fit: Fit,
    pub(crate) enlarge: Enlarge,
    pub(crate) dpr: f32,
    pub(crate) background: Background,
    pub(crate) rotate: Rotate,
    pub(crate) flip: bool,
    pub(crate) flop: bool,
    pub(crate) output: Output,
}

/// Width of the default transform in pixels.
const DEFAULT_WIDTH: u32 = 800;

impl Default for Transform {
    fn default() -> Self {
        Self { width: Some(DEFAULT_WIDTH), ..Self::unsized_default() }
    }
}

impl Transform {
    fn unsized_default() -> Self {
        Self {
            width: None,
            height: None,
            fit: Fit::default(),
            enlarge: Enlarge::default(),
            dpr: 1.0,
            background: Background::default(),
            rotate: Rotate::default(),
            flip: false,
            flop: false,
            output: Output::default(),
        }
    }

    /// A transform that keeps the size of the picture until a side is asked for; all else as in the default.
    #[must_use]
    pub fn original_size() -> Self {
        Self::unsized_default()
    }

    /// Asks for a width in (CSS) pixels.
    #[must_use]
    pub fn width(mut self, pixels: u32) -> Self {
        self.width = Some(pixels);
        self
    }

    /// Asks for a height in (CSS) pixels.
    #[must_use]
    pub fn height(mut self, pixels: u32) -> Self {
        self.height = Some(pixels);
        self
    }

    /// Says how width and height are meant. Default [`Fit::Inside`].
    #[must_use]
    pub fn fit(mut self, fit: Fit) -> Self {
        self.fit = fit;
        self
    }

    /// Says whether the picture may become larger than it is. Default [`Enlarge::Never`].
    #[must_use]
    pub fn enlarge(mut self, enlarge: Enlarge) -> Self {
        self.enlarge = enlarge;
        self
    }

    /// Device pixels per asked pixel, 0.1 to 8. Default 1.
    #[must_use]
    pub fn dpr(mut self, ratio: f32) -> Self {
        self.dpr = ratio;
        self
    }

    /// The colour behind the picture. Default black, as in sharp.
    #[must_use]
    pub fn background(mut self, colour: Background) -> Self {
        self.background = colour;
        self
    }

    /// Turns the picture clockwise after it was set upright; width and height are those of the turned picture.
    #[must_use]
    pub fn rotate(mut self, rotate: Rotate) -> Self {
        self.rotate = rotate;
        self
    }

    /// Mirrors top-bottom, after the turn.
    #[must_use]
    pub fn flip(mut self) -> Self {
        self.flip = !self.flip;
        self
    }

    /// Mirrors left-right, after the turn.
    #[must_use]
    pub fn flop(mut self) -> Self {
        self.flop = !self.flop;
        self
    }

    /// The output format. Default JPEG at quality 80.
    #[must_use]
    pub fn output(mut self, output: Output) -> Self {
        self.output = output;
        self
    }

    /// All turns and mirrors in one, for a picture stored with this orientation.
    pub(crate) fn orientation(&self, stored: Orientation) -> Orientation {
        let mut sum = stored.then(self.rotate.orientation());
        if self.flip {
            sum = sum.then(Orientation::MirroredVertically);
        }
        if self.flop {
            sum = sum.then(Orientation::MirroredHorizontally);
        }
        sum
    }

    /// The asked sides in device pixels, checked.
    pub(crate) fn asked(&self) -> Result<(Option<u32>, Option<u32>), Error> {
        if !DPR_RANGE.contains(&self.dpr) {
            return Err(Error::invalid(format_args!("dpr is {} and must be 0.1 to 8", self.dpr)));
        }
        let scale = |name: &str, side: Option<u32>| match side {
            None => Ok(None),
            Some(0) => Err(Error::invalid(format_args!("{name} is 0 and must be at least 1 pixel"))),
            Some(pixels) => Ok(Some(((f64::from(pixels) * f64::from(self.dpr)).round() as u32).max(1))),
        };
        Ok((scale("width", self.width)?, scale("height", self.height)?))
    }
}
