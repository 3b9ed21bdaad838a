//! `bench queue` on the smallest scale: each contender that can be measured here is, and every target gets its figures.

use std::process::{Command, Stdio};

/// What the case prints.
fn bench(arguments: &[&str]) -> String {
    let output = Command::new(env!("CARGO_BIN_EXE_phalanx-bench"))
        .args(["queue", "--quick", "--seconds", "0.3"])
        .args(arguments)
        .stdin(Stdio::null())
        .output()
        .expect("the bench starts");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).expect("it prints text")
}

/// Whether the program is built (feature `queue`), and all of `programs` are installed.
fn can_run(programs: &[&str]) -> bool {
    let is_missing = |program: &&&str| {
        let found = Command::new("sh").args(["-c", &format!("command -v {program}")]).stdout(Stdio::null()).status();
        !found.is_ok_and(|status| status.success())
    };
    let packages = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("peers/node/node_modules");
    let missing = match programs.iter().find(is_missing) {
        Some(program) => Some(*program),
        None if programs.contains(&"node") && !packages.is_dir() => Some("the packages of the Node peers"),
        None if !cfg!(feature = "queue") => Some("the feature `queue`"),
        None => None,
    };
    if let Some(missing) = missing {
        assert!(std::env::var("CI").as_deref() != Ok("true"), "{missing} is missing");
        println!("skipped without {missing}");
    }
    missing.is_none()
}

/// The cell of a row, the name being cell 1.
fn cell<'a>(report: &'a str, name: &str, number: usize) -> &'a str {
    let row = report.lines().find(|line| line.starts_with(&format!("| {name} "))).unwrap_or_default();
    row.split('|').nth(number).unwrap_or_default().trim()
}

/// Measures `contenders`, and once more if one gave no figures: brokers and Node starve at times beside other tests.
fn measured(arguments: &[&str], contenders: &[&str]) -> String {
    let report = bench(arguments);
    let report = if is_measured(&report, contenders) { report } else { bench(arguments) };
    assert!(is_measured(&report, contenders), "{report}");
    report
}

fn is_measured(report: &str, contenders: &[&str]) -> bool {
    let has_figure = |contender: &&str| cell(report, contender, 2).parse::<f64>().is_ok_and(|figure| figure > 0.0);
    !report.contains("Not measured") && contenders.iter().all(has_figure)
}

#[test]
fn jobs_are_measured_on_the_bare_owner_and_on_both_kinds_of_redis() {
    if can_run(&["node", "redis-server"]) {
        let names =
            ["bare owner + SQLite, group commit", "BullMQ, Redis, appendfsync always", "BullMQ, Redis, no file at all"];
        let report = measured(&["--only", "bare-owner,bullmq-always,bullmq-memory"], &names);
        assert!(report.contains("`fdatasync`ed a second"), "{report}");
    }
}

#[test]
fn messages_through_rabbitmq_are_measured_by_hand_and_by_amqplib() {
    if can_run(&["node", "/usr/lib/rabbitmq/bin/rabbitmq-server"]) {
        measured(&["--only", "bare-lapin,amqplib"], &["bare lapin", "amqplib"]);
    }
}

#[test]
fn messages_through_kafka_are_measured_by_hand() {
    if can_run(&["java", "mvn"]) {
        measured(&["--only", "bare-rdkafka"], &["bare rdkafka"]);
    }
}

#[test]
fn jobs_in_postgresql_are_measured_by_hand_and_by_bullmq() {
    if can_run(&["node", "pg_ctlcluster"]) {
        let names = ["bare SKIP LOCKED", "BullMQ, PostgreSQL, results unread"];
        measured(&["--only", "bare-postgres,bullmq-postgres"], &names);
    }
}
