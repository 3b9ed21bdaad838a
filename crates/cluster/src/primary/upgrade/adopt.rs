//! The other side of the exec: what this image inherits, and how it is taken up.

use std::collections::HashMap;
use std::os::fd::{AsFd, OwnedFd};
use std::time::{Duration, Instant};

use phalanx_channel::Packets;
use phalanx_process::Process;
use phalanx_process::upgrade::{Image, take_state, this_image};
use phalanx_shared::{Blob, ClusterPage, Permits, Slot};

use super::state::{Luggage, State};
use super::{Images, become_image, descriptor};
use crate::listener::Kept;
use crate::primary::front::Pipes;
use crate::primary::generations::{Generations, Settings};
use crate::primary::hard_limit::HardLimit;
use crate::primary::memory::Statm;
use crate::primary::workers::{OfProgram, PlaceRecord, Running};
use crate::supervisor::Birth;
use crate::{Error, Place, WorkerId};

/// What the image before this one handed over.
pub(in crate::primary) struct Inheritance {
    pub(in crate::primary) state: State,
    luggage: Luggage,
}

impl Inheritance {
    /// Takes it; `None` if this process was started anew.
    ///
    /// Errors: a state that cannot be read, after a check that could read it. There is no way back then: which of the
    /// descriptors is what is not known.
    pub(in crate::primary) fn take() -> Result<Option<Inheritance>, Error> {
        let Some(mut handed) = take_state() else { return Ok(None) };
        let state = State::read(handed.take(descriptor::STATE)?)?;
        let luggage = Luggage::of(handed.take_all(descriptor::LUGGAGE));
        Ok(Some(Inheritance { state, luggage }))
    }

    /// This image cannot take up what it inherited: the one before goes on. Returns only if it cannot either.
    pub(in crate::primary) fn give_back(mut self, error: Error) -> Error {
        if self.state.operation.failure.is_some() {
            // We are the way back already.
            return error;
        }
        let Some(previous) = self.state.previous_image else { return error };
        self.state.operation.failure = Some(error.to_string());
        self.state.previous_image = self.state.older_image.take();
        match self.luggage.copy(previous, "the previous image") {
            Ok(image) => become_image(Image::from(image.as_fd()), &self.state, &self.luggage),
            Err(error) => error,
        }
    }

    pub(in crate::primary) fn images(&self) -> Result<Images, Error> {
        Ok(Images {
            previous: self.luggage.copy_if(self.state.previous_image, "the previous image")?,
            older: self.luggage.copy_if(self.state.older_image, "the older image")?,
        })
    }

    pub(in crate::primary) fn pages(&self) -> Result<Vec<Slot>, Error> {
        let open = |page: &usize| {
            Slot::open(self.luggage.copy(*page, "a page of the scoreboard")?)
                .map_err(Error::system("open the scoreboard"))
        };
        self.state.pages.iter().map(open).collect()
    }

    pub(in crate::primary) fn cluster_page(&self) -> Result<Option<ClusterPage>, Error> {
        let page = self.luggage.copy_if(self.state.cluster_page, "the page of the cluster")?;
        page.map(|page| ClusterPage::open(page).map_err(Error::system("open the page of the cluster"))).transpose()
    }

    pub(in crate::primary) fn permits(&self) -> Result<Option<Permits>, Error> {
        let permits = self.luggage.copy_if(self.state.permits, "the permits")?;
        permits.map(|permits| Permits::from_descriptor(permits).map_err(Error::system("open the permits"))).transpose()
    }

    /// A socket whose description is of another version is left out: it is opened anew, or that fails with clear words.
    pub(in crate::primary) fn listeners(&self) -> Result<Vec<(Kept, OwnedFd)>, Error> {
        let mut listeners = Vec::new();
        for listener in &self.state.listeners {
            if let Ok(kept) = serde_json::from_value(listener.kept.clone()) {
                listeners.push((kept, self.luggage.copy(listener.socket, "a listening socket")?));
            }
        }
        Ok(listeners)
    }

    /// The control socket and the admin socket.
    pub(in crate::primary) fn front_sockets(&self) -> Result<(Option<OwnedFd>, Option<OwnedFd>), Error> {
        let control = self.luggage.copy_if(self.state.control, "the control socket")?;
        Ok((control, self.luggage.copy_if(self.state.admin, "the admin socket")?))
    }

    /// The pid file, locked.
    pub(in crate::primary) fn pid_file(&self) -> Result<Option<OwnedFd>, Error> {
        self.luggage.copy_if(self.state.pid_file, "the pid file")
    }

    /// Takes up the generations that live. Those of this very image are started as this image starts any other.
    pub(in crate::primary) fn take_up_generations(&self, generations: &mut Generations) -> Result<(), Error> {
        let ours = identity(&this_image()?)?;
        for generation in &self.state.generations {
            let snapshot = self.luggage.copy_if(generation.settings, "the settings of a generation")?;
            let snapshot = snapshot.map(|file| Blob::from_descriptor(file, usize::MAX)).transpose();
            let image = self.luggage.copy_if(generation.image, "the image of a generation")?;
            let image = match image {
                Some(image) if identity(&image)? == ours => None,
                other => other,
            };
            let settings = Settings { snapshot: snapshot.map_err(crate::primary::generations::shared)?, image };
            generations.take_up(generation.number, settings);
        }
        generations.continue_at(self.state.next_generation);
        Ok(())
    }

    /// The workers that live, and those that are gone without a trace.
    pub(in crate::primary) fn workers(
        &self,
        limit: &HardLimit,
    ) -> Result<(HashMap<WorkerId, Running>, Vec<WorkerId>), Error> {
        let (mut workers, mut lost) = (HashMap::new(), Vec::new());
        for state in &self.state.workers {
            let birth = state.birth();
            let control = Packets::from_descriptor(self.luggage.copy(state.control, "a worker's connection")?)?;
            let stacks = self.luggage.copy_if(state.stacks, "a worker's stacks")?;
            let stdout = self.luggage.copy_if(state.stdout, "a worker's output")?;
            let stderr = self.luggage.copy_if(state.stderr, "a worker's output")?;
            let pipes = stdout.zip(stderr).map(|(stdout, stderr)| Pipes { stdout, stderr });
            match Process::adopt(state.pid) {
                Ok(child) => {
                    let now = Instant::now();
                    let started = now.checked_sub(Duration::from_millis(state.age)).unwrap_or(now);
                    let statm = Statm::of(&child);
                    let bound = limit.adopt(birth.worker);
                    let running = Running {
                        birth,
                        child,
                        control,
                        stacks,
                        pipes,
                        started,
                        statm,
                        bound,
                        program: OfProgram::default(),
                    };
                    workers.insert(birth.worker, running);
                }
                Err(_) => lost.push(birth.worker),
            }
        }
        Ok((workers, lost))
    }

    /// The desks of workers: the link and the claims of each.
    pub(in crate::primary) fn desks(&self) -> Result<Vec<(Birth, OwnedFd, OwnedFd)>, Error> {
        let mut desks = Vec::new();
        for worker in &self.state.workers {
            let desk = self.luggage.copy_if(worker.desk, "a worker's desk")?;
            let claims = self.luggage.copy_if(worker.claims, "a worker's claims")?;
            desks.extend(desk.zip(claims).map(|(desk, claims)| (worker.birth(), desk, claims)));
        }
        Ok(desks)
    }

    pub(in crate::primary) fn places(&self) -> HashMap<Place, PlaceRecord> {
        let record = |environment: &Vec<(String, String)>| PlaceRecord {
            environment: environment.clone(),
            ..PlaceRecord::default()
        };
        self.state.places.iter().map(|place| (Place(place.place), record(&place.environment))).collect()
    }

    /// Children that are no workers and still exist.
    pub(in crate::primary) fn leftovers(&self) -> Vec<Process> {
        self.state.leftovers.iter().filter_map(|pid| Process::adopt(*pid).ok()).collect()
    }
}

/// What tells two files apart.
fn identity(file: &OwnedFd) -> Result<(u64, u64), Error> {
    let stat = rustix::fs::fstat(file).map_err(crate::primary::system("look at an image"))?;
    Ok((stat.st_dev, stat.st_ino))
}
