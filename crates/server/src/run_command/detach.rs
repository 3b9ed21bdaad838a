//! `--detach`: the same command once more, in a session of its own, watched until it is ready.
//!
//! Its standard output and error are its log file; what is in there when it fails is what this process tells.

use std::ffi::OsString;
use std::fs::{File, OpenOptions};
use std::io::{Read, Seek, SeekFrom, Write};
use std::os::fd::OwnedFd;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use phalanx::process::{Child, Command, ExitStatus, Stdio};

use super::OURSELVES;
use super::notices::{Notice, Notices};
use super::places;
use super::wish::Wish;
use crate::config::LogFile;
use crate::start::Failure;

/// The log file of several apps' common process.
const OF_SEVERAL: &str = "phalanx-run";
/// A log is for its owner.
const LOG_MODE: u32 = 0o600;
/// Most bytes of the log that are told when the start fails.
const TOLD_BYTES: u64 = 8 * 1024;

/// The log file of an app in the background that names none.
pub(super) fn log_of(name: &str) -> Result<LogFile, String> {
    let log = LogFile::check(Some(places::log_file(name)?), None, None).map_err(|error| error.to_string())?;
    log.ok_or_else(|| "there is no log file".to_owned())
}

/// Starts it, and returns when it is ready; or with its error.
pub(super) fn run(wish: Wish) -> Result<(), Failure> {
    let log = match &wish {
        Wish::One(source) => {
            let app = source.read()?;
            super::prepare(&app)?;
            match app.log_file {
                Some(log) => log.path,
                None => log_of(&app.name).map_err(Failure::Other)?.path,
            }
        }
        Wish::Several { .. } => places::log_file(OF_SEVERAL).map_err(Failure::Other)?,
    };
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|error| Failure::Other(format!("cannot start a runtime: {error}")))?;
    let started = runtime.block_on(start(&log))?;
    let _ = writeln!(std::io::stdout(), "{}", told(&wish, started, &log));
    Ok(())
}

/// The process id of what was started, when it is ready.
async fn start(log: &Path) -> Result<u32, Failure> {
    let unopened = |error: std::io::Error| Failure::Other(format!("cannot write the log {}: {error}", log.display()));
    let mut file = open(log).map_err(unopened)?;
    let begins_at = file.seek(SeekFrom::End(0)).map_err(unopened)?;
    let output = || file.try_clone().map(OwnedFd::from).map_err(unopened);
    let notices = Notices::open().map_err(|error| Failure::Other(format!("cannot hear of its start: {error}")))?;
    let command = Command::new(OURSELVES)
        .arg0("phalanx")
        .args(arguments(std::env::args_os().skip(1)))
        .env("NOTIFY_SOCKET", notices.address())
        .stdin(Stdio::Null)
        .stdout(output()?)
        .stderr(output()?)
        .detached();
    let child: Child = command.spawn().await.map_err(|error| Failure::Other(error.to_string()))?;
    loop {
        tokio::select! {
            status = child.exited() => {
                let status = status.map_err(|error| Failure::Other(error.to_string()))?;
                return Err(failed(status, &written(&mut file, begins_at), log));
            }
            notice = notices.next() => if notice == Notice::Ready {
                return Ok(child.pid());
            }
        }
    }
}

/// Our own arguments, with the word that tells it to stay; it comes first, and wins over `--detach`.
fn arguments(ours: impl Iterator<Item = OsString>) -> Vec<OsString> {
    let mut theirs: Vec<OsString> = ours.collect();
    theirs.insert(theirs.len().min(1), "--background".into());
    theirs
}

fn open(log: &Path) -> std::io::Result<File> {
    OpenOptions::new().create(true).append(true).read(true).mode(LOG_MODE).open(log)
}

/// What it wrote since then, the end of it.
fn written(file: &mut File, since: u64) -> String {
    let end = file.seek(SeekFrom::End(0)).unwrap_or(since);
    let mut text = Vec::new();
    let _ = file.seek(SeekFrom::Start(since.max(end.saturating_sub(TOLD_BYTES))));
    let _ = file.take(TOLD_BYTES).read_to_end(&mut text);
    String::from_utf8_lossy(&text).into_owned()
}

/// Its own last line is the reason; what it wrote before may explain it.
fn failed(status: ExitStatus, written: &str, log: &Path) -> Failure {
    let code = status.code().and_then(|code| u8::try_from(code).ok()).filter(|code| *code != 0).unwrap_or(1);
    let lines: Vec<&str> = written.lines().filter(|line| !line.trim().is_empty()).collect();
    let Some((last, before)) = lines.split_last() else {
        return Failure::Ended(format!("it ended before it was ready ({status}) and said nothing"), code);
    };
    before.iter().for_each(|line| eprintln!("{line}"));
    let last = last.strip_prefix("phalanx: ").unwrap_or(last);
    Failure::Ended(format!("{last} (it ended before it was ready: {status}; log: {})", log.display()), code)
}

fn told(wish: &Wish, pid: u32, log: &Path) -> String {
    match wish {
        Wish::One(source) => {
            let name = source.name();
            format!("{name} runs (pid {pid}); log: {}; next: phalanx ctl --app {name} status", log.display())
        }
        Wish::Several { names, .. } => {
            format!("{} run (pid {pid}); log: {}; next: phalanx ctl ls", names.join(", "), log.display())
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_told_to_stay() {
        let ours = ["run", "-dn", "2", "--", "x", "-d"].map(OsString::from);
        let theirs = ["run", "--background", "-dn", "2", "--", "x", "-d"].map(OsString::from);
        assert_eq!(arguments(ours.into_iter()), theirs);
    }

    #[test]
    fn what_it_wrote_last_is_the_reason() {
        let said = |text: &str| match failed(ExitStatus::Code(64), text, Path::new("/log")) {
            Failure::Ended(line, code) => (line, code),
            other => panic!("{other:?}"),
        };
        let (line, code) = said("phalanx: no such thing\n");
        assert_eq!(line, "no such thing (it ended before it was ready: code 64; log: /log)");
        assert_eq!(code, 64);
        assert!(said("").0.contains("said nothing"));
    }
}
