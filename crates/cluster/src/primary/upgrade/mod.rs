//! Upgrade in place: the primary becomes another program, keeps its process id and everything that it holds.
//!
//! ```text
//!   old image                                     new image                          workers
//!   check: run the new file as a child ─ no ─► failed, nothing has happened
//!     │ yes                                                                          serve on
//!     ▼                                                                                 │
//!   state + descriptors ── exec, same pid ──────► adopts everything                     │
//!                                                 reloads with its own generation ──► new ones, one place at a time
//!   ▲                                               │ failed: the old workers are restored
//!   └── exec back, with why ◄───────────────────────┘
//!   adopts everything; the operation failed       done; the old image is kept for `rollback`
//! ```
//!
//! Workers of a generation are always started from the image of that generation, so that a worker which crashes half-way is
//! replaced by the same program, and so that a failed reload restores the old program before the primary itself returns.

mod adopt;
mod check;
pub(in crate::primary) mod state;

use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::path::PathBuf;

use phalanx_process::upgrade::{ExecInPlace, Image, image_on_disk, this_image};
use rustix::event::epoll;

use super::front::Front;
use super::operations::{Operation, ROLLBACK, UPGRADE, Wish};
use super::{Primary, Source, system};
use crate::hub::Feed;
use crate::{Error, Event};

pub(super) use adopt::Inheritance;
pub(super) use check::Check;
pub(crate) use check::{CHECK_ROLE, play as play_check};
use check::{Candidate, Samples};
use state::{GenerationState, ListenerState, Luggage, OperationState, State, WorkerState};

/// Names of what is kept over the exec.
mod descriptor {
    pub(super) const STATE: &str = "cluster-state";
    /// Short: it stands in the environment once for each descriptor.
    pub(super) const LUGGAGE: &str = "l";
}

/// The images that this one knows.
#[derive(Debug, Default)]
pub(super) struct Images {
    /// The one before this: for a rollback.
    previous: Option<OwnedFd>,
    /// The one before that, while this one has not proven itself.
    older: Option<OwnedFd>,
}

impl Images {
    /// This image stays.
    pub(super) fn settle(&mut self) {
        self.older = None;
    }
}

impl Primary {
    /// The first step of an upgrade or a rollback: can the other program take over?
    pub(super) fn check_image(&mut self, wish: Wish) -> Result<(), Error> {
        let nothing_before = || {
            let why = "this program was not upgraded: there is none to go back to".to_owned();
            Error::Operation { kind: ROLLBACK, why }
        };
        let image = match (wish, &self.images.previous) {
            (Wish::Rollback, None) => return Err(nothing_before()),
            (Wish::Rollback, Some(previous)) => {
                Candidate::Previous(previous.try_clone().map_err(Error::system("copy the previous image"))?)
            }
            _ => Candidate::File(image_on_disk()?),
        };
        let Some(operation) = self.operations.running().map(|operation| operation.number) else { return Ok(()) };
        let (state, _) = self.pack(OperationState::default())?;
        let samples = Samples { page: self.slots.first(), cluster_page: &self.cluster, permits: &self.permits };
        let check = Check::start(operation, image, &state, &samples)?;
        epoll::add(&self.epoll, &check.child, Source::Check.data(), epoll::EventFlags::IN)
            .map_err(system("watch the check of an upgrade"))?;
        self.check = Some(check);
        Ok(())
    }

    /// The check has said something, or its time is over.
    pub(super) fn look_at_check(&mut self) {
        let Some(check) = self.check.take() else { return };
        let outcome = match check.outcome() {
            Some(outcome) => outcome,
            None if std::time::Instant::now() < check.until() => {
                self.check = Some(check);
                return;
            }
            None => Err(check.expire()),
        };
        let operation = check.operation;
        let result = match (outcome, self.operations.running()) {
            (Err(why), _) => Err(why),
            (Ok(()), _) if self.stop_requests > 0 => Err("the cluster stops".to_owned()),
            (Ok(()), None) => return,
            (Ok(()), Some(running)) => {
                self.front.iter_mut().for_each(Front::dismiss);
                Err(self.go_on_as(running, &check.image).to_string())
            }
        };
        if check.child.try_wait().is_ok_and(|status| status.is_none()) {
            self.leftovers.push(check.child);
        }
        self.over(operation, result);
    }

    /// Becomes the other image. Returns only if that failed; then nothing has changed.
    fn go_on_as(&self, operation: &Operation, image: &Candidate) -> Error {
        let state = OperationState {
            number: operation.number,
            kind: operation.kind.to_owned(),
            failure: None,
            began_ms: operation.began_ms,
        };
        let image = match image {
            Candidate::File(path) => Image::from(path.as_path()),
            Candidate::Previous(kept) => Image::from(kept.as_fd()),
        };
        let packed = self.pack(state).and_then(|(mut state, mut luggage)| {
            state.previous_image = Some(luggage.pack(this_image()?)?);
            state.older_image = self.images.previous.as_ref().map(|image| luggage.pack(image)).transpose()?;
            Ok((state, luggage))
        });
        match packed {
            Ok((state, luggage)) => {
                self.stand_dispatcher_down();
                self.companions.dismiss();
                self.become_image(image, &state, &luggage)
            }
            Err(error) => error,
        }
    }

    /// This image could not replace the workers: the one before it goes on. Returns only if that failed.
    pub(super) fn return_to_previous_image(&mut self, why: String) -> String {
        let (Some(operation), Some(previous)) = (self.operations.running(), &self.images.previous) else { return why };
        if self.stop_requests > 0 {
            return why;
        }
        let state = OperationState {
            number: operation.number,
            kind: operation.kind.to_owned(),
            failure: Some(why.clone()),
            began_ms: operation.began_ms,
        };
        self.front.iter_mut().for_each(Front::dismiss);
        let packed = self.pack(state).and_then(|(mut state, mut luggage)| {
            state.previous_image = self.images.older.as_ref().map(|image| luggage.pack(image)).transpose()?;
            Ok((state, luggage))
        });
        let error = match packed {
            Ok((state, luggage)) => {
                self.stand_dispatcher_down();
                self.companions.dismiss();
                self.become_image(Image::from(previous.as_fd()), &state, &luggage)
            }
            Err(error) => error,
        };
        format!("{why}; and the program before cannot be had again: {error}")
    }

    /// Everything that another image needs.
    fn pack(&self, operation: OperationState) -> Result<(State, Luggage), Error> {
        let (mut state, mut luggage) = (State::new(), Luggage::default());
        state.operation = operation;
        let heritage = self.supervisor.heritage(self.origin.elapsed());
        state.set_heritage(&heritage);
        for place in &mut state.places {
            let record = self.places.get(&crate::Place(place.place));
            place.environment = record.map(|record| record.environment.clone()).unwrap_or_default();
        }
        state.secret = Some(self.secret);
        state.groups = self.hard_limit.folder();
        state.dispatchers = self.dispatch.as_ref().map_or(0, |dispatch| dispatch.starts());
        state.next_generation = self.generations.next();
        for (number, settings) in self.generations.living() {
            let snapshot = settings.snapshot.as_ref().map(|blob| blob.descriptor()).transpose();
            let snapshot = snapshot.map_err(super::generations::shared)?;
            let image = match &settings.image {
                Some(image) => luggage.pack(image)?,
                None => luggage.pack(this_image()?)?,
            };
            let settings = snapshot.map(|snapshot| luggage.pack(snapshot)).transpose()?;
            state.generations.push(GenerationState { number, settings, image: Some(image) });
        }
        for adopted in &heritage.workers {
            let Some(running) = self.workers.get(&adopted.birth.worker) else { continue };
            let mut worker = WorkerState::of(adopted);
            worker.pid = running.child.pid();
            worker.age = running.started.elapsed().as_millis() as u64;
            worker.control = luggage.pack(&running.control)?;
            worker.stacks = running.stacks.as_ref().map(|pipe| luggage.pack(pipe)).transpose()?;
            if let Some(pipes) = &running.pipes {
                worker.stdout = Some(luggage.pack(&pipes.stdout)?);
                worker.stderr = Some(luggage.pack(&pipes.stderr)?);
            }
            if let Some((desk, claims)) =
                self.dispatch.as_ref().and_then(|dispatch| dispatch.desk(adopted.birth.worker))
            {
                worker.desk = Some(luggage.pack(desk)?);
                worker.claims = Some(luggage.pack(claims)?);
            }
            state.workers.push(worker);
        }
        for page in &self.slots {
            let page = page.descriptor().map_err(Error::system("copy a page's descriptor"))?;
            state.pages.push(luggage.pack(page)?);
        }
        let cluster = self.cluster.descriptor().map_err(Error::system("copy a page's descriptor"))?;
        state.cluster_page = Some(luggage.pack(cluster)?);
        let permits = self.permits.descriptor().map_err(Error::system("copy the permits' descriptor"))?;
        state.permits = Some(luggage.pack(permits)?);
        for (kept, socket) in self.listeners.keep() {
            let kept = serde_json::to_value(kept)
                .map_err(|why| Error::State { why: format!("a listener cannot be written down: {why}") })?;
            state.listeners.push(ListenerState { kept, socket: luggage.pack(socket)? });
        }
        if let Some(front) = &self.front {
            let (control, admin) = front.kept();
            state.control = control.map(|socket| luggage.pack(socket)).transpose()?;
            state.admin = admin.map(|socket| luggage.pack(socket)).transpose()?;
        }
        state.pid_file = self.service.kept().map(|file| luggage.pack(file)).transpose()?;
        state.leftovers = children().filter(|pid| !state.workers.iter().any(|worker| worker.pid == *pid)).collect();
        Ok((state, luggage))
    }

    /// Messages are held back meanwhile. Returns only if it failed.
    fn become_image(&self, image: Image<'_>, state: &State, luggage: &Luggage) -> Error {
        self.feed.as_ref().map(Feed::pause);
        let error = become_image(image, state, luggage);
        self.feed.as_ref().map(Feed::resume);
        error
    }

    /// The end of an operation that another image began, as this one has to tell of it.
    pub(super) fn resume_operation(&mut self, operation: OperationState) {
        let kind = match operation.kind.as_str() {
            ROLLBACK => ROLLBACK,
            _ => UPGRADE,
        };
        let number = operation.number;
        let mut resumed = Operation::new(number, kind);
        resumed.began_ms = operation.began_ms;
        self.operations.resume(resumed);
        self.tell_of_operation();
        match operation.failure {
            Some(why) => self.over(number, Err(why)),
            None => {
                self.resumed_operation = Some(number);
                self.emit(Event::Resumed { operation: number, kind });
                if let Err(error) = self.reload(number) {
                    self.over(number, Err(error.to_string()));
                }
            }
        }
    }
}

fn become_image(image: Image<'_>, state: &State, luggage: &Luggage) -> Error {
    let file = match state.write() {
        Ok(file) => file,
        Err(error) => return error,
    };
    let mut exec = ExecInPlace::new(image).keep(descriptor::STATE, file.as_fd());
    for packed in luggage.descriptors() {
        exec = exec.keep(descriptor::LUGGAGE, packed);
    }
    exec.exec().into()
}

/// The path of an open file, for a child that is not started yet. `/proc/self` would be the child.
pub(super) fn path_of(file: &OwnedFd) -> PathBuf {
    format!("/proc/{}/fd/{}", std::process::id(), file.as_raw_fd()).into()
}

/// All children of this process, of whichever thread.
fn children() -> impl Iterator<Item = u32> {
    let threads = std::fs::read_dir("/proc/self/task").into_iter().flatten().flatten();
    threads.flat_map(|thread| {
        let text = std::fs::read_to_string(thread.path().join("children")).unwrap_or_default();
        text.split_whitespace().filter_map(|pid| pid.parse().ok()).collect::<Vec<u32>>()
    })
}
