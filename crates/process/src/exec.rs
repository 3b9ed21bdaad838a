//! [`exec`] and [`exec_file`]: run a program to its end and collect what it said.

use std::ffi::OsString;
use std::path::PathBuf;
use std::pin::Pin;
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWriteExt};

use crate::collector::{CHUNK, Collector, Overflow};
use crate::stdio::{STDERR, STDIN, STDOUT};
use crate::{Child, ChildStdin, Command, EndReason, ExecError, ExecFailure, ExitStatus, OutputStream, Stdio};

/// Bytes of output that are collected per stream unless something else is said; Node's number.
const MAX_BUFFER: usize = 1024 * 1024;

/// After a program was ended by us: how long its streams may still be held open by somebody who escaped.
pub(crate) const LINGER: Duration = Duration::from_secs(1);

/// Runs `line` through `/bin/sh -c` and collects what it says. Await the result, or see
/// [`Exec::run_blocking`].
///
/// Never build the line from input that you do not trust; [`exec_file`] needs no shell.
///
/// ```
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # tokio::runtime::Builder::new_current_thread().enable_all().build()?.block_on(async {
/// let said = phalanx_process::exec("echo one; echo two").await?;
/// assert_eq!(said.stdout_text(), "one\ntwo\n");
/// let error = phalanx_process::exec("echo sorry >&2; exit 3").await.unwrap_err();
/// assert_eq!((error.code(), error.stderr_text().as_str()), (Some(3), "sorry\n"));
/// # Ok(())
/// # })
/// # }
/// ```
pub fn exec(line: impl Into<OsString>) -> Exec {
    let line = line.into();
    let shown = line.to_string_lossy().into_owned();
    Exec::of(Command::shell(line), shown)
}

/// Runs a program without a shell and collects what it says. Await the result, or see [`Exec::run_blocking`].
///
/// ```
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # tokio::runtime::Builder::new_current_thread().enable_all().build()?.block_on(async {
/// use std::time::Duration;
///
/// let said = phalanx_process::exec_file("tr", ["a-z", "A-Z"]).input("hello").timeout(Duration::from_secs(5)).await?;
/// assert_eq!(said.stdout_text(), "HELLO");
/// # Ok(())
/// # })
/// # }
/// ```
pub fn exec_file<A: Into<OsString>>(program: impl Into<OsString>, arguments: impl IntoIterator<Item = A>) -> Exec {
    let command = Command::new(program).args(arguments);
    let shown = command.line();
    Exec::of(command, shown)
}

/// A program to run to its end. Await it.
///
/// Defaults: nothing on standard input, no deadline, at most 1 MiB of output per stream. If it is dropped while it runs,
/// the program is killed.
#[derive(Debug)]
#[must_use = "nothing runs until it is awaited, or run_blocking() is called"]
pub struct Exec {
    pub(crate) command: Command,
    pub(crate) shown: String,
    pub(crate) max_buffer: usize,
    pub(crate) input: Option<Vec<u8>>,
}

/// What a program said that ended with code 0.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Output {
    /// Its standard output.
    pub stdout: Vec<u8>,
    /// Its standard error.
    pub stderr: Vec<u8>,
}

impl Output {
    /// Its standard output as text; what is no UTF-8 is replaced.
    pub fn stdout_text(&self) -> String {
        String::from_utf8_lossy(&self.stdout).into_owned()
    }

    /// Its standard error as text; what is no UTF-8 is replaced.
    pub fn stderr_text(&self) -> String {
        String::from_utf8_lossy(&self.stderr).into_owned()
    }
}

impl Exec {
    fn of(command: Command, shown: String) -> Exec {
        Exec { command: command.kill_on_drop(), shown, max_buffer: MAX_BUFFER, input: None }
    }

    /// Bytes of output that are collected per stream; a program that writes more is ended. Default 1 MiB.
    pub fn max_buffer(mut self, bytes: usize) -> Self {
        self.max_buffer = bytes;
        self
    }

    /// What the program reads from standard input. Default: nothing.
    pub fn input(mut self, bytes: impl Into<Vec<u8>>) -> Self {
        self.input = Some(bytes.into());
        self
    }

    /// As [`Command::timeout`]: the program is ended with everything below it.
    pub fn timeout(self, most: Duration) -> Self {
        self.with(|command| command.timeout(most))
    }

    /// As [`Command::cwd`].
    pub fn cwd(self, directory: impl Into<PathBuf>) -> Self {
        self.with(|command| command.cwd(directory))
    }

    /// As [`Command::env`].
    pub fn env(self, name: impl Into<OsString>, value: impl Into<OsString>) -> Self {
        self.with(|command| command.env(name, value))
    }

    /// Anything else that a [`Command`] can be told.
    pub fn with(mut self, change: impl FnOnce(Command) -> Command) -> Self {
        self.command = change(self.command);
        self
    }

    /// Settles what the standard streams are.
    pub(crate) fn settle_streams(&mut self) {
        self.command.default_stdio(STDIN, if self.input.is_some() { Stdio::Pipe } else { Stdio::Null });
        self.command.default_stdio(STDOUT, Stdio::Pipe);
        self.command.default_stdio(STDERR, Stdio::Pipe);
    }

    async fn run(mut self) -> Result<Output, ExecError> {
        self.settle_streams();
        let (signal, grace) = (self.command.ending.signal, self.command.ending.grace);
        let (shown, limit) = (self.shown, self.max_buffer);
        let mut child = match self.command.spawn().await {
            Ok(child) => child,
            Err(why) => return Err(Collected::nothing(limit).fail(shown, ExecFailure::Spawn(why), None)),
        };
        let mut collected = Collected::nothing(limit);
        let overflow = collected.read(&mut child, self.input).await;
        if let Err(stream) = overflow {
            let ended = child.end_tree(signal, grace).await;
            return Err(collected.fail(shown, ExecFailure::MaxBuffer { stream, limit }, ended.ok()));
        }
        match (child.exited().await, child.end_reason()) {
            (Ok(status), reason) => collected.judge(shown, status, reason),
            (Err(why), _) => Err(collected.fail(shown, ExecFailure::System(why), None)),
        }
    }
}

impl IntoFuture for Exec {
    type Output = Result<Output, ExecError>;
    type IntoFuture = Pin<Box<dyn Future<Output = Self::Output> + Send>>;

    fn into_future(self) -> Self::IntoFuture {
        Box::pin(self.run())
    }
}

/// What a program said so far.
#[derive(Debug)]
pub(crate) struct Collected {
    pub(crate) stdout: Collector,
    pub(crate) stderr: Collector,
}

impl Collected {
    pub(crate) fn nothing(limit: usize) -> Collected {
        Collected { stdout: Collector::up_to(limit), stderr: Collector::up_to(limit) }
    }

    /// Reads both streams to their end; or as long as it makes sense after the program was ended by us.
    async fn read(&mut self, child: &mut Child, input: Option<Vec<u8>>) -> Result<(), OutputStream> {
        let stdin = child.stdin.take();
        // Put back in the end: a program that is ended shall not get SIGPIPE before.
        let (mut stdout, mut stderr) = (child.stdout.take(), child.stderr.take());
        let reading = async {
            tokio::try_join!(
                read_all(stdout.as_mut(), &mut self.stdout, OutputStream::Stdout),
                read_all(stderr.as_mut(), &mut self.stderr, OutputStream::Stderr),
                async {
                    feed(stdin, input).await;
                    Ok(())
                },
            )
        };
        let given_up = async {
            let _ = child.exited().await;
            match child.end_reason() {
                Some(_) => tokio::time::sleep(LINGER).await,
                None => std::future::pending().await,
            }
        };
        let read = tokio::select! {
            read = reading => read.map(|_| ()),
            () = given_up => Ok(()),
        };
        (child.stdout, child.stderr) = (stdout, stderr);
        read
    }

    pub(crate) fn judge(
        self,
        shown: String,
        status: ExitStatus,
        reason: Option<EndReason>,
    ) -> Result<Output, ExecError> {
        let failure = match (reason, status) {
            (Some(EndReason::Timeout), _) => ExecFailure::Timeout,
            (Some(EndReason::Cancelled), _) => ExecFailure::Cancelled,
            (None, ExitStatus::Code(0)) => {
                return Ok(Output { stdout: self.stdout.into_bytes(), stderr: self.stderr.into_bytes() });
            }
            (None, status) => ExecFailure::Status(status),
        };
        Err(self.fail(shown, failure, Some(status)))
    }

    pub(crate) fn fail(self, command: String, failure: ExecFailure, status: Option<ExitStatus>) -> ExecError {
        let (stdout, stderr) = (self.stdout.into_bytes(), self.stderr.into_bytes());
        ExecError { failure, command, status, stdout, stderr }
    }
}

async fn read_all(
    stream: Option<&mut (impl AsyncRead + Unpin)>,
    into: &mut Collector,
    which: OutputStream,
) -> Result<(), OutputStream> {
    let Some(stream) = stream else { return Ok(()) };
    let mut chunk = vec![0; CHUNK];
    loop {
        match stream.read(&mut chunk).await {
            // An error of a pipe is its end: there is nothing more to collect.
            Ok(0) | Err(_) => return Ok(()),
            Ok(count) => into.push(&chunk[..count]).map_err(|Overflow| which)?,
        }
    }
}

/// Writes everything, or as much as the program wants to read.
async fn feed(stdin: Option<ChildStdin>, input: Option<Vec<u8>>) {
    if let (Some(mut stdin), Some(input)) = (stdin, input) {
        let _ = stdin.write_all(&input).await;
    }
}
