//! The owner's side against a job process that is a thread.

use std::sync::mpsc;
use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};

use super::*;
use crate::{Blob, Phase, Progress, Refusal, Registry, Task, TaskContext, TaskError, job, tasks};

/// Longer than anything here takes.
const PATIENCE: Duration = Duration::from_secs(20);
const MIB: usize = 1024 * 1024;

/// Gives back what it was given.
#[derive(Serialize, Deserialize)]
struct Echo(Vec<u8>, Vec<Blob>);

impl Task for Echo {
    const NAME: &'static str = "echo";
    type Output = (Vec<u8>, Vec<Blob>);

    fn run(self, _: &TaskContext) -> Result<Self::Output, TaskError> {
        Ok((self.0, self.1))
    }
}

/// What the task does that gets this.
#[derive(Serialize, Deserialize)]
enum Does {
    Fail(String),
    Panic(String),
    /// Keeps its blob until the next one comes.
    Keep(Blob),
    WaitForCancel,
    SayProgress(u64),
    GiveBack(usize),
    Nothing,
}

impl Task for Does {
    const NAME: &'static str = "does";
    type Output = Blob;

    fn run(self, cx: &TaskContext) -> Result<Blob, TaskError> {
        thread_local!(static KEPT: std::cell::RefCell<Option<Blob>> = const { std::cell::RefCell::new(None) });
        match self {
            Does::Fail(message) => return Err(TaskError::failed(message)),
            Does::Panic(message) => panic!("{message}"),
            Does::Keep(blob) => drop(KEPT.replace(Some(blob))),
            Does::WaitForCancel => loop {
                cx.check()?;
                std::thread::yield_now();
            },
            Does::SayProgress(words) => (1..=words).for_each(|word| cx.progress(word, words)),
            Does::GiveBack(bytes) => return Ok(Blob::from(vec![7; bytes])),
            Does::Nothing => {}
        }
        Ok(Blob::from(Vec::new()))
    }
}

/// A desk whose job process is a thread of ours.
struct Office {
    desk: Desk,
    last: u64,
    progress: Vec<Progress>,
    ended: mpsc::Receiver<String>,
}

fn registry() -> Registry {
    tasks![Does, Echo].checked().unwrap()
}

impl Office {
    fn open(limits: DeskLimits) -> Office {
        let (desk, ends) = Desk::create(&limits).unwrap();
        let (tell, ended) = mpsc::channel();
        // It ends with the test's process, or when the desk is broken.
        std::thread::spawn(move || tell.send(job::play(ends, &registry())));
        let mut office = Office { desk, last: 0, progress: Vec::new(), ended };
        match office.answer() {
            Answer::Hello(hello) => assert_eq!(hello.tasks, ["does", "echo"]),
            other => panic!("{other:?} instead of a hello"),
        }
        office
    }

    fn offer<T: Task>(&mut self, task: &T, deadline: Option<Duration>) -> Offered {
        self.last += 1;
        let input = Packed::of(task).unwrap();
        let deadline = deadline.map(|after| Instant::now() + after);
        self.desk
            .offer(&Offer { job: self.last, task: T::NAME, told: Told::first(self.last), deadline, input: &input })
            .unwrap()
    }

    fn place<T: Task>(&mut self, task: &T) -> Slot {
        match self.offer(task, None) {
            Offered::Placed(slot) => slot,
            Offered::NoRoom => panic!("no room"),
        }
    }

    fn answer(&mut self) -> Answer {
        let deadline = Instant::now() + PATIENCE;
        loop {
            if let Some(answer) = self.desk.next_answer().unwrap() {
                return answer;
            }
            if let Ok(last_words) = self.ended.try_recv() {
                panic!("the job process ended: {last_words}");
            }
            assert!(Instant::now() < deadline, "no answer");
            std::thread::yield_now();
        }
    }

    /// The end of the next job that ends: its number and result.
    fn ended(&mut self) -> (u64, Result<Packed, TaskError>) {
        loop {
            match self.answer() {
                Answer::Ended { job, result, .. } => return (job, result.map(|output| output.read().unwrap())),
                Answer::Progress { progress, .. } => self.progress.push(progress),
                other => panic!("{other:?}"),
            }
        }
    }

    fn run<T: Task>(&mut self, task: &T) -> Result<T::Output, TaskError> {
        self.place(task);
        let (job, result) = self.ended();
        assert_eq!(job, self.last);
        result.map(|packed| packed.unpack().unwrap())
    }
}

fn small() -> DeskLimits {
    DeskLimits { max_input: 8 * MIB as u64, max_output: 8 * MIB as u64, ..DeskLimits::default() }
}

fn pattern(bytes: usize) -> Vec<u8> {
    (0..bytes).map(|at| (at ^ (at >> 8) ^ (at >> 16)) as u8).collect()
}

#[test]
fn values_and_blobs_of_every_size_come_back_as_they_were() {
    let mut office = Office::open(small());
    let sizes = [0, 1, 4096, 4097, parcel::INLINE_BODY - 3, parcel::INLINE_BODY, parcel::INLINE_BODY + 1, MIB];
    for bytes in sizes {
        for blobs in [vec![], vec![bytes], vec![3, bytes, 0, 5000, bytes]] {
            let blobs: Vec<Blob> = blobs.into_iter().map(|bytes| Blob::from(pattern(bytes))).collect();
            let (value, back) = office.run(&Echo(pattern(bytes), blobs.clone())).unwrap();
            assert!(value == pattern(bytes) && back == blobs, "{bytes} bytes, {} blobs", blobs.len());
        }
    }
    assert_eq!((office.desk.lent(), office.desk.len()), (0, 0));
}

#[test]
fn ten_thousand_jobs_end_once_each_and_in_order() {
    let mut office = Office::open(small());
    let (mut placed, mut ended) = (0, 0);
    while ended < 10_000 {
        while placed < 10_000 && office.desk.len() < 20 {
            match office.offer(&Echo(vec![placed as u8; placed % 3000], vec![]), None) {
                Offered::Placed(_) => placed += 1,
                Offered::NoRoom => panic!("no room for 20"),
            }
        }
        let (job, result) = office.ended();
        ended += 1;
        assert_eq!(job, ended as u64);
        assert_eq!(result.unwrap().unpack::<(Vec<u8>, Vec<Blob>)>().unwrap().0.len(), (ended - 1) % 3000);
    }
}

#[test]
fn errors_and_panics_come_back_as_they_are_and_long_ones_are_cut() {
    let mut office = Office::open(small());
    assert_eq!(office.run(&Does::Fail("no".into())), Err(TaskError::failed("no")));
    match office.run(&Does::Panic("much too much".into())) {
        Err(TaskError::Panicked { message, location: Some(location) }) => {
            assert!(message == "much too much" && location.contains("tests.rs"), "{message} at {location}");
        }
        other => panic!("{other:?}"),
    }
    match office.run(&Does::Fail("ä".repeat(MIB))) {
        Err(TaskError::Failed { message }) => assert!(message.len() < 10_000 && message.ends_with('…')),
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_job_that_was_taken_back_never_runs_and_those_behind_it_do() {
    let mut office = Office::open(small());
    let head = office.place(&Does::WaitForCancel);
    wait_until(|| office.desk.has_begun(head));
    let second = office.place(&Echo(vec![], vec![Blob::from(pattern(5000))]));
    let third = office.place(&Does::Nothing);
    assert!(!office.desk.cancel(third), "what has not begun is not cancelled");
    assert!(office.desk.retract(second) && !office.desk.retract(second) && !office.desk.retract(head));
    assert_eq!((office.desk.lent(), office.desk.len()), (0, 2));
    assert!(office.desk.cancel(head) && office.desk.has_begun(head));
    assert_eq!(office.ended(), (1, Err(TaskError::Cancelled)));
    assert!(!office.desk.has_begun(head) && !office.desk.cancel(head), "it is over");
    assert_eq!(office.ended().0, 3);
}

#[test]
fn a_deadline_is_known_to_the_job_and_one_that_is_over_keeps_it_from_running() {
    let mut office = Office::open(small());
    // On a busy machine it may not even begin in a short time.
    let ran_into_it = [5, 50, 500, 5_000].into_iter().any(|millis| {
        office.offer(&Does::WaitForCancel, Some(Duration::from_millis(millis)));
        office.ended().1 == Err(TaskError::TimedOut(Phase::Run))
    });
    assert!(ran_into_it);
    office.offer(&Does::Nothing, Some(Duration::ZERO));
    assert_eq!(office.ended().1, Err(TaskError::TimedOut(Phase::Queue)));
}

#[test]
fn of_progress_the_first_and_the_last_word_come_and_not_all_between() {
    let mut office = Office::open(small());
    office.run(&Does::SayProgress(100_000)).unwrap();
    let said = &office.progress;
    assert_eq!(said.first(), Some(&Progress { done: 1, total: 100_000 }));
    assert_eq!(said.last(), Some(&Progress { done: 100_000, total: 100_000 }));
    assert!(said.len() < 10_000 && said.is_sorted_by_key(|word| word.done), "{} words", said.len());
}

#[test]
fn what_a_task_keeps_of_its_input_stays_until_it_lets_go() {
    let mut office = Office::open(small());
    office.run(&Does::Keep(Blob::from(pattern(MIB)))).unwrap();
    assert_eq!(office.desk.lent(), 1);
    for _ in 0..20 {
        office.run(&Does::Keep(Blob::from(pattern(MIB)))).unwrap();
    }
    assert_eq!(office.desk.lent(), 1);
    office.run(&Does::Keep(Blob::from(vec![]))).unwrap();
    assert_eq!(office.desk.lent(), 0);
}

#[test]
fn an_input_that_finds_no_room_waits_and_one_that_never_will_is_refused() {
    let mut office = Office::open(small());
    let half = Echo(vec![], vec![Blob::from(vec![0; 7 * MIB])]);
    let head = office.place(&Does::WaitForCancel);
    office.place(&half);
    office.place(&half);
    assert_eq!(office.offer(&half, None), Offered::NoRoom);
    wait_until(|| office.desk.cancel(head));
    let ended: Vec<u64> = (0..3).map(|_| office.ended().0).collect();
    assert_eq!(ended, [1, 2, 3]);
    office.run(&half).unwrap();
    let large = Packed::of(&Echo(vec![], vec![Blob::from(vec![0; 8 * MIB + 1])])).unwrap();
    match office.desk.make_room(&large) {
        Err(DeskError::TooBig { bytes, limit }) => assert!(bytes > limit && limit == 8 * MIB as u64),
        other => panic!("{other:?}"),
    }
    let stranger = Offer { job: 1, task: "stranger", told: Told::first(1), deadline: None, input: &Packed::default() };
    assert!(matches!(office.desk.offer(&stranger), Err(DeskError::UnknownTask { .. })));
}

#[test]
fn a_full_desk_has_no_room_until_a_job_ends() {
    let mut office = Office::open(small());
    let head = office.place(&Does::WaitForCancel);
    let mut placed = 1;
    while let Offered::Placed(_) = office.offer(&Echo(vec![0; 4000], vec![]), None) {
        placed += 1;
    }
    assert!((20..=board::SLOTS).contains(&placed), "{placed} were placed");
    wait_until(|| office.desk.cancel(head));
    assert_eq!(office.ended().1, Err(TaskError::Cancelled));
    for _ in 1..placed {
        assert!(office.ended().1.is_ok());
    }
    assert_eq!(office.desk.len(), 0);
    office.run(&Does::Nothing).unwrap();
}

#[test]
fn outputs_that_nobody_reads_make_the_job_process_wait_and_too_large_ones_are_refused() {
    let mut office = Office::open(small());
    for _ in 0..40 {
        office.place(&Does::GiveBack(MIB));
    }
    let mut unread = Vec::new();
    for _ in 0..8 {
        match office.answer() {
            Answer::Ended { result, .. } => unread.push(result.unwrap()),
            other => panic!("{other:?}"),
        }
    }
    for output in unread {
        assert_eq!(output.read().unwrap().unpack::<Blob>().unwrap(), Blob::from(vec![7; MIB]));
    }
    for _ in 8..40 {
        assert!(office.ended().1.is_ok());
    }
    assert_eq!(office.run(&Does::GiveBack(8 * MIB - 100)).unwrap().len(), 8 * MIB - 100);
    match office.run(&Does::GiveBack(8 * MIB + 1)) {
        Err(TaskError::Refused(Refusal::TooBig { limit, .. })) => assert_eq!(limit, 8 * MIB as u64),
        other => panic!("{other:?}"),
    }
}

#[test]
fn memory_of_outputs_is_given_back_when_they_were_read() {
    let max_output = 64 * MIB as u64;
    let mut office = Office::open(DeskLimits { max_output, ..small() });
    for _ in 0..4 {
        office.place(&Does::GiveBack(10 * MIB));
    }
    let unread: Vec<Answer> = (0..4).map(|_| office.answer()).collect();
    let used = || rustix::fs::fstat(&office.desk.output.file).unwrap().st_blocks as usize * 512;
    assert!(used() >= 40 * MIB);
    for answer in unread {
        let Answer::Ended { result: Ok(output), .. } = answer else { panic!("no output") };
        assert_eq!(output.read().unwrap().blobs[0].len(), 10 * MIB);
    }
    assert!(used() <= 17 * MIB, "{} bytes stay", used());
}

#[test]
fn the_bell_rings_for_who_has_armed_it() {
    use rustix::event::{PollFd, PollFlags, Timespec, poll};
    let mut office = Office::open(small());
    let head = office.place(&Does::WaitForCancel);
    wait_until(|| office.desk.has_begun(head));
    assert!(!office.desk.arm().unwrap(), "nothing there yet");
    office.desk.cancel(head);
    let patience = Timespec { tv_sec: 20, tv_nsec: 0 };
    assert_eq!(poll(&mut [PollFd::from_borrowed_fd(office.desk.bell(), PollFlags::IN)], Some(&patience)), Ok(1));
    office.desk.disarm();
    assert_eq!(office.ended().1, Err(TaskError::Cancelled));
    office.place(&Does::Nothing);
    wait_until(|| office.desk.arm().unwrap());
    assert!(office.ended().1.is_ok());
}

fn wait_until(mut is_so: impl FnMut() -> bool) {
    let deadline = Instant::now() + PATIENCE;
    while !is_so() {
        assert!(Instant::now() < deadline, "it never was so");
        std::thread::yield_now();
    }
}
