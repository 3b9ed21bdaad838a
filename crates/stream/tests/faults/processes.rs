//! What needs a process of its own: signals, limits, another user, a pool.

use std::fs::{self, File};
use std::io::{BufRead, BufReader, Read, Write};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};

use super::{Folder, OLD, Scenario, names};

pub(super) const ALL: &[Scenario] = &[
    ("interrupted by a signal", interrupted),
    ("interrupted by a signal while the input is quiet", interrupted_while_quiet),
    ("killed", killed),
    ("killed at any moment, the target is old or whole", killed_at_any_moment),
    ("standard output is standard input", stdout_is_stdin),
    ("the reader of standard output goes", stdout_is_broken),
    ("a file grows beyond its limit", beyond_limit),
    ("a file grows beyond its limit, and the signal kills", killed_by_limit),
    ("the disk is full", disk_is_full),
    ("the folder takes no file", folder_is_closed),
    #[cfg(feature = "bar")]
    ("a bar leaves a line, or nothing on an error", bar_leaves),
    #[cfg(feature = "bar")]
    ("a bar is for terminals only", bar_is_hidden),
];

fn this_program(arguments: &[&str]) -> Command {
    let mut command = Command::new(std::env::current_exe().unwrap());
    command.arg("child").args(arguments);
    command
}

/// This program again, which is to succeed at it.
pub(super) fn succeed(work: &str) {
    let output = this_program(&[work]).output().unwrap();
    let told = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{work}: {}\n{told}", output.status);
}

/// A child that copies without an end, and has written something; with its standard input.
fn copying(from: &str, to: &Path) -> Child {
    let mut command = this_program(&["copy", from, to.to_str().unwrap()]);
    let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    child.stdin.as_mut().unwrap().write_all(b"a beginning").unwrap();
    let mut line = String::new();
    BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
    assert_eq!(line, "it writes\n");
    child
}

fn signal(child: &Child, signal: Signal) {
    kill_process(Pid::from_child(child), signal).unwrap();
}

/// Its exit code and what it said.
fn ended(mut child: Child) -> (Option<i32>, String) {
    // Its standard input stays open meanwhile, or it would have ended by that.
    let input = child.stdin.take();
    let output = child.wait_with_output().unwrap();
    drop(input);
    (output.status.code(), String::from_utf8(output.stderr).unwrap())
}

fn interrupted() {
    let folder = Folder::new();
    for (target, signal_) in [("target", Signal::INT), ("new", Signal::TERM)] {
        let child = copying("/dev/zero", &folder.path(target));
        signal(&child, signal_);
        assert_eq!(ended(child), (Some(130), "aborted: a signal\n".to_owned()));
        folder.assert_untouched(&[]);
    }
}

fn interrupted_while_quiet() {
    let folder = Folder::new();
    let child = copying("-", &folder.target());
    signal(&child, Signal::INT);
    assert_eq!(ended(child), (Some(130), "aborted: a signal\n".to_owned()));
    folder.assert_untouched(&[]);
}

fn killed() {
    let folder = Folder::new();
    for target in ["target", "new"] {
        let child = copying("/dev/zero", &folder.path(target));
        signal(&child, Signal::KILL);
        assert_eq!(ended(child), (None, String::new()));
        folder.assert_untouched(&[]);
    }
}

/// Only between two names of the whole file may a kill leave the first of them.
fn killed_at_any_moment() {
    let folder = Folder::new();
    let source = folder.path("source");
    let new = vec![7; 3 << 20];
    fs::write(&source, &new).unwrap();
    let mut ends = [0; 2];
    for microseconds in (0..8000).step_by(160) {
        let mut command = this_program(&["copy", source.to_str().unwrap(), folder.target().to_str().unwrap()]);
        let mut child = command.stdout(Stdio::null()).spawn().unwrap();
        thread::sleep(Duration::from_micros(microseconds));
        signal(&child, Signal::KILL);
        child.wait().unwrap();
        let target = fs::read(folder.target()).unwrap();
        assert!(target == OLD.as_bytes() || target == new, "{} bytes", target.len());
        ends[usize::from(target == new)] += 1;
        for name in names(folder.0.path()) {
            let is_whole = || fs::read(folder.path(&name)).unwrap() == new;
            match name.as_str() {
                "source" | "target" => {}
                left if left.starts_with(".phalanx-") && is_whole() => fs::remove_file(folder.path(left)).unwrap(),
                other => panic!("{other} was left"),
            }
        }
        fs::write(folder.target(), OLD).unwrap();
    }
    print!("{} old, {} new: ", ends[0], ends[1]);
}

/// `program < target >> target`, which would never end.
fn stdout_is_stdin() {
    let folder = Folder::new();
    let (input, output) = (File::open(folder.target()), File::options().append(true).open(folder.target()));
    let mut command = this_program(&["copy", "-", "-"]);
    let output = command.stdin(input.unwrap()).stdout(output.unwrap()).stderr(Stdio::piped()).output().unwrap();
    let told = String::from_utf8(output.stderr).unwrap();
    let expected =
        "cannot write standard output: it is the same file as the input standard input; name another output\n";
    assert_eq!((output.status.code(), told.as_str()), (Some(1), expected));
    folder.assert_untouched(&[]);
}

fn stdout_is_broken() {
    let mut command = this_program(&["copy", "/dev/zero", "-"]);
    let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    child.stdout.take().unwrap().read_exact(&mut vec![1; 1 << 20]).unwrap();
    let told = "cannot write standard output: Broken pipe (os error 32)\n";
    assert_eq!(ended(child), (Some(1), told.to_owned()));
}

/// The shell starts this program again, after this.
fn after(preparation: &str, target: &Path) -> std::process::Output {
    let mut command = Command::new("sh");
    command.args(["-c", &format!("{preparation} && exec \"$0\" child copy /dev/zero \"$1\"")]);
    command.arg(std::env::current_exe().unwrap()).arg(target).stdin(Stdio::null()).output().unwrap()
}

fn beyond_limit() {
    let folder = Folder::new();
    let output = after("trap '' XFSZ && ulimit -f 5000", &folder.target());
    let told = String::from_utf8(output.stderr).unwrap();
    assert_eq!(told, format!("cannot write {}: File too large (os error 27)\n", folder.target().display()));
    assert_eq!(output.status.code(), Some(1));
    folder.assert_untouched(&[]);
}

fn killed_by_limit() {
    let folder = Folder::new();
    let output = after("ulimit -c 0 && ulimit -f 5000", &folder.target());
    assert_eq!(output.status.signal(), Some(Signal::XFSZ.as_raw()), "{output:?}");
    folder.assert_untouched(&[]);
}

/// On a disk of 1 MiB of its own, where an ordinary user may have one.
fn disk_is_full() {
    let folder = Folder::new();
    let disk = folder.path("disk");
    fs::create_dir(&disk).unwrap();
    let script = "mount -t tmpfs -o size=1m none \"$1\" || exit 77; echo old > \"$1/target\"; \
                  \"$0\" child copy /dev/zero \"$1/target\"; code=$?; ls -A \"$1\"; cat \"$1/target\"; exit $code";
    let mut command = Command::new("unshare");
    command.args(["--user", "--map-root-user", "--mount", "sh", "-c", script]);
    let Ok(output) = command.arg(std::env::current_exe().unwrap()).arg(&disk).output() else {
        return print!("skipped, there is no unshare: ");
    };
    let (told, shown) = (String::from_utf8(output.stderr).unwrap(), String::from_utf8(output.stdout).unwrap());
    if output.status.code() == Some(77) || told.starts_with("unshare:") {
        return print!("skipped, this user may not mount: ");
    }
    let target = disk.join("target");
    assert_eq!(told, format!("cannot write {}: No space left on device (os error 28)\n", target.display()));
    assert_eq!((output.status.code(), shown.as_str()), (Some(1), "target\nold\n"));
}

/// For root every folder is open, so there it is tried as nobody.
fn folder_is_closed() {
    const NOBODY: u32 = 65534;
    let folder = Folder::new();
    fs::set_permissions(folder.0.path(), fs::Permissions::from_mode(0o555)).unwrap();
    let program = tempfile::tempdir().unwrap();
    let mut command = if rustix::process::geteuid().is_root() {
        // Where nobody finds it.
        fs::set_permissions(program.path(), fs::Permissions::from_mode(0o755)).unwrap();
        let path = program.path().join("faults");
        fs::copy(std::env::current_exe().unwrap(), &path).unwrap();
        let mut command = Command::new(path);
        command.arg("child").uid(NOBODY).gid(NOBODY);
        command
    } else {
        this_program(&[])
    };
    let path = folder.path("new");
    let output = command.args(["copy", "/dev/zero"]).arg(&path).output().unwrap();
    let expected = format!(
        "cannot write {}: no file can be made in {}, where the result is kept until it is whole: \
         Permission denied (os error 13)\n",
        path.display(),
        folder.0.path().display()
    );
    assert_eq!((String::from_utf8(output.stderr).unwrap(), output.status.code()), (expected, Some(1)));
    folder.assert_untouched(&[]);
    fs::set_permissions(folder.0.path(), fs::Permissions::from_mode(0o755)).unwrap();
}

/// What a child with this target shows on a terminal, and its exit code.
#[cfg(feature = "bar")]
fn on_terminal(target: &Path) -> (String, Option<i32>) {
    use rustix::pty::{OpenptFlags, grantpt, ioctl_tiocgptpeer, openpt, unlockpt};

    let terminal = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY | OpenptFlags::CLOEXEC).unwrap();
    grantpt(&terminal).unwrap();
    unlockpt(&terminal).unwrap();
    let inner = ioctl_tiocgptpeer(&terminal, OpenptFlags::RDWR | OpenptFlags::NOCTTY | OpenptFlags::CLOEXEC).unwrap();
    let mut command = this_program(&["bar", target.to_str().unwrap()]);
    let mut child = command.env("TERM", "xterm").stdout(Stdio::null()).stderr(inner).spawn().unwrap();
    // Our copy of the inner side.
    drop(command);
    let mut shown = Vec::new();
    let mut outer = File::from(terminal);
    let mut buffer = [0; 4096];
    // The last one that closes it makes an error of the end.
    while let Ok(bytes @ 1..) = outer.read(&mut buffer) {
        shown.extend_from_slice(&buffer[..bytes]);
    }
    (String::from_utf8(shown).unwrap(), child.wait().unwrap().code())
}

#[cfg(feature = "bar")]
fn bar_leaves() {
    let folder = Folder::new();
    let (shown, code) = on_terminal(&folder.path("new"));
    let last = shown.rsplit('\r').next().unwrap();
    assert!(code == Some(0) && shown.contains(" of 16.00 MiB → ") && shown.contains("left"), "{shown:?}");
    assert!(last.contains("100 % ") && last.contains(" 16.00 MiB → 16.00 MiB, "), "{shown:?}");

    let (shown, code) = on_terminal(Path::new("/dev/full"));
    let last = shown.rsplit('\r').next_back();
    assert!(code == Some(1) && shown.contains("cannot write /dev/full: No space left"), "{shown:?} {last:?}");
}

#[cfg(feature = "bar")]
fn bar_is_hidden() {
    let folder = Folder::new();
    let output = this_program(&["bar", folder.path("new").to_str().unwrap()]).output().unwrap();
    let told = String::from_utf8(output.stderr).unwrap();
    assert_eq!((output.status.code(), output.stdout.as_slice(), told.as_str()), (Some(0), &b"hidden\n"[..], ""));
}
