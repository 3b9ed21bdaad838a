//! [`throttle()`]: no faster than so many bytes a second.

use std::borrow::Cow;
use std::time::{Duration, Instant};

use bytes::Bytes;

use crate::{Cause, Chunk, Flow, Outlet, Transform};

/// Passes on so many bytes a second at most (0 is taken for 1), in small pieces and evenly. Nobody sleeps: the pipeline comes
/// back to it when it is time, and does other things meanwhile.
///
/// ```
/// use phalanx_stream::{Source, pipeline, throttle};
/// use std::time::{Duration, Instant};
///
/// let started = Instant::now();
/// pipeline(Source::reader("a text", &[0; 3000][..])).through(throttle(20_000)).collect_blocking()?;
/// assert!(started.elapsed() >= Duration::from_millis(90));
/// # Ok::<(), phalanx_stream::Error>(())
/// ```
pub fn throttle(bytes_per_second: u64) -> Throttle {
    Throttle { rate: bytes_per_second.max(1), rest: Bytes::new(), next: None }
}

/// See [`throttle()`].
#[derive(Debug)]
pub struct Throttle {
    rate: u64,
    rest: Bytes,
    /// When the next piece may go.
    next: Option<Instant>,
}

/// How long the bytes of one piece take; also, how much of a lost moment is made up for.
const BEAT: Duration = Duration::from_millis(50);

impl Throttle {
    /// What may go now, and when the piece behind it may.
    fn piece(&mut self, now: Instant) -> Result<Bytes, Instant> {
        let next = self.next.unwrap_or(now);
        if now < next {
            return Err(next);
        }
        let beat = u128::from(self.rate) * BEAT.as_millis() / 1000;
        let most = usize::try_from(beat).unwrap_or(usize::MAX).max(1);
        let piece = self.rest.split_to(most.min(self.rest.len()));
        let takes = Duration::from_secs_f64(piece.len() as f64 / self.rate as f64);
        let behind = now.checked_sub(BEAT).map_or(next, |earliest| next.max(earliest));
        self.next = behind.checked_add(takes);
        Ok(piece)
    }
}

impl Transform for Throttle {
    type In = Chunk;
    type Out = Chunk;

    fn name(&self) -> Cow<'static, str> {
        "throttle".into()
    }

    fn transform(&mut self, chunk: Chunk, out: &mut Outlet<'_, Chunk>) -> Result<Flow, Cause> {
        self.rest = chunk.into_bytes();
        self.resume(out)
    }

    fn resume(&mut self, out: &mut Outlet<'_, Chunk>) -> Result<Flow, Cause> {
        while !self.rest.is_empty() {
            if out.is_full() {
                return Ok(Flow::Again);
            }
            match self.piece(Instant::now()) {
                Ok(piece) => out.push(Chunk::from(piece)),
                Err(next) => return Ok(Flow::Until(next)),
            }
        }
        Ok(Flow::Next)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pieces_go_evenly_and_a_late_call_makes_up_for_one_beat_only() {
        let mut throttle = throttle(1000);
        throttle.rest = Bytes::from(vec![0; 500]);
        let start = Instant::now();
        let later = |ms| start + Duration::from_millis(ms);
        assert_eq!(throttle.piece(start).unwrap().len(), 50);
        assert_eq!(throttle.piece(later(10)), Err(later(50)));
        assert_eq!(throttle.piece(later(60)).unwrap().len(), 50);
        assert_eq!(throttle.piece(later(61)), Err(later(100)));
        assert_eq!(throttle.piece(later(1000)).unwrap().len(), 50);
        assert_eq!(throttle.piece(later(1000)).unwrap().len(), 50);
        assert_eq!(throttle.piece(later(1000)), Err(later(1050)));
    }
}
