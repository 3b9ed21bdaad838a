//! Workers that have had their share, and what they may use.

use crate::Test;
use crate::client::{Outcome, ask};
use crate::faults::Load;
use crate::process::{lives, soon, until};
use crate::reload::Ordered;

pub(crate) const TESTS: &[Test] = &[
    ("recycle: after their requests workers are replaced, new first, and no request fails", by_requests),
    ("recycle: after their lifetime workers are replaced, one at a time", by_lifetime),
    ("recycle: above the soft limit of memory a worker is replaced, new first", by_soft_memory),
    ("confined: workers have their niceness, limits and processors, and the primary has not", confined),
];

/// In the order of the lines, a worker leaves only when as many as before serve without it.
fn never_below(lines: &[String], workers: usize) {
    let (mut serving, mut recycled) = (0usize, 0);
    for line in lines {
        if line.contains("is ready") {
            serving += 1;
        } else if line.contains("leaves") {
            assert!(serving > workers, "a worker left before its successor was there: {lines:#?}");
            (serving, recycled) = (serving - 1, recycled + 1);
        }
    }
    assert!(recycled >= 3, "{lines:#?}");
}

fn by_requests() {
    let mut ordered = Ordered::ready("-requests", "ok");
    let load = Load::start(ordered.cluster.address(), 4, "/");
    (0..4).for_each(|_| drop(ordered.cluster.wait_for("left with")));
    let counts = load.finish();
    assert_eq!(counts.keys().copied().collect::<Vec<_>>(), ["ok"], "{counts:?}");
    assert!(ordered.cluster.lines().iter().any(|line| line.contains("is recycled: it has begun")));
    never_below(ordered.cluster.lines(), 2);
}

fn by_lifetime() {
    let mut ordered = Ordered::ready("-lifetime", "ok");
    (0..4).for_each(|_| drop(ordered.cluster.wait_for("left with")));
    assert!(ordered.cluster.lines().iter().any(|line| line.contains("is recycled: it has served")));
    never_below(ordered.cluster.lines(), 2);
}

fn by_soft_memory() {
    let mut ordered = Ordered::ready("-soft-memory", "ok");
    let Outcome::Ok(fat) = ask(ordered.cluster.address(), "/eat") else { panic!("no answer") };
    let line = ordered.cluster.wait_for("is recycled");
    assert!(line.contains("MiB of memory"), "{line}");
    until(soon(), "the fat one to be gone", || (!lives(fat)).then_some(()));
    assert!(!ordered.cluster.lines().iter().any(|line| line.contains("killed")));
}

fn confined() {
    let ordered = Ordered::ready("-nice", "ok");
    let nice = |pid: u32| {
        let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap();
        stat.rsplit(')').next().unwrap().split_whitespace().nth(16).unwrap().parse::<i32>().unwrap()
    };
    let read = |pid: u32, file: &str| std::fs::read_to_string(format!("/proc/{pid}/{file}")).unwrap();
    let allowed = |pid: u32| {
        let status = read(pid, "status");
        status.lines().find_map(|line| line.strip_prefix("Cpus_allowed_list:")).unwrap().trim().to_owned()
    };
    let primary = ordered.cluster.primary();
    let workers = ordered.cluster.workers();
    for worker in &workers {
        assert_eq!(nice(*worker), nice(primary) + 5);
        let limits = read(*worker, "limits");
        let files = limits.lines().find(|line| line.starts_with("Max open files")).unwrap();
        assert_eq!(files.split_whitespace().nth(3), Some("300"), "{files}");
        assert!(allowed(*worker).parse::<usize>().is_ok(), "one processor: {}", allowed(*worker));
    }
    if std::thread::available_parallelism().unwrap().get() > 1 {
        assert_ne!(allowed(workers[0]), allowed(workers[1]));
    }
}
