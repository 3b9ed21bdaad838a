//! A picture that is resized while its rows arrive. A PNG or GIF of 50 megapixels is 200 MB of pixels, of which a thumbnail needs none for
//! long: here only those rows stay that the filter still reaches, in a ring.
//!
//! Errors: [`Error::Internal`] when a decoder delivers too many or too few rows.

use std::time::{Duration, Instant};

use super::alpha::{Alpha, change_alpha, multiply};
use super::resampler::{Job, Resampler, View};
use super::{PlaneJob, weights};
use crate::Error;
use crate::raster::Raster;
use crate::scratch::Buffers;

/// Takes the rows of a picture, or of one of its planes, one by one and gives the resized one.
pub(crate) struct Rows {
    channels: usize,
    /// Samples of a row, times the channels.
    row_bytes: usize,
    /// Rows that will come.
    rows: usize,
    target: Raster,
    /// Rows that came so far.
    arrived: usize,
    /// `None` when the picture keeps its size: then the rows are written where they stay.
    ring: Option<Ring>,
    /// Time spent on resizing.
    spent: Duration,
}

struct Ring {
    resampler: Resampler,
    data: Vec<u8>,
    rows: usize,
    /// The next row of the target.
    next: usize,
}

impl Job {
    /// Whether the picture stays as it is.
    pub(crate) fn is_copy(&self) -> bool {
        let (width, height) = (f64::from(self.whole.0), f64::from(self.whole.1));
        let area = &self.area;
        self.size == self.whole && (area.x, area.y, area.width, area.height) == (0.0, 0.0, width, height)
    }

    fn row_bytes(&self) -> usize {
        self.whole.0 as usize * self.channels
    }

    /// Bytes that [`Rows`] holds besides the resized picture, at most.
    pub(crate) fn row_by_row_bytes(&self) -> u64 {
        if self.is_copy() {
            return 0;
        }
        let scale = self.area.height / f64::from(self.size.1);
        let ring = weights::window_samples(scale, self.whole.1) * self.row_bytes();
        ring as u64 + self.resampler_bytes()
    }
}

impl PlaneJob {
    /// Bytes that [`Rows`] holds besides the resized plane, at most.
    pub(crate) fn row_by_row_bytes(&self) -> u64 {
        let (samples, rows) = self.used();
        let (across, down) = self.spans();
        let window = down.iter().map(|span| weights::window_samples(span.scale(), rows)).max().unwrap_or(0);
        window as u64 * u64::from(samples) + Resampler::bytes(&across, &down, self.used(), 1)
    }
}

impl Rows {
    /// For pixels.
    pub(crate) fn new(job: Job, buffers: &mut Buffers) -> Self {
        let resampler = (!job.is_copy()).then(|| Resampler::for_pixels(&job, buffers));
        Self::with(resampler, job.whole, job.size, job.channels, buffers)
    }

    /// For a plane.
    pub(crate) fn of_plane(job: &PlaneJob, buffers: &mut Buffers) -> Self {
        let (across, down) = job.spans();
        let resampler = (!job.is_copy()).then(|| Resampler::new(&across, &down, job.used(), 1, buffers));
        Self::with(resampler, job.used(), job.target(), 1, buffers)
    }

    fn with(
        resampler: Option<Resampler>,
        source: (u32, u32),
        target: (u32, u32),
        channels: usize,
        buffers: &mut Buffers,
    ) -> Self {
        let row_bytes = source.0 as usize * channels;
        let ring = resampler.map(|resampler| {
            let rows = resampler.rows_in_reach();
            Ring { data: buffers.take(rows * row_bytes), rows, resampler, next: 0 }
        });
        let target = Raster::new(buffers, target.0, target.1, channels);
        Rows { channels, row_bytes, rows: source.1 as usize, target, arrived: 0, ring, spent: Duration::ZERO }
    }

    pub(crate) fn channels(&self) -> usize {
        self.channels
    }

    /// Where the next row is to be written; [`Rows::push`] takes it from there. The bytes that are there mean nothing.
    pub(crate) fn row(&mut self) -> Result<&mut [u8], Error> {
        let length = self.row_bytes;
        let (data, index) = match &mut self.ring {
            Some(ring) => (&mut ring.data, self.arrived % ring.rows.max(1)),
            None => (&mut self.target.data, self.arrived),
        };
        data.get_mut(index * length..(index + 1) * length)
            .ok_or_else(|| Error::internal("a decoder delivers more rows than the picture has"))
    }

    /// Takes the row that was written.
    pub(crate) fn push(&mut self) -> Result<(), Error> {
        let index = self.arrived;
        self.arrived += 1;
        let length = self.row_bytes;
        let Some(ring) = &mut self.ring else { return Ok(()) };
        if !ring.resampler.needs_row(index) {
            return Ok(());
        }
        let start = Instant::now();
        let slot = index % ring.rows.max(1);
        multiply(ring.data.get_mut(slot * length..(slot + 1) * length).unwrap_or_default(), self.channels);
        let target_bytes = self.target.row_bytes();
        while ring.next < self.target.height as usize && ring.resampler.rows_of(ring.next).end <= self.arrived {
            let view = View { data: &ring.data, stride: length, rows: ring.rows };
            let out = self.target.data.get_mut(ring.next * target_bytes..(ring.next + 1) * target_bytes);
            ring.resampler.make_row(ring.next, &view, out.unwrap_or_default());
            ring.next += 1;
        }
        self.spent += start.elapsed();
        Ok(())
    }

    /// The resized picture, and the time that this took; the buffers go back.
    pub(crate) fn finish(mut self, buffers: &mut Buffers) -> Result<(Raster, Duration), Error> {
        if self.arrived < self.rows {
            return Err(Error::internal("a decoder delivers fewer rows than the picture has"));
        }
        let start = Instant::now();
        if let Some(ring) = self.ring {
            buffers.give(ring.data);
            ring.resampler.give_back(buffers);
            change_alpha(&mut self.target, Alpha::Divide);
        }
        Ok((self.target, self.spent + start.elapsed()))
    }
}

#[cfg(test)]
mod tests {
    use super::super::{Source, resize};
    use super::*;
    use crate::fit::Area;
    use crate::scratch::Scratch;

    fn noise(bytes: usize) -> Vec<u8> {
        let mut seed = 5u32;
        (0..bytes)
            .map(|_| {
                seed = seed.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
                (seed >> 24) as u8
            })
            .collect()
    }

    fn by_rows(job: Job, data: &[u8], scratch: &mut Scratch) -> Raster {
        let length = job.row_bytes();
        let mut rows = Rows::new(job, &mut scratch.buffers);
        for row in data.chunks_exact(length) {
            rows.row().unwrap().copy_from_slice(row);
            rows.push().unwrap();
        }
        rows.finish(&mut scratch.buffers).unwrap().0
    }

    fn whole(job: Job, data: &[u8], scratch: &mut Scratch) -> Raster {
        let (width, height) = job.whole;
        let mut raster = Raster { data: data.to_vec(), width, height, channels: job.channels };
        if job.is_copy() {
            return raster;
        }
        change_alpha(&mut raster, Alpha::Multiply);
        let source = Source {
            data: &raster.data,
            stride: width as usize,
            rows: height as usize,
            extent: (f64::from(width), f64::from(height)),
            channels: job.channels,
        };
        let mut small = resize(&source, &job.area, job.whole, job.size, scratch).unwrap();
        change_alpha(&mut small, Alpha::Divide);
        small
    }

    #[test]
    fn row_by_row_gives_what_the_whole_picture_gives() {
        let mut scratch = Scratch::new();
        for (width, height) in [(1, 1), (7, 300), (300, 7), (64, 64), (401, 203), (90, 1200)] {
            for channels in 1..=4 {
                let data = noise((width * height) as usize * channels);
                let (w, h) = (f64::from(width), f64::from(height));
                let all = Area { x: 0.0, y: 0.0, width: w, height: h };
                let middle = Area { x: w * 0.3, y: h * 0.21, width: w * 0.4, height: h * 0.53 };
                let bottom = Area { x: 0.0, y: h * 0.9, width: w, height: h * 0.1 };
                for area in [all, middle, bottom] {
                    for size in [(1, 1), (20, 11), (width, height), (width, 5), (3, height), (150, 333)] {
                        let job = Job { whole: (width, height), channels, area, size };
                        let (a, b) = (by_rows(job, &data, &mut scratch), whole(job, &data, &mut scratch));
                        assert_eq!((a.width, a.height, a.channels), (b.width, b.height, b.channels));
                        assert!(a.data == b.data, "{job:?}");
                    }
                }
            }
        }
    }

    #[test]
    fn the_working_bytes_do_not_grow_with_the_height() {
        let job = |height| Job {
            whole: (3000, height),
            channels: 4,
            area: Area { x: 0.0, y: 0.0, width: 3000.0, height: f64::from(height) },
            size: (800, height * 8 / 30),
        };
        // But for the weights of the axis.
        assert!(job(15_000).row_by_row_bytes() <= job(6000).row_by_row_bytes() + 9000 * 32);
        assert!(job(15_000).row_by_row_bytes() < 1_000_000);
    }

    #[test]
    fn a_decoder_that_delivers_too_few_or_too_many_rows_is_a_fault_and_not_a_panic() {
        let mut scratch = Scratch::new();
        for size in [(4, 4), (10, 10)] {
            let area = Area { x: 0.0, y: 0.0, width: 10.0, height: 10.0 };
            let job = Job { whole: (10, 10), channels: 3, area, size };
            let mut rows = Rows::new(job, &mut scratch.buffers);
            for _ in 0..30 {
                if rows.row().is_ok() {
                    rows.push().unwrap();
                }
            }
            let mut rows = Rows::new(job, &mut scratch.buffers);
            rows.row().unwrap();
            rows.push().unwrap();
            assert!(rows.finish(&mut scratch.buffers).is_err());
        }
    }
}
