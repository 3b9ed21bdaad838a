//! The command line: help that teaches, and one line for what is wrong.

use crate::album::{album, names, run};
use crate::runs::Folder;

#[test]
fn help_teaches_with_examples() {
    let ran = run(&Folder::new(), "--help");
    assert_eq!((ran.code, ran.stderr.as_str()), (0, ""));
    let help = String::from_utf8(ran.stdout).unwrap();
    for words in [
        "phalanx image photo.jpg small.jpg -w 800",
        "-h, --height <PIXELS>",
        "cover, contain, fill, inside, outside",
        "--force replaces it",
        "Exit code: 0",
        "--memory <SIZE>",
    ] {
        assert!(help.contains(words), "the help lacks {words:?}:\n{help}");
    }
    assert!(help.lines().all(|line| line.chars().count() <= 120), "{help}");
}

#[test]
fn a_wrong_command_line_is_one_line_and_2() {
    for (line, says) in [
        ("in", &["image: <OUT> must be given;"][..]),
        ("", &["image: <IN> and <OUT> must be given;"]),
        ("in out -w 0", &["0", "1..=16384"]),
        ("in out -h", &["--height"]),
        ("in out --fit stretch", &["stretch", "cover"]),
        ("in out --format gif", &["gif", "webp"]),
        ("in out -q 101", &["101", "1..=100"]),
        ("in out --dpr 9", &["0.1 to 8"]),
        ("in out --bg reddish", &["reddish", "colour"]),
        ("in out --rotate 45", &["45", "90"]),
        ("in out --wdth 3", &["--wdth", "--width"]),
        ("in out --original-size -w 3", &["--original-size", "--width"]),
        ("in out --memory much", &["is not a size"]),
        ("in -", &["folder", "standard output"]),
        ("in small.jpg", &["in is a folder", "small.jpg is the name of a picture"]),
        ("in in", &["same folder"]),
        ("in in/below/..", &["same folder"]),
        ("in in/photo.JPG", &["in/photo.JPG is a file"]),
        ("in/photo.JPG out --recursive", &["--recursive is for a folder"]),
        ("in/photo.JPG - --json", &["--json", "standard output"]),
    ] {
        let folder = album();
        let ran = run(&folder, line);
        ran.is_one_line(2, says);
        ran.is_one_line(2, &["phalanx image: ", "; see phalanx image --help"]);
        assert_eq!(names(&folder, ""), ["in"], "{line} wrote something");
    }
}
