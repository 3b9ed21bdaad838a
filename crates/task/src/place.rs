//! [`Place`]: where a runner of a queue lets packed tasks run.

use std::sync::Arc;

use phalanx_thread::ThreadPool;

use crate::{Packed, PackedTask, ProcessPool, Refusal, Registry, Submission, SubmitOptions, thread};

/// A pool that runs tasks by their names, packed: what comes in is handed on as it is.
#[derive(Debug, Clone)]
pub enum Place {
    /// Threads of this process, with the tasks that they know.
    Threads(ThreadPool, Arc<Registry>),
    /// Job processes, with the tasks of [`init_with`](crate::init_with).
    Processes(ProcessPool),
}

impl Place {
    /// The names of the tasks that it knows, in order.
    pub fn names(&self) -> Vec<&'static str> {
        self.registry().names().collect()
    }

    /// Submits a task. Never waits; a refusal is the submission's result, as with an [`Executor`](crate::Executor).
    pub fn submit(&self, task: PackedTask<'_>, options: SubmitOptions) -> Submission<Packed> {
        let id = task.id;
        let Some(name) = self.registry().name(task.name) else {
            return Submission::failed(id, Refusal::Unknown { task: task.name.to_owned() });
        };
        match self {
            Place::Threads(pool, registry) => thread::submit_packed(pool, registry.clone(), name, task, options),
            Place::Processes(pool) => pool.submit_packed(name, task, options),
        }
    }

    fn registry(&self) -> &Registry {
        match self {
            Place::Threads(_, registry) => registry,
            Place::Processes(pool) => pool.registry(),
        }
    }
}
