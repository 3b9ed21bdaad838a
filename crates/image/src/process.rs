//! The job itself: decode, resize, turn, convert, encode, with a look at `cancelled` between and within the stages.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::{Duration, Instant};

use crate::color::{self, Kind, Profile};
use crate::encode::{self, Chroma, Planar};
use crate::jpeg::{self, ColorModel, JpegHeader, Plane};
use crate::pixels::{self, Resized};
use crate::probe::Detail;
use crate::raster::Raster;
use crate::resize::{Density, PlaneJob, Source, resize_plane};
use crate::scratch::Buffers;
use crate::{Background, Error, Format, Jpeg, Output, Plan, Scratch, probe, webp};

/// A finished picture.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Picture {
    /// The file.
    pub bytes: Vec<u8>,
    /// Width in pixels.
    pub width: u32,
    /// Height in pixels.
    pub height: u32,
    /// Its format.
    pub format: Format,
    /// Where the time went.
    pub timings: Timings,
    /// What was odd about the source, though not an error.
    pub warnings: Vec<Warning>,
}

/// Wall time of each stage.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct Timings {
    /// Reading the source.
    pub decode: Duration,
    /// Resizing, turning, colour conversion.
    pub resize: Duration,
    /// Writing the output.
    pub encode: Duration,
}

/// Something odd about the source that did not stop the work.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Warning {
    /// The embedded colour profile cannot be used; the colours were taken as sRGB (or plain inks).
    BrokenProfile,
    /// The source is an animation; only its first frame was used.
    FirstFrameOnly,
    /// The source is cut or damaged; the picture shows what could be read of it ([`Damage::Keep`](jpeg::Damage::Keep)).
    DamagedData,
}

/// Does what the plan says. `cancelled` is asked often (every row or so, where the decoder allows it) and ends the work when it says yes. With
/// more than one of [`Limits::threads`](crate::Limits::threads) any of them asks.
///
/// The same bytes and plan give the same picture, whatever the scratch did before. A panic inside a third-party decoder ends here, as
/// [`Error::Damaged`].
///
/// # Errors
/// [`Error::Damaged`] for a file that is cut or invalid, [`Error::Cancelled`], [`Error::TooLarge`] for too many scans; [`Error::Internal`] when
/// the plan was made from other bytes, or an encoder fails.
///
/// ```
/// use phalanx_image::{Limits, Scratch, Size, Transform, plan, probe, process, sample_jpeg};
///
/// let jpeg = sample_jpeg(1600, 1200);
/// let plan = plan(&probe(&jpeg)?, &Transform::default().size(Size::width(200)), &Limits::default())?;
/// let small = process(&jpeg, &plan, &mut Scratch::new(), &|| false)?;
/// assert_eq!((small.width, small.height), (200, 150));
/// # Ok::<(), phalanx_image::Error>(())
/// ```
pub fn process(
    bytes: &[u8],
    plan: &Plan,
    scratch: &mut Scratch,
    cancelled: &(dyn Fn() -> bool + Sync),
) -> Result<Picture, Error> {
    let result = catch_unwind(AssertUnwindSafe(|| {
        if probe(bytes)? != plan.header {
            return Err(Error::internal("the plan was made from other bytes; probe and plan these"));
        }
        run(bytes, plan, scratch, cancelled)
    }));
    match result {
        Ok(result) => {
            scratch.trim();
            result
        }
        Err(_) => {
            // What the decoder left behind is not worth trusting.
            *scratch = Scratch::new();
            Err(Error::damaged("the decoder gave up on the picture"))
        }
    }
}

/// Pixels that are ready for the encoder.
enum Ready {
    Planes(Planar),
    Pixels(Raster),
}

/// Measures the stages.
struct Stopwatch(Instant);

impl Stopwatch {
    fn lap(&mut self) -> Duration {
        let now = Instant::now();
        now - std::mem::replace(&mut self.0, now)
    }
}

fn run(
    bytes: &[u8],
    plan: &Plan,
    scratch: &mut Scratch,
    cancelled: &(dyn Fn() -> bool + Sync),
) -> Result<Picture, Error> {
    let mut watch = Stopwatch(Instant::now());
    let mut timings = Timings::default();
    let mut warnings = Vec::new();
    if plan.header.frames > 1 {
        warnings.push(Warning::FirstFrameOnly);
    }
    stop_if(cancelled)?;
    let ready = match &plan.header.detail {
        Detail::Jpeg(header) => {
            let job = jpeg::Job {
                bytes,
                header,
                scales: plan.scales,
                scan_limit: plan.jpeg_scans,
                damage: plan.damage,
                refinement: jpeg::Refinement::All,
                threads: plan.threads,
            };
            let decoded = jpeg::decode(&job, &mut scratch.buffers, cancelled)?;
            timings.decode = watch.lap();
            stop_if(cancelled)?;
            if !decoded.warnings.is_empty() {
                warnings.push(Warning::DamagedData);
            }
            let profile = match &decoded.icc {
                None => Profile::Srgb,
                Some(Ok(icc)) => color::judge(icc),
                Some(Err(_)) => Profile::Broken,
            };
            from_planes(header, decoded.planes, profile, plan, scratch, &mut warnings)?
        }
        Detail::Lossy(lossy) => {
            let profile = lossy.icc(bytes).map_or(Profile::Srgb, color::judge);
            let way = Way::of(Samples::Video, &profile, plan);
            let webp::Planes { planes, resizing } =
                webp::decode_planes(bytes, lossy, plan, way.chroma(plan), &mut scratch.buffers, cancelled)?;
            timings.decode = watch.lap().saturating_sub(resizing);
            timings.resize = resizing;
            stop_if(cancelled)?;
            from_resized(planes, Samples::Video, way, profile, plan, scratch, &mut warnings)?
        }
        Detail::Pixels { .. } => {
            let header = &plan.header;
            let Resized { raster, icc, resizing } = pixels::decode_and_resize(bytes, plan, scratch, cancelled)?;
            timings.decode = watch.lap().saturating_sub(resizing);
            timings.resize = resizing;
            stop_if(cancelled)?;
            let profile = match icc {
                Some(icc) => color::judge(&icc),
                // It was announced but cannot be unpacked.
                None if header.has_icc => Profile::Broken,
                None => Profile::Srgb,
            };
            Ready::Pixels(from_pixels(raster, profile, plan, scratch, &mut warnings)?)
        }
    };
    timings.resize += watch.lap();
    stop_if(cancelled)?;
    let file = write(ready, plan, &mut scratch.buffers)?;
    timings.encode = watch.lap();
    Ok(Picture { bytes: file, width: plan.width, height: plan.height, format: plan.format, timings, warnings })
}

fn stop_if(cancelled: &dyn Fn() -> bool) -> Result<(), Error> {
    if cancelled() { Err(Error::Cancelled) } else { Ok(()) }
}

/// What the planes of a source mean.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Samples {
    Jpeg(ColorModel),
    /// Luma and chroma in the range of video.
    Video,
}

/// What becomes of planes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Way {
    /// They stay planes.
    Planes(Chroma),
    /// They become pixels.
    Pixels,
}

impl Way {
    /// Luma and chroma stay what they are when the output is JPEG and nothing has to be converted.
    fn of(samples: Samples, profile: &Profile, plan: &Plan) -> Self {
        let is_luma = matches!(samples, Samples::Video | Samples::Jpeg(ColorModel::Ycc | ColorModel::Grey));
        match plan.output {
            Output::Jpeg(jpeg) if is_luma && !matches!(profile, Profile::Other(_)) && !plan.geometry.has_bars() => {
                Self::Planes(Chroma::for_quality(jpeg.quality))
            }
            _ => Self::Pixels,
        }
    }

    /// The density of the resized chroma.
    fn chroma(self, plan: &Plan) -> Density {
        match self {
            Self::Planes(Chroma::Half) => Density::Half { mirrored: plan.geometry.mirrored() },
            _ => Density::Full,
        }
    }
}

/// From a JPEG's planes: they are resized one by one, and stay luma and chroma when the output is JPEG.
fn from_planes(
    header: &JpegHeader,
    planes: Vec<Plane>,
    profile: Profile,
    plan: &Plan,
    scratch: &mut Scratch,
    warnings: &mut Vec<Warning>,
) -> Result<Ready, Error> {
    let samples = Samples::Jpeg(jpeg::color_model(&header.frame, header.marks));
    let way = Way::of(samples, &profile, plan);
    let geometry = &plan.geometry;
    let mut resized = Vec::with_capacity(4);
    for (index, plane) in planes.into_iter().enumerate() {
        let source =
            Source { data: &plane.samples, stride: plane.stride, rows: plane.rows, extent: plane.extent, channels: 1 };
        let job = PlaneJob {
            whole: (plan.header.width, plan.header.height),
            extent: plane.extent,
            area: geometry.area,
            size: geometry.size,
            density: if index > 0 { way.chroma(plan) } else { Density::Full },
        };
        resized.push(resize_plane(&source, &job, scratch)?);
        scratch.buffers.give(plane.samples);
    }
    from_resized(resized, samples, way, profile, plan, scratch, warnings)
}

/// From planes of the planned size.
fn from_resized(
    planes: Vec<Raster>,
    samples: Samples,
    way: Way,
    profile: Profile,
    plan: &Plan,
    scratch: &mut Scratch,
    warnings: &mut Vec<Warning>,
) -> Result<Ready, Error> {
    if matches!(profile, Profile::Broken) {
        warnings.push(Warning::BrokenProfile);
    }
    let buffers = &mut scratch.buffers;
    let mut resized = Vec::with_capacity(4);
    for plane in planes {
        resized.push(plane.turned(plan.geometry.orientation, buffers)?);
    }
    if let Way::Planes(sampling) = way {
        if samples == Samples::Video {
            color::widen_range(&mut resized);
        }
        let mut planes = resized.into_iter();
        let luma = planes.next().ok_or_else(|| Error::internal("a picture without planes"))?;
        let chroma = planes.next().zip(planes.next()).map(|(blue, red)| [blue, red]);
        return Ok(Ready::Planes(Planar { luma, chroma, sampling }));
    }
    let (pixels, kind) = match samples {
        Samples::Video => (color::interleave::<3>(&resized, buffers, color::video_to_rgb), Kind::Colors),
        Samples::Jpeg(ColorModel::Grey) => {
            (resized.pop().ok_or_else(|| Error::internal("a picture without planes"))?, Kind::Colors)
        }
        Samples::Jpeg(ColorModel::Ycc) => (color::rgb_from_ycc(&resized, buffers), Kind::Colors),
        Samples::Jpeg(ColorModel::Rgb) => (color::interleave::<3>(&resized, buffers, |pixel| pixel), Kind::Colors),
        Samples::Jpeg(ColorModel::Cmyk { inverted: true }) => {
            (color::interleave::<4>(&resized, buffers, |inks| inks.map(|ink| 255 - ink)), Kind::Inks)
        }
        Samples::Jpeg(ColorModel::Cmyk { inverted: false }) => {
            (color::interleave::<4>(&resized, buffers, |inks| inks), Kind::Inks)
        }
        Samples::Jpeg(ColorModel::Ycck) => {
            let inks = color::interleave::<4>(&resized, buffers, |[y, cb, cr, k]| {
                let [c, m, y] = color::ycc_to_rgb(y, cb, cr);
                [c, m, y, 255 - k]
            });
            (inks, Kind::Inks)
        }
    };
    resized.into_iter().for_each(|plane| buffers.give(plane.data));
    let pixels = apply(profile, pixels, kind, buffers, warnings);
    Ok(Ready::Pixels(on_canvas(pixels, plan, buffers)))
}

/// From interleaved pixels of the planned size.
fn from_pixels(
    raster: Raster,
    profile: Profile,
    plan: &Plan,
    scratch: &mut Scratch,
    warnings: &mut Vec<Warning>,
) -> Result<Raster, Error> {
    if matches!(profile, Profile::Broken) {
        warnings.push(Warning::BrokenProfile);
    }
    let turned = raster.turned(plan.geometry.orientation, &mut scratch.buffers)?;
    let converted = apply(profile, turned, Kind::Colors, &mut scratch.buffers, warnings);
    Ok(on_canvas(converted, plan, &mut scratch.buffers))
}

/// Applies the profile, or, where it does not suit, does without and warns.
fn apply(profile: Profile, pixels: Raster, kind: Kind, buffers: &mut Buffers, warnings: &mut Vec<Warning>) -> Raster {
    let converted = match &profile {
        Profile::Other(profile) => {
            let converted = color::to_srgb(profile, &pixels, kind, buffers);
            if converted.is_none() {
                warnings.push(Warning::BrokenProfile);
            }
            converted
        }
        _ => None,
    };
    match converted {
        None if kind == Kind::Colors => pixels,
        converted => {
            let out = converted.unwrap_or_else(|| color::rgb_from_inks(&pixels, buffers));
            buffers.give(pixels.data);
            out
        }
    }
}

/// Adds the bars of background that the plan asks for.
fn on_canvas(pixels: Raster, plan: &Plan, buffers: &mut Buffers) -> Raster {
    if !plan.geometry.has_bars() {
        return pixels;
    }
    let Background { red, green, blue } = plan.background;
    let grey = red == green && green == blue;
    let channels = if grey { pixels.channels } else { pixels.channels.max(3) + usize::from(pixels.channels == 2) };
    let bar: &[u8] = match channels {
        1 => &[red],
        2 => &[red, 255],
        3 => &[red, green, blue],
        _ => &[red, green, blue, 255],
    };
    let mut out = Raster::new(buffers, plan.width, plan.height, channels);
    out.data.chunks_exact_mut(channels).for_each(|pixel| pixel.copy_from_slice(bar));
    let (left, top) = (plan.geometry.offset.0 as usize, plan.geometry.offset.1 as usize);
    let out_row = out.row_bytes();
    for (row, line) in pixels.data.chunks_exact(pixels.row_bytes()).enumerate() {
        let start = (top + row) * out_row + left * channels;
        let target = &mut out.data[start..start + pixels.width as usize * channels];
        widen(line, pixels.channels, target, channels);
    }
    buffers.give(pixels.data);
    out
}

/// Copies pixels into as many or more channels: grey becomes RGB, alpha stays last.
fn widen(from: &[u8], from_channels: usize, to: &mut [u8], to_channels: usize) {
    if from_channels == to_channels {
        to.copy_from_slice(from);
        return;
    }
    for (from, to) in from.chunks_exact(from_channels).zip(to.chunks_exact_mut(to_channels)) {
        to[..3].fill(from[0]);
        if let (Some(alpha), [_, last]) = (to.get_mut(3), from) {
            *alpha = *last;
        }
    }
}

/// Puts the pixels on an opaque background and drops alpha.
fn flattened(pixels: Raster, background: Background, buffers: &mut Buffers) -> Raster {
    if !pixels.has_alpha() {
        return pixels;
    }
    let Background { red, green, blue } = background;
    let grey = pixels.channels == 2 && red == green && green == blue;
    let mut out = Raster::new(buffers, pixels.width, pixels.height, if grey { 1 } else { 3 });
    let blend = |above: u8, below: u8, alpha: u8| {
        let (above, below, alpha) = (u32::from(above), u32::from(below), u32::from(alpha));
        ((above * alpha + below * (255 - alpha) + 127) / 255) as u8
    };
    let channels = out.channels;
    for (from, to) in pixels.data.chunks_exact(pixels.channels).zip(out.data.chunks_exact_mut(channels)) {
        match (from, to) {
            (&[above, alpha], [to]) => *to = blend(above, red, alpha),
            (&[above, alpha], [r, g, b]) => {
                (*r, *g, *b) = (blend(above, red, alpha), blend(above, green, alpha), blend(above, blue, alpha));
            }
            (&[r0, g0, b0, alpha], [r, g, b]) => {
                (*r, *g, *b) = (blend(r0, red, alpha), blend(g0, green, alpha), blend(b0, blue, alpha));
            }
            _ => {}
        }
    }
    buffers.give(pixels.data);
    out
}

fn write(ready: Ready, plan: &Plan, buffers: &mut Buffers) -> Result<Vec<u8>, Error> {
    match (ready, plan.output) {
        (Ready::Planes(planar), Output::Jpeg(jpeg)) => finish_jpeg(planar, jpeg, buffers),
        (Ready::Pixels(pixels), Output::Jpeg(jpeg)) => {
            let opaque = flattened(pixels, plan.background, buffers);
            let planar = encode::planar_from_pixels(opaque, Chroma::for_quality(jpeg.quality), buffers);
            finish_jpeg(planar, jpeg, buffers)
        }
        (Ready::Pixels(pixels), Output::Png(png)) => {
            let file = encode::png(&pixels, png);
            buffers.give(pixels.data);
            file
        }
        (Ready::Pixels(mut pixels), Output::WebP(webp)) => {
            if pixels.channels < 3 {
                let channels = pixels.channels + 2;
                let mut wide = Raster::new(buffers, pixels.width, pixels.height, channels);
                widen(&pixels.data, pixels.channels, &mut wide.data, channels);
                buffers.give(std::mem::replace(&mut pixels, wide).data);
            }
            let file = encode::webp(&pixels, webp);
            buffers.give(pixels.data);
            file
        }
        (Ready::Planes(_), _) => Err(Error::internal("planes for an output that has none")),
    }
}

fn finish_jpeg(planar: Planar, jpeg: Jpeg, buffers: &mut Buffers) -> Result<Vec<u8>, Error> {
    let file = encode::jpeg(&planar, jpeg, buffers);
    buffers.give(planar.luma.data);
    for plane in planar.chroma.into_iter().flatten() {
        buffers.give(plane.data);
    }
    file
}
