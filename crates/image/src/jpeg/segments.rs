//! The marker segments of a JPEG file: everything but the entropy-coded data.

use crate::Error;

/// Marker codes that matter here (ITU-T T.81, table B.1).
pub(super) mod marker {
    pub(in crate::jpeg) const DHT: u8 = 0xC4;
    pub(in crate::jpeg) const JPG: u8 = 0xC8;
    pub(in crate::jpeg) const DAC: u8 = 0xCC;
    pub(in crate::jpeg) const SOI: u8 = 0xD8;
    pub(in crate::jpeg) const EOI: u8 = 0xD9;
    pub(in crate::jpeg) const SOS: u8 = 0xDA;
    pub(in crate::jpeg) const DQT: u8 = 0xDB;
    pub(in crate::jpeg) const DNL: u8 = 0xDC;
    pub(in crate::jpeg) const DRI: u8 = 0xDD;
    pub(in crate::jpeg) const APP0: u8 = 0xE0;
    pub(in crate::jpeg) const APP1: u8 = 0xE1;
    pub(in crate::jpeg) const APP2: u8 = 0xE2;
    pub(in crate::jpeg) const APP14: u8 = 0xEE;
}

/// One marker with its payload; `end` is the position behind it.
#[derive(Debug, Clone, Copy)]
pub(super) struct Segment<'a> {
    pub(super) marker: u8,
    pub(super) payload: &'a [u8],
    pub(super) end: usize,
}

/// Reads the segment whose 0xFF is at `at`.
pub(super) fn segment_at(bytes: &[u8], mut at: usize) -> Result<Segment<'_>, Error> {
    let byte = |at: usize| bytes.get(at).copied().ok_or_else(|| Error::damaged("the JPEG file ends too early"));
    if byte(at)? != 0xFF {
        return Err(Error::damaged("a JPEG marker is missing"));
    }
    while byte(at)? == 0xFF {
        at += 1;
    }
    let marker = byte(at)?;
    at += 1;
    if matches!(marker, marker::EOI | 0x01 | 0xD0..=0xD8) {
        return Ok(Segment { marker, payload: &[], end: at });
    }
    let length = usize::from(byte(at)?) << 8 | usize::from(byte(at + 1)?);
    if length < 2 {
        return Err(Error::damaged("a JPEG segment of impossible length"));
    }
    let payload = bytes.get(at + 2..at + length).ok_or_else(|| Error::damaged("the JPEG file ends too early"))?;
    Ok(Segment { marker, payload, end: at + length })
}

/// One colour component as the frame header describes it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Component {
    pub(crate) id: u8,
    /// Sampling factors, 1 to 4.
    pub(crate) across: u32,
    pub(crate) down: u32,
    /// Quantisation table, 0 to 3.
    pub(crate) table: u8,
}

/// The frame header.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Frame {
    pub(crate) width: u32,
    pub(crate) height: u32,
    pub(crate) progressive: bool,
    components: [Component; 4],
    count: usize,
}

impl Frame {
    pub(crate) fn components(&self) -> &[Component] {
        &self.components[..self.count]
    }

    pub(crate) fn max_across(&self) -> u32 {
        self.components().iter().map(|c| c.across).max().unwrap_or(1)
    }

    pub(crate) fn max_down(&self) -> u32 {
        self.components().iter().map(|c| c.down).max().unwrap_or(1)
    }

    /// Minimum coded units across and down the picture.
    pub(crate) fn units(&self) -> (u32, u32) {
        (self.width.div_ceil(8 * self.max_across()), self.height.div_ceil(8 * self.max_down()))
    }

    /// Blocks across and down that carry component `index`'s own samples, without the padding to whole units.
    pub(crate) fn real_blocks(&self, component: &Component) -> (u32, u32) {
        let width = (self.width * component.across).div_ceil(self.max_across());
        let height = (self.height * component.down).div_ceil(self.max_down());
        (width.div_ceil(8), height.div_ceil(8))
    }

    /// Blocks across and down with the padding.
    pub(crate) fn padded_blocks(&self, component: &Component) -> (u32, u32) {
        let (across, down) = self.units();
        (across * component.across, down * component.down)
    }

    /// Parses a start-of-frame segment.
    pub(super) fn parse(segment: Segment<'_>) -> Result<Self, Error> {
        let progressive = match segment.marker {
            0xC0 | 0xC1 => false,
            0xC2 => true,
            0xC3 => return Err(Error::unsupported("lossless JPEG")),
            0xC5..=0xC7 => return Err(Error::unsupported("hierarchical JPEG")),
            _ => return Err(Error::unsupported("arithmetic-coded JPEG")),
        };
        let &[precision, h1, h0, w1, w0, count, ref rest @ ..] = segment.payload else {
            return Err(Error::damaged("a short JPEG frame header"));
        };
        if precision != 8 {
            return Err(Error::unsupported("JPEG with other than 8 bits a sample"));
        }
        let (width, height) = (u32::from(w1) << 8 | u32::from(w0), u32::from(h1) << 8 | u32::from(h0));
        if width == 0 {
            return Err(Error::damaged("a JPEG picture without width"));
        }
        if height == 0 {
            return Err(Error::unsupported("JPEG that tells its height only at the end"));
        }
        let count = usize::from(count);
        if !matches!(count, 1 | 3 | 4) {
            return Err(Error::unsupported("JPEG with other than 1, 3 or 4 components"));
        }
        let mut components = [Component { id: 0, across: 1, down: 1, table: 0 }; 4];
        for (index, component) in components.iter_mut().take(count).enumerate() {
            let Some(&[id, sampling, table]) = rest.get(index * 3..index * 3 + 3).and_then(<[u8]>::first_chunk::<3>)
            else {
                return Err(Error::damaged("a short JPEG frame header"));
            };
            let (across, down) = (u32::from(sampling >> 4), u32::from(sampling & 15));
            if !(1..=4).contains(&across) || !(1..=4).contains(&down) || table > 3 {
                return Err(Error::damaged("an impossible JPEG component"));
            }
            *component = Component { id, across, down, table };
        }
        if count == 1 {
            // A single component is never interleaved: its factors mean nothing.
            (components[0].across, components[0].down) = (1, 1);
        }
        Ok(Self { width, height, progressive, components, count })
    }
}

/// What the application segments say.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Marks {
    pub(crate) jfif: bool,
    /// The transform byte of Adobe's segment.
    pub(crate) adobe: Option<u8>,
}

/// How the components make a colour.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ColorModel {
    /// One component: luma.
    Grey,
    /// Luma, blue and red difference (JFIF: BT.601, full range).
    Ycc,
    /// Red, green, blue.
    Rgb,
    /// Four inks.
    Cmyk {
        /// Whether the amounts are stored inverted, 255 for none (Adobe does so).
        inverted: bool,
    },
    /// As inverted CMYK, with the first three as luma and chroma.
    Ycck,
}

/// libjpeg's rules.
pub(crate) fn color_model(frame: &Frame, marks: Marks) -> ColorModel {
    let inverted = marks.adobe.is_some();
    match (frame.components(), marks.adobe) {
        ([_], _) => ColorModel::Grey,
        ([_, _, _], Some(0)) => ColorModel::Rgb,
        ([r, g, b], None) if !marks.jfif && [r.id, g.id, b.id] == *b"RGB" => ColorModel::Rgb,
        ([_, _, _], _) => ColorModel::Ycc,
        (_, Some(2)) => ColorModel::Ycck,
        _ => ColorModel::Cmyk { inverted },
    }
}

impl Marks {
    pub(super) fn note(&mut self, segment: Segment<'_>) {
        match segment.marker {
            marker::APP0 if segment.payload.starts_with(b"JFIF\0") => self.jfif = true,
            marker::APP14 if segment.payload.starts_with(b"Adobe") => {
                if let Some(&transform) = segment.payload.get(11) {
                    self.adobe = Some(transform);
                }
            }
            _ => {}
        }
    }
}

/// First bytes of an APP2 segment that holds a part of an ICC profile; part number and count follow.
const ICC_SIGNATURE: &[u8] = b"ICC_PROFILE\0";

/// Number, count and data of a part of an ICC profile.
pub(super) fn icc_part<'a>(segment: Segment<'a>) -> Option<(u8, u8, &'a [u8])> {
    let rest: &'a [u8] = (segment.marker == marker::APP2).then_some(segment.payload)?.strip_prefix(ICC_SIGNATURE)?;
    let (&[number, count], data) = rest.split_first_chunk::<2>()?;
    Some((number, count, data))
}

/// The TIFF block of an EXIF segment.
pub(super) fn exif_block<'a>(segment: Segment<'a>) -> Option<&'a [u8]> {
    (segment.marker == marker::APP1).then_some(segment.payload)?.strip_prefix(b"Exif\0\0")
}

/// Whether the marker starts a frame.
pub(super) fn starts_frame(code: u8) -> bool {
    (0xC0..=0xCF).contains(&code) && !matches!(code, marker::DHT | marker::JPG | marker::DAC)
}

/// Whether the marker stands for nothing in the standard; no decoder can know how to go on behind it.
pub(super) fn is_reserved(code: u8) -> bool {
    matches!(code, 0x02..=0xBF)
}
