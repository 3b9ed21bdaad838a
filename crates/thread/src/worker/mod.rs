//! Workers: threads with an event loop, a port to their parent, an exit code.

mod body;
mod builder;
mod clock;
mod environment;
mod error;
mod event;
mod exit;
mod handle;
mod link;
mod main_thread;
mod outcome;
mod output;
mod parent_port;
mod scope;
mod stop;
mod terminating;

pub use builder::WorkerBuilder;
pub use environment::{environment_data, remove_environment_data, set_environment_data};
pub use error::SpawnError;
pub use event::{WorkerError, WorkerEvent};
pub use exit::ExitValue;
pub use handle::Worker;
pub use main_thread::{is_main_thread, thread_id};
pub use output::{Output, OutputLines, WorkerOutput};
pub use parent_port::{ParentPort, parent_port};
pub use scope::WorkerScope;
pub use stop::{Cancelled, Terminated};
pub use terminating::{StillRunning, Terminating};
