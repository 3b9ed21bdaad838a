//! What uses too much.

use super::*;

const MIB: u64 = 1 << 20;

fn limited() -> Policy {
    Policy { soft_memory: Some(200 * MIB), hard_memory: Some(400 * MIB), ..Policy::default() }
}

fn resident(n: u32, mib: u64, second: u64) -> Input {
    Input::Tick(vec![Vitals { resident_bytes: mib * MIB, ..vitals(n, second) }])
}

#[test]
fn above_the_soft_limit_a_worker_is_recycled() {
    let mut supervisor = serving_with(limited(), 2);
    assert!(supervisor.step(resident(1, 179, 10), seconds(10)).is_empty());
    let actions = supervisor.step(resident(1, 221, 11), seconds(11));
    assert_eq!(actions[0], Action::Recycle(worker(1), RecycleReason::Memory(221 * MIB)));
}

#[test]
fn above_the_hard_limit_it_is_killed_and_replaced_at_once() {
    let mut supervisor = serving_with(limited(), 2);
    let actions = supervisor.step(resident(2, 401, 10), seconds(10));
    assert_eq!(actions, [Action::Kill(worker(2), KillReason::Memory)]);
    let actions = supervisor.step(Input::Exited(worker(2), KILLED), seconds(10));
    assert!(matches!(&actions[0], Action::Bury(_, reason)
        if !reason.voluntary && reason.error.as_deref() == Some("it used 401 MiB of memory, more than its hard limit")));
    assert_eq!(actions[1], spawn(worker(3), 1));
}

#[test]
fn a_worker_that_uses_too_much_from_the_start_is_not_restarted_without_end() {
    let mut supervisor = serving_with(limited(), 2);
    supervisor.step(Input::Exited(worker(2), CRASHED), seconds(10));
    let actions = supervisor.step(resident(3, 500, 10), seconds(11));
    assert_eq!(actions, [Action::Kill(worker(3), KillReason::Memory)]);
    back_off(&supervisor.step(Input::Exited(worker(3), KILLED), seconds(11)));
}

#[test]
fn a_worker_that_drains_is_bound_by_the_hard_limit_as_well() {
    let mut supervisor = serving_with(limited(), 2);
    supervisor.step(Input::Disconnect(worker(1)), seconds(10));
    assert_eq!(supervisor.step(resident(1, 500, 11), seconds(11)), [Action::Kill(worker(1), KillReason::Memory)]);
    let actions = supervisor.step(Input::Exited(worker(1), KILLED), seconds(11));
    assert!(matches!(&actions[..], [Action::Bury(_, reason)] if reason.voluntary), "{actions:?}");
}

#[test]
fn whom_the_kernel_holds_is_not_killed_by_us() {
    let mut supervisor = serving_with(limited(), 2);
    let its = Vitals { resident_bytes: 500 * MIB, holder: Holder::Kernel, ..vitals(2, 10) };
    let actions = supervisor.step(Input::Tick(vec![its]), seconds(10));
    assert!(!actions.iter().any(|action| matches!(action, Action::Kill(..))), "{actions:?}");
}

#[test]
fn whom_the_kernel_ended_for_its_memory_says_so_and_is_not_restarted_without_end() {
    let mut supervisor = serving_with(limited(), 2);
    let outgrew = |n| Input::OutOfMemory(worker(n), "the kernel ended it".into());
    supervisor.step(outgrew(2), seconds(10));
    let actions = supervisor.step(Input::Exited(worker(2), KILLED), seconds(10));
    assert!(matches!(&actions[0], Action::Bury(_, reason) if reason.error.as_deref() == Some("the kernel ended it")));
    assert_eq!(actions[1], spawn(worker(3), 1), "it had served for a while");
    supervisor.step(Input::Ready(worker(3)), seconds(11));
    supervisor.step(outgrew(3), seconds(11));
    back_off(&supervisor.step(Input::Exited(worker(3), KILLED), seconds(11)));
}
