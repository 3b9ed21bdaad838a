//! Memory: what all pictures need at once stays within the budget, and all of them are made.

use std::fs;

use crate::album::{image, names, run};
use crate::harness::pictures::{jpeg, progressive_jpeg};
use crate::runs::{Folder, gathered};

#[test]
fn a_small_budget_makes_pictures_wait_and_not_fail() {
    let folder = Folder::new();
    fs::create_dir(folder.path("in")).unwrap();
    for number in 0..12 {
        let photo = if number % 2 == 0 { jpeg(640, 480) } else { progressive_jpeg(640, 480) };
        folder.write(&format!("in/{number}.jpg"), photo);
    }
    // Room for one of the larger ones, or a few of the others.
    let needed = (2..64)
        .find(|mebibytes| run(&folder, &format!("in/1.jpg out-{mebibytes}.jpg --memory {mebibytes}MiB")).code == 0);
    let line = format!("in out --threads 8 --memory {}MiB", needed.unwrap());
    let ran = run(&folder, &line);
    ran.is_summary(0, &["12 of 12 pictures made"]);
    assert_eq!(names(&folder, "out").len(), 12);
}

#[test]
fn a_bomb_takes_no_more_than_the_limit() {
    let folder = Folder::new();
    // 50 megapixels that are announced, and next to nothing behind them.
    let mut bomb = progressive_jpeg(64, 64);
    let frame = bomb.windows(2).position(|pair| pair == [0xFF, 0xC2]).unwrap();
    bomb[frame + 5..frame + 9].copy_from_slice(&[0x17, 0x70, 0x1F, 0x40]); // 6000 × 8000
    folder.write("bomb.jpg", &bomb);
    let child = image(&folder, "bomb.jpg out.jpg --memory 600MiB").spawn().unwrap();
    gathered(child).is_one_line(1, &["bomb.jpg", "damaged"]);
    assert!(!folder.path("out.jpg").exists());
    run(&folder, "bomb.jpg out.jpg --max-megapixels 40").is_one_line(1, &["source pixels", "48000000", "40000000"]);
}
