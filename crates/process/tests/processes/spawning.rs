//! `Command::spawn`: what a child gets, how it ends, why it could not be started.

use std::os::unix::fs::PermissionsExt;
use std::time::Duration;

use phalanx_process::{Child, Command, EndReason, Event, ExitStatus, Limit, Signal, SpawnError, Stdio};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

crate::tests! {
    events_in_order: "spawned, exited, closed come in this order, with the code",
    streams_both_ways: "what is written to stdin is read, and what comes out is read to its end",
    by_signal: "a signal ends a child and is told; after its end it can get none",
    grandchild_holds_stdout: "a grandchild that holds stdout delays closed, not exited",
    extra_descriptors: "a child has pipes and files at any number, and swapped numbers do not collide",
    inherited_and_null: "null gives the end at once",
    not_there: "a program that is not there, in PATH and by path",
    not_executable: "a file that is not executable, a directory, and no program",
    missing_directory: "the working directory that is missing is named as such",
    nul_bytes: "a NUL byte is refused before anything starts, and its place is named",
    childs_path: "the program is searched along the PATH of the child, from its directory",
    shell_script: "a script without an interpreter line is run by the shell",
    timeout_ends_the_tree: "a timeout ends the grandchildren too, stubborn ones by SIGKILL",
    cancelled: "a cancellation ends the child and is told as the reason",
    kill_on_drop: "a dropped child is killed if that was asked, else lives on and leaves no zombie",
    limits: "limits, niceness and processors are set inside the child",
    launcher_errors: "what cannot be set or started through the launcher is the same error",
    own_tree_daemon: "with a tree of its own a daemon does not outlive the child",
    own_tree_status: "a keeper passes on signals and ends as its program did",
    listen: "sockets by the protocol of systemd carry the process id of the program",
    detached: "a detached child leads a session of its own",
}

pub(crate) async fn read(child: &mut Child) -> String {
    let mut said = String::new();
    child.stdout.take().unwrap().read_to_string(&mut said).await.unwrap();
    said
}

/// Whether a process of this number runs (a zombie does not).
pub(crate) fn runs(pid: u32) -> bool {
    std::fs::read_to_string(format!("/proc/{pid}/stat")).is_ok_and(|stat| !stat.contains(") Z "))
}

async fn events_in_order() {
    let child = Command::shell("exit 3").spawn().await.unwrap();
    let mut events = child.events();
    assert_eq!(events.next().await.unwrap(), Some(Event::Spawned { pid: child.pid() }));
    assert_eq!(events.next().await.unwrap(), Some(Event::Exited(ExitStatus::Code(3))));
    assert_eq!(events.next().await.unwrap(), Some(Event::Closed(ExitStatus::Code(3))));
    assert_eq!(events.next().await.unwrap(), None);
    assert_eq!(child.exited().await.unwrap(), ExitStatus::Code(3));
    assert_eq!(child.closed().await.unwrap(), ExitStatus::Code(3));
}

async fn streams_both_ways() {
    let mut child = Command::new("cat").spawn().await.unwrap();
    let mut stdin = child.stdin.take().unwrap();
    let mut stdout = child.stdout.take().unwrap();
    // More than the two pipes hold, so both sides must wait for each other.
    let sent: Vec<u8> = (0..1_000_000u32).map(|n| n as u8).collect();
    let copy = sent.clone();
    let writer = tokio::spawn(async move {
        stdin.write_all(&copy).await.unwrap();
    });
    let mut got = Vec::new();
    stdout.read_to_end(&mut got).await.unwrap();
    writer.await.unwrap();
    assert!(got == sent);
    assert!(child.closed().await.unwrap().success());
}

async fn by_signal() {
    let child = Command::new("sleep").arg("100").spawn().await.unwrap();
    assert_eq!(child.try_exited().unwrap(), None);
    assert!(child.kill(Signal::Terminate).unwrap());
    assert_eq!(child.exited().await.unwrap(), ExitStatus::Signal(15));
    assert!(!child.kill(Signal::Terminate).unwrap());
    assert_eq!(child.end_reason(), None);
}

async fn grandchild_holds_stdout() {
    let mut child = Command::shell("sleep 100 & echo $!").stdin(Stdio::Null).spawn().await.unwrap();
    let mut first = [0; 64];
    let mut stdout = child.stdout.take().unwrap();
    let count = stdout.read(&mut first).await.unwrap();
    let grandchild: u32 = String::from_utf8_lossy(&first[..count]).trim().parse().unwrap();
    assert!(child.exited().await.unwrap().success());
    let early = tokio::time::timeout(Duration::from_millis(100), child.closed()).await;
    assert!(early.is_err(), "closed although a grandchild holds stdout");
    assert_eq!(phalanx_process::kill_tree(grandchild, Signal::Kill).await.unwrap(), 1);
    assert!(child.closed().await.unwrap().success());
}

async fn extra_descriptors() {
    let file = std::fs::File::open("/dev/zero").unwrap();
    let mut child = Command::shell("cat <&7 >&9; head -c 3 <&5 | od -An -tx1")
        .fd(7, Stdio::Pipe)
        .fd(9, Stdio::Pipe)
        .fd(5, file)
        .spawn()
        .await
        .unwrap();
    let (mut seven, mut nine) = (child.take_pipe(7).unwrap(), child.take_pipe(9).unwrap());
    assert!(child.take_pipe(7).is_none());
    seven.write_all(b"through").await.unwrap();
    seven.shutdown().await.unwrap();
    let mut said = [0; 7];
    nine.read_exact(&mut said).await.unwrap();
    assert_eq!(&said, b"through");
    assert_eq!(read(&mut child).await.trim(), "00 00 00");
    let refused = Command::new("true").fd(-1, Stdio::Null).spawn().await;
    assert!(matches!(refused, Err(SpawnError::BadDescriptor { .. })), "{refused:?}");
    let refused = Command::new("true").fd(2999, Stdio::Inherit).spawn().await;
    assert!(matches!(refused, Err(SpawnError::BadDescriptor { .. })), "{refused:?}");
}

async fn inherited_and_null() {
    let mut child = Command::shell("cat; echo done").stdin(Stdio::Null).stderr(Stdio::Inherit).spawn().await.unwrap();
    assert_eq!(read(&mut child).await, "done\n");
    assert!(child.stdin.is_none() && child.stderr.is_none());
}

async fn not_there() {
    let error = Command::new("no-such-program-anywhere").spawn().await.unwrap_err();
    assert!(matches!(error, SpawnError::NotFound { searched: Some(_), .. }), "{error}");
    assert_eq!(error.code(), Some("ENOENT"));
    let error = Command::new("/no/such/program").spawn().await.unwrap_err();
    assert!(matches!(error, SpawnError::NotFound { searched: None, .. }), "{error}");
    let error = Command::new("").spawn().await.unwrap_err();
    assert!(matches!(error, SpawnError::NotFound { .. }), "{error}");
}

async fn not_executable() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("file");
    std::fs::write(&file, "text").unwrap();
    let error = Command::new(&file).spawn().await.unwrap_err();
    assert!(matches!(error, SpawnError::NotExecutable { .. }), "{error}");
    let error = Command::new(folder.path()).spawn().await.unwrap_err();
    assert!(matches!(error, SpawnError::IsDirectory { .. }), "{error}");
    std::fs::write(&file, b"\x7fELF\0\0\0\0no program").unwrap();
    std::fs::set_permissions(&file, PermissionsExt::from_mode(0o755)).unwrap();
    let error = Command::new(&file).spawn().await.unwrap_err();
    assert!(matches!(error, SpawnError::NotAProgram { .. }), "{error}");
    std::fs::write(&file, "#!/no/such/interpreter\n").unwrap();
    let error = Command::new(&file).spawn().await.unwrap_err();
    assert!(matches!(error, SpawnError::InterpreterNotFound { .. }), "{error}");
}

async fn missing_directory() {
    let error = Command::new("true").cwd("/no/such/directory").spawn().await.unwrap_err();
    assert!(matches!(error, SpawnError::DirectoryNotFound { .. }), "{error}");
    assert!(error.to_string().contains("working directory"));
    let error = Command::new("true").cwd("/dev/null").spawn().await.unwrap_err();
    assert!(matches!(error, SpawnError::DirectoryUnusable { .. }), "{error}");
    let mut child = Command::new("pwd").cwd("/usr").spawn().await.unwrap();
    assert_eq!(read(&mut child).await, "/usr\n");
}

async fn nul_bytes() {
    for (command, place) in [
        (Command::new("a\0b"), "the program"),
        (Command::new("/a\0b"), "the program"),
        (Command::new("true").args(["a", "b\0"]), "argument 2"),
        (Command::new("true").env("NAME", "\0"), "the variable NAME"),
        (Command::new("true").cwd("/\0"), "the working directory"),
    ] {
        match command.spawn().await {
            Err(SpawnError::NulByte { what }) => assert_eq!(what, place),
            other => panic!("{place}: {other:?}"),
        }
    }
}

async fn childs_path() {
    let folder = tempfile::tempdir().unwrap();
    let tools = folder.path().join("tools");
    std::fs::create_dir(&tools).unwrap();
    let tool = tools.join("phalanx-test-tool");
    std::fs::write(&tool, "#!/bin/sh\necho $0\n").unwrap();
    std::fs::set_permissions(&tool, PermissionsExt::from_mode(0o755)).unwrap();
    let command = || Command::new("phalanx-test-tool").env("PATH", "/nowhere:tools");
    let mut child = command().cwd(folder.path()).spawn().await.unwrap();
    assert_eq!(read(&mut child).await, "tools/phalanx-test-tool\n");
    assert!(matches!(command().spawn().await, Err(SpawnError::NotFound { .. })));
    let without = Command::new("true").env_clear().spawn().await.unwrap();
    assert!(without.exited().await.unwrap().success());
}

async fn shell_script() {
    let folder = tempfile::tempdir().unwrap();
    let script = folder.path().join("script");
    std::fs::write(&script, "echo script $1\n").unwrap();
    std::fs::set_permissions(&script, PermissionsExt::from_mode(0o755)).unwrap();
    let mut child = Command::new(&script).arg("one").spawn().await.unwrap();
    assert_eq!(read(&mut child).await, "script one\n");
    let mut child = Command::new(&script).arg("two").nice(1).spawn().await.unwrap();
    assert_eq!(read(&mut child).await, "script two\n");
}

/// The process ids that a child prints, one a line, as many as are asked for.
pub(crate) async fn pids(child: &mut Child, count: usize) -> Vec<u32> {
    let mut stdout = child.stdout.take().unwrap();
    let mut said = Vec::new();
    while said.iter().filter(|byte| **byte == b'\n').count() < count {
        assert_ne!(stdout.read_buf(&mut said).await.unwrap(), 0, "{}", String::from_utf8_lossy(&said));
    }
    child.stdout = Some(stdout);
    String::from_utf8(said).unwrap().lines().map(|line| line.parse().unwrap()).collect()
}

async fn timeout_ends_the_tree() {
    let mut child = Command::shell("sh -c 'trap \"\" TERM; echo $$; while :; do sleep 1; done' & echo $!; sleep 100")
        .timeout(Duration::from_millis(300))
        .grace(Duration::from_millis(200))
        .spawn()
        .await
        .unwrap();
    let below = pids(&mut child, 2).await;
    assert_eq!(child.exited().await.unwrap(), ExitStatus::Signal(15));
    assert_eq!(child.end_reason(), Some(EndReason::Timeout));
    child.closed().await.unwrap();
    for pid in below {
        ended(pid).await;
    }
}

async fn cancelled() {
    let (cancel, cancelled) = tokio::sync::oneshot::channel::<()>();
    let child = Command::new("sleep")
        .arg("100")
        .cancel(async {
            let _ = cancelled.await;
        })
        .spawn()
        .await
        .unwrap();
    assert_eq!(child.end_reason(), None);
    cancel.send(()).unwrap();
    assert_eq!(child.exited().await.unwrap(), ExitStatus::Signal(15));
    assert_eq!(child.end_reason(), Some(EndReason::Cancelled));
}

async fn kill_on_drop() {
    let killed = Command::new("sleep").arg("100").kill_on_drop().spawn().await.unwrap();
    let (pid, on) = (killed.pid(), Command::new("sleep").arg("100").spawn().await.unwrap());
    drop(killed);
    gone(pid).await;
    let lives = on.pid();
    drop(on);
    assert!(runs(lives));
    phalanx_process::kill_tree(lives, Signal::Kill).await.unwrap();
    gone(lives).await;
}

/// Waits until it runs no more. (Its files are closed a moment before.)
pub(crate) async fn ended(pid: u32) {
    while runs(pid) {
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
}

/// Waits until not even a zombie is left.
pub(crate) async fn gone(pid: u32) {
    while std::fs::exists(format!("/proc/{pid}")).unwrap() {
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
}

async fn limits() {
    let mut child = Command::shell("ulimit -n; nice; grep Cpus_allowed_list /proc/self/status; echo $GREETING")
        .rlimit(Limit::OpenFiles, 20)
        .nice(3)
        .affinity([0])
        .env("GREETING", "hello")
        .spawn()
        .await
        .unwrap();
    let said = read(&mut child).await;
    let lines: Vec<&str> = said.lines().collect();
    // It adds to ours, whatever that is.
    let nice = (rustix::process::getpriority_process(None).unwrap() + 3).min(19).to_string();
    assert_eq!((lines[0], lines[1], lines[3]), ("20", nice.as_str(), "hello"), "{said}");
    assert!(lines[2].ends_with("\t0"), "{said}");
}

async fn launcher_errors() {
    let error = Command::new("true").affinity([100_000]).spawn().await.unwrap_err();
    assert!(matches!(error, SpawnError::Setting { .. }), "{error}");
    let error = Command::new("/no/such/program").nice(1).spawn().await.unwrap_err();
    assert!(matches!(error, SpawnError::NotFound { .. }), "{error}");
    let error = Command::new("true").nice(1).cwd("/no/such/directory").spawn().await.unwrap_err();
    assert!(matches!(error, SpawnError::DirectoryNotFound { .. }), "{error}");
}

async fn own_tree_daemon() {
    // A daemon: its parent has ended, and it left the session.
    let daemon = "setsid sh -c 'echo $$; exec sleep 100' & sleep 0.2";
    let mut child = Command::shell(format!("({daemon}); exit 4")).own_tree().spawn().await.unwrap();
    let below = pids(&mut child, 1).await;
    assert_eq!(child.exited().await.unwrap(), ExitStatus::Code(4));
    assert!(!runs(below[0]), "the daemon was left");
    let mut child = Command::shell(format!("({daemon}); exec sleep 100")).own_tree().spawn().await.unwrap();
    let below = pids(&mut child, 1).await;
    child.kill(Signal::Kill).unwrap();
    assert_eq!(child.exited().await.unwrap(), ExitStatus::Signal(9));
    assert!(!runs(below[0]), "the daemon was left");
}

async fn own_tree_status() {
    let mut child = Command::shell("trap 'exit 7' TERM; echo ready; while :; do sleep 0.01; done")
        .own_tree()
        .spawn()
        .await
        .unwrap();
    let mut line = [0; 6];
    child.stdout.as_mut().unwrap().read_exact(&mut line).await.unwrap();
    child.kill(Signal::Terminate).unwrap();
    assert_eq!(child.exited().await.unwrap(), ExitStatus::Code(7));
    let child = Command::shell("kill -SEGV $$").own_tree().spawn().await.unwrap();
    assert_eq!(child.exited().await.unwrap(), ExitStatus::Signal(11));
}

async fn listen() {
    let socket = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let mut child = Command::shell("echo $LISTEN_FDS $LISTEN_FDNAMES $((LISTEN_PID == $$)); test -S /dev/fd/3")
        .listen_fds([("web", socket.into())])
        .spawn()
        .await
        .unwrap();
    assert_eq!(read(&mut child).await, "1 web 1\n");
    assert!(child.exited().await.unwrap().success());
}

async fn detached() {
    let mut child = Command::shell("cut -d' ' -f1,5,6 /proc/self/stat").detached().spawn().await.unwrap();
    let pid = child.pid();
    let said = read(&mut child).await;
    let numbers: Vec<u32> = said.split_whitespace().map(|word| word.parse().unwrap()).collect();
    assert_eq!(&numbers[1..], [pid, pid]);
}
