//! Files, FIFOs, sockets and devices as ends of a pipeline: what is written where, under which name and with which
//! permissions.

#![allow(clippy::unwrap_used)] // Also in the functions that look at files.

use std::fs::{self, File};
use std::io::{Read, Write};
use std::os::fd::AsRawFd;
use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};
use std::os::unix::net::UnixListener;
use std::path::Path;
use std::thread;

use phalanx_stream::{Chunk, Durability, Error, FileTarget, IntoSink, IntoSource, Sink, Source, map, pipeline};
use rustix::fs::{CWD, FileType, Mode};

fn copy(source: impl IntoSource<Item = Chunk>, sink: impl IntoSink<Chunk>) -> Result<(), Error> {
    pipeline(source).into(sink).run_blocking().map(drop)
}

fn text(text: &'static str) -> Source<Chunk> {
    Source::reader("a text", text.as_bytes())
}

fn mode(path: &Path) -> u32 {
    fs::metadata(path).unwrap().mode() & 0o7777
}

fn names(folder: &Path) -> Vec<String> {
    let mut names: Vec<String> =
        folder.read_dir().unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names
}

fn fifo(path: &Path) {
    rustix::fs::mknodat(CWD, path, FileType::Fifo, Mode::RUSR | Mode::WUSR, 0).unwrap();
}

#[test]
fn a_file_is_copied_whole() {
    let folder = tempfile::tempdir().unwrap();
    let (from, to) = (folder.path().join("from"), folder.path().join("to"));
    for length in [0, 1, 256 << 10, (256 << 10) + 1, 3 << 20] {
        let bytes: Vec<u8> = (0..length).map(|number: u32| (number % 251) as u8).collect();
        fs::write(&from, &bytes).unwrap();
        copy(Source::file(&from).unwrap(), Sink::file(&to).unwrap()).unwrap();
        assert!(fs::read(&to).unwrap() == bytes, "{length} bytes");
    }
    assert_eq!(names(folder.path()), ["from", "to"]);
}

#[test]
fn a_new_file_has_the_permissions_of_any_new_file() {
    let folder = tempfile::tempdir().unwrap();
    let usual = folder.path().join("usual");
    fs::write(&usual, "").unwrap();
    let path = folder.path().join("new");
    copy(text("x"), Sink::file(&path).unwrap()).unwrap();
    assert_eq!(mode(&path), mode(&usual));
    let path = folder.path().join("key");
    copy(text("x"), FileTarget::new(&path).mode(0o640).durability(Durability::Synced).open().unwrap()).unwrap();
    assert_eq!(mode(&path), 0o640);
}

#[test]
fn an_existing_file_keeps_its_permissions_and_its_content_until_the_end() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("out");
    fs::write(&path, "old").unwrap();
    fs::set_permissions(&path, fs::Permissions::from_mode(0o604)).unwrap();
    let during = path.clone();
    let looks = map(move |chunk: Chunk| {
        assert_eq!(fs::read(&during)?, b"old");
        assert_eq!(names(during.parent().unwrap()), ["out"]);
        Ok(chunk)
    });
    pipeline(text("new")).through(looks).into(Sink::file(&path).unwrap()).run_blocking().unwrap();
    assert_eq!((fs::read(&path).unwrap(), mode(&path)), (b"new".to_vec(), 0o604));
}

#[test]
fn a_symbolic_link_stays_and_its_target_is_replaced() {
    let folder = tempfile::tempdir().unwrap();
    let inner = folder.path().join("inner");
    fs::create_dir(&inner).unwrap();
    let (real, middle, link) = (inner.join("real"), inner.join("middle"), folder.path().join("link"));
    fs::write(&real, "old").unwrap();
    symlink("real", &middle).unwrap();
    symlink("inner/middle", &link).unwrap();
    copy(text("new"), Sink::file(&link).unwrap()).unwrap();
    assert_eq!(fs::read(&real).unwrap(), b"new");
    assert!(link.is_symlink() && middle.is_symlink() && !real.is_symlink());

    let dangling = folder.path().join("dangling");
    symlink("inner/made", &dangling).unwrap();
    copy(text("made"), Sink::file(&dangling).unwrap()).unwrap();
    assert!(dangling.is_symlink());
    assert_eq!(fs::read(inner.join("made")).unwrap(), b"made");

    let around = folder.path().join("around");
    symlink("around", &around).unwrap();
    assert!(matches!(Sink::file(&around), Err(Error::Sink { .. })));
}

#[test]
fn a_fifo_waits_for_its_other_end_and_stays_a_fifo() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("fifo");
    fifo(&path);
    let large: Vec<u8> = (0..1_000_000_u32).map(|number| (number % 251) as u8).collect();
    let reading = thread::spawn({
        let path = path.clone();
        move || fs::read(path).unwrap()
    });
    copy(Source::reader("memory", std::io::Cursor::new(large.clone())), Sink::file(&path).unwrap()).unwrap();
    assert!(reading.join().unwrap() == large);

    let source = Source::file(&path).unwrap();
    let writing = thread::spawn({
        let (path, large) = (path.clone(), large.clone());
        move || fs::write(path, large).unwrap()
    });
    let out = folder.path().join("out");
    copy(source, Sink::file(&out).unwrap()).unwrap();
    writing.join().unwrap();
    assert!(fs::read(&out).unwrap() == large);
    assert_eq!(names(folder.path()), ["fifo", "out"]);
}

#[test]
fn what_comes_through_a_pipe_is_passed_on_as_it_comes() {
    let (reader, mut writer) = std::io::pipe().unwrap();
    let (sink, heard) = std::sync::mpsc::sync_channel(4);
    let running = thread::spawn(move || pipeline(reader).into(Sink::sender(sink)).run_blocking().map(drop));
    for word in ["one", "two"] {
        writer.write_all(word.as_bytes()).unwrap();
        assert_eq!(heard.recv().unwrap(), Chunk::from(word));
    }
    drop(writer);
    running.join().unwrap().unwrap();
}

#[test]
fn a_terminal_says_only_once_that_it_has_ended() {
    use rustix::pty::{OpenptFlags, grantpt, ioctl_tiocgptpeer, openpt, unlockpt};

    let flags = OpenptFlags::RDWR | OpenptFlags::NOCTTY | OpenptFlags::CLOEXEC;
    let outer = openpt(flags).unwrap();
    grantpt(&outer).unwrap();
    unlockpt(&outer).unwrap();
    let inner = ioctl_tiocgptpeer(&outer, flags).unwrap();
    // Two lines, and the key that ends it, before anybody reads.
    File::from(outer.try_clone().unwrap()).write_all(b"one\ntwo\n\x04").unwrap();
    let heard = pipeline(Source::descriptor("a terminal", inner).unwrap()).collect_blocking().unwrap();
    assert_eq!(heard.iter().flat_map(|chunk| chunk.iter().copied()).collect::<Vec<u8>>(), b"one\ntwo\n");
}

#[test]
fn a_pipe_a_socket_and_an_open_file_are_ends() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("out");
    let (reader, writer) = std::io::pipe().unwrap();
    copy(text("through a pipe"), writer).unwrap();
    copy(reader, File::create(&path).unwrap()).unwrap();
    assert_eq!(fs::read(&path).unwrap(), b"through a pipe");

    let listener = UnixListener::bind(folder.path().join("socket")).unwrap();
    let heard = thread::spawn(move || {
        let mut heard = String::new();
        let (mut first, _) = listener.accept().unwrap();
        first.read_to_string(&mut heard).unwrap();
        let (second, _) = listener.accept().unwrap();
        copy(text("back"), second).unwrap();
        heard
    });
    copy(text("through a socket"), Sink::file(folder.path().join("socket")).unwrap()).unwrap();
    copy(Source::file(folder.path().join("socket")).unwrap(), Sink::file(&path).unwrap()).unwrap();
    assert_eq!((heard.join().unwrap().as_str(), fs::read(&path).unwrap()), ("through a socket", b"back".to_vec()));
}

#[test]
fn a_file_that_is_open_already_is_written_where_it_stands() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("out");
    fs::write(&path, "begin ").unwrap();
    let inode = fs::metadata(&path).unwrap().ino();
    copy(text("end"), File::options().append(true).open(&path).unwrap()).unwrap();
    assert_eq!(fs::read(&path).unwrap(), b"begin end");
    // What /dev/stdout is when it is redirected.
    let open = File::options().write(true).open(&path).unwrap();
    let name = format!("/proc/self/fd/{}", open.as_raw_fd());
    copy(text("new"), Sink::file(name).unwrap()).unwrap();
    assert_eq!((fs::read(&path).unwrap(), fs::metadata(&path).unwrap().ino()), (b"new".to_vec(), inode));
}

#[test]
fn devices_and_files_that_do_not_know_their_length_are_read() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("out");
    copy(Source::file("/proc/self/status").unwrap(), Sink::file(&path).unwrap()).unwrap();
    assert!(fs::read_to_string(&path).unwrap().contains("VmHWM"));
    copy(Source::file("/dev/null").unwrap(), Sink::file(&path).unwrap()).unwrap();
    assert_eq!(fs::read(&path).unwrap(), b"");
    copy(text("x"), Sink::file("/dev/null").unwrap()).unwrap();
}
