//! [`Task`]: the function that runs anywhere.

use std::time::Duration;

use phalanx_process::Sandbox;
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::{TaskContext, TaskError};

/// A named function: its input is `self`, and both ends can be serialised.
///
/// ```
/// use phalanx_task::{Task, TaskContext, TaskError};
/// use serde::{Deserialize, Serialize};
///
/// #[derive(Serialize, Deserialize)]
/// struct Sum {
///     numbers: Vec<u64>,
/// }
///
/// impl Task for Sum {
///     const NAME: &'static str = "sum";
///     type Output = u64;
///
///     fn run(self, cx: &TaskContext) -> Result<u64, TaskError> {
///         let mut sum = 0_u64;
///         for number in self.numbers {
///             cx.check()?; // the caller is gone, or it is too late
///             sum = sum.checked_add(number).ok_or_else(|| TaskError::failed("the sum is too large"))?;
///         }
///         Ok(sum)
///     }
/// }
/// ```
pub trait Task: Serialize + DeserializeOwned + Send + 'static {
    /// Its name, unique in a [`Registry`](crate::Registry): letters, digits, `.`, `_` and `-`; 1 to 64 of them.
    const NAME: &'static str;

    /// What it gives back.
    type Output: Serialize + DeserializeOwned + Send + 'static;

    /// What a job process that runs it is denied. The default is everything but its own memory and processor; on a thread it has no
    /// meaning.
    const SANDBOX: Sandbox = Sandbox::Full;

    /// Does the work. A panic is [`TaskError::Panicked`] for the caller.
    fn run(self, cx: &TaskContext) -> Result<Self::Output, TaskError>;

    /// How long it will probably run, alone on a core; without a word the executor learns it. Used to keep queues short:
    /// [`SubmitOptions::cost`](crate::SubmitOptions::cost) goes before.
    fn cost(&self) -> Option<Duration> {
        None
    }
}
