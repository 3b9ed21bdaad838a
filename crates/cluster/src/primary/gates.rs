//! The health gate: what a new worker has to prove before it may accept connections.
//!
//! | gate | who decides |
//! |---|---|
//! | [`HealthGate::Ready`] | the worker itself, by saying that it is ready |
//! | [`HealthGate::Path`] | its own HTTP server, which is asked for a path before any client can reach it |
//! | [`HealthGate::Command`] | a program of the operator: exit code 0 means healthy |
//!
//! The supervisor keeps the deadline: what has not answered by then is killed together with its worker.

use std::ffi::OsString;

use phalanx_process::{Command, Stdio, blocking};
use rustix::event::epoll;

use super::{Primary, Source};
use crate::control::ToWorker;
use crate::supervisor::Input;
use crate::{HealthGate, WorkerId};

impl Primary {
    /// Asks whether a held worker is healthy; the answer is an [`Input::Probed`].
    pub(super) fn probe(&mut self, worker: WorkerId) {
        let asked = match self.health_gate.clone() {
            HealthGate::Ready => {
                self.inputs.push_back(Input::Probed(worker, Ok(())));
                Ok(())
            }
            HealthGate::Path(path) => match self.tell(worker, &ToWorker::Probe { path }) {
                true => Ok(()),
                false => Err("it takes no messages any more".to_owned()),
            },
            HealthGate::Command { program, arguments } => {
                let name = program.display().to_string();
                self.run_gate(worker, program, arguments)
                    .map_err(|error| format!("the health gate's command \"{name}\" cannot be started: {error}"))
            }
        };
        if let Err(why) = asked {
            self.inputs.push_back(Input::Probed(worker, Err(why)));
        }
    }

    fn run_gate(
        &mut self,
        worker: WorkerId,
        program: OsString,
        arguments: Vec<OsString>,
    ) -> Result<(), Box<dyn std::error::Error>> {
        let pid = self.workers.get(&worker).map_or(0, |running| running.child.pid());
        let command = Command::new(program)
            .args(arguments)
            .env("PHALANX_WORKER", worker.to_string())
            .env("PHALANX_WORKER_PID", pid.to_string())
            .stdin(Stdio::Null)
            .stdout(Stdio::Null)
            .stderr(Stdio::Inherit)
            .die_with_parent()
            .kill_on_drop();
        let child = blocking::spawn(command)?;
        epoll::add(&self.epoll, &child, Source::Gate(worker).data(), epoll::EventFlags::IN)?;
        self.gate_commands.insert(worker, child);
        Ok(())
    }

    /// A gate's command has ended.
    pub(super) fn gate_ended(&mut self, worker: WorkerId) {
        let Some(child) = self.gate_commands.remove(&worker) else { return };
        let outcome = match child.try_exited() {
            Ok(None) => {
                self.gate_commands.insert(worker, child);
                return;
            }
            Ok(Some(status)) if status.success() => Ok(()),
            Ok(Some(status)) => Err(format!("the health gate's command ended with {status}")),
            Err(error) => Err(format!("the health gate's command was lost: {error}")),
        };
        let _ = epoll::delete(&self.epoll, &child);
        self.feed_supervisor(Input::Probed(worker, outcome));
    }
}
