//! What a child in a role is given and sets for itself; and what a service manager gives to a service. Real processes.

#![allow(clippy::unwrap_used)]

use std::io::{Read, Write};
use std::net::TcpListener;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::time::{Duration, Instant};

use phalanx_process::service::listen_fds;
use phalanx_process::{Command, ExitStatus, Limit, Process, Role, Signal, Signals, Stdio, blocking, take_role};
use rustix::event::{PollFd, PollFlags, poll};
use rustix::process::{Resource, getrlimit};

const DEADLINE: Duration = Duration::from_secs(20);
/// Tells this program to be a service instead of a test.
const SERVICE: &str = "TEST_SERVICE";
/// `nobody`, on every Linux.
const NOBODY: u32 = 65534;

fn main() {
    let initialized = phalanx_process::init();
    match phalanx_process::role() {
        None if initialized.is_ok() && std::env::var_os(SERVICE).is_some() => service(),
        None if initialized.is_ok() => run_tests(),
        None => {
            eprintln!("{}", initialized.unwrap_err());
            std::process::exit(78);
        }
        Some("report") => report(),
        Some("parent") => parent(),
        Some("starter") => starter(),
        Some("outlives") => outlives(),
        Some("storm") => storm(),
        Some(other) => panic!("unknown role {other}"),
    }
}

fn run_tests() {
    let tests: [(&str, fn()); 12] = [
        ("standard streams are those that were given", streams),
        ("limits, niceness and processors are set inside the child", settings),
        ("a setting that is refused is told, with what to do", refused),
        ("a role without settings has no descriptors but its own", nothing_extra),
        ("the parent's death is told by the signal that was asked for", parent_death),
        ("a detached child outlives who started it, holds nothing of it, and leaves no zombie", detached),
        ("a child in a role runs another file if it is told to", another_file),
        ("a role keeps the name of the program and nothing of the service manager", name_and_variables),
        ("another user has no groups of ours, and still dies with us", another_user),
        ("a control group that cannot be entered is told", control_group),
        ("sockets of a service manager come with their names", activated),
        ("a storm of signals loses none of the kinds", signals_survive_a_storm),
    ];
    let filter = std::env::args().nth(1).unwrap_or_default();
    let chosen = tests.iter().filter(|(name, _)| name.contains(&filter));
    let passed = chosen.inspect(|(name, test)| {
        test();
        println!("test {name} ... ok");
    });
    println!("{} passed, 0 failed", passed.count());
}

fn is_root() -> bool {
    rustix::process::geteuid().is_root()
}

/// What a child in the role `report` says of itself.
fn report_of(change: impl FnOnce(Role<'_>) -> Role<'_>) -> String {
    let (mut ours, theirs) = UnixStream::pair().unwrap();
    ours.set_read_timeout(Some(DEADLINE)).unwrap();
    let child = change(Role::new("report")).descriptor("socket", theirs.as_fd()).spawn().unwrap();
    drop(theirs);
    let mut said = String::new();
    ours.read_to_string(&mut said).unwrap();
    assert_eq!((wait(&child), child.refusal()), (ExitStatus::Code(0), None), "{said}");
    said
}

fn line<'a>(report: &'a str, name: &str) -> &'a str {
    let found = report.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix('='));
    found.unwrap_or_else(|| panic!("no {name} in {report}"))
}

fn streams() {
    let (mut out, their_out) = UnixStream::pair().unwrap();
    let (mut err, their_err) = UnixStream::pair().unwrap();
    let (mut input, their_in) = UnixStream::pair().unwrap();
    input.write_all(b"asked").unwrap();
    let (out_fd, err_fd, in_fd) = (their_out.as_fd(), their_err.as_fd(), their_in.as_fd());
    // Standard error becomes 1 and the other way round: no stream overwrites another before it is placed.
    let child = Role::new("report").stdin(in_fd).stdout(err_fd).stderr(out_fd).env("TEST_SPEAK", "1").spawn().unwrap();
    drop((their_out, their_err, their_in));
    let mut said = (String::new(), String::new());
    err.read_to_string(&mut said.0).unwrap();
    out.read_to_string(&mut said.1).unwrap();
    assert_eq!((said.0.as_str(), said.1.as_str()), ("to stdout: asked\n", "to stderr\n"));
    assert_eq!(wait(&child), ExitStatus::Code(0));
}

fn settings() {
    let before = rustix::process::getpriority_process(None).unwrap();
    let said = report_of(|role| role.rlimit(Limit::OpenFiles, 77).rlimit(Limit::Core, 0).nice(3).affinity([0]));
    assert_eq!((line(&said, "files"), line(&said, "core")), ("77", "0"));
    assert_eq!(line(&said, "nice"), (before + 3).min(19).to_string());
    assert_eq!(line(&said, "processors"), "1");
    // Set before the first thread, so threads have it too, and the parent has none of it.
    assert_eq!(line(&said, "thread nice"), line(&said, "nice"));
    assert_eq!(rustix::process::getpriority_process(None).unwrap(), before);
}

fn refused() {
    let (mut said, err) = UnixStream::pair().unwrap();
    let processors = [100_000];
    let child = Role::new("report").affinity(processors).stderr(err.as_fd()).spawn().unwrap();
    drop(err);
    let mut words = String::new();
    said.read_to_string(&mut words).unwrap();
    assert_eq!(wait(&child), ExitStatus::Code(78));
    let refusal = child.refusal().unwrap();
    assert_eq!(words.trim_end(), refusal);
    let expected = format!("cannot set the processors [100000] for process {}: Invalid argument", child.pid());
    assert!(refusal.starts_with(&expected), "{refusal}");
    assert_eq!(child.refusal(), None, "the word was there twice");
    if !is_root() {
        let child = Role::new("report").nice(-5).spawn().unwrap();
        assert_eq!(wait(&child), ExitStatus::Code(78));
        let refusal = child.refusal().unwrap();
        assert!(refusal.contains("niceness by -5") && refusal.contains("run as root"), "{refusal}");
    }
}

fn nothing_extra() {
    let plain = report_of(|role| role);
    let with_settings = report_of(|role| role.nice(1));
    assert_eq!(line(&plain, "descriptors"), line(&with_settings, "descriptors"));
}

fn parent_death() {
    let (mut ours, theirs) = UnixStream::pair().unwrap();
    ours.set_read_timeout(Some(DEADLINE)).unwrap();
    for (signal, told) in [("SIGUSR1", &b"10"[..]), ("SIGTERM", b"15")] {
        let parent =
            Role::new("parent").descriptor("socket", theirs.as_fd()).env("TEST_DEATH", signal).spawn().unwrap();
        let mut ready = [0];
        ours.read_exact(&mut ready).unwrap();
        parent.kill(Signal::Kill).unwrap();
        wait(&parent);
        let mut number = [0; 2];
        ours.read_exact(&mut number).unwrap();
        assert_eq!(number, told);
    }
}

fn detached() {
    let (mut ours, theirs) = UnixStream::pair().unwrap();
    ours.set_read_timeout(Some(DEADLINE)).unwrap();
    let starter = Role::new("starter").descriptor("socket", theirs.as_fd()).spawn().unwrap();
    ours.read_exact(&mut [0]).unwrap();
    starter.kill(Signal::Kill).unwrap();
    wait(&starter);
    ours.write_all(b"!").unwrap();
    drop(theirs);
    let mut said = String::new();
    ours.read_to_string(&mut said).unwrap();
    assert_eq!((line(&said, "leads its session"), line(&said, "death")), ("true", "None"));
    assert_eq!((line(&said, "directory"), line(&said, "streams")), ("/", "/dev/null /dev/null /dev/null"));

    let (mut ours, theirs) = UnixStream::pair().unwrap();
    let pid = Role::new("outlives").descriptor("socket", theirs.as_fd()).spawn_detached().unwrap();
    drop(theirs);
    ours.write_all(b"!").unwrap();
    ours.read_to_string(&mut String::new()).unwrap();
    let deadline = Instant::now() + DEADLINE;
    while std::fs::exists(format!("/proc/{pid}")).unwrap() {
        assert!(Instant::now() < deadline, "child {pid} was not reaped");
        std::thread::yield_now();
    }
}

/// Starts a child that outlives it, and waits for its own end.
fn starter() {
    let mut socket: UnixStream = take_role("starter").unwrap().take("socket").unwrap().into();
    Role::new("outlives").descriptor("socket", socket.as_fd()).spawn_detached().unwrap();
    socket.write_all(b"!").unwrap();
    drop(socket);
    loop {
        std::thread::park();
    }
}

/// Tells how it stands in the world after the death of who started it.
fn outlives() {
    let mut socket: UnixStream = take_role("outlives").unwrap().take("socket").unwrap().into();
    socket.read_exact(&mut [0]).unwrap();
    let own = rustix::process::getpid();
    let streams = [0, 1, 2].map(|n| std::fs::read_link(format!("/proc/self/fd/{n}")).unwrap().display().to_string());
    writeln!(socket, "leads its session={}", rustix::process::getsid(None).unwrap() == own).unwrap();
    writeln!(socket, "death={:?}", rustix::process::parent_process_death_signal().unwrap()).unwrap();
    writeln!(socket, "directory={}", std::env::current_dir().unwrap().display()).unwrap();
    writeln!(socket, "streams={}", streams.join(" ")).unwrap();
}

fn another_file() {
    let folder = tempfile::tempdir().unwrap();
    let copy = folder.path().join("copy");
    std::fs::copy(std::env::current_exe().unwrap(), &copy).unwrap();
    let said = report_of(|role| role.program(&copy));
    assert_eq!(line(&said, "file"), copy.display().to_string());
    let missing = Role::new("report").program("/no/such/file").spawn().unwrap_err();
    assert!(missing.to_string().contains("start /no/such/file as \"report\""), "{missing}");
}

fn name_and_variables() {
    let name = std::env::current_exe().unwrap();
    let name = name.file_name().unwrap().to_str().unwrap();
    // SAFETY: the test has one thread.
    unsafe { std::env::set_var("NOTIFY_SOCKET", "/run/test") };
    let said = report_of(|role| role);
    // SAFETY: as above.
    unsafe { std::env::remove_var("NOTIFY_SOCKET") };
    assert_eq!(line(&said, "name"), &name[..name.len().min(15)]);
    assert_eq!(line(&said, "notify"), "None");
}

fn another_user() {
    if !is_root() {
        println!("(skipped: another user needs root)");
        return;
    }
    // In a place that everybody may read.
    let said = report_of(|role| role.uid(NOBODY).gid(NOBODY).rlimit(Limit::OpenFiles, 99));
    assert_eq!((line(&said, "user"), line(&said, "group"), line(&said, "groups")), ("65534", "65534", "[]"));
    assert_eq!(line(&said, "files"), "99");
    assert_eq!(line(&said, "death"), "Some(Signal(15))", "a change of user cleared the parent-death signal");
    assert_eq!(line(&said, "dumpable"), "true");
}

fn control_group() {
    let folder = tempfile::tempdir().unwrap();
    let child = Role::new("report").cgroup(folder.path().join("none")).spawn().unwrap();
    assert_eq!(wait(&child), ExitStatus::Code(78));
    assert!(child.refusal().unwrap().contains(&format!("the control group {}", folder.path().display())));
    let own = std::fs::read_to_string("/proc/self/cgroup").unwrap();
    let own =
        own.lines().find_map(|line| line.strip_prefix("0::")).map(|path| format!("/sys/fs/cgroup{path}/phalanx-test"));
    match own.filter(|_| is_root()).filter(|path| std::fs::create_dir(path).is_ok()) {
        Some(path) if std::fs::metadata(format!("{path}/cgroup.procs")).is_ok() => {
            let said = report_of(|role| role.cgroup(&path));
            assert!(line(&said, "cgroup").ends_with("phalanx-test"), "{said}");
            std::fs::remove_dir(path).unwrap();
        }
        _ => println!("(skipped: no control group of version 2 that we may write to)"),
    }
}

fn activated() {
    let listeners: Vec<(&str, OwnedFd)> =
        ["web", "admin"].map(|name| (name, TcpListener::bind("127.0.0.1:0").unwrap().into())).into();
    let ports: Vec<String> = listeners
        .iter()
        .map(|(name, socket)| {
            let listener = TcpListener::from(socket.try_clone().unwrap());
            format!("{name} {}", listener.local_addr().unwrap().port())
        })
        .collect();
    let own = std::env::current_exe().unwrap();
    let command =
        |meant_for: &str| Command::new(&own).env(SERVICE, meant_for).stdin(Stdio::Null).stderr(Stdio::Inherit);
    let said = run(command("us").listen_fds(listeners));
    assert_eq!(said, format!("{} close-on-exec\n{} close-on-exec\nvariables: 0\n", ports[0], ports[1]));
    // Those of somebody else are left alone.
    let others = command("others").env("LISTEN_PID", "1").env("LISTEN_FDS", "1").fd(3, Stdio::Null);
    assert_eq!(run(others), "variables: 0\n");
}

fn run(command: Command) -> String {
    let mut child = blocking::spawn(command.timeout(DEADLINE)).unwrap();
    let mut said = String::new();
    child.stdout.take().unwrap().read_to_string(&mut said).unwrap();
    assert_eq!(child.wait().unwrap(), ExitStatus::Code(0), "{said}");
    said
}

fn service() {
    for (name, socket) in listen_fds().unwrap() {
        let flags = rustix::io::fcntl_getfd(&socket).unwrap();
        let closed = if flags.contains(rustix::io::FdFlags::CLOEXEC) { "close-on-exec" } else { "inherited" };
        println!("{name} {} {closed}", TcpListener::from(socket).local_addr().unwrap().port());
    }
    assert!(listen_fds().unwrap().is_empty());
    println!("variables: {}", std::env::vars().filter(|(name, _)| name.starts_with("LISTEN_")).count());
}

fn signals_survive_a_storm() {
    const KINDS: [Signal; 8] = [
        Signal::Hangup,
        Signal::User1,
        Signal::User2,
        Signal::TtyIn,
        Signal::TtyOut,
        Signal::Quit,
        Signal::Window,
        Signal::Terminate,
    ];
    let (mut ours, theirs) = UnixStream::pair().unwrap();
    ours.set_read_timeout(Some(DEADLINE)).unwrap();
    let child = Role::new("storm").descriptor("socket", theirs.as_fd()).spawn().unwrap();
    drop(theirs);
    ours.read_exact(&mut [0]).unwrap();
    // Nobody reads them meanwhile.
    for round in 0..10_000 {
        assert!(child.kill(KINDS[round % KINDS.len()]).unwrap());
    }
    ours.write_all(b"!").unwrap();
    let mut said = String::new();
    ours.read_to_string(&mut said).unwrap();
    let mut heard: Vec<&str> = said.lines().collect();
    heard.sort_unstable();
    let mut all: Vec<&str> = KINDS.iter().map(|signal| signal.name()).collect();
    all.sort_unstable();
    // Each kind, and once: ten thousand need no more room than eight.
    assert_eq!(heard, all);
    assert_eq!(wait(&child), ExitStatus::Code(0));
}

fn storm() {
    let mut socket: UnixStream = take_role("storm").unwrap().take("socket").unwrap().into();
    let signals = Signals::take(&[
        Signal::Hangup,
        Signal::User1,
        Signal::User2,
        Signal::TtyIn,
        Signal::TtyOut,
        Signal::Quit,
        Signal::Window,
        Signal::Terminate,
    ])
    .unwrap();
    assert!(Signals::take(&[Signal::Hangup]).is_err());
    socket.write_all(b"!").unwrap();
    socket.read_exact(&mut [0]).unwrap();
    while let Some(signal) = signals.next() {
        writeln!(socket, "{signal}").unwrap();
    }
    assert!(signals.next().is_none());
    phalanx_process::die_now(0);
}

fn report() {
    let mut role = take_role("report").unwrap();
    if std::env::var_os("TEST_SPEAK").is_some() {
        let mut asked = [0; 5];
        std::io::stdin().read_exact(&mut asked).unwrap();
        println!("to stdout: {}", String::from_utf8_lossy(&asked));
        eprintln!("to stderr");
        return;
    }
    let mut socket: UnixStream = role.take("socket").unwrap().into();
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let groups: Vec<&str> =
        status.lines().find_map(|line| line.strip_prefix("Groups:")).unwrap().split_whitespace().collect();
    let nice = || rustix::process::getpriority_process(None).unwrap();
    let facts = [
        ("files", format!("{}", getrlimit(Resource::Nofile).current.unwrap_or(u64::MAX))),
        ("core", format!("{}", getrlimit(Resource::Core).current.unwrap_or(u64::MAX))),
        ("nice", nice().to_string()),
        ("thread nice", std::thread::scope(|scope| scope.spawn(nice).join()).unwrap().to_string()),
        ("processors", rustix::thread::sched_getaffinity(None).unwrap().count().to_string()),
        ("user", rustix::process::geteuid().as_raw().to_string()),
        ("group", rustix::process::getegid().as_raw().to_string()),
        ("groups", format!("{groups:?}")),
        (
            "death",
            format!(
                "{:?}",
                rustix::process::parent_process_death_signal()
                    .unwrap()
                    .map(|s| phalanx_process::ExitStatus::Signal(s.as_raw()))
            ),
        ),
        (
            "dumpable",
            (rustix::process::dumpable_behavior().unwrap() == rustix::process::DumpableBehavior::Dumpable).to_string(),
        ),
        ("descriptors", std::fs::read_dir("/proc/self/fd").map_or(0, Iterator::count).to_string()),
        ("file", std::fs::read_link("/proc/self/exe").unwrap().display().to_string()),
        ("name", std::fs::read_to_string("/proc/self/comm").unwrap().trim_end().to_owned()),
        ("notify", format!("{:?}", std::env::var_os("NOTIFY_SOCKET"))),
        ("cgroup", std::fs::read_to_string("/proc/self/cgroup").unwrap().replace('\n', " ").trim_end().to_owned()),
    ];
    for (name, value) in facts {
        writeln!(socket, "{name}={value}").unwrap();
    }
}

/// Starts a child that says which signal it got when this process was killed.
fn parent() {
    let mut role = take_role("parent").unwrap();
    let socket = role.take("socket").unwrap();
    let death = Signal::from_name(&std::env::var("TEST_DEATH").unwrap()).unwrap();
    if std::env::var_os("TEST_CHILD").is_none() {
        let child = Role::new("parent").descriptor("socket", socket.as_fd()).env("TEST_CHILD", "1").parent_death(death);
        let _child = child.spawn().unwrap();
        loop {
            std::thread::park();
        }
    }
    let signals = Signals::take(&[Signal::User1, Signal::Terminate]).unwrap();
    let mut socket = UnixStream::from(socket);
    socket.write_all(b"!").unwrap();
    let until = Instant::now() + DEADLINE;
    while Instant::now() < until {
        let _ = poll(&mut [PollFd::from_borrowed_fd(signals.as_fd(), PollFlags::IN)], None);
        if let Some(signal) = signals.next() {
            write!(socket, "{}", signal.number()).unwrap();
            return;
        }
    }
}

fn wait(child: &Process) -> ExitStatus {
    let deadline = rustix::event::Timespec { tv_sec: DEADLINE.as_secs() as i64, tv_nsec: 0 };
    let ended = poll(&mut [PollFd::new(child, PollFlags::IN)], Some(&deadline)).unwrap();
    assert_eq!(ended, 1, "child {} did not end", child.pid());
    child.try_wait().unwrap().unwrap()
}
