//! What becomes of what the workers write.

use std::fs::File;
use std::io::Read;
use std::os::unix::fs::OpenOptionsExt;

use rustix::process::Signal;

use super::asking::{Controlled, Lines};
use crate::Test;
use crate::client::{Outcome, ask as request};
use crate::process::{lives, send, soon, until};

pub(crate) const TESTS: &[Test] = &[
    ("each line of the log has the number of its worker", numbered),
    ("the last words of a worker that dies are in the log", last_words),
    ("a full file is put aside and the oldest goes", rotated),
    ("after SIGUSR1 the log goes on in a new file", reopened),
    ("100 MB into a log that nobody reads cost no worker time, and no memory", unread),
    ("a killed front loses nothing of what was still in the pipes", front_killed),
    ("the last lines can be asked for, and followed", asked_for),
];

/// Most memory that a front ever had with a log that nobody reads, in KiB, in a build without optimisation.
const MOST_KIB: u64 = 24 * 1024;

fn say(cluster: &mut Controlled, text: &str) {
    let address = cluster.running.address();
    assert!(matches!(request(address, &format!("/say?{text}")), Outcome::Ok(_)));
}

fn numbered() {
    let mut cluster = Controlled::ready("logged");
    say(&mut cluster, "hello%20there");
    say(&mut cluster, "{%22level%22:%22info%22}");
    let log = until(soon(), "both lines", || {
        Some(cluster.log()).filter(|log| log.contains("hello") && log.contains("level"))
    });
    let line = |part: &str| log.lines().find(|line| line.contains(part)).unwrap().to_owned();
    assert!(["worker 1 | hello there", "worker 2 | hello there"].contains(&line("hello").as_str()), "{log}");
    let json: serde_json::Value = serde_json::from_str(&line("level")).unwrap();
    assert!(json["level"] == "info" && json["worker"].as_u64().is_some_and(|worker| worker == 1 || worker == 2));
    assert!(log.contains("primary | worker 1 is ready after"), "{log}");
}

fn last_words() {
    let mut cluster = Controlled::ready("logged");
    let address = cluster.running.address();
    assert_eq!(request(address, "/die"), Outcome::ResetAfterSend);
    cluster.running.wait_for("died");
    until(soon(), "the last words", || cluster.log().contains(" | my last wor…\n").then_some(()));
}

fn rotated() {
    let mut cluster = Controlled::ready("rotated");
    let address = cluster.running.address();
    assert!(matches!(request(address, "/storm?300"), Outcome::Ok(_)));
    let last = format!("{:0>999}", 299);
    until(soon(), "the last line", || cluster.log().contains(&last).then_some(()));
    let size = |name: &str| std::fs::metadata(cluster.folder.path().join(name)).map(|file| file.len());
    for name in ["log.1", "log.2"] {
        let bytes = size(name).unwrap();
        assert!(bytes <= 64 << 10 && bytes > 60 << 10, "{name}: {bytes}");
    }
    assert!(size("log").unwrap() <= 64 << 10 && size("log.3").is_err());
}

fn reopened() {
    let mut cluster = Controlled::ready("logged");
    say(&mut cluster, "before");
    until(soon(), "the first line", || cluster.log().contains("before").then_some(()));
    let moved = cluster.folder.path().join("moved");
    std::fs::rename(cluster.folder.path().join("log"), &moved).unwrap();
    cluster.running.signal(Signal::USR1);
    until(soon(), "a new file", || {
        say(&mut cluster, "after");
        cluster.log().contains("after").then_some(())
    });
    assert!(std::fs::read_to_string(moved).unwrap().contains("before") && !cluster.log().contains("before"));
}

fn unread() {
    let mut cluster = Controlled::start_with("unread", 2, |folder| {
        let path = folder.join("log");
        rustix::fs::mknodat(rustix::fs::CWD, &path, rustix::fs::FileType::Fifo, rustix::fs::Mode::RWXU, 0).unwrap();
    });
    cluster.running.wait_for("is ready");
    cluster.running.wait_for("is ready");
    // Open, so that the front can write, and full soon.
    let path = cluster.folder.path().join("log");
    let flags = rustix::fs::OFlags::NONBLOCK.bits() as i32;
    let mut log = File::options().read(true).write(true).custom_flags(flags).open(path).unwrap();
    let address = cluster.running.address();
    let front = cluster.front();
    assert!(matches!(request(address, "/storm?100000"), Outcome::Ok(_)));
    assert_eq!(cluster.front(), front, "the front was replaced");
    let memory = std::fs::read_to_string(format!("/proc/{front}/status")).unwrap();
    let peak = memory.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap().trim().trim_end_matches(" kB");
    assert!(peak.parse::<u64>().unwrap() < MOST_KIB, "{peak} KiB");
    until(soon(), "the dropped lines to be counted", || {
        (cluster.figure("phalanx_log_lines_dropped_total") > 90_000.0).then_some(())
    });
    assert_eq!(cluster.get("/logs?lines=1").body.trim_end().rsplit(' ').next().unwrap(), format!("{:0>999}", 99_999));
    // Once somebody reads, the log says what is missing.
    let mut text = String::new();
    until(soon(), "the number of dropped lines", || {
        let mut buffer = [0; 65536];
        if let Ok(count) = log.read(&mut buffer) {
            text.push_str(&String::from_utf8_lossy(&buffer[..count]));
        }
        text.contains("lines of the workers were dropped").then_some(())
    });
}

fn front_killed() {
    let mut cluster = Controlled::ready("logged");
    // While there is no front, what is written waits in the pipe.
    let front = cluster.front();
    send(front, Signal::KILL);
    until(soon(), "the end of the front", || (!lives(front)).then_some(()));
    for number in 0..20 {
        say(&mut cluster, &format!("line-{number}."));
    }
    // Each worker has a pipe of its own: the lines of one may come before those of another.
    for number in 0..20 {
        let line = format!("line-{number}.");
        until(soon(), &line, || cluster.log().contains(&line).then_some(()));
    }
}

fn asked_for() {
    let mut cluster = Controlled::ready("logged");
    say(&mut cluster, "first");
    until(soon(), "the line", || cluster.get("/logs?lines=5").body.contains("first").then_some(()));
    let mut lines = Lines::open(&cluster.socket(), "/logs?lines=5&follow=1");
    lines.until("| first");
    say(&mut cluster, "second");
    let line = lines.until("| second");
    let worker = line.trim_start_matches("worker ").split(' ').next().unwrap().to_owned();
    assert!(cluster.get(&format!("/logs?worker={worker}")).body.contains("second"));
    assert!(!cluster.get(&format!("/logs?worker={}", 99)).body.contains("second"));
    assert_eq!(cluster.get("/logs?lines=1").body.lines().count(), 1);
}
