//! The tasks: what is given back is what came in, or a smaller picture of it.

use std::cell::RefCell;

use phalanx_image::{Limits, Scratch, Size, Transform, plan, probe, process};
use phalanx_shared::Blob;
use phalanx_task::{Task, TaskContext, TaskError};
use serde::{Deserialize, Serialize};

/// Pixels.
const WIDTH: u32 = 800;

/// A number.
#[derive(Serialize, Deserialize)]
pub(crate) struct Echo(pub(crate) u64);

impl Task for Echo {
    const NAME: &'static str = "echo";
    type Output = u64;

    fn run(self, _: &TaskContext) -> Result<u64, TaskError> {
        Ok(self.0)
    }
}

/// Bytes.
#[derive(Serialize, Deserialize)]
pub(crate) struct EchoBytes(pub(crate) Blob);

impl Task for EchoBytes {
    const NAME: &'static str = "echo-bytes";
    type Output = Blob;

    fn run(self, _: &TaskContext) -> Result<Blob, TaskError> {
        Ok(self.0)
    }
}

/// A photo, at most 800 px wide, as a JPEG of quality 80: what an upload is.
#[derive(Serialize, Deserialize)]
pub(crate) struct Shrink(pub(crate) Blob);

impl Task for Shrink {
    const NAME: &'static str = "shrink";
    type Output = Blob;

    fn run(self, cx: &TaskContext) -> Result<Blob, TaskError> {
        thread_local! {
            static SCRATCH: RefCell<Scratch> = RefCell::new(Scratch::new());
        }
        let header = probe(&self.0).map_err(TaskError::failed)?;
        let plan = plan(&header, &Transform::default().size(Size::width(WIDTH)), &Limits::default())
            .map_err(TaskError::failed)?;
        let picture = SCRATCH.with_borrow_mut(|scratch| process(&self.0, &plan, scratch, &|| cx.is_cancelled()));
        Ok(Blob::from(picture.map_err(TaskError::failed)?.bytes))
    }
}
