//! What goes wrong: floods, limits, dead parents; and that nothing is left behind.

use std::io::Write;
use std::os::fd::AsFd;
use std::time::Duration;

use phalanx_process::{Command, ExitStatus, Role, Signal, SpawnError, Stdio, blocking, die_now, take_role};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use crate::spawning::{gone, pids, runs};

crate::tests! {
    flood_nobody_reads: "a child that floods and is not read waits in the pipe, and can be killed",
    child_never_reads: "a child that never reads costs one full pipe, and can be killed",
    few_descriptors: "with 20 descriptors the error says so, and nothing leaks",
    cycles: "cycles of spawn and exit leave descriptors, threads, children and memory where they began",
    parent_dies: "a parent that is killed leaves no child that was to die with it, and no tree of it",
    dropped_spawn: "a spawn that is dropped half way leaves nothing",
    many_waiters: "exited and closed resolve for many waiters at once",
    lost_runtime: "a child that outlives its runtime leaves no zombie",
}

/// Roles of this program that tests start.
pub(crate) fn play(role: &str) {
    match role {
        "parent" => parent(),
        "starved" => starved(),
        other => panic!("unknown role {other}"),
    }
}

fn resident_kib() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find(|line| line.starts_with("VmRSS:")).unwrap();
    line.split_whitespace().nth(1).unwrap().parse().unwrap()
}

fn count(folder: &str) -> usize {
    std::fs::read_dir(folder).unwrap().count()
}

async fn flood_nobody_reads() {
    let before = resident_kib();
    let mut child = Command::new("yes").stdin(Stdio::Null).stderr(Stdio::Null).spawn().await.unwrap();
    let stdout = child.stdout.take().unwrap();
    // It has filled its pipe when the kernel says that there are 64 KiB to read.
    loop {
        if rustix::io::ioctl_fionread(&stdout).unwrap() >= 65_536 - 4096 {
            break;
        }
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    assert!(resident_kib() < before + 2048, "{before} KiB, now {}", resident_kib());
    assert!(child.kill(Signal::Kill).unwrap());
    // Both resolve although the output was never read.
    assert_eq!(child.closed().await.unwrap(), ExitStatus::Signal(9));
    let mut left = Vec::new();
    let mut stdout = stdout;
    stdout.read_to_end(&mut left).await.unwrap();
    assert!(left.len() >= 60_000);
}

async fn child_never_reads() {
    let mut child = Command::new("sleep").arg("100").spawn().await.unwrap();
    let mut stdin = child.stdin.take().unwrap();
    let chunk = [0; 4096];
    let mut written = 0;
    while let Ok(count) = tokio::time::timeout(Duration::from_millis(50), stdin.write(&chunk)).await {
        written += count.unwrap();
        assert!(written <= 1 << 20, "more than a pipe holds was taken");
    }
    child.kill(Signal::Kill).unwrap();
    assert_eq!(child.closed().await.unwrap(), ExitStatus::Signal(9));
    assert!(stdin.write(&chunk).await.is_err());
}

async fn few_descriptors() {
    let child = Role::new("starved").spawn().unwrap();
    loop {
        match child.try_wait().unwrap() {
            Some(status) => return assert_eq!(status, ExitStatus::Code(0)),
            None => tokio::time::sleep(Duration::from_millis(2)).await,
        }
    }
}

/// With 20 descriptors: children until it fails, and again when they are gone.
fn starved() {
    let _role = take_role("starved").expect("role");
    let limit = rustix::process::Rlimit { current: Some(20), maximum: Some(20) };
    rustix::process::setrlimit(rustix::process::Resource::Nofile, limit).unwrap();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let warm = Command::new("true").spawn().await.unwrap();
        warm.exited().await.unwrap();
        drop(warm);
        let open = count("/proc/self/fd");
        for _ in 0..3 {
            let mut children = Vec::new();
            let refused = loop {
                assert!(children.len() < 20, "no limit was reached");
                match Command::new("sleep").arg("100").kill_on_drop().spawn().await {
                    Ok(child) => children.push(child),
                    Err(refused) => break refused,
                }
            };
            assert!(matches!(refused, SpawnError::TooManyOpenFiles), "{refused}");
            assert!(!children.is_empty());
            for child in children {
                let pid = child.pid();
                drop(child);
                gone(pid).await;
            }
            // The reaper closes the last pidfd right after it has reaped.
            while count("/proc/self/fd") > open {
                tokio::time::sleep(Duration::from_millis(1)).await;
            }
        }
    });
    die_now(0);
}

/// Cycles in CI; all 10 000 with `PHALANX_NIGHTLY`.
fn cycles_to_do() -> usize {
    if std::env::var_os("PHALANX_NIGHTLY").is_some() { 10_000 } else { 1_000 }
}

async fn cycles() {
    let cycle = async |number: usize| {
        let command = Command::new("true");
        match number % 4 {
            // Waited for; dropped at once; killed; blocking.
            0 => assert!(command.spawn().await.unwrap().closed().await.unwrap().success()),
            1 => drop(command.spawn().await.unwrap()),
            2 => {
                let child = Command::new("sleep").arg("100").spawn().await.unwrap();
                child.kill(Signal::Kill).unwrap();
                child.exited().await.unwrap();
            }
            _ => assert!(blocking::spawn(command).unwrap().wait().unwrap().success()),
        }
    };
    for number in 0..200 {
        cycle(number).await;
    }
    // Those that were dropped are reaped by another thread.
    no_children().await;
    let before = (count("/proc/self/fd"), count("/proc/self/task"));
    let memory = resident_kib();
    for number in 0..cycles_to_do() {
        cycle(number).await;
    }
    no_children().await;
    while (count("/proc/self/fd"), count("/proc/self/task")) != before {
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
    assert!(resident_kib() < memory + 1024, "{memory} KiB before, {} KiB after", resident_kib());
}

async fn parent_dies() {
    let (ours, theirs) = std::os::unix::net::UnixStream::pair().unwrap();
    let parent = Role::new("parent").descriptor("socket", theirs.as_fd()).spawn().unwrap();
    drop(theirs);
    ours.set_nonblocking(true).unwrap();
    let mut ours = tokio::net::UnixStream::from_std(ours).unwrap();
    let mut said = Vec::new();
    while said.iter().filter(|byte| **byte == b'\n').count() < 3 {
        assert_ne!(ours.read_buf(&mut said).await.unwrap(), 0);
    }
    let below: Vec<u32> = String::from_utf8(said).unwrap().lines().map(|line| line.parse().unwrap()).collect();
    assert!(below.iter().all(|pid| runs(*pid)));
    parent.kill(Signal::Kill).unwrap();
    for pid in below {
        while runs(pid) {
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
    }
    while parent.try_wait().unwrap().is_none() {
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
}

/// Starts a child that shall die with it, and one with a tree; tells their numbers and that of a daemon below.
fn parent() {
    let socket = take_role("parent").expect("role").take("socket").expect("socket");
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let alone = Command::new("sleep").arg("100").die_with_parent().spawn().await.unwrap();
        let mut tree = Command::shell("(setsid sh -c 'echo $$; exec sleep 100' &); exec sleep 100")
            .own_tree()
            .spawn()
            .await
            .unwrap();
        let daemon = pids(&mut tree, 1).await[0];
        let mut socket = std::os::unix::net::UnixStream::from(socket);
        socket.write_all(format!("{}\n{}\n{daemon}\n", alone.pid(), tree.pid()).as_bytes()).unwrap();
        std::future::pending::<()>().await;
    });
}

async fn dropped_spawn() {
    for polls in 0..8 {
        let mut spawning = Box::pin(Command::new("sleep").arg("100").kill_on_drop().nice(1).spawn());
        for _ in 0..polls {
            tokio::select! {
                biased;
                _ = &mut spawning => break,
                () = tokio::task::yield_now() => {}
            }
            std::thread::yield_now();
        }
        drop(spawning);
    }
    // Every child of this process, running or not, goes away.
    no_children().await;
}

/// Waits until this process has no child, not even a zombie.
async fn no_children() {
    use rustix::process::{WaitId, WaitIdOptions};
    let look = WaitIdOptions::EXITED | WaitIdOptions::NOHANG | WaitIdOptions::NOWAIT;
    while rustix::process::waitid(WaitId::All, look).is_ok() {
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
}

async fn many_waiters() {
    let child = std::sync::Arc::new(Command::shell("read line; exit 9").spawn().await.unwrap());
    let mut waiters = tokio::task::JoinSet::new();
    for number in 0..50 {
        let child = child.clone();
        waiters.spawn(async move { if number % 2 == 0 { child.exited().await } else { child.closed().await } });
    }
    tokio::task::yield_now().await;
    child.kill(Signal::Kill).unwrap();
    while let Some(status) = waiters.join_next().await {
        assert_eq!(status.unwrap().unwrap(), ExitStatus::Signal(9));
    }
}

async fn lost_runtime() {
    let pid = std::thread::spawn(|| {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let child = runtime.block_on(Command::new("sleep").arg("0.05").spawn()).unwrap();
        drop(runtime);
        child.pid()
    })
    .join()
    .unwrap();
    gone(pid).await;
}
