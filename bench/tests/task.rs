//! `bench task` on the smallest scale: each contender does what it is asked for, and every target gets its figures.

use std::process::{Command, Stdio};

/// What the case prints.
fn bench(arguments: &[&str]) -> String {
    let output = Command::new(env!("CARGO_BIN_EXE_phalanx-bench"))
        .args(["task", "--quick", "--seconds", "0.1"])
        .args(arguments)
        .stdin(Stdio::null())
        .output()
        .expect("the bench starts");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).expect("it prints text")
}

/// The rows of all tables but the last, which are the targets.
fn rows(report: &str) -> Vec<&str> {
    let (tables, _) = report.split_once("### targets").expect("it ends with the targets");
    tables.lines().filter(|line| line.starts_with("| ")).collect()
}

fn has_two_cores() -> bool {
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    if cores < 2 {
        assert!(std::env::var("CI").as_deref() != Ok("true"), "two cores are needed");
        eprintln!("skipped: two cores are needed");
    }
    cores >= 2
}

fn has_node() -> bool {
    let node = Command::new("node").arg("--version").stdout(Stdio::null()).status();
    let packages = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("peers/node/node_modules");
    let there = node.is_ok_and(|status| status.success()) && packages.is_dir();
    if !there {
        assert!(std::env::var("CI").as_deref() != Ok("true"), "Node or its packages are missing");
        eprintln!("skipped: Node or its packages are missing");
    }
    there
}

#[test]
fn each_contender_that_is_built_in_is_measured_in_all_that_it_takes_part_in() {
    if !has_two_cores() {
        return;
    }
    let contenders = ["--only", "processes,processes-bare,threads,spawn,procspawn"];
    let report = bench(
        &[&contenders[..], &["--part", "empty,payload,fresh,photo", "--photos", "none", "--photo", "made-2mp"]]
            .concat(),
    );
    assert!(!report.contains("Not measured"), "{report}");
    // A heading for each of four tables, and 5 + 2 + 3 contenders, and a made photo in 2 of them.
    assert_eq!(rows(&report).len(), 4 + 10 + 2, "{report}");
    for target in ["an empty task in a process, p50", "≥ 100 k tasks/s", "tasks/s, 64 at a time / procspawn", "≤ 5 ms"]
    {
        let line = report.lines().rfind(|line| line.contains(target)).unwrap_or_default();
        assert!(line.contains("| met") || line.contains("| missed"), "{target}: {line:?} in {report}");
    }
}

#[test]
fn the_pools_of_node_are_measured_in_all_that_they_take_part_in() {
    if !has_two_cores() || !has_node() {
        return;
    }
    let report = bench(&["--only", "tinypool,workerpool,piscina", "--part", "empty,payload,fresh"]);
    assert!(!report.contains("Not measured"), "{report}");
    let rows = rows(&report);
    for name in ["| tinypool, child_process", "| workerpool, process"] {
        assert_eq!(rows.iter().filter(|row| row.starts_with(name)).count(), 3, "{name} in {report}");
    }
    assert_eq!(rows.iter().filter(|row| row.starts_with("| piscina")).count(), 1, "{report}");
}
