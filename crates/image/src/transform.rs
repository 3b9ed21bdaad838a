//! What the caller wants done with a picture.

use crate::jpeg::Damage;
use crate::{Enlarge, Error, Orientation, Output, Size};

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

/// An opaque colour (sRGB) for what a picture leaves empty: the bars of [`Size::contain`], and behind transparency when the
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

/// The wish: size, turn, output. The default is 800 px wide, never enlarged, JPEG at quality 80.
///
/// ```
/// use phalanx_image::{Png, Rotate, Size, Transform};
///
/// let avatar = Transform::default().size(Size::cover(256, 256)).dpr(2.0).rotate(Rotate::Quarter).output(Png::new());
/// # let _ = avatar;
/// ```
#[derive(Debug, Clone, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct Transform {
    pub(crate) size: Size,
    pub(crate) enlarge: Enlarge,
    pub(crate) dpr: f32,
    pub(crate) background: Background,
    pub(crate) rotate: Rotate,
    pub(crate) flip: bool,
    pub(crate) flop: bool,
    pub(crate) output: Output,
    pub(crate) damage: Damage,
}

impl Default for Transform {
    fn default() -> Self {
        Self {
            size: Size::default(),
            enlarge: Enlarge::default(),
            dpr: 1.0,
            background: Background::default(),
            rotate: Rotate::default(),
            flip: false,
            flop: false,
            output: Output::default(),
            damage: Damage::default(),
        }
    }
}

impl Transform {
    /// The size of the picture when it is upright and turned. Default 800 px wide.
    #[must_use]
    pub fn size(mut self, size: Size) -> Self {
        self.size = size;
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

    /// The output: a [`Jpeg`](crate::Jpeg), [`Png`](crate::Png) or [`WebP`](crate::WebP). Default JPEG at quality 80.
    #[must_use]
    pub fn output(mut self, output: impl Into<Output>) -> Self {
        self.output = output.into();
        self
    }

    /// What to do about a JPEG file that is cut or damaged: refuse it, or make a picture of what there is. Default [`Damage::Refuse`].
    #[must_use]
    pub fn damage(mut self, damage: Damage) -> Self {
        self.damage = damage;
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
        self.size.times(self.dpr)
    }
}
