//! The launcher role: what must be set *inside* a child is set by our own executable, which then becomes the program.
//!
//! ```text
//!   us ── posix_spawn(/proc/self/exe, PHALANX_ROLE=launcher) ─► init(): limits, nice, affinity, cgroup, user,
//!    ▲                                                          parent-death signal ─► exec(program)
//!    └────────── a pipe that the exec closes: nothing in it = success, a Report = why not ──────┘
//! ```
//!
//! No code of ours runs between a fork and an exec in the memory of a large parent, and the process id stays the same.

mod inside;
mod keeper;
mod spec;

use std::ffi::CString;
use std::os::fd::{AsFd, OwnedFd};
use std::time::{Duration, Instant};

use phalanx_channel::Watched;
use rustix::event::{PollFd, PollFlags};
use rustix::io::Errno;
use rustix::pipe::PipeFlags;

use crate::ending::OnDrop;
use crate::kept::{Care, Kept};
use crate::lookup::Program;
use crate::posix_spawn::Place;
use crate::prepared::Prepared;
use crate::role::{ROLE_VARIABLE, THIS_EXECUTABLE};
use crate::{SpawnError, init, nameless_file};

pub(crate) use inside::{become_program, execute_any};
pub(crate) use keeper::end_tree_signal;
pub(crate) use spec::Inside;
use spec::{MAX_REPORT, Report, Spec};

/// Name of the role.
pub(crate) const ROLE: &str = "launcher";
/// Names of its descriptors.
const SPEC: &str = "spec";
const REPORT: &str = "report";

/// How long a launcher may take to become the program. It does a dozen system calls and an exec.
const LAUNCH_DEADLINE: Duration = Duration::from_secs(30);

/// A program ready to be started, by itself or through the launcher.
#[derive(Debug)]
pub(crate) struct Launch {
    prepared: Prepared,
    pending: Option<Pending>,
    /// Whether the child must be started by the thread that never ends.
    pub(crate) follows_thread: bool,
    care: Care,
}

impl Launch {
    pub(crate) fn of(prepared: Prepared, inside: Inside, on_drop: OnDrop) -> Result<Launch, SpawnError> {
        let care = Care { on_drop, leads_group: prepared.place != Place::WithParent, keeper: inside.keeper };
        if inside.is_nothing() {
            return Ok(Launch { prepared, pending: None, follows_thread: false, care });
        }
        init::check_may_spawn().map_err(SpawnError::Launcher)?;
        let Prepared { program, arguments, mut environment, directory, mut placements, place } = prepared;
        let bytes = |strings: &[CString]| strings.iter().map(|string| string.as_bytes().to_vec()).collect();
        let follows_thread = inside.die_with_parent || inside.keeper;
        let spec = Spec {
            role: take_role_text(&mut environment),
            candidates: bytes(&program.candidates),
            arguments: bytes(&arguments),
            keep: placements.pairs.iter().map(|(_, target)| *target).filter(|target| *target > 2).collect(),
            inside,
            parent: std::process::id(),
        };
        let (report, reports_to) = rustix::pipe::pipe_with(PipeFlags::CLOEXEC | PipeFlags::NONBLOCK)
            .map_err(|source| SpawnError::system("create a pipe for the launcher", source))?;
        let spec_number = placements.add_anywhere(in_memory(&spec)?)?;
        let report_number = placements.add_anywhere(reports_to)?;
        let parent = spec.parent;
        let role = format!("{ROLE_VARIABLE}={ROLE};parent={parent};{SPEC}={spec_number};{REPORT}={report_number}");
        environment.push(crate::lookup::c_string(role.into(), || "the role".into())?);
        let launcher = program.instead(THIS_EXECUTABLE);
        let arguments = vec![c"phalanx-launcher".to_owned()];
        let prepared = Prepared { program: launcher, arguments, environment, directory, placements, place };
        Ok(Launch { prepared, pending: Some(Pending { report, program }), follows_thread, care })
    }

    /// Starts it on this thread. A launcher is then on its way: see [`Pending`].
    pub(crate) fn start(self) -> Result<(Kept, Option<Pending>), SpawnError> {
        Ok((Kept::new(self.prepared.start()?, self.care), self.pending))
    }
}

/// Takes the role of a forked child out of its environment: until it is the program, it is a launcher.
fn take_role_text(environment: &mut Vec<CString>) -> Option<String> {
    let prefix = format!("{ROLE_VARIABLE}=");
    let index = environment.iter().position(|variable| variable.as_bytes().starts_with(prefix.as_bytes()))?;
    let variable = environment.swap_remove(index).into_string().ok()?;
    variable.strip_prefix(&prefix).map(str::to_owned)
}

/// A launcher that runs and is not the program yet.
#[derive(Debug)]
pub(crate) struct Pending {
    report: OwnedFd,
    program: Program,
}

impl Pending {
    /// Waits until the launcher became the program.
    pub(crate) async fn settled(self) -> Result<(), SpawnError> {
        let failed = |source: std::io::Error| SpawnError::system("wait for the launcher", source);
        let watched = Watched::for_reading(self.report).map_err(failed)?;
        let reading = async {
            loop {
                let mut guard = watched.readable().await.map_err(failed)?;
                match read_report(&watched)? {
                    Some(read) => return Ok(read),
                    None => guard.clear_ready(),
                }
            }
        };
        match tokio::time::timeout(LAUNCH_DEADLINE, reading).await {
            Ok(read) => judge(&self.program, &read?),
            Err(_) => Err(late()),
        }
    }

    /// As [`Pending::settled`], for a thread that may wait.
    pub(crate) fn settled_blocking(self) -> Result<(), SpawnError> {
        let deadline = Instant::now() + LAUNCH_DEADLINE;
        loop {
            if let Some(read) = read_report(&self.report)? {
                return judge(&self.program, &read);
            }
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return Err(late());
            }
            let mut polled = [PollFd::new(&self.report, PollFlags::IN)];
            match rustix::event::poll(&mut polled, Some(&crate::time::timespec(left))) {
                Ok(_) | Err(Errno::INTR) => {}
                Err(source) => return Err(SpawnError::system("wait for the launcher", source)),
            }
        }
    }
}

/// The whole report; empty if there is none because all went well; `None` if it is too early to say.
fn read_report(report: &impl AsFd) -> Result<Option<Vec<u8>>, SpawnError> {
    let mut bytes = vec![0; MAX_REPORT];
    loop {
        return match rustix::io::read(report, &mut bytes) {
            Ok(count) => {
                bytes.truncate(count);
                Ok(Some(bytes))
            }
            Err(Errno::AGAIN) => Ok(None),
            Err(Errno::INTR) => continue,
            Err(source) => Err(SpawnError::system("read the launcher's report", source)),
        };
    }
}

fn judge(program: &Program, report: &[u8]) -> Result<(), SpawnError> {
    if report.is_empty() {
        return Ok(());
    }
    Err(match postcard::from_bytes(report) {
        Ok(Report::Exec { candidate, errno }) => {
            program.explain(candidate, std::io::Error::from_raw_os_error(errno), Vec::new(), 0)
        }
        Ok(Report::Setting { what, errno }) => {
            SpawnError::Setting { what, source: std::io::Error::from_raw_os_error(errno) }
        }
        Ok(Report::ParentGone) => SpawnError::system("start a child of a parent that is gone", Errno::SRCH),
        Err(_) => SpawnError::system("understand the launcher's report", Errno::BADMSG),
    })
}

fn late() -> SpawnError {
    SpawnError::system(
        format!(
            "start a child: the launcher took longer than {} s; is init() the first line of main?",
            LAUNCH_DEADLINE.as_secs()
        ),
        Errno::TIMEDOUT,
    )
}

/// The spec as a file without a name, at its beginning.
fn in_memory(spec: &Spec) -> Result<OwnedFd, SpawnError> {
    nameless_file::holding(spec).map_err(|source| SpawnError::system("write what the launcher shall do", source))
}
