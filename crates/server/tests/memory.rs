//! Memory: more is never taken than there is, whatever comes; and what is taken is told.

#![allow(clippy::unwrap_used)]

mod harness;

use harness::pictures::{jpeg, progressive_jpeg};
use harness::{Answer, Server, children_of, signal, wait_until};
use phalanx::memory::{Group, Groups, usage_of};
use rustix::process::Signal;
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

const MIB: u64 = 1 << 20;
/// Clients of a burst.
const CLIENTS: usize = 16;
/// What the processes take beside what is reserved: buffers of connections, and what an allocator has not given back yet.
const MARGIN_BYTES: u64 = 64 * MIB;

/// In version 2 a process makes its groups once: tests of one program do not do so at the same time.
static GROUPS: Mutex<()> = Mutex::new(());

/// Runs `scene` in a control group of its own with this limit; where none can be made, says so and does nothing.
fn in_a_container_of(limit: u64, name: &str, scene: impl FnOnce(&Group)) {
    let _alone = GROUPS.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
    let groups = match Groups::find() {
        Ok(groups) => groups,
        Err(why) => return eprintln!("skipped: no control group can be made here: {why}"),
    };
    match groups.create(name, limit) {
        Ok(group) => scene(&group),
        Err(why) => eprintln!("skipped: no control group can be made here: {why}"),
    }
}

/// The same command, begun in the group.
fn within(group: &Path, command: &mut Command) {
    let mut moved = Command::new("/bin/sh");
    moved.args(["-c", "echo 0 > \"$0/cgroup.procs\" && exec \"$@\""]).arg(group);
    moved.arg(command.get_program()).args(command.get_args()).stdin(Stdio::null());
    for (name, value) in command.get_envs() {
        match value {
            Some(value) => moved.env(name, value),
            None => moved.env_remove(name),
        };
    }
    if let Some(folder) = command.get_current_dir() {
        moved.current_dir(folder);
    }
    *command = moved;
}

/// All clients at once, each with one of the pictures.
fn burst(server: &Server, pictures: &[Vec<u8>]) -> Vec<Answer> {
    std::thread::scope(|scope| {
        let clients: Vec<_> = (0..CLIENTS)
            .map(|client| scope.spawn(move || server.post("/v1/images?w=800", "", &pictures[client % pictures.len()])))
            .collect();
        clients.into_iter().map(|client| client.join().unwrap()).collect()
    })
}

/// Every answer is a picture, or says when to come again; how many pictures there are.
fn pictures_in(answers: &[Answer], server: &Server) -> usize {
    for answer in answers {
        match answer.status {
            200 => assert_eq!(answer.header("content-type"), Some("image/jpeg")),
            503 => assert!(answer.header("retry-after").unwrap().parse::<u64>().unwrap() >= 1),
            other => panic!("{other}: {}\nlog:\n{}", answer.text(), server.log()),
        }
    }
    answers.iter().filter(|answer| answer.status == 200).count()
}

fn no_burst_kills(limit: u64, name: &str, pictures: &[Vec<u8>]) {
    in_a_container_of(limit, name, |group| {
        let server = Server::start_in(&["--job-processes", "2", "--job-deadline", "60s"], |_, command| {
            within(group.folder(), command)
        });
        let budget = server.status()["workers"][0]["budget_bytes"].as_u64().unwrap();
        assert!(budget > 0 && budget < limit / 2, "{budget} of {limit}: the limit is that of the group");
        let workers = server.worker_pids();
        for picture in pictures {
            let alone = server.post("/v1/images?w=800", "", picture);
            assert_eq!(alone.status, 200, "alone: {}", alone.text());
        }
        for _ in 0..3 {
            let answers = burst(&server, pictures);
            assert!(pictures_in(&answers, &server) >= 1, "no client got a picture; log:\n{}", server.log());
        }
        assert_eq!(group.kills().unwrap_or(0), 0, "the kernel has killed; log:\n{}", server.log());
        assert_eq!(
            (server.worker_pids(), server.status()["cluster"]["memory"]["limit_source"].clone()),
            (workers, "cgroup".into())
        );
        println!("{name}: at most {} of {} MiB", group.peak_bytes().unwrap_or(0) / MIB, limit / MIB);
        assert_eq!(server.stop().code(), Some(0));
    });
}

#[test]
fn sixteen_uploads_of_24_megapixels_in_256_mib_kill_nobody_and_some_are_made() {
    no_burst_kills(256 * MIB, "burst-24", &[jpeg(6000, 4000), progressive_jpeg(6000, 4000)]);
}

#[test]
fn sixteen_uploads_of_50_megapixels_in_512_mib_kill_nobody_and_some_are_made() {
    no_burst_kills(512 * MIB, "burst-50", &[jpeg(8600, 5800), progressive_jpeg(8600, 5800)]);
}

/// The proportional memory of a process and all below it.
fn tree_bytes(pid: u32) -> u64 {
    let own = usage_of(pid).ok().and_then(|usage| usage.proportional).unwrap_or(0);
    own + children_of(pid).into_iter().map(tree_bytes).sum::<u64>()
}

#[test]
fn what_all_processes_take_is_what_they_took_at_rest_and_what_was_reserved() {
    let server = Server::start_with(&["--workers", "1", "--job-processes", "2", "--max-wait", "10s"]);
    let photo = jpeg(5472, 3648);
    burst(&server, std::slice::from_ref(&photo));
    wait_until("the last to be gone", || server.status()["workers"][0]["reserved_bytes"] == 0);
    let rests = tree_bytes(server.primary_pid());
    let over = AtomicBool::new(false);
    let peak = std::thread::scope(|scope| {
        let watching = scope.spawn(|| {
            let mut peak = 0;
            while !over.load(Ordering::Relaxed) {
                peak = peak.max(tree_bytes(server.primary_pid()));
                std::thread::sleep(Duration::from_millis(5));
            }
            peak
        });
        for _ in 0..2 {
            assert!(pictures_in(&burst(&server, std::slice::from_ref(&photo)), &server) >= 1);
        }
        over.store(true, Ordering::Relaxed);
        watching.join().unwrap()
    });
    let reserved = server.status()["workers"][0]["peak_reserved_bytes"].as_u64().unwrap();
    println!("at rest {} MiB, reserved {} MiB, peak {} MiB", rests / MIB, reserved / MIB, peak / MIB);
    assert!(reserved > photo.len() as u64, "{reserved}");
    assert!(peak <= rests + reserved + MARGIN_BYTES, "{peak} > {rests} + {reserved} + {MARGIN_BYTES}");
}

/// What the tree holds when it has stopped giving back.
fn settled_bytes(pid: u32) -> u64 {
    const QUIET: Duration = Duration::from_secs(3);
    let mut lowest = tree_bytes(pid);
    let mut fallen = Instant::now();
    wait_until("the memory to fall no more", || {
        let now = tree_bytes(pid);
        if now + MIB < lowest {
            (lowest, fallen) = (now, Instant::now());
        }
        fallen.elapsed() > QUIET
    });
    lowest
}

#[test]
fn after_a_burst_the_memory_goes_back_to_the_level_of_rest() {
    let server = Server::start_with(&["--job-processes", "2", "--max-wait", "10s"]);
    let photos = [jpeg(5472, 3648), progressive_jpeg(2400, 1600)];
    assert!(pictures_in(&burst(&server, &photos), &server) >= 1);
    let at_rest = settled_bytes(server.primary_pid());
    for _ in 0..3 {
        assert!(pictures_in(&burst(&server, &photos), &server) >= 1);
    }
    let after = tree_bytes(server.primary_pid());
    let mut left = after;
    wait_until("what is left to be at most a fifth more than at rest", || {
        left = tree_bytes(server.primary_pid());
        left <= at_rest + at_rest / 5
    });
    println!("at rest {} MiB, after bursts {} MiB, then {} MiB", at_rest / MIB, after / MIB, left / MIB);
}

#[test]
fn the_budget_is_one_for_all_workers_and_that_of_a_killed_one_is_free_again() {
    let server = Server::start_with(&["--memory", "32MiB"]);
    let half = jpeg(1600, 1200);
    let mut held = server.connect();
    held.write(format!("POST /upload HTTP/1.1\r\nhost: test\r\ncontent-length: {}\r\n\r\n", half.len()).as_bytes());
    held.write(&half[..half.len() / 2]);
    let told = |of: &str| -> Vec<u64> {
        let status = server.status();
        status["workers"].as_array().unwrap().iter().map(|worker| worker[of].as_u64().unwrap()).collect()
    };
    wait_until("the bytes to be counted", || told("reserved_bytes").iter().sum::<u64>() >= half.len() as u64 / 2);
    assert_eq!(told("budget_bytes"), [32 * MIB, 32 * MIB]);
    for _ in 0..8 {
        let memory = server.get("/readyz").json()["memory"].clone();
        assert!(memory["reserved_by_all_bytes"].as_u64().unwrap() >= half.len() as u64 / 2, "{memory}");
    }
    let holder = server.status()["workers"]
        .as_array()
        .unwrap()
        .iter()
        .find(|worker| worker["reserved_bytes"] != 0)
        .unwrap()["pid"]
        .as_u64();
    signal(holder.unwrap() as u32, Signal::KILL);
    wait_until("its part to be free", || {
        server.worker_pids().len() == 2 && server.get("/readyz").json()["memory"]["reserved_by_all_bytes"] == 0
    });
}

#[test]
fn the_figures_are_in_status_the_table_and_the_metrics() {
    let server = Server::start_with(&["--workers", "1"]);
    assert_eq!(server.post("/v1/images", "", &jpeg(640, 480)).status, 200);
    let worker = || server.status()["workers"][0].clone();
    wait_until("the first looks", || {
        ["unique_bytes", "descriptors", "anonymous_bytes"].iter().all(|name| worker()[*name] != 0)
    });
    let worker = worker();
    assert!(worker["peak_reserved_bytes"].as_u64().unwrap() > 0 && worker["reserved_bytes"] == 0, "{worker}");
    let memory = || server.status()["cluster"]["memory"].clone();
    wait_until("the first look of the primary", || memory()["limit_bytes"] != 0);
    let memory = memory();
    assert!(memory["limit_bytes"].as_u64() > memory["used_bytes"].as_u64(), "{memory}");
    let table = server.ctl(&["status"]).stdout;
    assert!(table.lines().nth(1).unwrap().starts_with("memory ") && table.contains("pressure "), "{table}");
    assert!(["UNIQUE", "LIVE", "BUDGET", "FDS"].iter().all(|column| table.contains(column)), "{table}");
    let metrics = server.get("/metrics").text();
    for family in [
        "phalanx_worker_budget_bytes{",
        "phalanx_worker_peak_reserved_bytes{",
        "phalanx_memory_limit_bytes ",
        "phalanx_memory_pressure_ratio{kind=\"some\"}",
    ] {
        assert!(metrics.contains(family), "{family} is not in\n{metrics}");
    }
}
