//! A folder and a process group that are gone when this program is, however it goes.
//!
//! ```text
//! this program ──life-line──▶ leader: `cat`, holds the number of the group        (ends by itself)
//!       └────────life-line──▶ guardian: at the end of its input it ends the group and removes the folder
//! ```
//!
//! Both read from pipes whose other ends only this program has. The parent-death signal of Linux would not do: it follows
//! the *thread* that started the broker, and a test's thread ends with its test.

use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Child, Command, Stdio};

use rustix::process::Signal;
use tempfile::TempDir;

/// `$1`: the group, `$2`: the folder, `$3`: the signal that asks. Whoever is left 5 s later is killed. What dies may still write:
/// the folder is removed until it stays away, for at most 5 s. (`kill --` is not understood by every `sh`.)
const GUARDIAN: &str = r#"
cat >/dev/null
kill -"$3" "-$1"
looks=0
while [ "$3" != 9 ] && [ "$looks" -lt 50 ] && kill -0 "-$1"; do sleep 0.1; looks=$((looks + 1)); done
kill -9 "-$1"
looks=0
while rm -rf "$2"; sleep 0.1; [ "$looks" -lt 50 ] && { kill -0 "-$1" || [ -e "$2" ]; }; do looks=$((looks + 1)); done
"#;

/// The folder and the group of one broker.
#[derive(Debug)]
pub(crate) struct Guard {
    folder: TempDir,
    leader: Child,
    guardian: Child,
}

impl Guard {
    /// Makes the folder; what is left of the group when this program has died gets `signal`.
    pub(crate) fn new(name: &str, signal: Signal) -> Result<Self, String> {
        let folder = tempfile::Builder::new()
            .prefix(&format!("phalanx-{name}-"))
            .tempdir()
            .map_err(|error| format!("no temporary folder for {name}: {error}"))?;
        let mut leader = waiting_for_us(&mut Command::new("cat"))?;
        let group = leader.id().to_string();
        let mut guardian = Command::new("sh");
        guardian.args(["-c", GUARDIAN, "guardian", &group]).arg(folder.path()).arg(signal.as_raw().to_string());
        match waiting_for_us(&mut guardian) {
            Ok(guardian) => Ok(Self { folder, leader, guardian }),
            Err(why) => {
                end(&mut leader);
                Err(why)
            }
        }
    }

    pub(crate) fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// What `command` starts will belong to the group.
    pub(crate) fn adopt(&self, command: &mut Command) {
        command.process_group(self.leader.id().cast_signed());
    }
}

impl Drop for Guard {
    fn drop(&mut self) {
        // While the guardian is there: a program that is killed meanwhile leaves nothing either.
        let _ = std::fs::remove_dir_all(self.folder.path());
        // The leader last, or the guardian might look for a group that is no longer there.
        end(&mut self.guardian);
        end(&mut self.leader);
    }
}

/// In a group of its own: a Ctrl-C is for this program, whose end is then seen by both.
fn waiting_for_us(command: &mut Command) -> Result<Child, String> {
    command.stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::null()).process_group(0);
    command.spawn().map_err(|error| format!("cannot start {}: {error}", command.get_program().display()))
}

fn end(child: &mut Child) {
    let _ = child.kill();
    let _ = child.wait();
}
