//! Who runs programs that know nothing of it: `phalanx run` and PM2, and how each is told to.
//!
//! PM2 leaves a daemon behind its command. It has a folder of its own here, so that no other one on this machine is spoken
//! to, and it ends with its handle.

use std::ffi::OsString;
use std::io::{Read, Write};
use std::net::SocketAddr;
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::time::Duration;

use tempfile::TempDir;

use super::catalogue::{built_beside_us, folder, node_program, node_script, node_script_with_packages};
use super::{Absent, Daemon, Launch, Output, Ready};
use crate::measure::running;

/// What a program says as soon as it is ready, in a line of its own.
const READY: &str = "ready";
/// What our own supervisor calls it.
const NAME: &str = "bench";

const METRICS_DEADLINE: Duration = Duration::from_secs(10);

/// 80 bytes with its end.
pub(crate) const LINE: &str = "a program says this again and again, 80 bytes at a time, and waits for nobody..";
pub(crate) const GO: &str = "go";
pub(crate) const DONE: &str = "done";

/// Who starts the programs, watches them and writes their logs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Supervisor {
    Phalanx,
    Pm2,
}

impl Supervisor {
    pub(crate) const ALL: [Self; 2] = [Self::Phalanx, Self::Pm2];

    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Phalanx => "phalanx run",
            Self::Pm2 => "PM2",
        }
    }

    /// `count` programs that do nothing: a shell says that it is ready and becomes `sleep`.
    pub(crate) fn of_sleepers(self, count: usize) -> Result<Launch, Absent> {
        self.of_shell("exec sleep 1000000", count, Output::Log)
    }

    /// One program that waits for the file [`GO`], writes `bytes` in lines of [`LINE`] as fast as they are taken, and makes
    /// the file [`DONE`].
    pub(crate) fn of_writer(self, bytes: u64, output: Output) -> Result<Launch, Absent> {
        let wait = format!("while [ ! -e {GO} ]; do sleep 0.02; done");
        let write = format!("yes '{LINE}' | head -c {bytes}");
        self.of_shell(&format!("{wait}; {write}; : > {DONE}; exec sleep 1000000"), 1, output)
    }

    /// `count` shells with `script` in the server's folder, once each has said that it is ready.
    fn of_shell(self, script: &str, count: usize, output: Output) -> Result<Launch, Absent> {
        let folder = folder()?;
        let script = format!("cd '{}'; echo {READY}; {script}", folder.path().display());
        let count_text = count.to_string();
        let mut launch = match self {
            Self::Phalanx => {
                let options = ["--no-listen", "--ready-line", READY];
                let mut launch = run_command(folder, &count_text, &options)?;
                launch.arguments.extend(["--", "/bin/sh", "-c", &script].map(OsString::from));
                launch
            }
            Self::Pm2 => {
                let file = folder.path().join("program.sh");
                std::fs::write(&file, script).map_err(|error| Absent(format!("cannot write the program: {error}")))?;
                let mut arguments: Vec<OsString> = vec!["start".into(), file.into()];
                arguments.extend(["--interpreter", "/bin/sh", "--instances", &count_text].map(OsString::from));
                pm2_command(folder, arguments)?
            }
        };
        launch.output = output;
        launch.ready = Ready::Processes("sleep", count);
        Ok(launch)
    }
}

impl Supervisor {
    /// What it tells of itself over the control socket in `folder`; none if it has none.
    pub(crate) fn metrics(self, folder: &Path) -> Option<String> {
        if self != Self::Phalanx {
            return None;
        }
        let mut socket = UnixStream::connect(folder.join("phalanx").join(format!("{NAME}.sock"))).ok()?;
        socket.set_read_timeout(Some(METRICS_DEADLINE)).ok()?;
        socket.write_all(b"GET /metrics HTTP/1.1\r\nhost: bench\r\nconnection: close\r\n\r\n").ok()?;
        let mut answer = String::new();
        socket.read_to_string(&mut answer).ok()?;
        Some(answer)
    }

    /// The processes of the supervisor itself, below `root`.
    pub(crate) fn processes(self, root: i32) -> Vec<i32> {
        match self {
            Self::Phalanx => running(root, "phalanx"),
            Self::Pm2 => vec![root],
        }
    }
}

/// The plain Node server under `phalanx run`.
pub(super) fn phalanx_run(address: SocketAddr, workers: usize, options: &[&str]) -> Result<Launch, Absent> {
    let mut launch = run_command(folder()?, &workers.to_string(), options)?;
    launch.arguments.extend(["--".into(), node_program()?.into(), node_script("run/app.js").into()]);
    launch.environment.extend(port(address));
    Ok(launch)
}

fn run_command(folder: TempDir, workers: &str, options: &[&str]) -> Result<Launch, Absent> {
    let name = ["run", "--instances", workers, "--name", NAME];
    let arguments = name.iter().chain(options).map(OsString::from);
    // Its control socket is there, where no other one is.
    let environment = vec![("XDG_RUNTIME_DIR", folder.path().into())];
    let program = built_beside_us("phalanx")?;
    Ok(Launch::new(program, arguments.collect(), environment, Ready::Answers("/"), folder))
}

/// A Node server in PM2's cluster mode: a script, or PM2's own file, and options.
pub(super) fn pm2(address: SocketAddr, workers: usize, arguments: &[&str]) -> Result<Launch, Absent> {
    let (script, options) = arguments.split_first().ok_or_else(|| Absent("PM2 has nothing to run".into()))?;
    let mut all: Vec<OsString> = vec!["start".into(), node_script(script).into()];
    all.extend(options.iter().map(OsString::from));
    let mut launch = pm2_command(folder()?, all)?;
    launch.environment.extend(port(address));
    launch.environment.push(("WORKERS", workers.to_string().into()));
    Ok(launch)
}

fn pm2_command(folder: TempDir, arguments: Vec<OsString>) -> Result<Launch, Absent> {
    let program = node_script_with_packages("node_modules/.bin/pm2")?;
    if !program.is_file() {
        return Err(Absent("pm2 is not installed: run `npm ci` in bench/peers/node".into()));
    }
    let home = folder.path().join("pm2");
    let pid_file = home.join("pm2.pid");
    let environment = vec![("PM2_HOME", home.into_os_string())];
    let mut launch = Launch::new(program, arguments, environment, Ready::Answers("/"), folder);
    launch.daemon = Some(Daemon { pid_file, end: &["kill"] });
    Ok(launch)
}

fn port(address: SocketAddr) -> [(&'static str, OsString); 2] {
    [("PORT", address.port().to_string().into()), ("NODE_ENV", "production".into())]
}
