//! [`Mark`]: a task that leaves a line in a file each time it runs, so that runs are counted by the task and not by the queue.

use std::io::Write;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use phalanx_queue::{Queue, payload};
use phalanx_task::{Sandbox, Task, TaskContext, TaskError};
use serde::{Deserialize, Serialize};

/// Does a little work, and says so.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Mark {
    /// Which one.
    pub(crate) number: u64,
    /// Into which file.
    pub(crate) file: PathBuf,
    /// How long it keeps the processor busy.
    pub(crate) busy: Duration,
    /// Ballast, to have payloads of all sizes.
    pub(crate) ballast: Vec<u8>,
}

impl Mark {
    /// What it gives back: a result that no other number has.
    pub(crate) fn result(number: u64) -> u64 {
        number.wrapping_mul(0x9e37_79b9_7f4a_7c15).rotate_left(17)
    }
}

impl Task for Mark {
    const NAME: &'static str = "mark";
    type Output = u64;
    /// It opens a file.
    const SANDBOX: Sandbox = Sandbox::None;

    fn run(self, _: &TaskContext) -> Result<u64, TaskError> {
        let began = Instant::now();
        while began.elapsed() < self.busy {
            std::hint::spin_loop();
        }
        let mut file =
            std::fs::OpenOptions::new().append(true).create(true).open(&self.file).map_err(TaskError::failed)?;
        // One write: lines of different processes do not mix.
        file.write_all(format!("{}.\n", self.number).as_bytes()).map_err(TaskError::failed)?;
        Ok(Mark::result(self.number))
    }
}

/// The result of one, as the queue keeps it.
pub(crate) async fn unpacked(queue: &Queue, result: &[u8]) -> Result<u64, String> {
    let packed = payload::unpack(result, queue.blobs()).await.map_err(|error| error.to_string())?;
    packed.unpack().map_err(|error| error.to_string())
}
