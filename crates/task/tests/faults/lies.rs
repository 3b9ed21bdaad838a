//! Tasks that lie to their owner: garbage over everything that the two share.
//!
//! What the owner sees may be anything: its answer is one of the errors that it has for this, never a panic, a hang, a wrong
//! result for a sibling, or memory without a bound.

use phalanx_task::{Ending, Phase, TaskError};

use crate::Test;
use crate::household::resident_kib;
use crate::mischief::{Confined, Free, Mischief};
use crate::siblings::among_siblings_one_of_which_may_suffer;

pub(crate) const TESTS: &[Test] = &[
    ("garbage to every descriptor harms only the process that wrote it", descriptors),
    ("descriptors that are cut, stretched, sealed and locked harm only the process that did it", tampering),
    ("garbage over all shared memory harms only the process that wrote it", mappings),
];

/// Seeds in CI; `cargo xtask nightly` takes more.
fn seeds() -> std::ops::Range<u64> {
    if std::env::var_os("PHALANX_NIGHTLY").is_some() { 0..500 } else { 0..12 }
}

/// The owner may not grow by more than this over all lies: an announced length is not believed.
const OWNER_MAY_GROW_KIB: u64 = 64 * 1024;

fn is_clear(end: &Result<String, TaskError>) -> bool {
    match end {
        // Nothing of it mattered.
        Ok(_) => true,
        Err(TaskError::Crashed(crash)) => match &crash.ending {
            Ending::Malformed(what) => !what.is_empty(),
            _ => true,
        },
        Err(TaskError::TimedOut(Phase::Run)) => true,
        Err(_) => false,
    }
}

fn descriptors() {
    let before = resident_kib();
    for seed in seeds() {
        let ends = [
            among_siblings_one_of_which_may_suffer::<Free>(Mischief::WriteToEveryDescriptor(seed)),
            among_siblings_one_of_which_may_suffer::<Confined>(Mischief::WriteToEveryDescriptor(seed)),
        ];
        assert!(ends.iter().all(is_clear), "seed {seed}: {ends:?}");
    }
    assert!(resident_kib() < before + OWNER_MAY_GROW_KIB, "{before} KiB before, {} now", resident_kib());
}

fn tampering() {
    for _ in 0..4 {
        let what = Mischief::TamperWithEveryDescriptor;
        let ends = [
            among_siblings_one_of_which_may_suffer::<Free>(what.clone()),
            among_siblings_one_of_which_may_suffer::<Confined>(what),
        ];
        assert!(ends.iter().all(is_clear), "{ends:?}");
    }
}

fn mappings() {
    let before = resident_kib();
    let mut caught = 0;
    for seed in seeds() {
        let end = among_siblings_one_of_which_may_suffer::<Free>(Mischief::ScribbleOverSharedMemory(seed));
        assert!(is_clear(&end), "seed {seed}: {end:?}");
        caught += u32::from(end.is_err());
    }
    assert!(caught > 0, "garbage over the rings went unnoticed each time");
    assert!(resident_kib() < before + OWNER_MAY_GROW_KIB, "{before} KiB before, {} now", resident_kib());
}
