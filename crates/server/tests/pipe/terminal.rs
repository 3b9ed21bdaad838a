//! On a terminal: no binary bytes, and a passphrase without an echo.

use std::fs::File;
use std::io::{Read, Write};
use std::os::fd::OwnedFd;
use std::process::{Child, Command};

use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};
use rustix::termios::{LocalModes, tcgetattr};

use crate::harness::wait_until;
use crate::runs::{Folder, ended, gathered, has};

/// A terminal: the end of whoever sits before it, and that of the program.
fn terminal() -> (File, File) {
    let master: OwnedFd = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY).unwrap();
    grantpt(&master).unwrap();
    unlockpt(&master).unwrap();
    let name = ptsname(&master, Vec::new()).unwrap();
    let slave =
        rustix::fs::open(name, rustix::fs::OFlags::RDWR | rustix::fs::OFlags::NOCTTY, rustix::fs::Mode::empty());
    (master.into(), slave.unwrap().into())
}

/// `phalanx pipe` in a session whose terminal this is.
fn on(folder: &Folder, slave: &File, line: &str) -> Child {
    let mut command: Command = folder.program("setsid");
    command.args(["--ctty", "--wait", env!("CARGO_BIN_EXE_phalanx"), "pipe"]).args(line.split(' '));
    command.stdin(slave.try_clone().unwrap()).spawn().unwrap()
}

/// Reads what the program said until it ends with this.
fn heard(master: &mut File, until: &str) -> String {
    let (mut heard, mut byte) = (String::new(), [0]);
    while !heard.ends_with(until) {
        master.read_exact(&mut byte).unwrap();
        heard.push(byte[0].into());
    }
    heard
}

fn echoes(slave: &File) -> bool {
    tcgetattr(slave).unwrap().local_modes.contains(LocalModes::ECHO)
}

#[test]
fn binary_bytes_go_to_no_terminal_unless_forced() {
    let folder = Folder::new();
    folder.write("in", "words");
    let (mut master, slave) = terminal();
    let to_terminal = |line: &str| {
        let mut command = folder.pipe(line);
        command.stdout(slave.try_clone().unwrap());
        ended(command)
    };
    for line in ["in --gzip", "in --zstd", "in --encrypt -r age1x"] {
        to_terminal(line).is_one_line(2, &["terminal", "--force"]);
    }
    to_terminal("in --gzip --gunzip --upper").succeeded();
    assert_eq!(heard(&mut master, "WORDS"), "WORDS");
    to_terminal("in --gzip --force").succeeded();
}

#[test]
fn a_passphrase_is_asked_for_without_an_echo() {
    if !has("setsid") {
        return;
    }
    let folder = Folder::new();
    folder.write("in", "words");
    let (mut master, slave) = terminal();
    let running = on(&folder, &slave, "in locked --encrypt -p");
    heard(&mut master, "Passphrase: ");
    assert!(!echoes(&slave));
    master.write_all(b"secret\n").unwrap();
    assert_eq!(heard(&mut master, "again: ").trim(), "The same again:");
    master.write_all(b"secret\n").unwrap();
    gathered(running).succeeded();
    assert!(echoes(&slave));

    let mut open = folder.pipe("locked --decrypt --passphrase-env PHRASE");
    open.env("PHRASE", "secret");
    assert_eq!(ended(open).succeeded(), b"words");

    let running = on(&folder, &slave, "in other --encrypt -p");
    heard(&mut master, "Passphrase: ");
    master.write_all(b"secret\n").unwrap();
    heard(&mut master, "again: ");
    master.write_all(b"secert\n").unwrap();
    gathered(running).is_one_line(1, &["differ"]);
    assert!(!folder.path("other").exists());
}

#[test]
fn a_signal_while_it_asks_gives_the_echo_back() {
    if !has("setsid") {
        return;
    }
    let folder = Folder::new();
    folder.write("in", "words");
    let (mut master, slave) = terminal();
    let running = on(&folder, &slave, "in locked --encrypt -p");
    heard(&mut master, "Passphrase: ");
    assert!(!echoes(&slave));
    // Ctrl-C.
    master.write_all(b"\x03").unwrap();
    gathered(running).is_one_line(130, &["SIGINT"]);
    wait_until("the echo", || echoes(&slave));
    assert!(!folder.path("locked").exists());
}

#[test]
fn without_a_terminal_it_says_what_else_there_is() {
    if !has("setsid") {
        return;
    }
    let folder = Folder::new();
    folder.write("in", "words");
    let mut command = folder.program("setsid");
    command.args(["--wait", env!("CARGO_BIN_EXE_phalanx"), "pipe", "in", "out", "--encrypt", "-p"]);
    ended(command).is_one_line(1, &["/dev/tty", "--passphrase-file"]);
}
