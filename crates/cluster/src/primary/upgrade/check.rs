//! The check before an upgrade: the new program is run as a child, reads the state, and says whether it could take over.
//!
//! Until it has said so, nothing has happened: a file that is missing, no program, crashes at its start, does not know the
//! role, or does not understand the state costs nothing but its own process.

use std::io::Read;
use std::os::fd::{AsFd, OwnedFd};
use std::path::PathBuf;
use std::time::{Duration, Instant};

use phalanx_channel::{Packets, Received};
use phalanx_process::{Process, Role, Signal, TakenRole};
use phalanx_shared::{ClusterPage, Permits, Slot};
use rustix::pipe::PipeFlags;

use super::state::State;
use crate::Error;
use crate::builder::Cluster;

/// Name of the role.
pub(crate) const CHECK_ROLE: &str = "check-state";

/// From the start of the check to its word.
const DEADLINE: Duration = Duration::from_secs(10);

/// Names of the descriptors that it gets.
mod descriptor {
    pub(super) const STATE: &str = "state";
    pub(super) const ANSWER: &str = "answer";
    pub(super) const PAGE: &str = "page";
    pub(super) const CLUSTER_PAGE: &str = "cluster-page";
    pub(super) const PERMITS: &str = "permits";
}

/// Most bytes of what the new program wrote that are repeated.
const MOST_WORDS: usize = 2048;

/// A check that is under way.
pub(in crate::primary) struct Check {
    pub(super) child: Process,
    answer: Packets,
    /// What the new program writes to its standard output and error.
    written: OwnedFd,
    pub(super) operation: u64,
    /// What is executed if it says yes.
    pub(super) image: Candidate,
    until: Instant,
}

/// What is to be executed.
#[derive(Debug)]
pub(super) enum Candidate {
    /// The file on disk.
    File(PathBuf),
    /// The image before this one.
    Previous(OwnedFd),
}

impl Candidate {
    fn path(&self) -> PathBuf {
        match self {
            Candidate::File(path) => path.clone(),
            // By our own process id: in the child the number may be another file by the time of its exec.
            Candidate::Previous(image) => super::path_of(image),
        }
    }
}

/// What the check may look at besides the state.
pub(super) struct Samples<'a> {
    pub(super) page: Option<&'a Slot>,
    pub(super) cluster_page: &'a ClusterPage,
    pub(super) permits: &'a Permits,
}

impl Check {
    /// Starts it.
    pub(super) fn start(
        operation: u64,
        image: Candidate,
        state: &State,
        samples: &Samples<'_>,
    ) -> Result<Check, Error> {
        let file = state.write()?;
        let (answer, theirs) = Packets::pair()?;
        let (written, writes) =
            rustix::pipe::pipe_with(PipeFlags::CLOEXEC).map_err(super::super::system("create a pipe"))?;
        rustix::fs::fcntl_setfl(&written, rustix::fs::OFlags::NONBLOCK)
            .map_err(super::super::system("set up a pipe"))?;
        let nothing = std::fs::File::open("/dev/null").map_err(Error::system("open /dev/null"))?;
        let page = samples.page.map(Slot::read_only_descriptor).transpose();
        let page = page.map_err(Error::system("copy a page's descriptor"))?;
        let cluster_page =
            samples.cluster_page.read_only_descriptor().map_err(Error::system("copy a page's descriptor"))?;
        let permits = samples.permits.descriptor().map_err(Error::system("copy the permits' descriptor"))?;
        let mut role = Role::new(CHECK_ROLE)
            .program(image.path())
            .parent_death(Signal::Kill)
            .stdin(nothing.as_fd())
            .stdout(writes.as_fd())
            .stderr(writes.as_fd())
            .descriptor(descriptor::STATE, file.as_fd())
            .descriptor(descriptor::ANSWER, theirs.as_fd())
            .descriptor(descriptor::CLUSTER_PAGE, cluster_page.as_fd())
            .descriptor(descriptor::PERMITS, permits.as_fd());
        if let Some(page) = &page {
            role = role.descriptor(descriptor::PAGE, page.as_fd());
        }
        let child = role.spawn()?;
        Ok(Check { child, answer, written, operation, image, until: Instant::now() + DEADLINE })
    }

    /// When its time is over.
    pub(in crate::primary) fn until(&self) -> Instant {
        self.until
    }

    /// How it went, if it has ended.
    pub(super) fn outcome(&self) -> Option<Result<(), String>> {
        let status = match self.child.try_wait() {
            Ok(None) => return None,
            Ok(Some(status)) => status.to_string(),
            Err(error) => error.to_string(),
        };
        if let Ok(Received::Message(answer, _)) = self.answer.receive::<Result<(), String>>() {
            return Some(answer.map_err(|why| format!("the new program cannot take over: {why}")));
        }
        let ended = format!("the new program ended with {status} before it said that it could take over");
        Some(Err(self.with_words(ended)))
    }

    /// It has had its time.
    pub(super) fn expire(&self) -> String {
        let _ = self.child.kill(Signal::Kill);
        let why = format!("the new program did not say within {} s that it could take over", DEADLINE.as_secs());
        self.with_words(why)
    }

    fn with_words(&self, why: String) -> String {
        let mut bytes = Vec::new();
        if let Ok(copy) = self.written.try_clone() {
            // Non-blocking: what is there now.
            let _ = std::fs::File::from(copy).take(64 * 1024).read_to_end(&mut bytes);
        }
        let text = String::from_utf8_lossy(&bytes);
        let text = text.trim();
        let start = text.len().saturating_sub(MOST_WORDS);
        let start = (start..=text.len()).find(|at| text.is_char_boundary(*at)).unwrap_or(text.len());
        match &text[start..] {
            "" => why,
            words => format!("{why}; it wrote: {words}"),
        }
    }
}

/// Plays the role: looks at the state and at the settings of the new program, says how it is, and exits.
pub(crate) fn play(mut role: TakenRole, mut cluster: Cluster) -> ! {
    let answer = role.take(descriptor::ANSWER).map_err(Error::from).and_then(|fd| Ok(Packets::from_descriptor(fd)?));
    let outcome = look(&mut role, &mut cluster);
    let code = i32::from(outcome.is_err());
    if let Ok(answer) = answer {
        let _ = answer.send(&outcome.map_err(|error| error.to_string()), &[]);
    }
    std::process::exit(code)
}

fn look(role: &mut TakenRole, cluster: &mut Cluster) -> Result<(), Error> {
    State::read(role.take(descriptor::STATE)?)?.accepts_ours()?;
    ClusterPage::open(role.take(descriptor::CLUSTER_PAGE)?).map_err(Error::system("use the page of the cluster"))?;
    Permits::from_descriptor(role.take(descriptor::PERMITS)?).map_err(Error::system("use the permits"))?;
    if let Some(page) = role.take_all(descriptor::PAGE).pop() {
        Slot::open(page).map_err(Error::system("use the scoreboard"))?;
    }
    cluster.validate_settings()?;
    match &mut cluster.settings {
        Some(read) => read().map(drop).map_err(Error::Settings),
        None => Ok(()),
    }
}
