//! [`MakePicture`]: an uploaded picture becomes a smaller one. The task that runs parsers over bytes of strangers.
//!
//! The worker has read the header of the picture before: a few hundred bytes, by code of our own without `unsafe`, because a
//! bomb must be refused before it costs anything. What it decided is not sent along: the task reads the header again (some
//! microseconds), so that a plan is only ever made from the bytes that it is for. What comes back is the bytes and nothing
//! that the worker knows already: a decoder that was taken over cannot lie about size or format.

use super::Timed;
use phalanx::image::{self, Error, Limits, SCRATCH_KEEPS_BYTES, Scratch, Timings, Transform};
use phalanx::memory;
use phalanx::task::Blob;
use phalanx::{Task, TaskContext, TaskError};
use serde::{Deserialize, Serialize};

/// Part of the most that one picture may need that stays with whoever works, between two pictures.
const KEPT_PART: u64 = 8;

/// Bytes that a thread or job process keeps from one picture to the next; what was larger goes back to the system at once. 64 MiB
/// (`image::SCRATCH_KEEPS_BYTES`) where a picture may need 512 MiB, less in a small container.
pub(crate) fn kept_bytes(job_bytes: u64) -> u64 {
    (job_bytes / KEPT_PART).min(SCRATCH_KEEPS_BYTES as u64)
}

/// The source, and what is to be made of it.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct MakePicture {
    pub(crate) source: Blob,
    pub(crate) transform: Transform,
    pub(crate) limits: Limits,
}

/// A finished picture.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct MadePicture {
    pub(crate) bytes: Blob,
    pub(crate) stages: Timings,
}

impl Task for MakePicture {
    const NAME: &'static str = "make-picture";
    /// What is wrong with the picture is a result like any other: the client is told in the words of the image crate.
    type Output = Timed<Result<MadePicture, Error>>;

    fn run(self, cx: &TaskContext) -> Result<Self::Output, TaskError> {
        let make = |scratch: &mut Scratch| -> Result<MadePicture, Error> {
            let plan = image::plan(&image::probe(&self.source)?, &self.transform, &self.limits)?;
            let made = image::process(&self.source, &plan, scratch, &|| cx.is_cancelled());
            let keeps = kept_bytes(self.limits.job_bytes);
            if plan.estimated_bytes > keeps {
                scratch.trim_to(keeps);
                memory::give_back();
            }
            let picture = made?;
            Ok(MadePicture { bytes: picture.bytes.into(), stages: picture.timings })
        };
        Timed::measure(|| match cx.with_scratch(make) {
            Err(Error::Cancelled) => Err(cx.check().err().unwrap_or(TaskError::Cancelled)),
            made => Ok(made),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use phalanx::image::{Background, Jpeg, Rotate, Size, WebP};
    use phalanx::task::Packed;

    #[test]
    fn a_wish_and_its_answer_are_the_same_after_a_journey() {
        let transform = Transform::default()
            .size(Size::cover(300, 200))
            .dpr(1.5)
            .background(Background::WHITE)
            .rotate(Rotate::Half)
            .flop()
            .output(WebP::quality(33).small());
        let limits = Limits { source_pixels: 7, ..Limits::default() };
        let task = MakePicture { source: vec![7; 10_000].into(), transform: transform.clone(), limits: limits.clone() };
        let there: MakePicture = Packed::of(&task).unwrap().unpack().unwrap();
        assert_eq!((there.source, there.transform, there.limits), (task.source, transform, limits));

        for error in [
            Error::UnknownFormat,
            Error::Unsupported { what: "lossless JPEG".into() },
            Error::TooLarge { what: "scans of the JPEG file".into(), value: 101, limit: 100 },
            Error::Damaged { what: "cut".into() },
        ] {
            let answer: Result<MadePicture, Error> = Err(error.clone());
            let here: Result<MadePicture, Error> = Packed::of(&answer).unwrap().unpack().unwrap();
            assert_eq!(here.unwrap_err(), error);
        }
    }

    #[test]
    fn a_quality_that_nobody_could_ask_for_is_refused_where_it_arrives() {
        let task = MakePicture {
            source: image::sample_jpeg(8, 8).into(),
            transform: Transform::default().output(Jpeg::quality(101)),
            limits: Limits::default(),
        };
        let there: MakePicture = Packed::of(&task).unwrap().unpack().unwrap();
        let plan = image::plan(&image::probe(&there.source).unwrap(), &there.transform, &there.limits);
        assert!(matches!(plan, Err(Error::InvalidTransform { .. })));
    }
}
