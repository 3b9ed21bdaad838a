//! SIGINT, SIGTERM, kill -9 in the middle of a folder: what is there is whole.

use std::fs;
use std::process::Child;

use phalanx::image::{Limits, Scratch, Size, Transform, plan, probe, process};
use rustix::process::Signal;

use crate::album::{image, names};
use crate::harness::pictures::jpeg;
use crate::harness::{signal, wait_until};
use crate::runs::{Folder, gathered};

const PICTURES: usize = 40;

/// In the middle of many pictures: the first is there.
fn begun() -> (Folder, Child) {
    let folder = Folder::new();
    fs::create_dir(folder.path("in")).unwrap();
    let photo = jpeg(1200, 900);
    for number in 0..PICTURES {
        folder.write(&format!("in/{number:02}.jpg"), &photo);
    }
    let child = image(&folder, "in out --format webp --original-size --threads 2").spawn().unwrap();
    wait_until("the first picture", || !names(&folder, "out").is_empty());
    (folder, child)
}

/// Every file in `out` is a whole picture under its right name; how many there are.
fn all_whole(folder: &Folder) -> usize {
    let names = names(folder, "out");
    for name in &names {
        assert!(name.ends_with(".webp") && !name.starts_with('.'), "{names:?}");
        let bytes = folder.read(&format!("out/{name}"));
        let small = Transform::default().size(Size::width(10));
        let plan = plan(&probe(&bytes).unwrap(), &small, &Limits::default()).unwrap();
        process(&bytes, &plan, &mut Scratch::new(), &|| false).unwrap();
    }
    names.len()
}

#[test]
fn a_signal_finishes_nothing_half_and_says_how_far_it_was() {
    for (which, name, code) in [(Signal::INT, "SIGINT", 130), (Signal::TERM, "SIGTERM", 143)] {
        let (folder, child) = begun();
        signal(child.id(), which);
        let ran = gathered(child);
        assert_eq!(ran.code, code, "{ran:?}");
        assert!(ran.stderr.contains(&format!("ended by {name}")), "{ran:?}");
        let made = all_whole(&folder);
        assert!(made < PICTURES, "it was over before the signal");
    }
}

#[test]
fn kill_leaves_no_half_picture() {
    let (folder, mut child) = begun();
    child.kill().unwrap();
    assert_eq!(gathered(child).code, -9);
    assert!(all_whole(&folder) < PICTURES, "it was over before the signal");
}
