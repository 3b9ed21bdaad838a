//! Packed tasks, as a queue's runner submits them: by name, with the attempt, and with what an earlier one has kept.

use std::sync::Arc;

use phalanx_task::{
    Attempt, Packed, PackedTask, Place, Refusal, Submission, SubmitOptions, Task, TaskContext, TaskError, TaskId, tasks,
};
use phalanx_thread::ThreadPool;
use serde::{Deserialize, Serialize};

use crate::Test;
use crate::tools::{pool, wait};

pub(crate) const TESTS: &[Test] = &[
    ("a packed task is told its attempt and its number", a_packed_task_is_told_its_attempt_and_its_number),
    ("what a task keeps is there for the next attempt", what_a_task_keeps_is_there_for_the_next_attempt),
    (
        "what_a_task_kept_before_it_killed_its_process_is_not_lost",
        what_a_task_kept_before_it_killed_its_process_is_not_lost,
    ),
    (
        "the_words_of_a_task_are_told_from_those_of_its_executor",
        the_words_of_a_task_are_told_from_those_of_its_executor,
    ),
];

/// Goes on where an earlier attempt has stopped.
#[derive(Serialize, Deserialize)]
pub(crate) struct Goes {
    /// Ends with an error at this step,
    pub(crate) fails_at: u64,
    /// or kills its process.
    pub(crate) dies_at: u64,
    /// Bytes that it keeps beside the step.
    pub(crate) weight: usize,
}

impl Task for Goes {
    const NAME: &'static str = "goes";
    /// Number, attempt, and the step at which it began.
    type Output = (u64, u32, u64);

    fn run(self, cx: &TaskContext) -> Result<Self::Output, TaskError> {
        let (first, _) = cx.resume::<(u64, Vec<u8>)>().unwrap_or_default();
        for step in first..10 {
            if step == self.fails_at {
                return Err(TaskError::Cancelled);
            }
            if step == self.dies_at {
                std::process::abort();
            }
            cx.checkpoint(&(step + 1, vec![0_u8; self.weight]))?;
        }
        Ok((cx.id().get(), cx.attempt(), first))
    }
}

const NEVER: u64 = u64::MAX;

fn places() -> [Place; 2] {
    let threads = ThreadPool::builder().threads(1).build().unwrap();
    [Place::Threads(threads, Arc::new(tasks![Goes])), Place::Processes(pool(1))]
}

fn submit(place: &Place, task: &Goes, attempt: &Arc<Attempt>) -> Submission<Packed> {
    let input = Packed::of(task).unwrap();
    let packed = PackedTask { name: "goes", id: TaskId::from(77), input, attempt: attempt.clone() };
    place.submit(packed, SubmitOptions::new())
}

fn a_packed_task_is_told_its_attempt_and_its_number() {
    for place in places() {
        assert!(place.names().contains(&"goes"));
        let task = Goes { fails_at: NEVER, dies_at: NEVER, weight: 0 };
        let told = wait(submit(&place, &task, &Attempt::new(4, None))).unwrap().unpack::<(u64, u32, u64)>();
        assert_eq!(told, Ok((77, 4, 0)));
        let stranger = PackedTask {
            name: "stranger",
            id: TaskId::from(1),
            input: Packed::default(),
            attempt: Attempt::new(1, None),
        };
        let refused = wait(place.submit(stranger, SubmitOptions::new()));
        assert!(matches!(refused, Err(TaskError::Refused(Refusal::Unknown { .. }))), "{refused:?}");
    }
}

fn what_a_task_keeps_is_there_for_the_next_attempt() {
    for place in places() {
        for weight in [0, 20_000, 60_000] {
            let attempt = Attempt::new(1, None);
            let task = Goes { fails_at: 7, dies_at: NEVER, weight };
            assert_eq!(wait(submit(&place, &task, &attempt)), Err(TaskError::Cancelled));
            let kept = attempt.take_details();
            assert!(kept.is_some() && attempt.take_details().is_none());
            let task = Goes { fails_at: NEVER, dies_at: NEVER, weight };
            let told = wait(submit(&place, &task, &Attempt::new(2, kept))).unwrap().unpack::<(u64, u32, u64)>();
            assert_eq!(told, Ok((77, 2, 7)));
        }
        let heavy = Goes { fails_at: NEVER, dies_at: NEVER, weight: 1 << 16 };
        let refused = wait(submit(&place, &heavy, &Attempt::new(1, None)));
        assert!(matches!(refused, Err(TaskError::Refused(Refusal::TooBig { .. }))), "{refused:?}");
    }
}

fn what_a_task_kept_before_it_killed_its_process_is_not_lost() {
    let place = Place::Processes(pool(1));
    let attempt = Attempt::new(1, None);
    let crashed = wait(submit(&place, &Goes { fails_at: NEVER, dies_at: 5, weight: 100 }, &attempt));
    assert!(matches!(crashed, Err(TaskError::Crashed(_))) && !attempt.has_answered(), "{crashed:?}");
    let task = Goes { fails_at: NEVER, dies_at: NEVER, weight: 0 };
    let next = wait(submit(&place, &task, &Attempt::new(2, attempt.take_details())));
    assert_eq!(next.unwrap().unpack::<(u64, u32, u64)>(), Ok((77, 2, 5)));
}

fn the_words_of_a_task_are_told_from_those_of_its_executor() {
    for place in places() {
        let attempt = Attempt::new(1, None);
        let task = Goes { fails_at: 0, dies_at: NEVER, weight: 0 };
        assert_eq!(wait(submit(&place, &task, &attempt)), Err(TaskError::Cancelled));
        assert!(attempt.has_answered(), "it said so itself");

        let attempt = Attempt::new(1, None);
        let late = SubmitOptions::new().deadline_from_submit(std::time::Duration::ZERO);
        let input = Packed::of(&task).unwrap();
        let packed = PackedTask { name: "goes", id: TaskId::from(1), input, attempt: attempt.clone() };
        assert!(matches!(wait(place.submit(packed, late)), Err(TaskError::TimedOut(_))));
        assert!(!attempt.has_answered(), "it was never asked");

        let garbage = Packed { bytes: vec![0xff; 3], blobs: Vec::new() };
        let packed = PackedTask { name: "goes", id: TaskId::from(1), input: garbage, attempt: Attempt::new(1, None) };
        let refused = wait(place.submit(packed, SubmitOptions::new()));
        assert!(matches!(refused, Err(TaskError::Refused(Refusal::Unreadable { .. }))), "{refused:?}");
    }
}
