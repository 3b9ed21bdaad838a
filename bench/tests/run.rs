//! `bench run` on the smallest scale: the rivals are started, killed, reloaded and ended, and every connection is told of.

use std::process::{Command, Stdio};

/// What the case prints.
fn bench(arguments: &[&str]) -> String {
    let output = Command::new(env!("CARGO_BIN_EXE_phalanx-bench"))
        .args(["run", "--quick"])
        .args(arguments)
        .stdin(Stdio::null())
        .output()
        .expect("the bench starts");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).expect("it prints text")
}

fn has_node() -> bool {
    let node = Command::new("node").arg("--version").stdout(Stdio::null()).status();
    let packages = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("peers/node/node_modules/pm2");
    let there = node.is_ok_and(|status| status.success()) && packages.is_dir();
    if !there {
        assert!(std::env::var("CI").as_deref() != Ok("true"), "Node or its packages are missing");
        eprintln!("skipped: Node or its packages are missing");
    }
    there
}

/// The cells of the row of `server` in the table under `heading`.
fn row(report: &str, heading: &str, server: &str) -> Vec<String> {
    let (_, table) = report.split_once(&format!("### {heading}\n")).expect("the table is there");
    let row = table.lines().find(|line| line.starts_with(&format!("| {server} ")));
    let row = row.unwrap_or_else(|| panic!("no row of {server} under {heading}: {report}"));
    row.trim_matches('|').split('|').map(|cell| cell.trim().to_owned()).collect()
}

#[test]
fn rivals_are_measured_and_their_workers_killed() {
    if !has_node() {
        return;
    }
    let report = bench(&["--part", "speed,kills", "--seconds", "2.2", "--only", "run-cluster,run-pm2"]);
    for server in ["node:cluster", "PM2"] {
        let speed = row(&report, "speed", server);
        for column in [1, 4] {
            assert!(speed[column].parse::<f64>().is_ok_and(|rate| rate > 0.0), "{report}");
        }
        let kills = row(&report, "a worker killed every second", server);
        assert_eq!(kills[1], "2", "{report}");
        assert!(kills[2].parse::<u64>().is_ok_and(|answered| answered > 0), "{report}");
        // Nobody answers with somebody else's answer.
        assert_eq!(kills[7], "0", "{report}");
    }
}

#[test]
fn reloads_of_pm2_are_waited_for_within_bounds() {
    if !has_node() {
        return;
    }
    let report = bench(&["--part", "reloads", "--only", "run-pm2-asked"]);
    if report.contains("Not measured: PM2, program as it asks: reload ") {
        // PM2 does not always finish one; then that is told, and nobody waits for ever.
        return;
    }
    let fresh = row(&report, "reloads under load", "PM2, program as it asks");
    assert!(fresh[2].parse::<u64>().is_ok_and(|answered| answered > 0), "{report}");
    assert!(fresh.last().is_some_and(|milliseconds| milliseconds.parse::<f64>().is_ok()), "{report}");
}
