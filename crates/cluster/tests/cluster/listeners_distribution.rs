//! How connections come to the workers, and what that costs when something dies.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::io::{Read, Write};
use std::net::{IpAddr, Ipv4Addr, SocketAddr, TcpStream};
use std::time::{Duration, Instant};

use rustix::process::Signal;
use socket2::{Domain, Socket, Type};

use crate::Test;
use crate::client::{KeepAlive, Outcome, ask, body};
use crate::faults::Load;
use crate::listeners::start;
use crate::orders::install;
use crate::process::{DEADLINE, Running, lives, send, soon, until};

pub(crate) const TESTS: &[Test] = &[
    ("in every mode all workers serve", all_serve),
    ("in every mode kill -9 of workers under load fails only connections that they had accepted", kill_loop),
    ("in every mode kill -9 of all workers loses nothing that waits", all_dead),
    ("in every mode a stopping cluster answers what it was asked", stops_cleanly),
    ("in every mode SIGTERM to a worker under load loses nothing", told_to_leave),
    ("in every mode reloads under load lose nothing", reloaded),
    ("in every mode upgrades under load lose nothing", upgraded),
    ("in every mode the listeners close while no worker can start, and open again at the same address", idle),
    ("a scaled-down place's socket is served by the others", scaled_down),
    ("a stopped worker costs no new connection behind a dispatcher", stopped_worker),
    ("kill -9 of the dispatcher loses nothing that waits, and the next one goes on", dispatcher_killed),
    ("a stopped dispatcher is replaced", dispatcher_stopped),
    ("kill -9 of the primary leaves no dispatcher behind, and the port is free", primary_killed),
    ("round-robin is exact, least-loaded is even", evenness),
    ("sticky keeps a client at its place, and only a lost worker's clients move meanwhile", sticky),
];

const ALL: [&str; 5] = ["shared", "reuseport", "round-robin", "least-loaded", "sticky"];
const DISPATCHED: [&str; 3] = ["round-robin", "least-loaded", "sticky"];

fn ready(distribution: &str, workers: &str) -> Running {
    let mut cluster = start("127.0.0.1:0", &[("TEST_DISTRIBUTION", distribution), ("TEST_WORKERS", workers)]);
    for _ in 0..workers.parse().unwrap() {
        cluster.wait_for("is ready");
    }
    cluster
}

/// Process ids of the workers, without a dispatcher.
fn workers(cluster: &Running) -> Vec<u32> {
    cluster.workers().into_iter().filter(|pid| is_worker(*pid)).collect()
}

fn dispatcher(cluster: &Running) -> Option<u32> {
    cluster.workers().into_iter().find(|pid| !is_worker(*pid))
}

/// A worker has a thread for its life-line.
fn is_worker(pid: u32) -> bool {
    std::fs::read_dir(format!("/proc/{pid}/task")).is_ok_and(|tasks| tasks.count() > 1)
}

/// A client with an address of its own: all of 127.0.0.0/8 is this machine.
fn ask_from(client: Ipv4Addr, address: SocketAddr) -> Outcome {
    let socket = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
    socket.bind(&SocketAddr::new(IpAddr::V4(client), 0).into()).unwrap();
    socket.connect_timeout(&address.into(), DEADLINE).unwrap();
    let mut stream = TcpStream::from(socket);
    stream.set_read_timeout(Some(DEADLINE)).unwrap();
    stream.write_all(b"GET / HTTP/1.1\r\nhost: test\r\nconnection: close\r\n\r\n").unwrap();
    let mut answer = String::new();
    match stream.read_to_string(&mut answer) {
        Ok(_) => body(&answer).and_then(|pid| pid.parse().ok()).map_or(Outcome::WrongAnswer, Outcome::Ok),
        Err(_) => Outcome::ResetAfterSend,
    }
}

fn client(number: usize) -> Ipv4Addr {
    Ipv4Addr::new(127, 0, 1 + (number / 250) as u8, 1 + (number % 250) as u8)
}

fn never(counts: &BTreeMap<&'static str, u64>, what: &[&str], distribution: &str) {
    assert!(counts.get("ok").copied().unwrap_or(0) > 10, "{distribution}: no load: {counts:?}");
    for outcome in what {
        assert_eq!(counts.get(outcome), None, "{distribution}: {counts:?}");
    }
}

const NOTHING_ELSE: &[&str] = &["refused", "timed out", "wrong answer", "reset before send", "reset after send"];

fn all_serve() {
    for distribution in ALL {
        let mut cluster = ready(distribution, "3");
        let address = cluster.address();
        let all: HashSet<u32> = workers(&cluster).into_iter().collect();
        let mut seen = HashSet::new();
        let mut number = 0;
        until(soon(), "an answer of each worker", || {
            match ask_from(client(number % 200), address) {
                Outcome::Ok(pid) => seen.insert(pid),
                other => panic!("{distribution}: {other:?}"),
            };
            number += 1;
            (seen == all).then_some(())
        });
    }
}

fn kill_loop() {
    for distribution in ALL {
        let mut cluster = ready(distribution, "2");
        let address = cluster.address();
        let load = Load::start(address, 24, "/spin");
        let mut kills = 0;
        let end = Instant::now() + Duration::from_secs(2);
        while Instant::now() < end {
            let workers = workers(&cluster);
            let Some(victim) = workers.get(kills % workers.len().max(1)) else { continue };
            send(*victim, Signal::KILL);
            kills += 1;
            cluster.wait_for("is ready");
            let next = Instant::now() + Duration::from_millis(50);
            until(next + Duration::from_secs(1), "the next kill", || (Instant::now() >= next).then_some(()));
        }
        let counts = load.finish();
        cluster.signal(Signal::TERM);
        cluster.wait();
        let held: u64 = cluster
            .lines()
            .iter()
            .filter(|line| line.contains("died"))
            .filter_map(|line| line.split("with ").nth(1)?.split(' ').next()?.parse::<u64>().ok())
            .sum();
        let failed: u64 = ["reset before send", "reset after send"].iter().filter_map(|name| counts.get(name)).sum();
        println!("  {distribution}: {kills} kills, {held} connections held by the killed, outcomes {counts:?}");
        never(&counts, &["refused", "timed out", "wrong answer"], distribution);
        assert!(failed <= held, "{distribution}: {failed} failed, but the killed held only {held}");
    }
}

fn all_dead() {
    for distribution in ALL {
        let mut cluster = ready(distribution, "2");
        let address = cluster.address();
        let load = Load::start(address, 16, "/");
        for _ in 0..5 {
            workers(&cluster).into_iter().for_each(|pid| send(pid, Signal::KILL));
            cluster.wait_for("is ready");
            cluster.wait_for("is ready");
        }
        let counts = load.finish();
        never(&counts, &["refused", "timed out", "wrong answer"], distribution);
    }
}

fn stops_cleanly() {
    for distribution in ALL {
        let mut cluster = ready(distribution, "2");
        let address = cluster.address();
        let mut idle = KeepAlive::open(address);
        idle.request("/");
        idle.pid();
        let mut busy = KeepAlive::open(address);
        busy.request("/slow?300");
        // It was read when others that came later are answered.
        (0..20).for_each(|_| assert!(matches!(ask(address, "/"), Outcome::Ok(_))));
        cluster.signal(Signal::TERM);
        busy.pid();
        assert_eq!(idle.rest(), Ok(String::new()), "{distribution}");
        assert_eq!(cluster.wait().0.code(), Some(0), "{distribution}");
        assert_eq!(ask(address, "/"), Outcome::Refused, "{distribution}");
    }
}

fn told_to_leave() {
    for distribution in ALL {
        let mut cluster = ready(distribution, "2");
        let address = cluster.address();
        let load = Load::start(address, 8, "/");
        for _ in 0..4 {
            let victim = workers(&cluster)[0];
            send(victim, Signal::TERM);
            cluster.wait_for("code 0");
            cluster.wait_for("is ready");
        }
        let counts = load.finish();
        never(&counts, NOTHING_ELSE, distribution);
    }
}

/// A cluster whose executable can be replaced.
fn installed(distribution: &str, folder: &std::path::Path) -> Running {
    let (program, settings) = (folder.join("program"), folder.join("settings"));
    install(&program, "1");
    std::fs::write(&settings, "ok").unwrap();
    let mut cluster = Running::start_file(&program, "orders", |command| {
        command.env("TEST_SETTINGS", &settings).env("TEST_DISTRIBUTION", distribution);
    });
    cluster.wait_for("is ready");
    cluster.wait_for("is ready");
    cluster
}

fn reloaded() {
    for distribution in ALL {
        let folder = tempfile::tempdir().unwrap();
        let mut cluster = installed(distribution, folder.path());
        let load = Load::start(cluster.address(), 8, "/");
        for _ in 0..4 {
            let before = workers(&cluster);
            cluster.signal(Signal::HUP);
            let line = cluster.wait_for_either("is done", "failed:");
            assert!(line.contains("is done"), "{distribution}: {line}");
            until(soon(), "the old workers to be gone", || (!before.iter().any(|pid| lives(*pid))).then_some(()));
        }
        let counts = load.finish();
        println!("  {distribution}: 4 reloads, outcomes {counts:?}");
        never(&counts, NOTHING_ELSE, distribution);
    }
}

fn upgraded() {
    for distribution in ALL {
        let folder = tempfile::tempdir().unwrap();
        let mut cluster = installed(distribution, folder.path());
        let load = Load::start(cluster.address(), 8, "/");
        for round in 2..=4 {
            let before = workers(&cluster);
            install(&folder.path().join("program"), &round.to_string());
            cluster.signal(Signal::USR2);
            let line = cluster.wait_for_either("is done", "failed:");
            assert!(line.contains("is done"), "{distribution}: {line}");
            until(soon(), "the old workers to be gone", || (!before.iter().any(|pid| lives(*pid))).then_some(()));
        }
        let counts = load.finish();
        println!("  {distribution}: 3 upgrades, outcomes {counts:?}");
        never(&counts, NOTHING_ELSE, distribution);
        cluster.signal(Signal::TERM);
        assert_eq!(cluster.wait().0.code(), Some(0), "{distribution}");
    }
}

fn idle() {
    let clusters = ALL.map(|distribution| {
        std::thread::spawn(move || {
            let folder = tempfile::tempdir().unwrap();
            let spoiled = folder.path().join("spoiled");
            let mut cluster = Running::start_with("spoilt", |command| {
                command.env("TEST_SPOILED", &spoiled).env("TEST_DISTRIBUTION", distribution);
            });
            cluster.wait_for("is ready");
            cluster.wait_for("is ready");
            let address = cluster.address();
            std::fs::write(&spoiled, "").unwrap();
            workers(&cluster).into_iter().for_each(|pid| send(pid, Signal::KILL));
            cluster.wait_for("the listeners are closed");
            until(soon(), "a refusal", || (ask(address, "/") == Outcome::Refused).then_some(()));
            std::fs::remove_file(&spoiled).unwrap();
            // The breakers are open; a reload tries again at once.
            cluster.signal(Signal::HUP);
            cluster.wait_for("is ready");
            until(soon(), "an answer", || matches!(ask(address, "/"), Outcome::Ok(_)).then_some(()));
        })
    });
    clusters.into_iter().for_each(|cluster| cluster.join().unwrap());
}

fn scaled_down() {
    let mut cluster = ready("reuseport", "3");
    let address = cluster.address();
    let load = Load::start(address, 8, "/");
    for _ in 0..2 {
        cluster.signal(Signal::TTOU);
        cluster.wait_for("is done");
        cluster.wait_for("left with");
    }
    assert_eq!(workers(&cluster).len(), 1);
    // With three sockets in the group, a third of these would wait for ever.
    (0..60).for_each(|_| assert!(matches!(ask(address, "/"), Outcome::Ok(_))));
    cluster.signal(Signal::TTIN);
    cluster.wait_for("is ready");
    let counts = load.finish();
    never(&counts, NOTHING_ELSE, "reuseport");
}

fn stopped_worker() {
    for distribution in DISPATCHED {
        let mut cluster = ready(distribution, "2");
        let address = cluster.address();
        let workers = workers(&cluster);
        send(workers[0], Signal::STOP);
        let state = || std::fs::read_to_string(format!("/proc/{}/stat", workers[0])).unwrap();
        until(soon(), "the worker to stand still", || state().contains(") T ").then_some(()));
        let outcomes: Vec<Outcome> = (0..200).map(|number| ask_from(client(number), address)).collect();
        send(workers[0], Signal::CONT);
        assert!(outcomes.iter().all(|outcome| *outcome == Outcome::Ok(workers[1])), "{distribution}: {outcomes:?}");
        // It gets its share again.
        until(soon(), "an answer of the worker that goes on", || {
            let seen: HashSet<Outcome> = (0..50).map(|number| ask_from(client(number), address)).collect();
            seen.contains(&Outcome::Ok(workers[0])).then_some(())
        });
    }
}

fn dispatcher_killed() {
    for distribution in DISPATCHED {
        let mut cluster = ready(distribution, "2");
        let address = cluster.address();
        let load = Load::start(address, 16, "/");
        for _ in 0..8 {
            let pid = until(soon(), "a dispatcher", || dispatcher(&cluster));
            assert!(matches!(ask(address, "/"), Outcome::Ok(_)));
            send(pid, Signal::KILL);
            until(soon(), "its end", || (!lives(pid)).then_some(()));
        }
        let counts = load.finish();
        println!("  {distribution}: 8 dispatchers killed, outcomes {counts:?}");
        never(&counts, &["refused", "timed out", "wrong answer"], distribution);
        // It accepts four at once, and offers them at once.
        let lost: u64 = ["reset before send", "reset after send"].iter().filter_map(|name| counts.get(name)).sum();
        assert!(lost <= 8 * 4, "{distribution}: {counts:?}");
        cluster.signal(Signal::TERM);
        assert_eq!(cluster.wait().0.code(), Some(0));
    }
}

fn dispatcher_stopped() {
    let mut cluster = ready("round-robin", "2");
    let address = cluster.address();
    let pid = until(soon(), "a dispatcher", || dispatcher(&cluster));
    send(pid, Signal::STOP);
    let waiting = std::thread::spawn(move || ask(address, "/"));
    until(soon(), "its end", || (!lives(pid)).then_some(()));
    let outcome = waiting.join().unwrap();
    assert!(matches!(outcome, Outcome::Ok(_)), "{outcome:?}");
}

fn primary_killed() {
    for distribution in ["round-robin", "reuseport"] {
        let mut cluster = ready(distribution, "2");
        let address = cluster.address();
        let all = cluster.workers();
        cluster.signal(Signal::KILL);
        until(soon(), "all to be gone", || (!all.iter().any(|pid| lives(*pid))).then_some(()));
        until(soon(), "the port to be free", || std::net::TcpListener::bind(address).ok());
    }
}

fn evenness() {
    for distribution in ALL {
        let mut cluster = ready(distribution, "4");
        let address = cluster.address();
        let mut clients: Vec<KeepAlive> = (0..64).map(|_| KeepAlive::open(address)).collect();
        let mut shares: HashMap<u32, usize> = HashMap::new();
        for client in &mut clients {
            client.request("/");
            *shares.entry(client.pid()).or_default() += 1;
        }
        let mut shares: Vec<usize> = shares.into_values().collect();
        shares.sort_unstable();
        println!("  {distribution}: 64 lasting connections over 4 workers: {shares:?}");
        match distribution {
            "round-robin" => assert_eq!(shares, [16, 16, 16, 16]),
            "least-loaded" => assert!(shares.len() == 4 && shares[3] <= 20, "{shares:?}"),
            _ => {}
        }
    }
}

fn sticky() {
    const CLIENTS: usize = 60;
    let mut cluster = ready("sticky", "3");
    let address = cluster.address();
    let homes = |cluster: &Running| -> Vec<u32> {
        let _ = cluster;
        (0..CLIENTS)
            .map(|number| match ask_from(client(number), address) {
                Outcome::Ok(pid) => pid,
                other => panic!("{other:?}"),
            })
            .collect()
    };
    let before = homes(&cluster);
    assert_eq!(homes(&cluster), before, "a client moved without a reason");
    let all = workers(&cluster);
    send(all[0], Signal::STOP);
    // It is found silent with the first client that it should have.
    let meanwhile = homes(&cluster);
    send(all[0], Signal::CONT);
    for (was, is) in before.iter().zip(&meanwhile) {
        assert_eq!(*was != all[0], was == is, "only the clients of the stopped worker move");
    }
    until(soon(), "everybody to be back", || (homes(&cluster) == before).then_some(()));
    // A replacement takes over the clients of its place.
    send(all[1], Signal::KILL);
    cluster.wait_for("is ready");
    let new = workers(&cluster).into_iter().find(|pid| !all.contains(pid)).unwrap();
    let after = until(soon(), "the replacement to be chosen", || {
        let after = homes(&cluster);
        after.contains(&new).then_some(after)
    });
    for (was, is) in before.iter().zip(&after) {
        assert_eq!(if *was == all[1] { new } else { *was }, *is);
    }
}
