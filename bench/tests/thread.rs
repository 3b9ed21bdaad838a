//! `bench thread` on the smallest scale: each contender does what it is asked for, and every target gets its figures.

use std::process::{Command, Stdio};

/// Rivals that are crates, bare system calls, and ours; not the one that has to be built in.
const WITHOUT_NODE: &str = "phalanx,phalanx-full,phalanx-worker,phalanx-blocking,phalanx-processes,spawn-blocking,rayon,\
                            kanal,crossbeam,tokio-mpsc,futex,futex-processes,phalanx-forever,spinning-processes,ipc-channel";

/// What the case prints for these contenders.
fn bench(only: &str) -> String {
    let output = Command::new(env!("CARGO_BIN_EXE_phalanx-bench"))
        .args(["thread", "--quick", "--seconds", "0.1", "--cycles", "3", "--only", only])
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
    let report = bench(WITHOUT_NODE);
    assert!(!report.contains("Not measured"), "{report}");
    // A heading for each of five tables, and 6 + 1 + 5 + 4 + 5 contenders.
    assert_eq!(rows(&report).len(), 5 + 21, "{report}");
    for target in ["pool, a lone job, p50", "worker, memory", "1 MiB moved", "processes / threads", "≥ 1 M round trips"]
    {
        let line = report.lines().rfind(|line| line.contains(target)).unwrap_or_default();
        assert!(line.contains("| met") || line.contains("| missed"), "{target}: {line:?} in {report}");
    }
}

#[test]
fn node_is_measured_in_all_that_it_takes_part_in() {
    if !has_two_cores() || !has_node() {
        return;
    }
    let report = bench("node,node-many");
    assert!(!report.contains("Not measured"), "{report}");
    let rows = rows(&report);
    for name in ["| piscina ", "| piscina, c", "| worker_threads", "| postMessage", "| Atomics"] {
        assert!(rows.iter().any(|row| row.starts_with(name)), "{name} in {report}");
    }
}

#[test]
fn a_rival_that_is_not_built_in_says_how_to_have_it() {
    let report = bench("iceoryx2");
    if cfg!(feature = "iceoryx2") {
        assert!(!report.contains("Not measured"), "{report}");
    } else {
        assert!(report.contains("Not measured: iceoryx2") && report.contains("--features iceoryx2"), "{report}");
    }
}
