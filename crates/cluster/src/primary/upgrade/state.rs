//! What one image of the primary tells the next: a text (JSON) in a memory file, and descriptors that it counts.
//!
//! Two versions of a program talk here, in both directions (an upgrade, and the way back). So a reader passes over what it
//! does not know, and what is missing has a meaning: a default. A change that an older reader would get *wrong* raises
//! [`OLDEST_READER`]; then the check refuses the upgrade and nothing has happened.

use std::io::{Read, Seek, SeekFrom, Write};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::PathBuf;
use std::time::Duration;

use phalanx_shared::SlotIndex;
use serde::{Deserialize, Serialize};

use crate::secret::ClusterSecret;
use crate::supervisor::{Adopted, Birth, Heritage, Inherited, NextTry, Stage};
use crate::{Error, Place, WorkerId};

/// The version of the state that this program writes.
const VERSION: u32 = 1;

/// The oldest version whose readers understand what this program writes.
const OLDEST_READER: u32 = 1;

/// Largest state that is read: some 100 000 workers.
const MAX_BYTES: u64 = 64 * 1024 * 1024;

/// Position of a descriptor among those that were handed over.
pub(crate) type Handed = usize;

/// The state of a primary.
#[derive(Debug, Default, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub(crate) struct State {
    /// What the writer writes.
    pub(crate) version: u32,
    /// What a reader must at least be able to read.
    pub(crate) readable_since: u32,
    /// The operation that runs: the upgrade itself, or the way back from one that failed.
    pub(crate) operation: OperationState,
    /// The generation of the cluster as it stands, and the next one.
    pub(crate) generation: u32,
    pub(crate) next_generation: u32,
    pub(crate) generations: Vec<GenerationState>,
    pub(crate) next_worker: u32,
    pub(crate) places: Vec<PlaceState>,
    pub(crate) workers: Vec<WorkerState>,
    /// The pages of the scoreboard, in their order.
    pub(crate) pages: Vec<Handed>,
    pub(crate) cluster_page: Option<Handed>,
    pub(crate) permits: Option<Handed>,
    pub(crate) listeners: Vec<ListenerState>,
    /// Dispatchers that were started so far.
    pub(crate) dispatchers: u64,
    /// What all workers share.
    pub(crate) secret: Option<ClusterSecret>,
    /// The control socket and the admin socket.
    pub(crate) control: Option<Handed>,
    pub(crate) admin: Option<Handed>,
    /// The locked pid file.
    pub(crate) pid_file: Option<Handed>,
    /// Where a failed upgrade, or a rollback by hand, returns to: the image before the reader.
    pub(crate) previous_image: Option<Handed>,
    /// The image before that one, while the reader has not proven itself.
    pub(crate) older_image: Option<Handed>,
    /// Children that are no workers: they are about to end, and somebody has to collect them.
    pub(crate) leftovers: Vec<u32>,
    /// Where the workers have control groups of their own. A reader that does not know them leaves them to the sweep of
    /// the next start.
    pub(crate) groups: Option<PathBuf>,
}

/// The operation that runs.
#[derive(Debug, Default, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub(crate) struct OperationState {
    pub(crate) number: u64,
    /// `upgrade` or `rollback`.
    pub(crate) kind: String,
    /// Why it failed, if this is the way back.
    pub(crate) failure: Option<String>,
    /// When it began, in milliseconds since 1970.
    pub(crate) began_ms: u64,
}

/// A generation that lives.
#[derive(Debug, Default, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub(crate) struct GenerationState {
    pub(crate) number: u32,
    pub(crate) settings: Option<Handed>,
    /// The image of its workers.
    pub(crate) image: Option<Handed>,
}

/// A place.
#[derive(Debug, Default, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub(crate) struct PlaceState {
    pub(crate) place: u16,
    pub(crate) generation: u32,
    /// Milliseconds until the next start, if it has no worker; none: only a reload tries it again.
    pub(crate) next_try: Option<u64>,
    pub(crate) environment: Vec<(String, String)>,
}

/// A worker that lives.
#[derive(Debug, Default, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub(crate) struct WorkerState {
    pub(crate) worker: u32,
    pub(crate) place: u16,
    pub(crate) page: u16,
    pub(crate) generation: u32,
    pub(crate) held: bool,
    pub(crate) listens: bool,
    /// How far it was: `starting`, `ready`, `leaving` or `killed`; a word that is not known means `ready`.
    pub(crate) stage: String,
    pub(crate) pid: u32,
    /// How long it has lived, in milliseconds.
    pub(crate) age: u64,
    pub(crate) control: Handed,
    /// The link on which a dispatcher offers connections, and the memory in which they are claimed.
    pub(crate) desk: Option<Handed>,
    pub(crate) claims: Option<Handed>,
    /// Where the stacks of its threads are written, if it hangs.
    pub(crate) stacks: Option<Handed>,
    /// What it writes to its standard output and error.
    pub(crate) stdout: Option<Handed>,
    pub(crate) stderr: Option<Handed>,
}

/// A listening socket.
#[derive(Debug, Default, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub(crate) struct ListenerState {
    /// What the listeners' own code wrote down; a socket that the reader does not understand is opened anew.
    pub(crate) kept: serde_json::Value,
    pub(crate) socket: Handed,
}

impl State {
    /// A state of the present version, with nothing in it.
    pub(crate) fn new() -> State {
        State { version: VERSION, readable_since: OLDEST_READER, ..State::default() }
    }

    /// Writes it into a new memory file.
    pub(crate) fn write(&self) -> Result<OwnedFd, Error> {
        let attempt = "write down the state of the primary";
        let file = rustix::fs::memfd_create("phalanx-state", rustix::fs::MemfdFlags::CLOEXEC)
            .map_err(|source| Error::System { attempt, source: source.into() })?;
        let text = serde_json::to_vec(self).map_err(|source| Error::System { attempt, source: source.into() })?;
        let mut file = std::fs::File::from(file);
        file.write_all(&text).map_err(Error::system(attempt))?;
        Ok(file.into())
    }

    /// Reads it.
    ///
    /// Errors: a file that is no state, or the state of a version that asks for a later reader.
    pub(crate) fn read(file: OwnedFd) -> Result<State, Error> {
        let mut file = std::fs::File::from(file);
        let mut text = String::new();
        file.seek(SeekFrom::Start(0)).map_err(Error::system("read the state of the primary"))?;
        file.take(MAX_BYTES).read_to_string(&mut text).map_err(Error::system("read the state of the primary"))?;
        State::parse(&text)
    }

    fn parse(text: &str) -> Result<State, Error> {
        let bad = |why: String| Error::State { why };
        let state: State = serde_json::from_str(text).map_err(|why| bad(format!("it cannot be read: {why}")))?;
        if state.version == 0 {
            return Err(bad("it has no version".into()));
        }
        if state.readable_since > VERSION {
            let since = state.readable_since;
            return Err(bad(format!("it is of version {since}, and this program reads {VERSION} at most")));
        }
        Ok(state)
    }

    /// Whether the writer of this state could read what this program writes: else there would be no way back.
    pub(crate) fn accepts_ours(&self) -> Result<(), Error> {
        if self.version < OLDEST_READER {
            let why = format!("the program before reads version {}, and could not be gone back to", self.version);
            return Err(Error::State { why });
        }
        Ok(())
    }

    /// Takes over what the supervisor hands to the next.
    pub(crate) fn set_heritage(&mut self, heritage: &Heritage) {
        self.next_worker = heritage.next_worker;
        self.generation = heritage.generation;
        self.places = heritage
            .places
            .iter()
            .map(|place| PlaceState {
                place: place.place.0,
                generation: place.generation,
                next_try: match place.next_try {
                    NextTry::In(wait) => Some(wait.as_millis() as u64),
                    NextTry::AtReload => None,
                },
                environment: Vec::new(),
            })
            .collect();
    }

    /// What the supervisor of this image begins with: the workers are those of `workers`.
    pub(crate) fn heritage(&self) -> Heritage {
        let inherited = |place: &PlaceState| Inherited {
            place: Place(place.place),
            generation: place.generation,
            next_try: place.next_try.map_or(NextTry::AtReload, |wait| NextTry::In(Duration::from_millis(wait))),
        };
        Heritage {
            next_worker: self.next_worker,
            generation: self.generation,
            places: self.places.iter().map(inherited).collect(),
            workers: self.workers.iter().map(WorkerState::adopted).collect(),
        }
    }
}

impl WorkerState {
    /// As the supervisor knows it.
    pub(crate) fn of(adopted: &Adopted) -> WorkerState {
        let Adopted { birth, stage, listens } = *adopted;
        WorkerState {
            worker: birth.worker.get(),
            place: birth.place.0,
            page: birth.page.0,
            generation: birth.generation,
            held: birth.held,
            listens,
            stage: match stage {
                Stage::Starting => "starting",
                Stage::Ready => "ready",
                Stage::Leaving => "leaving",
                Stage::Killed => "killed",
            }
            .to_owned(),
            ..WorkerState::default()
        }
    }

    pub(crate) fn birth(&self) -> Birth {
        Birth {
            worker: WorkerId::new(self.worker),
            place: Place(self.place),
            page: SlotIndex(self.page),
            generation: self.generation,
            held: self.held,
        }
    }

    fn adopted(&self) -> Adopted {
        let stage = match self.stage.as_str() {
            "starting" => Stage::Starting,
            "leaving" => Stage::Leaving,
            "killed" => Stage::Killed,
            _ => Stage::Ready,
        };
        Adopted { birth: self.birth(), stage, listens: self.listens }
    }
}

/// The descriptors that are handed over; the state names them by their position.
#[derive(Debug, Default)]
pub(crate) struct Luggage(Vec<OwnedFd>);

impl Luggage {
    /// Packs a copy of one.
    pub(crate) fn pack(&mut self, descriptor: impl AsFd) -> Result<Handed, Error> {
        let copy = descriptor.as_fd().try_clone_to_owned();
        self.0.push(copy.map_err(Error::system("copy a descriptor for the next image"))?);
        Ok(self.0.len() - 1)
    }

    /// All, in their order.
    pub(crate) fn descriptors(&self) -> impl Iterator<Item = BorrowedFd<'_>> {
        self.0.iter().map(AsFd::as_fd)
    }

    /// What the image before this one packed.
    pub(crate) fn of(descriptors: Vec<OwnedFd>) -> Luggage {
        Luggage(descriptors)
    }

    /// A copy of one. The luggage stays whole, so that it can be handed back if this image cannot go on.
    pub(crate) fn copy(&self, handed: Handed, what: &str) -> Result<OwnedFd, Error> {
        let descriptor = self.0.get(handed).ok_or_else(|| Error::State { why: format!("it came without {what}") })?;
        descriptor.try_clone().map_err(Error::system("copy a descriptor of the image before this one"))
    }

    /// A copy of one, if it was handed over.
    pub(crate) fn copy_if(&self, handed: Option<Handed>, what: &str) -> Result<Option<OwnedFd>, Error> {
        handed.map(|handed| self.copy(handed, what)).transpose()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn example() -> State {
        let worker = WorkerState {
            worker: 3,
            place: 1,
            page: 2,
            pid: 77,
            stage: "leaving".into(),
            control: 4,
            ..Default::default()
        };
        let place = PlaceState { place: 1, generation: 5, next_try: Some(250), ..Default::default() };
        State { next_worker: 4, generation: 5, places: vec![place], workers: vec![worker], ..State::new() }
    }

    #[test]
    fn a_state_is_read_as_it_was_written() {
        let state = example();
        assert_eq!(State::read(state.write().unwrap()).unwrap(), state);
        let mut again = State::new();
        again.set_heritage(&state.heritage());
        assert_eq!((again.next_worker, again.generation, again.places), (4, 5, state.places));
    }

    #[test]
    fn an_older_state_lacks_what_came_later_and_that_has_a_meaning() {
        let state = State::parse(r#"{"version": 1, "workers": [{"worker": 3, "pid": 77}]}"#).unwrap();
        assert_eq!(
            (state.workers[0].pid, state.workers[0].adopted().stage, state.previous_image),
            (77, Stage::Ready, None)
        );
    }

    #[test]
    fn a_newer_state_has_more_than_this_program_knows() {
        let state = State::parse(r#"{"version": 9, "readable_since": 1, "moons": [1, 2], "next_worker": 8}"#).unwrap();
        assert_eq!(state.next_worker, 8);
    }

    #[test]
    fn a_state_that_this_program_would_get_wrong_is_refused() {
        for (text, word) in [
            (r#"{"version": 9, "readable_since": 2}"#, "version 2"),
            ("{}", "no version"),
            ("", "cannot be read"),
            (r#"{"version": "one"}"#, "cannot be read"),
        ] {
            let error = State::parse(text).unwrap_err().to_string();
            assert!(error.contains(word), "{text}: {error}");
        }
    }

    #[test]
    fn luggage_stays_whole_and_what_is_missing_is_named() {
        let file = std::fs::File::open("/proc/self/exe").unwrap();
        let mut luggage = Luggage::default();
        let handed = luggage.pack(&file).unwrap();
        assert!(luggage.copy(handed, "a file").is_ok() && luggage.copy(handed, "a file").is_ok());
        assert!(luggage.copy(handed + 1, "the moon").unwrap_err().to_string().contains("the moon"));
        assert_eq!(luggage.descriptors().count(), 1);
    }
}
