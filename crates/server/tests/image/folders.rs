//! All pictures of a folder.

use std::fs;

use phalanx::image::Format;

use crate::album::{album, inode, made, names, run};
use crate::harness::pictures::{jpeg, png};
use crate::runs::Folder;

#[test]
fn names_are_kept_and_the_rest_is_skipped_and_counted() {
    let folder = album();
    let ran = run(&folder, "in out -w 100");
    ran.is_summary(0, &["2 of 2 pictures made", "2 other files skipped", "→"]);
    assert_eq!(names(&folder, "out"), ["drawing.jpg", "photo.jpg"]);
    assert_eq!(made(&folder, "out/photo.jpg"), (100, 75, Format::Jpeg));
    assert_eq!(made(&folder, "out/drawing.jpg"), (100, 300, Format::Jpeg));
    assert_eq!(names(&folder, "in").len(), 5, "nothing came or went");
}

#[test]
fn folders_below_only_if_asked_for() {
    let folder = album();
    run(&folder, "in out -w 20 --recursive --format webp").is_summary(0, &["3 of 3 pictures made"]);
    assert_eq!(names(&folder, "out"), ["below", "drawing.webp", "photo.webp"]);
    assert_eq!(made(&folder, "out/below/moving.webp"), (20, 10, Format::WebP));
}

#[test]
fn an_output_folder_inside_of_the_input_is_not_looked_through() {
    let folder = album();
    run(&folder, "in in/small -w 20 -r").is_summary(0, &["3 of 3 pictures made"]);
    run(&folder, "in in/small -w 10 -r --force").is_summary(0, &["3 of 3 pictures made"]);
    assert_eq!(names(&folder, "in/small"), ["below", "drawing.jpg", "photo.jpg"]);
}

#[test]
fn the_same_again_makes_only_what_is_missing() {
    let folder = album();
    run(&folder, "in out -w 100").is_summary(0, &["2 of 2"]);
    let before = inode(&folder, "out/photo.jpg");
    fs::remove_file(folder.path("out/drawing.jpg")).unwrap();
    run(&folder, "in out -w 100").is_summary(0, &["1 of 2 pictures made", "1 there already"]);
    assert_eq!(inode(&folder, "out/photo.jpg"), before);
    run(&folder, "in out -w 50 --force").is_summary(0, &["2 of 2"]);
    assert_eq!(made(&folder, "out/photo.jpg"), (50, 38, Format::Jpeg));
}

#[test]
fn two_names_that_become_one_are_told() {
    let folder = Folder::new();
    fs::create_dir(folder.path("in")).unwrap();
    folder.write("in/a.jpg", jpeg(80, 60));
    folder.write("in/a.png", png(80, 60));
    let ran = run(&folder, "in out");
    assert_eq!(ran.code, 1, "{ran:?}");
    assert!(ran.stderr.contains("in/a.png: in/a.jpg becomes the file of the same name; rename"), "{}", ran.stderr);
    assert_eq!(names(&folder, "out"), ["a.jpg"]);
}

#[test]
fn no_input_is_overwritten_through_a_link() {
    let folder = album();
    fs::create_dir(folder.path("out")).unwrap();
    std::os::unix::fs::symlink("../in/drawing.png", folder.path("out/photo.jpg")).unwrap();
    let before = inode(&folder, "in/drawing.png");
    let ran = run(&folder, "in out --force");
    assert!(ran.code == 1 && ran.stderr.contains("inputs are never written"), "{ran:?}");
    assert_eq!(inode(&folder, "in/drawing.png"), before);
}

#[test]
fn each_picture_is_a_line_of_json() {
    let folder = album();
    folder.write("in/broken.jpg", &jpeg(64, 64)[..500]);
    let ran = run(&folder, "in out -w 100 --json -r");
    assert_eq!(ran.code, 1);
    let text = String::from_utf8(ran.stdout).unwrap();
    let lines: Vec<serde_json::Value> = text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let mut outcomes: Vec<(&str, &str)> =
        lines.iter().map(|line| (line["from"].as_str().unwrap(), line["outcome"].as_str().unwrap())).collect();
    outcomes.sort_unstable();
    let expected = [
        ("in/below/moving.gif", "made"),
        ("in/broken.jpg", "failed"),
        ("in/drawing.png", "made"),
        ("in/photo.JPG", "made"),
    ];
    assert_eq!(outcomes, expected);
    let moving = lines.iter().find(|line| line["from"] == "in/below/moving.gif").unwrap();
    assert!(moving["warnings"][0].as_str().unwrap().contains("first frame"), "{moving}");
}

#[test]
fn an_empty_folder_is_said() {
    let folder = Folder::new();
    fs::create_dir(folder.path("in")).unwrap();
    let ran = run(&folder, "in out");
    assert!(ran.code == 1 && ran.stderr.contains("there is no picture"), "{ran:?}");
}

impl crate::runs::Ran {
    /// It went without a complaint, and the only line is the summary, which says all of this.
    #[track_caller]
    pub(crate) fn is_summary(&self, code: i32, says: &[&str]) {
        assert_eq!((self.code, self.stderr.lines().count()), (code, 1), "{}", self.stderr);
        for words in says {
            assert!(self.stderr.contains(words), "{:?} lacks {words:?}", self.stderr);
        }
    }
}
