//! The programs that `bench image` and `cargo xtask differential` start, on the smallest scale.

use std::path::Path;
use std::process::Command;

fn figures(arguments: &[&str], file: &Path) -> serde_json::Value {
    let mut command = Command::new(env!("CARGO_BIN_EXE_phalanx-bench-image"));
    command.arg("measure").args(arguments).arg(file).args(["--seconds", "0"]);
    let output = command.output().expect("it starts");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    serde_json::from_slice(&output.stdout).expect("it prints one line of JSON")
}

#[test]
fn a_contender_tells_its_figures_and_leaves_its_picture_which_the_judge_likes() {
    let folder = tempfile::tempdir().expect("a folder");
    let (photo, small) = (folder.path().join("photo.jpg"), folder.path().join("small.jpg"));
    std::fs::write(&photo, pictures::photos::generated(1200, 900, 90)).expect("it is written");
    let small_name = small.to_str().expect("a plain name");
    let told = figures(&["phalanx", "--width", "300", "--threads", "2", "--output", small_name], &photo);
    assert_eq!(told["bytes"].as_u64(), small.metadata().ok().map(|file| file.len()));
    let number = |key: &str| told[key].as_f64().unwrap_or_else(|| panic!("no {key} in {told}"));
    assert!(number("cpu") > 0.0 && number("per_second") > 0.0 && number("peak") > number("heap"), "{told}");
    assert!(number("heap") > 0.0 && number("heap") <= number("announced"), "{told}");
    let score = Command::new(env!("CARGO_BIN_EXE_phalanx-bench-image")).arg("score").args([&photo, &small]).output();
    let table = String::from_utf8(score.expect("it starts").stdout).expect("text");
    let score: f64 =
        table.lines().nth(1).and_then(|line| line.split_whitespace().next()?.parse().ok()).expect("a score");
    assert!(score > 50.0, "{table}");
}

#[test]
fn the_decoder_and_the_bound_are_measured_by_themselves() {
    let folder = tempfile::tempdir().expect("a folder");
    let photo = folder.path().join("photo.jpg");
    std::fs::write(&photo, pictures::photos::generated(320, 240, 90)).expect("it is written");
    for arguments in [["phalanx", "--eighths", "2"], ["symbols", "--eighths", "1"]] {
        assert!(figures(&arguments, &photo)["cpu"].as_f64().is_some_and(|milliseconds| milliseconds > 0.0));
    }
}
