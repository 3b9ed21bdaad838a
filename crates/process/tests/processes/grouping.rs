//! Groups and trees.

use std::time::Duration;

use phalanx_process::{Command, ExitStatus, Group, Signal, Stdio, kill_tree};

use crate::spawning::{pids, runs};

crate::tests! {
    first_failure: "the first failure ends all others with everything below them, and is named",
    all_well: "children that all end well are waited for, and one signal reaches all",
    dropped: "a dropped group is killed",
    whole_tree: "kill_tree ends four generations, whoever forks meanwhile",
    orphans_of_the_group: "kill_tree finds orphans in the process group of the child",
    terminate_reaches_all: "kill_tree with another signal reaches all and stops nobody for good",
    not_ourselves: "the tree of this process or of one above it is refused",
}

fn quiet(line: &str) -> Command {
    Command::shell(line).stdin(Stdio::Null).stderr(Stdio::Null)
}

async fn first_failure() {
    let mut group = Group::new().grace(Duration::from_millis(200));
    group.spawn(quiet("sh -c 'trap \"\" TERM; echo $$; while :; do sleep 1; done' & wait")).await.unwrap();
    let stubborn = pids(group.child(0).unwrap(), 1).await[0];
    group.spawn(quiet("exit 3")).await.unwrap();
    group.spawn(quiet("exec sleep 100")).await.unwrap();
    let outcome = group.wait_all().await.unwrap();
    assert_eq!(outcome.first_failure, Some(1));
    assert_eq!(outcome.statuses, [ExitStatus::Signal(15), ExitStatus::Code(3), ExitStatus::Signal(15)]);
    assert!(!runs(stubborn));
    assert_eq!(group.wait_all().await.unwrap(), outcome);
    assert!(outcome.to_string().contains("child 1 of 3 failed"));
}

async fn all_well() {
    let mut group = Group::new();
    for _ in 0..3 {
        group.spawn(quiet("trap 'exit 0' USR1; echo $$; while :; do sleep 0.01; done")).await.unwrap();
    }
    for index in 0..3 {
        pids(group.child(index).unwrap(), 1).await;
    }
    assert_eq!(group.kill(Signal::User1).unwrap(), 3);
    let outcome = group.wait_all().await.unwrap();
    assert_eq!((outcome.first_failure, outcome.statuses), (None, vec![ExitStatus::Code(0); 3]));
    assert_eq!(group.kill(Signal::User1).unwrap(), 0);
}

async fn dropped() {
    let mut group = Group::new();
    group.spawn(quiet("exec sleep 100")).await.unwrap();
    let pid = group.child(0).unwrap().pid();
    drop(group);
    crate::spawning::gone(pid).await;
}

/// Every process tells its number; the third generation goes on forking.
const GENERATIONS: &str =
    "echo $$; sh -c 'echo $$; sh -c \"echo \\$\\$; while :; do sleep 0.001; done\" & wait' & wait";

async fn whole_tree() {
    for _ in 0..10 {
        let mut child = quiet(GENERATIONS).spawn().await.unwrap();
        let all = pids(&mut child, 3).await;
        assert!(child.kill_tree(Signal::Kill).await.unwrap() >= 3);
        assert_eq!(child.exited().await.unwrap(), ExitStatus::Signal(9));
        // Whoever holds its stdout is one of the tree.
        child.closed().await.unwrap();
        for pid in all {
            assert!(!runs(pid), "process {pid} was left");
        }
    }
}

async fn orphans_of_the_group() {
    let mut child = quiet("(sleep 100 & echo $!); exec sleep 100").process_group().spawn().await.unwrap();
    let orphan = pids(&mut child, 1).await[0];
    child.kill_tree(Signal::Kill).await.unwrap();
    child.closed().await.unwrap();
    assert!(!runs(orphan));
}

async fn terminate_reaches_all() {
    let line =
        "trap 'wait; exit 5' TERM; sh -c 'trap \"exit 6\" TERM; echo $$; while :; do sleep 0.01; done' & wait; wait";
    let mut child = quiet(line).spawn().await.unwrap();
    let below = pids(&mut child, 1).await[0];
    assert!(child.kill_tree(Signal::Terminate).await.unwrap() >= 2);
    assert_eq!(child.closed().await.unwrap(), ExitStatus::Code(5));
    assert!(!runs(below));
}

async fn not_ourselves() {
    for pid in [std::process::id(), std::os::unix::process::parent_id(), 1] {
        let refused = kill_tree(pid, Signal::Continue).await.unwrap_err();
        assert!(refused.to_string().contains("above it"), "{refused}");
    }
    // Long gone: nobody is reached.
    let child = quiet("exit").spawn().await.unwrap();
    child.exited().await.unwrap();
    assert_eq!(child.kill_tree(Signal::Kill).await.unwrap(), 0);
}
