//! [`QueuedPicture`]: a picture that is made some time, by whoever has a core, and how the answer shall look then.

use super::{MadePicture, MakePicture, Timed};
use phalanx::image::Error;
use phalanx::{Task, TaskContext, TaskError};
use serde::{Deserialize, Serialize};

/// A picture to be made, and the form of the answer.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct QueuedPicture {
    pub(crate) picture: MakePicture,
    pub(crate) form: PictureForm,
}

/// The picture, and the form of the answer: whoever asks for it later has nothing but this.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct QueuedAnswer {
    pub(crate) made: Timed<Result<MadePicture, Error>>,
    pub(crate) form: PictureForm,
}

/// How the answer of a picture looks. A decoder that was taken over can choose a wrong one of these, and no more.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum PictureForm {
    /// The picture itself.
    Picture,
    /// It is stored: JSON about it as `/v1/images` gives it.
    Stored,
    /// It is stored: JSON about it as `/upload` gives it.
    Uploaded,
}

impl Task for QueuedPicture {
    const NAME: &'static str = "picture";
    type Output = QueuedAnswer;

    fn run(self, cx: &TaskContext) -> Result<QueuedAnswer, TaskError> {
        Ok(QueuedAnswer { made: self.picture.run(cx)?, form: self.form })
    }
}
