//! The decoder for who wants planes and not a finished picture: a thin, documented face over [`super::decode`].

use std::num::NonZero;

use super::damage::{Damage, Warning};
use super::decode::{Job, decode_planes};
use super::header::{JpegHeader, read_header};
use super::idct::SCALES;
use super::plane::{Plane, coefficient_bytes, plane_bytes};
use super::progressive::Refinement;
use super::scan::SCAN_BYTES;
use super::segments::{ColorModel, color_model};
use super::side_by_side::hand_bytes;
use crate::{Error, Limits, Scratch};

/// Tables and what else does not depend on the picture. Bytes.
const FIXED_BYTES: u64 = 512 * 1024;
/// Bytes of the shortest scan header.
const SHORTEST_SCAN_BYTES: u64 = 10;

/// A decode scale: eighths of the stored size.
///
/// ```
/// use phalanx_image::jpeg::Scale;
///
/// assert_eq!(Scale::eighths(2).map(Scale::get), Some(2));
/// assert_eq!(Scale::eighths(9), None);
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Scale(u32);

impl Scale {
    /// The stored size.
    pub const FULL: Self = Self(8);

    /// The scale of `eighths` / 8, or `None` when there is no transform of that size.
    #[must_use]
    pub fn eighths(eighths: u32) -> Option<Self> {
        SCALES.contains(&eighths).then_some(Self(eighths))
    }

    /// The eighths.
    #[must_use]
    pub fn get(self) -> u32 {
        self.0
    }
}

/// One colour component as the frame header describes it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Component {
    /// Its identifier in the file.
    pub id: u8,
    /// Samples across and down for each sample of the component with the fewest: 1 to 4 each (always 1 × 1 when the component is alone).
    pub sampling: (u32, u32),
}

/// What stands in the header of a JPEG file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Info {
    /// Width in pixels, as stored.
    pub width: u32,
    /// Height in pixels, as stored.
    pub height: u32,
    /// What the components mean.
    pub color: ColorModel,
    /// Whether the picture comes in scans of rising precision.
    pub progressive: bool,
    components: [Component; 4],
    count: usize,
}

impl Info {
    /// The components in the order of the planes: 1, 3 or 4.
    #[must_use]
    pub fn components(&self) -> &[Component] {
        &self.components[..self.count]
    }

    fn of(header: &JpegHeader) -> Self {
        let frame = &header.frame;
        let mut components = [Component { id: 0, sampling: (1, 1) }; 4];
        for (to, from) in components.iter_mut().zip(frame.components()) {
            *to = Component { id: from.id, sampling: (from.across, from.down) };
        }
        Self {
            width: frame.width,
            height: frame.height,
            color: color_model(frame, header.marks),
            progressive: frame.progressive,
            components,
            count: frame.components().len(),
        }
    }
}

/// A decoder for one file. It has read the header and nothing else; the file stays where it is.
///
/// ```
/// use phalanx_image::Scratch;
/// use phalanx_image::jpeg::{Decoder, Scale};
///
/// let file = phalanx_image::sample_jpeg(1600, 1200);
/// let quarter = Scale::eighths(2).unwrap();
/// let decoder = Decoder::new(&file)?.scale(quarter);
/// assert!(decoder.announced_bytes() < 2 * 1024 * 1024);
///
/// let mut scratch = Scratch::new(); // one per thread, reused
/// let planes = decoder.decode(&mut scratch)?;
/// let luma = &planes[0];
/// assert_eq!((luma.width(), luma.height()), (400, 300));
/// let first_row = &luma.samples()[..luma.width()];
/// # assert_eq!(first_row.len(), 400);
/// planes.give_back(&mut scratch);
/// # Ok::<(), phalanx_image::Error>(())
/// ```
#[derive(Debug, Clone)]
pub struct Decoder<'a> {
    bytes: &'a [u8],
    header: JpegHeader,
    info: Info,
    scales: [u32; 4],
    scan_limit: u32,
    damage: Damage,
    refinement: Refinement,
    threads: NonZero<usize>,
}

impl<'a> Decoder<'a> {
    /// Reads the header. Allocates nothing.
    ///
    /// # Errors
    /// [`Error::Damaged`] when there is no valid header, [`Error::Unsupported`] for arithmetic-coded, lossless, hierarchical and 12-bit files.
    pub fn new(bytes: &'a [u8]) -> Result<Self, Error> {
        let header = read_header(bytes)?;
        let info = Info::of(&header);
        Ok(Self {
            bytes,
            header,
            info,
            scales: [8; 4],
            scan_limit: Limits::default().jpeg_scans,
            damage: Damage::Refuse,
            refinement: Refinement::All,
            threads: NonZero::<usize>::MIN,
        })
    }

    /// What the header says.
    #[must_use]
    pub fn info(&self) -> &Info {
        &self.info
    }

    /// Decodes all components at this scale. Default [`Scale::FULL`].
    #[must_use]
    pub fn scale(mut self, scale: Scale) -> Self {
        self.scales = [scale.0; 4];
        self
    }

    /// Decodes one component (its index in [`Info::components`]; others are ignored) at a scale of its own.
    #[must_use]
    pub fn component_scale(mut self, component: usize, scale: Scale) -> Self {
        if let Some(slot) = self.scales.get_mut(component) {
            *slot = scale.0;
        }
        self
    }

    /// The most scans that are accepted. Default as of [`Limits::jpeg_scans`].
    #[must_use]
    pub fn scan_limit(mut self, scans: u32) -> Self {
        self.scan_limit = scans;
        self
    }

    /// What to do about damaged picture data. Default [`Damage::Refuse`].
    #[must_use]
    pub fn damage(mut self, damage: Damage) -> Self {
        self.damage = damage;
        self
    }

    /// Which refinements of a progressive file are read. Default [`Refinement::All`].
    #[must_use]
    pub fn refinement(mut self, refinement: Refinement) -> Self {
        self.refinement = refinement;
        self
    }

    /// How many threads may decode side by side, this one included. Default 1.
    ///
    /// A baseline file with restart markers can be decoded in several places at once; of any other file, and of small ones, nothing changes. The
    /// threads are made for this one picture and end with it. The outcome is the same for any number, whether samples, warnings or an error.
    ///
    /// Ask for as many as there are cores with nothing else to do: where every core has work, this brings nothing.
    #[must_use]
    pub fn threads(mut self, threads: NonZero<usize>) -> Self {
        self.threads = threads;
        self
    }

    /// Upper bound of what [`Decoder::decode`] allocates, the planes included, in bytes; known from the header and the scales alone.
    #[must_use]
    pub fn announced_bytes(&self) -> u64 {
        let frame = &self.header.frame;
        let scans = u64::from(self.scan_limit).min(self.bytes.len() as u64 / SHORTEST_SCAN_BYTES);
        plane_bytes(frame, &self.scales)
            + coefficient_bytes(frame, &self.scales)
            + hand_bytes(self.threads, frame, self.bytes.len())
            + scans * SCAN_BYTES
            + FIXED_BYTES
    }

    /// Decodes.
    ///
    /// # Errors
    /// [`Error::Damaged`] for a file that is cut or invalid (under [`Damage::Keep`]: whose headers or tables are), [`Error::TooLarge`] for too many scans.
    pub fn decode(&self, scratch: &mut Scratch) -> Result<Planes, Error> {
        self.decode_unless(&|| false, scratch)
    }

    /// Decodes; `cancelled` is asked once a row of blocks, by each of the [threads](Decoder::threads), and ends the work when it says yes.
    ///
    /// # Errors
    /// As [`Decoder::decode`], and [`Error::Cancelled`].
    pub fn decode_unless(&self, cancelled: &(dyn Fn() -> bool + Sync), scratch: &mut Scratch) -> Result<Planes, Error> {
        let job = Job {
            bytes: self.bytes,
            header: &self.header,
            scales: self.scales,
            scan_limit: self.scan_limit,
            damage: self.damage,
            refinement: self.refinement,
            threads: self.threads,
        };
        let (planes, warnings) = decode_planes(&job, &mut scratch.buffers, cancelled)?;
        Ok(Planes { planes, warnings })
    }
}

/// The decoded components, in the order of the file; a slice of [`Plane`].
#[derive(Debug)]
pub struct Planes {
    planes: Vec<Plane>,
    warnings: Vec<Warning>,
}

impl Planes {
    /// The faults that were passed over: empty under [`Damage::Refuse`]. Not more than the first few of a badly damaged file are listed.
    #[must_use]
    pub fn warnings(&self) -> &[Warning] {
        &self.warnings
    }

    /// Gives the memory back for the next picture.
    pub fn give_back(self, scratch: &mut Scratch) {
        self.planes.into_iter().for_each(|plane| scratch.buffers.give(plane.samples));
        scratch.trim();
    }
}

impl std::ops::Deref for Planes {
    type Target = [Plane];
    fn deref(&self) -> &[Plane] {
        &self.planes
    }
}
