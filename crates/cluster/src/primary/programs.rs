//! The start of a worker that is a program.

use std::os::fd::{AsFd, OwnedFd};
use std::time::Instant;

use phalanx_channel::Packets;
use phalanx_process::{Role, Signal};
use phalanx_shared::Blob;
use rustix::net::{AddressFamily, SocketFlags, SocketType};

use super::attendant::Seat;
use super::workers::{OfProgram, Running};
use super::{Front, Primary, generations, system};
use crate::attendant::socket_for_notifications;
use crate::control::{WORKER_ROLE, descriptor};
use crate::listener::Origin;
use crate::program::{Program, Readiness};
use crate::supervisor::Birth;
use crate::{Error, Event, WorkerId};

impl Primary {
    /// As for other workers, but the program gets nothing of the cluster's own: that goes to the attendant.
    pub(super) fn try_spawn_program(&mut self, birth: Birth) -> Result<Running, Error> {
        let Birth { worker, place, page, generation, .. } = birth;
        self.open_listeners(place)?;
        let index = usize::from(page.0);
        self.make_pages(index)?;
        let (control, theirs) = Packets::pair()?;
        let (notify, notify_name) =
            socket_for_notifications().map_err(Error::system("create a socket for what a program says"))?;
        let told = postcard::to_stdvec(&(worker, place, Some(notify_name)))
            .map_err(|source| Error::system("describe a worker")(std::io::Error::other(source)))?;
        let told = Blob::from(told).descriptor().map_err(generations::shared)?;
        let settings = self.generations.get(generation).and_then(|settings| settings.snapshot.as_ref());
        let Some(program) = settings.map(Blob::descriptor).transpose().map_err(generations::shared)? else {
            return Err(Error::Setting { what: "no program was given for the workers".into() });
        };
        // Decoding a description that this process wrote is as near as the primary comes to a program.
        let description = settings.and_then(|program| postcard::from_bytes::<Program>(program).ok());
        let awaited_line = description.and_then(|program| match program.readiness() {
            Readiness::Line(line) => Some(line),
            _ => None,
        });
        let (channel, their_channel) = node_channel()?;
        let mut role = Role::new(WORKER_ROLE)
            .descriptor(descriptor::CONTROL, theirs.as_fd())
            .descriptor(descriptor::BIRTH, told.as_fd())
            .descriptor(descriptor::SETTINGS, program.as_fd())
            .descriptor(descriptor::NODE_CHANNEL, their_channel.as_fd());
        for (listener, origin) in self.listeners.of_place(place) {
            let name = match origin {
                Origin::Ours => descriptor::LISTENER,
                Origin::Given => descriptor::GIVEN_LISTENER,
            };
            if self.programs.blocking_listeners {
                rustix::io::ioctl_fionbio(listener, false).map_err(system("make a listener blocking"))?;
            }
            role = role.descriptor(name, listener);
        }
        let pipes = self.front.as_ref().map(Front::pipes).transpose()?.flatten();
        let pipes = pipes.map(|(pipes, stdout, stderr)| (pipes, [stdout, stderr]));
        if let Some((_, [stdout, stderr])) = &pipes {
            role = role.stdout(stdout.as_fd()).stderr(stderr.as_fd());
        }
        for (name, value) in self.places.get(&place).into_iter().flat_map(|record| &record.environment) {
            role = role.env(name, value);
        }
        let since = Instant::now();
        let page = self.slots[index].descriptor().map_err(Error::system("copy a slot's descriptor"))?;
        let launched = self.launch(birth, role)?;
        let pipes = pipes.map(|(pipes, _)| pipes);
        let running = Running {
            program: OfProgram { awaited_line, ..OfProgram::default() },
            ..self.keep_running(birth, launched, control, None, pipes)?
        };
        let pid = running.child.pid();
        let seat = Seat {
            place,
            pid,
            since,
            ready: false,
            told: false,
            control: theirs.into(),
            page,
            program,
            notify,
            channel: Some(channel),
        };
        if let Some(attendant) = &mut self.attendant
            && let Err(error) = attendant.seat(worker, seat)
        {
            let _ = running.child.kill(Signal::Kill);
            self.leftovers.push(running.child);
            return Err(error);
        }
        Ok(running)
    }

    /// Sends a signal to a program and its process group.
    pub(super) fn signal_program(&mut self, worker: WorkerId, number: i32) {
        let Some(running) = self.workers.get(&worker) else { return };
        let Some(signal) = Signal::from_number(number) else { return };
        // A program that is not one yet has no group of its own.
        if !matches!(running.child.kill_group(signal), Ok(true)) {
            let _ = running.child.kill(signal);
        }
    }
}

/// The variable by which everything that a program starts can be told.
pub(crate) const MARK: &str = "PHALANX_WORKER";

impl Primary {
    /// Reaps strangers, and ends what programs that are gone have left behind.
    pub(super) fn look_after_strays(&mut self) {
        let Some(strays) = &mut self.strays else { return };
        let workers = &self.workers;
        let is_over = |mark: &str| mark.parse().is_ok_and(|number| !workers.contains_key(&WorkerId::new(number)));
        for stray in strays.look(MARK, is_over) {
            if let Ok(number) = stray.mark.parse() {
                self.emit(Event::LeftBehind { worker: WorkerId::new(number), pid: stray.pid });
            }
        }
    }
}

/// Both ends of Node's own channel. (A program that is not Node gets none.)
fn node_channel() -> Result<(OwnedFd, OwnedFd), Error> {
    let (ours, theirs) = rustix::net::socketpair(
        AddressFamily::UNIX,
        SocketType::STREAM,
        SocketFlags::CLOEXEC | SocketFlags::NONBLOCK,
        None,
    )
    .map_err(system("create a channel for a program"))?;
    Ok((ours, theirs))
}
