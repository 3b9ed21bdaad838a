//! On a terminal: a bar while it works, and one line at the end.

use std::fs::File;
use std::io::Read;
use std::os::fd::OwnedFd;

use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};
use rustix::termios::{Winsize, tcsetwinsize};

use crate::album::{album, image, run};
use crate::harness::pictures::jpeg;
use crate::runs::{Folder, ended, gathered};

/// A terminal of 100 columns: the end of whoever sits before it, and that of the program.
fn terminal() -> (File, File) {
    let master: OwnedFd = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY).unwrap();
    grantpt(&master).unwrap();
    unlockpt(&master).unwrap();
    tcsetwinsize(&master, Winsize { ws_row: 24, ws_col: 100, ws_xpixel: 0, ws_ypixel: 0 }).unwrap();
    let name = ptsname(&master, Vec::new()).unwrap();
    let flags = rustix::fs::OFlags::RDWR | rustix::fs::OFlags::NOCTTY;
    let slave = rustix::fs::open(name, flags, rustix::fs::Mode::empty()).unwrap();
    (master.into(), slave.into())
}

/// All that a program writes on a terminal until it ends.
fn seen(folder: &Folder, line: &str) -> String {
    let (mut master, slave) = terminal();
    let mut command = image(folder, line);
    command.env("TERM", "xterm").stderr(slave);
    let child = command.spawn().unwrap();
    // Our copy of the program's end: the reader ends with the program.
    drop(command);
    let reader = std::thread::spawn(move || {
        let mut bytes = Vec::new();
        // A terminal whose other end is closed says EIO.
        let _ = master.read_to_end(&mut bytes);
        String::from_utf8_lossy(&bytes).into_owned()
    });
    gathered(child);
    reader.join().unwrap()
}

#[test]
fn a_folder_has_a_bar_and_a_summary() {
    let folder = album();
    folder.write("in/cut.jpg", &jpeg(640, 480)[..2000]);
    let seen = seen(&folder, "in out -w 100 --recursive");
    for words in [" % [", "of 4", "phalanx image: in/cut.jpg: the picture is damaged", "3 of 4 pictures made, 1 failed"]
    {
        assert!(seen.contains(words), "{words:?} is not in {seen:?}");
    }
    assert!(seen.trim_end().lines().last().unwrap().contains("pictures/s"), "{seen:?}");
}

#[test]
fn one_picture_has_a_line() {
    let folder = album();
    let seen = seen(&folder, "in/photo.JPG out.jpg -w 100");
    assert!(seen.contains("100×75, ") && seen.contains("→") && seen.contains("out.jpg"), "{seen:?}");
    assert_eq!(run(&folder, "in/photo.JPG other.jpg").stderr, "", "piped, it is silent");
}

#[test]
fn a_picture_is_nothing_for_a_terminal() {
    let folder = album();
    let (_master, slave) = terminal();
    let mut command = image(&folder, "in/photo.JPG -");
    command.stdout(slave);
    ended(command).is_one_line(2, &["terminal", "OUT"]);
}
