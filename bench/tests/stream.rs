//! `bench stream` on the smallest scale: those who need nothing but this package do what they are asked, and get figures.

use std::process::{Command, Stdio};

/// What the case prints.
fn bench(arguments: &[&str]) -> String {
    let output = Command::new(env!("CARGO_BIN_EXE_phalanx-bench"))
        .args(["stream", "--size", "1", "--rounds", "2"])
        .args(arguments)
        // So that it is built before.
        .env("BENCH_STREAM", env!("CARGO_BIN_EXE_phalanx-bench-stream"))
        .stdin(Stdio::null())
        .output()
        .expect("the bench starts");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).expect("it prints text")
}

fn has(program: &str) -> bool {
    let there = Command::new(program).arg("--version").stdout(Stdio::null()).status();
    let there = there.is_ok_and(|status| status.success());
    if !there {
        assert!(std::env::var("CI").as_deref() != Ok("true"), "{program} is missing");
        eprintln!("skipped: {program} is missing");
    }
    there
}

#[test]
fn what_one_would_do_by_hand_is_measured() {
    let report = bench(&["--measure", "upper,encrypt-only", "--only", "by-hand,aead"]);
    assert!(!report.contains("Not measured"), "{report}");
    let row = |name: &str| report.lines().find(|line| line.starts_with(&format!("| {name}"))).map(str::to_owned);
    let copy = row("2 threads by hand").expect("a row of the copy");
    assert!(copy.contains("1.0000"), "the copy is as long as the input: {copy}");
    assert!(row("the AEAD alone").is_some(), "{report}");
    assert!(report.contains("upper-case copy: phalanx pipe / 2 threads by hand"), "{report}");
}

#[test]
fn programs_of_the_system_are_measured_with_the_size_of_what_they_write() {
    if !has("gzip") || !has("node") {
        return;
    }
    let report = bench(&["--measure", "gzip-alone", "--only", "gzip,node"]);
    assert!(!report.contains("Not measured"), "{report}");
    for name in ["gzip", "node"] {
        let row = report.lines().find(|line| line.starts_with(&format!("| {name} "))).expect("its row");
        let size = row.trim_end_matches(['|', ' ']).rsplit('|').next().expect("a last cell").trim().parse::<f64>();
        assert!(size.is_ok_and(|size| (0.1..0.6).contains(&size)), "{row}");
    }
}
