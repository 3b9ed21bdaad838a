//! What cannot be made or written.

use std::fs;
use std::os::unix::fs::PermissionsExt;

use phalanx::image::Format;

use crate::album::{album, made, names, run};
use crate::harness::pictures::{TEXT, jpeg, lying_jpeg};
use crate::runs::{Folder, ended};

#[test]
fn a_broken_picture_is_told_by_name_and_the_rest_goes_on() {
    let folder = album();
    folder.write("in/cut.jpg", &jpeg(640, 480)[..2000]);
    folder.write("in/huge.jpg", lying_jpeg(60_000, 60_000));
    let ran = run(&folder, "in out -w 100");
    assert_eq!((ran.code, ran.stderr.lines().count()), (1, 3), "{}", ran.stderr);
    for words in [
        "in/cut.jpg: the picture is damaged",
        "in/huge.jpg: source side in pixels: 60000 is above",
        "2 of 4",
        "2 failed",
    ] {
        assert!(ran.stderr.contains(words), "{words:?} is not in {}", ran.stderr);
    }
    assert_eq!(names(&folder, "out"), ["drawing.jpg", "photo.jpg"]);
}

#[test]
fn each_fault_is_one_line() {
    let folder = Folder::new();
    folder.write("photo.jpg", jpeg(64, 48));
    folder.write("large.jpg", jpeg(2000, 1500));
    folder.write("text.jpg", TEXT);
    folder.write("empty.jpg", "");
    for (line, says) in [
        ("nothing.jpg out.jpg", &["nothing.jpg", "cannot be read", "No such file"][..]),
        ("text.jpg out.jpg", &["text.jpg", "no JPEG, PNG, WebP or GIF"]),
        ("empty.jpg out.jpg", &["empty.jpg", "no JPEG, PNG, WebP or GIF"]),
        ("photo.jpg no/such/folder/out.jpg", &["photo.jpg", "no/such/folder"]),
        ("photo.jpg out.jpg -w 9000 --enlarge", &["photo.jpg", "output side in pixels", "8192"]),
        ("large.jpg out.jpg --job-memory 1MiB", &["large.jpg", "working memory", "1048576"]),
        ("large.jpg out.jpg --memory 1MiB", &["large.jpg", "1 MiB", "--memory"]),
    ] {
        run(&folder, line).is_one_line(1, says);
        assert!(!folder.path("out.jpg").exists(), "{line}");
    }
}

#[test]
fn what_may_not_be_read_or_written_is_named() {
    if rustix::process::geteuid().is_root() {
        return println!("skipped: root may do everything");
    }
    let folder = album();
    fs::set_permissions(folder.path("in/photo.JPG"), fs::Permissions::from_mode(0o000)).unwrap();
    let ran = run(&folder, "in out");
    assert!(ran.code == 1 && ran.stderr.contains("in/photo.JPG: it cannot be read"), "{ran:?}");
}

#[test]
fn a_file_that_cannot_grow_leaves_no_half_picture() {
    let folder = album();
    let mut shell = folder.program("sh");
    // A block is 512 bytes or 1 KiB: less than any of the pictures.
    shell.args(["-c", "ulimit -f 1; exec \"$0\" image in out --original-size -q 100", env!("CARGO_BIN_EXE_phalanx")]);
    let ran = ended(shell);
    assert_eq!(ran.code, 1, "{ran:?}");
    assert!(ran.stderr.contains("in/photo.JPG"), "{ran:?}");
    assert!(names(&folder, "out").iter().all(|name| name == "drawing.jpg"), "{:?}", names(&folder, "out"));
}

#[test]
fn a_full_disk_ends_the_run_with_one_line() {
    let folder = Folder::new();
    folder.write("photo.jpg", jpeg(640, 480));
    let mut shell = folder.program("sh");
    shell.args(["-c", "exec \"$0\" image photo.jpg - > /dev/full", env!("CARGO_BIN_EXE_phalanx")]);
    ended(shell).is_one_line(1, &["photo.jpg", "standard output", "make room"]);
}

#[test]
fn of_a_cut_picture_what_there_is_can_be_kept() {
    let folder = Folder::new();
    let whole = jpeg(640, 480);
    folder.write("cut.jpg", &whole[..whole.len() / 2]);
    run(&folder, "cut.jpg out.jpg").is_one_line(1, &["cut.jpg", "damaged", "--keep-damaged"]);
    let ran = run(&folder, "cut.jpg out.jpg --keep-damaged --json -w 100");
    assert_eq!((ran.code, ran.stderr.as_str()), (0, ""));
    assert!(String::from_utf8_lossy(&ran.stdout).contains("cut or damaged"), "{ran:?}");
    assert_eq!(made(&folder, "out.jpg"), (100, 75, Format::Jpeg));
}
