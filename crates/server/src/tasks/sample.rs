//! [`Sample`]: a photo to begin with.

use super::Timed;
use phalanx::task::Blob;
use phalanx::{Task, TaskContext, TaskError};
use serde::{Deserialize, Serialize};

/// A sample photo of this size in pixels.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Sample {
    pub(crate) width: u32,
    pub(crate) height: u32,
}

impl Task for Sample {
    const NAME: &'static str = "sample";
    type Output = Timed<Blob>;

    fn run(self, _: &TaskContext) -> Result<Self::Output, TaskError> {
        Timed::measure(|| Ok(phalanx::image::sample_jpeg(self.width, self.height).into()))
    }
}
