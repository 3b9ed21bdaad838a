//! How large the picture shall become, and what happens when its shape does not fit.

use crate::{Error, Fit};

/// The asked size, in (CSS) pixels: one side and the other follows, or two and a [`Fit`].
///
/// ```
/// use phalanx_image::Size;
///
/// let preview = Size::width(800); // the height follows
/// let avatar = Size::cover(256, 256); // filled, what hangs over is cut off
/// let slide = Size::within(1920, 1080); // all of it, no side longer
/// # let _ = (preview, avatar, slide);
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct Size {
    pub(crate) width: Option<u32>,
    pub(crate) height: Option<u32>,
    pub(crate) fit: Fit,
}

/// Width of the default size in pixels.
const DEFAULT_WIDTH: u32 = 800;

impl Default for Size {
    /// 800 px wide.
    fn default() -> Self {
        Self::width(DEFAULT_WIDTH)
    }
}

impl Size {
    /// So wide; the height follows the aspect ratio.
    #[must_use]
    pub const fn width(pixels: u32) -> Self {
        Self::sides(Some(pixels), None, Fit::Inside)
    }

    /// So high; the width follows the aspect ratio.
    #[must_use]
    pub const fn height(pixels: u32) -> Self {
        Self::sides(None, Some(pixels), Fit::Inside)
    }

    /// As large as possible with no side longer than asked ([`Fit::Inside`]).
    #[must_use]
    pub const fn within(width: u32, height: u32) -> Self {
        Self::sides(Some(width), Some(height), Fit::Inside)
    }

    /// The box, filled; what hangs over is cut off around the centre ([`Fit::Cover`]).
    #[must_use]
    pub const fn cover(width: u32, height: u32) -> Self {
        Self::sides(Some(width), Some(height), Fit::Cover)
    }

    /// The whole picture in the box, with bars of background ([`Fit::Contain`]).
    #[must_use]
    pub const fn contain(width: u32, height: u32) -> Self {
        Self::sides(Some(width), Some(height), Fit::Contain)
    }

    /// The box exactly, whatever the aspect ratio ([`Fit::Fill`]).
    #[must_use]
    pub const fn fill(width: u32, height: u32) -> Self {
        Self::sides(Some(width), Some(height), Fit::Fill)
    }

    /// As it is.
    #[must_use]
    pub const fn original() -> Self {
        Self::sides(None, None, Fit::Inside)
    }

    /// Any sides and any fit, for who has them as values; a side that is `None` follows the other.
    #[must_use]
    pub const fn sides(width: Option<u32>, height: Option<u32>, fit: Fit) -> Self {
        Self { width, height, fit }
    }

    /// The sides in device pixels, checked.
    pub(crate) fn times(self, ratio: f32) -> Result<(Option<u32>, Option<u32>), Error> {
        let scale = |name: &str, side: Option<u32>| match side {
            None => Ok(None),
            Some(0) => Err(Error::invalid(format_args!("{name} is 0 and must be at least 1 pixel"))),
            Some(pixels) => Ok(Some(((f64::from(pixels) * f64::from(ratio)).round() as u32).max(1))),
        };
        Ok((scale("width", self.width)?, scale("height", self.height)?))
    }
}
