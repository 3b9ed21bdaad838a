//! The picture formats and their signatures.

/// A picture format that can be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[non_exhaustive]
pub enum Format {
    /// JPEG, baseline or progressive.
    Jpeg,
    /// PNG, also animated (first frame).
    Png,
    /// WebP, lossy, lossless or animated (first frame).
    WebP,
    /// GIF (first frame).
    Gif,
}

impl Format {
    /// Tells the format by its first bytes, never by a file name.
    ///
    /// ```
    /// use phalanx_image::Format;
    ///
    /// assert_eq!(Format::sniff(b"\x89PNG\r\n\x1a\n...."), Some(Format::Png));
    /// assert_eq!(Format::sniff(b"<svg>"), None);
    /// ```
    #[must_use]
    pub fn sniff(bytes: &[u8]) -> Option<Self> {
        match bytes {
            [0xFF, 0xD8, 0xFF, ..] => Some(Self::Jpeg),
            [0x89, b'P', b'N', b'G', 0x0D, 0x0A, 0x1A, 0x0A, ..] => Some(Self::Png),
            [b'R', b'I', b'F', b'F', _, _, _, _, b'W', b'E', b'B', b'P', ..] => Some(Self::WebP),
            [b'G', b'I', b'F', b'8', b'7' | b'9', b'a', ..] => Some(Self::Gif),
            _ => None,
        }
    }

    /// The name of a picture format that is known but not read, by the brand that an ISO media file begins with.
    pub(crate) fn name_unread(bytes: &[u8]) -> Option<&'static str> {
        match bytes {
            [_, _, _, _, b'f', b't', b'y', b'p', b'a', b'v', b'i', b'f' | b's', ..] => Some("AVIF"),
            [_, _, _, _, b'f', b't', b'y', b'p', b'h', b'e', b'i' | b'v', b'c' | b'x' | b's' | b'm', ..]
            | [_, _, _, _, b'f', b't', b'y', b'p', b'm', b'i', b'f', b'1', ..] => Some("HEIF"),
            _ => None,
        }
    }

    /// Its name in parameters and answers: `jpeg`, `png`, `webp`, `gif`.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Jpeg => "jpeg",
            Self::Png => "png",
            Self::WebP => "webp",
            Self::Gif => "gif",
        }
    }

    /// The media type for `Content-Type`.
    #[must_use]
    pub fn media_type(self) -> &'static str {
        match self {
            Self::Jpeg => "image/jpeg",
            Self::Png => "image/png",
            Self::WebP => "image/webp",
            Self::Gif => "image/gif",
        }
    }

    /// The usual file extension, without a dot.
    #[must_use]
    pub fn extension(self) -> &'static str {
        match self {
            Self::Jpeg => "jpg",
            Self::Png => "png",
            Self::WebP => "webp",
            Self::Gif => "gif",
        }
    }
}
