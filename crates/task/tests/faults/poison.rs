//! An input that kills its process three times is not tried a fourth time.

use phalanx_task::{Executor, Refusal, TaskError};

use crate::Test;
use crate::household::end_of;
use crate::mischief::{Confined, DONE, Level, Mischief, Offline};
use crate::siblings::{all_done, pool, siblings, task};

pub(crate) const TESTS: &[Test] = &[
    ("the fourth time an input that kills is refused without a try; other inputs run", poison),
    ("a deadline is no poison", late_is_no_poison),
];

fn poison() {
    let pool = pool();
    let crash = |number| end_of(pool.submit(Confined::task(Mischief::Abort, number)));
    let poison = u64::MAX;
    for time in 1..=3 {
        let end = crash(poison);
        assert!(matches!(end, Err(TaskError::Crashed(_))), "time {time}: {end:?}");
    }
    let before = pool.metrics().died;
    for _ in 0..10 {
        let refused = crash(poison).unwrap_err();
        assert_eq!(refused, TaskError::Refused(Refusal::Poison { crashes: 3 }));
        assert_eq!(
            refused.to_string(),
            "the task was refused: this input has killed its process 3 times; it is not tried again"
        );
    }
    assert_eq!(pool.metrics().died, before, "a refused task ran");
    // Another input of the same task, and the same input of another task, are other things.
    assert!(matches!(crash(poison - 1), Err(TaskError::Crashed(_))));
    let other = end_of(pool.submit(Offline::task(Mischief::Abort, poison)));
    assert!(matches!(other, Err(TaskError::Crashed(_))), "{other:?}");
    all_done(siblings::<Confined>(&pool));
}

fn late_is_no_poison() {
    let pool = pool();
    let options = || phalanx_task::SubmitOptions::new().deadline_from_start(std::time::Duration::from_millis(50));
    for _ in 0..5 {
        let end = end_of(pool.submit_with(Confined::task(Mischief::SpinForEver, u64::MAX), options()));
        assert_eq!(end, Err(TaskError::TimedOut(phalanx_task::Phase::Run)));
    }
    assert_eq!(end_of(pool.submit(task::<Confined>(Mischief::Work(1)))).as_deref(), Ok(DONE));
}
