//! `exec`, `exec_file` and the blocking forms.

use std::time::{Duration, Instant};

use phalanx_process::{
    Command, ExecFailure, ExitStatus, OutputStream, Signal, SpawnError, Stdio, blocking, exec, exec_file,
};

use crate::spawning::{ended, gone};

crate::tests! {
    success: "what a program said is collected, by stream",
    failure: "a failure has code, output, command and message",
    by_signal: "a death by a strange signal has no code and was not us",
    max_buffer: "output beyond the limit ends the program and is cut exactly there",
    timeout_leaves_nothing: "a timeout leaves no grandchild, and what was said until then is kept",
    large_input: "input larger than a pipe is fed while output is read",
    not_started: "a program that could not be started is told as such",
    dropped: "a dropped exec kills its program",
    blocking_same: "the blocking forms do the same without a runtime",
    blocking_child: "a blocking child has streams, a timeout and a status that may be asked for again",
    escaped_holder: "somebody who escaped with stdout does not hold back the end of a timeout",
}

async fn success() {
    let output = exec("echo out; echo err >&2").await.unwrap();
    assert_eq!((output.stdout_text().as_str(), output.stderr_text().as_str()), ("out\n", "err\n"));
    let output = exec_file("printf", ["%s|", "a b", "c"]).await.unwrap();
    assert_eq!(output.stdout_text(), "a b|c|");
    // Nothing on standard input by default.
    assert_eq!(exec("cat").await.unwrap().stdout, b"");
}

async fn failure() {
    let error = exec("echo some; echo sorry >&2; exit 3").await.unwrap_err();
    assert!(matches!(error.failure, ExecFailure::Status(ExitStatus::Code(3))));
    assert_eq!((error.code(), error.signal(), error.killed()), (Some(3), None, false));
    assert_eq!((&error.stdout[..], &error.stderr[..]), (&b"some\n"[..], &b"sorry\n"[..]));
    assert_eq!(error.command, "echo some; echo sorry >&2; exit 3");
    let message = error.to_string();
    assert!(message.starts_with("Command failed: echo some;") && message.ends_with("\nsorry"), "{message}");
}

async fn by_signal() {
    let error = exec_file("sh", ["-c", "kill -TERM $$"]).await.unwrap_err();
    assert_eq!((error.code(), error.signal(), error.killed()), (None, Some(15), false));
}

async fn max_buffer() {
    let error = exec("echo early >&2; yes").max_buffer(1000).await.unwrap_err();
    assert!(matches!(error.failure, ExecFailure::MaxBuffer { stream: OutputStream::Stdout, limit: 1000 }));
    assert!(error.killed());
    assert_eq!((error.stdout.len(), &error.stderr[..]), (1000, &b"early\n"[..]));
    let exactly = exec("printf 12345").max_buffer(5).await.unwrap();
    assert_eq!(exactly.stdout, b"12345");
    let error = exec("yes >&2").await.unwrap_err();
    assert_eq!(error.stderr.len(), 1024 * 1024);
}

/// Starts a grandchild that ignores SIGTERM, tells its process id and waits.
const STUBBORN: &str = "sh -c 'trap \"\" TERM; echo $$; while :; do sleep 1; done' & wait";

async fn timeout_leaves_nothing() {
    let run =
        exec(STUBBORN).timeout(Duration::from_millis(300)).with(|command| command.grace(Duration::from_millis(100)));
    let error = run.await.unwrap_err();
    assert!(matches!(error.failure, ExecFailure::Timeout) && error.killed(), "{error}");
    ended(String::from_utf8_lossy(&error.stdout).trim().parse().unwrap()).await;
}

async fn large_input() {
    let input: Vec<u8> = (0..900_000u32).map(|n| n as u8).collect();
    assert!(exec_file("cat", [""; 0]).input(input.clone()).await.unwrap().stdout == input);
    // A program that wants none of it is no failure.
    assert_eq!(exec("true").input(input).await.unwrap().stdout, b"");
}

async fn not_started() {
    let error = exec_file("no-such-program-anywhere", ["x"]).await.unwrap_err();
    assert!(matches!(error.failure, ExecFailure::Spawn(SpawnError::NotFound { .. })), "{error}");
    assert_eq!((error.code(), error.status), (None, None));
}

async fn dropped() {
    let file = tempfile::NamedTempFile::new().unwrap();
    let line = format!("echo $$ > {}; exec sleep 100", file.path().display());
    let running = tokio::time::timeout(Duration::from_millis(300), exec(line).into_future());
    assert!(running.await.is_err());
    gone(std::fs::read_to_string(file.path()).unwrap().trim().parse().unwrap()).await;
}

async fn blocking_same() {
    assert_eq!(blocking::exec("echo out; cat").unwrap().stdout_text(), "out\n");
    let error = blocking::exec_file("sh", ["-c", "echo sorry >&2; exit 3"]).unwrap_err();
    assert_eq!((error.code(), &error.stderr[..]), (Some(3), &b"sorry\n"[..]));
    let error = exec("yes").max_buffer(1000).run_blocking().unwrap_err();
    assert_eq!(error.stdout.len(), 1000);
    assert!(matches!(error.failure, ExecFailure::MaxBuffer { .. }));
    let run =
        exec(STUBBORN).timeout(Duration::from_millis(300)).with(|command| command.grace(Duration::from_millis(100)));
    let error = run.run_blocking().unwrap_err();
    assert!(matches!(error.failure, ExecFailure::Timeout), "{error}");
    ended(String::from_utf8_lossy(&error.stdout).trim().parse().unwrap()).await;
    let input: Vec<u8> = (0..900_000u32).map(|n| n as u8).collect();
    assert!(exec_file("cat", [""; 0]).input(input.clone()).run_blocking().unwrap().stdout == input);
    assert!(matches!(blocking::exec_file("/", [""; 0]).unwrap_err().failure, ExecFailure::Spawn(_)));
}

async fn blocking_child() {
    use std::io::{Read, Write};
    let mut child = blocking::spawn(Command::new("cat").fd(5, Stdio::Pipe)).unwrap();
    child.stdin.take().unwrap().write_all(b"through").unwrap();
    let mut said = String::new();
    child.stdout.take().unwrap().read_to_string(&mut said).unwrap();
    assert_eq!(said, "through");
    assert!(child.take_pipe(5).is_some());
    assert_eq!((child.wait().unwrap(), child.wait().unwrap()), (ExitStatus::Code(0), ExitStatus::Code(0)));
    assert!(!child.kill(Signal::Terminate).unwrap());
    let late = blocking::spawn(Command::new("sleep").arg("100").timeout(Duration::from_millis(50))).unwrap();
    assert_eq!(late.wait().unwrap(), ExitStatus::Signal(15));
    assert_eq!(late.end_reason(), Some(phalanx_process::EndReason::Timeout));
    // Through the launcher, and so through the spawner thread.
    let child = blocking::spawn(Command::new("true").die_with_parent()).unwrap();
    assert!(child.wait().unwrap().success());
    assert!(matches!(blocking::spawn(Command::new("true").cancel(async {})), Err(SpawnError::NoRuntime)));
}

async fn escaped_holder() {
    // Its parent ends at once, so nobody knows that it belonged to the tree.
    let line = "(setsid sleep 30 & echo $! >&2); sleep 100";
    let begun = Instant::now();
    let error = exec(line).timeout(Duration::from_millis(200)).await.unwrap_err();
    assert!(matches!(error.failure, ExecFailure::Timeout), "{error}");
    assert!(begun.elapsed() < Duration::from_secs(15));
    let holder: u32 = error.stderr_text().trim().parse().unwrap();
    phalanx_process::kill_tree(holder, Signal::Kill).await.unwrap();
}
