//! Workers that are any program.

use std::path::Path;

use super::{AnyError, Cluster};
use crate::Error;
use crate::program::Program;

impl Cluster {
    /// The workers are this program, any executable, instead of code of ours. `read` is asked at the start and at each reload,
    /// like [`settings`](Self::settings), whose place it takes; every worker of that generation is what it said then.
    ///
    /// Such a cluster is run by [`run_program`](Self::run_program). Without [`listen`](Self::listen) the programs bind by themselves.
    ///
    /// ```no_run
    /// use phalanx_cluster::{Program, Readiness};
    ///
    /// phalanx_process::init()?;
    /// phalanx_cluster::cluster()
    ///     .listen("127.0.0.1:8000")
    ///     .program(|| Ok(Program::new("gunicorn").args(["--threads", "8", "app:app"]).ready(Readiness::Notify)))
    ///     .run_program()?;
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn program(mut self, mut read: impl FnMut() -> Result<Program, AnyError> + Send + 'static) -> Self {
        self.programs.are_workers = true;
        self.settings(move || Ok(postcard::to_stdvec(&read()?)?))
    }

    /// Whether a program that exits with 0 has done its work: it is not started again, and the cluster ends with the last one. Default:
    /// no, it is started again whatever its exit code is, as something that serves.
    pub fn finishing(mut self, finishes: bool) -> Self {
        self.programs.finish = finishes;
        self
    }

    /// Whether programs inherit sockets that block in `accept`, as some expect of theirs. The flag belongs to the socket itself: all
    /// who have it see the same, also those who gave it to us. Default: no.
    pub fn blocking_listeners(mut self, blocking: bool) -> Self {
        self.programs.blocking_listeners = blocking;
        self
    }

    /// A script for Node.js that hears what the programs send by `process.send`, in the place of the application's own primary, whose code
    /// does not run: it gets `{ worker, instance, message }` as messages, and what it sends as `{ worker, message }` goes to that worker, or
    /// to all without `worker`. It is started again when it ends. Default: none; what is sent is an [event](crate::Event::Said) all
    /// the same.
    pub fn primary_script(mut self, file: impl AsRef<Path>) -> Self {
        self.programs.script = Some(file.as_ref().to_owned());
        self
    }

    /// As [`run`](Self::run), for a cluster of [programs](Self::program).
    ///
    /// Errors: besides those of `run`, that no program was given.
    pub fn run_program(self) -> Result<(), Error> {
        if let Some(role) = phalanx_process::take_role(crate::attendant::ATTENDANT_ROLE) {
            crate::attendant::play(role)
        }
        if let Some(role) = phalanx_process::take_role(crate::control::WORKER_ROLE) {
            crate::program::execute(role)
        }
        if !self.programs.are_workers && phalanx_process::role().is_none() {
            return Err(Error::Setting { what: "no program was given for the workers (Cluster::program)".into() });
        }
        self.run(|_worker| async { Err("a worker that is a program has no code of ours".into()) })
    }
}
