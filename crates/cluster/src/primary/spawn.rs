//! The start of a worker: its page, its sockets, its settings, and the process.

use std::os::fd::{AsFd, OwnedFd};
use std::time::Instant;

use phalanx_channel::Packets;
use phalanx_process::{Process, Role, Signal, stack_dump};
use phalanx_shared::Slot;
use rustix::event::epoll;

use super::front::Pipes;
use super::hard_limit::Bound;
use super::memory::Statm;
use super::source::Source;
use super::workers::{OfProgram, PlaceRecord, Running};
use super::{Front, Primary, system};
use crate::control::{ToWorker, WORKER_ROLE, descriptor};
use crate::dispatcher::{Keeper, NewDesk};
use crate::listener::Origin;
use crate::supervisor::{Birth, Input};
use crate::{Error, Event, WorkerId};

/// Most siblings told of in one message: as many as descriptors fit.
const SIBLINGS_A_MESSAGE: usize = phalanx_channel::MAX_DESCRIPTORS;

/// A process that was started a moment ago.
pub(super) struct Launched {
    child: Process,
    bound: Option<Bound>,
    started: Instant,
}

impl Primary {
    pub(super) fn spawn(&mut self, birth: Birth) {
        let Birth { worker, place, .. } = birth;
        if let Some(environment) = self.forking.take() {
            self.places.insert(place, PlaceRecord { environment, ..PlaceRecord::default() });
            self.forked = Some(worker);
        }
        self.places.entry(place).or_default().starts += 1;
        match self.try_spawn(birth) {
            Ok(running) => {
                let pid = running.child.pid();
                if let Some(front) = &mut self.front {
                    if let Some(line) = &running.program.awaited_line {
                        front.await_line(worker, line);
                    }
                    front.worker(worker, running.pipes.as_ref());
                }
                self.workers.insert(worker, running);
                self.emit(Event::Fork { worker, pid, place });
            }
            Err(error) => self.inputs.push_back(Input::SpawnFailed(worker, error.to_string())),
        }
    }

    fn try_spawn(&mut self, birth: Birth) -> Result<Running, Error> {
        #[cfg(feature = "program")]
        if self.attendant.is_some() {
            return self.try_spawn_program(birth);
        }
        let Birth { worker, place, page, generation, held } = birth;
        self.open_listeners(place)?;
        let index = usize::from(page.0);
        self.make_pages(index)?;
        let (control, theirs) = Packets::pair()?;
        let messages = self.feed.as_ref().map(|_| crate::hub::line()).transpose()?;
        let memory = self.slots[index].descriptor().map_err(Error::system("copy a slot's descriptor"))?;
        let permits = self.permits.descriptor().map_err(Error::system("copy the permits' descriptor"))?;
        let cluster = self.cluster.read_only_descriptor().map_err(Error::system("copy the cluster's page"))?;
        let mut role = Role::new(WORKER_ROLE)
            .descriptor(descriptor::CONTROL, theirs.as_fd())
            .descriptor(descriptor::SLOT, memory.as_fd())
            .descriptor(descriptor::PERMITS, permits.as_fd())
            .descriptor(descriptor::CLUSTER, cluster.as_fd());
        let (stacks, their_stacks) = stack_dump::pipe()?;
        role = role.descriptor(descriptor::STACKS, their_stacks.as_fd());
        if let Some((_, theirs)) = &messages {
            role = role.descriptor(descriptor::MESSAGES, theirs.as_fd());
        }
        for (listener, origin) in self.listeners.of_place(place) {
            let name = match origin {
                Origin::Ours => descriptor::LISTENER,
                Origin::Given => descriptor::GIVEN_LISTENER,
            };
            role = role.descriptor(name, listener);
        }
        let of_generation = self.generations.get(generation);
        if let Some(image) = of_generation.and_then(|settings| settings.image.as_ref()) {
            role = role.program(super::upgrade::path_of(image));
        }
        let settings = of_generation.and_then(|settings| settings.snapshot.as_ref());
        let desk = self.dispatch.as_ref().map(Keeper::new_desk).transpose()?;
        for (name, descriptor) in desk.iter().flat_map(NewDesk::descriptors) {
            role = role.descriptor(name, descriptor);
        }
        let settings = settings.map(|blob| blob.descriptor()).transpose().map_err(super::generations::shared)?;
        if let Some(settings) = &settings {
            role = role.descriptor(descriptor::SETTINGS, settings.as_fd());
        }
        let pipes = self.front.as_ref().map(Front::pipes).transpose()?.flatten();
        let pipes = pipes.map(|(pipes, stdout, stderr)| (pipes, [stdout, stderr]));
        if let Some((_, [stdout, stderr])) = &pipes {
            role = role.stdout(stdout.as_fd()).stderr(stderr.as_fd());
        }
        for (name, value) in self.places.get(&place).into_iter().flat_map(|record| &record.environment) {
            role = role.env(name, value);
        }
        // Waiting in the socket before the worker exists: it never has to wait for us.
        let welcome = ToWorker::Welcome {
            worker,
            place,
            page: page.0,
            generation,
            held,
            drain_deadline: self.drain_deadline,
            gate: self.gate,
            secret: self.secret,
            dispatched: self.listeners.dispatched_addresses(),
        };
        control.send(&welcome, &[])?;
        self.tell_of_siblings(&control, (0..self.slots.len()).filter(|other| *other != index))?;
        let launched = self.launch(birth, role)?;
        let pipes = pipes.map(|(pipes, _)| pipes);
        let running = self.keep_running(birth, launched, control, Some(stacks), pipes)?;
        if let (Some(dispatch), Some(desk)) = (&mut self.dispatch, desk)
            && let Err(error) = dispatch.seat(worker, place, desk, &self.slots[index])
        {
            let _ = running.child.kill(Signal::Kill);
            self.leftovers.push(running.child);
            return Err(error);
        }
        if let (Some(feed), Some((ours, _))) = (&self.feed, messages) {
            feed.connect(worker, running.child.pid(), ours);
        }
        Ok(running)
    }

    /// Starts the process, confined.
    pub(super) fn launch(&self, birth: Birth, role: Role<'_>) -> Result<Launched, Error> {
        let started = Instant::now();
        let mut role = self.confinement.of(role, birth.place);
        let bound = self.hard_limit.bound(birth.worker);
        if let Some(bound) = &bound {
            role = role.cgroup(bound.folder());
        }
        Ok(Launched { child: role.spawn()?, bound, started })
    }

    /// Takes a process that was started into our care.
    pub(super) fn keep_running(
        &mut self,
        birth: Birth,
        launched: Launched,
        control: Packets,
        stacks: Option<OwnedFd>,
        pipes: Option<Pipes>,
    ) -> Result<Running, Error> {
        let Launched { child, bound, started } = launched;
        let statm = Statm::of(&child);
        let child = self.watch_worker(birth.worker, &control, child)?;
        Ok(Running { birth, child, control, stacks, pipes, started, statm, bound, program: OfProgram::default() })
    }

    /// Makes the pages up to this one, and tells everybody of those that are new.
    pub(super) fn make_pages(&mut self, index: usize) -> Result<(), Error> {
        while self.slots.len() <= index {
            let new = self.slots.len();
            self.slots.push(Slot::create().map_err(Error::system("create a slot of the scoreboard"))?);
            self.tell_front_of_page(new);
            for running in self.workers.values() {
                // A sibling that does not read its messages only goes without a gate for this one.
                let _ = self.tell_of_siblings(&running.control, std::iter::once(new));
            }
        }
        Ok(())
    }

    /// Watches what a new worker says and how it ends. One that cannot be watched is not kept.
    fn watch_worker(&mut self, worker: WorkerId, control: &Packets, child: Process) -> Result<Process, Error> {
        let watched = [(Source::Control(worker), control.as_fd()), (Source::Process(worker), child.as_fd())]
            .into_iter()
            .try_for_each(|(source, fd)| epoll::add(&self.epoll, fd, source.data(), epoll::EventFlags::IN));
        match watched {
            Ok(()) => Ok(child),
            Err(error) => {
                let _ = child.kill(Signal::Kill);
                self.leftovers.push(child);
                Err(system("watch a worker")(error))
            }
        }
    }

    fn tell_of_siblings(&self, control: &Packets, indices: impl Iterator<Item = usize>) -> Result<(), Error> {
        let indices: Vec<usize> = indices.collect();
        for some in indices.chunks(SIBLINGS_A_MESSAGE) {
            let descriptors = some
                .iter()
                .map(|index| self.slots[*index].read_only_descriptor())
                .collect::<Result<Vec<OwnedFd>, _>>()
                .map_err(Error::system("copy a slot's descriptor"))?;
            let borrowed: Vec<_> = descriptors.iter().map(AsFd::as_fd).collect();
            control.send(&ToWorker::Siblings(some.iter().map(|index| *index as u16).collect()), &borrowed)?;
        }
        Ok(())
    }
}
