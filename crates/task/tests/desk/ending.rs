//! What the owner knows when a job process has ended.

use phalanx_process::{ExitStatus, Signal};
use phalanx_task::desk::Answer;
use phalanx_task::{Blob, TaskError};

use super::Test;
use super::office::{Does, Echo, Office, wait_until};

pub(crate) const TESTS: &[Test] = &[
    ("of_a_dead_process_it_is_known_which_job_had_begun", who_is_to_blame),
    ("answers_from_before_a_death_can_be_read_after_it", last_answers),
    ("a_job_behind_one_that_runs_can_be_taken_back_and_one_that_runs_be_cancelled", retract_and_cancel),
    ("what_is_sent_to_all_processes_at_once_does_not_end_a_job", signals),
    ("a_process_that_lost_its_owners_end_does_not_disturb_anybody", desk_dropped),
];

fn signals() {
    let mut office = Office::open();
    for signal in [Signal::Interrupt, Signal::Terminate, Signal::Hangup, Signal::Quit, Signal::User1, Signal::User2] {
        let running = office.place(&Does::RunUntilCancelled);
        wait_until(|| office.desk.has_begun(running));
        office.process.kill(signal).unwrap();
        assert!(office.desk.cancel(running));
        assert_eq!(office.ended().1, Err(TaskError::Cancelled), "{signal}");
        // Asleep.
        office.process.kill(signal).unwrap();
        office.run(&Does::TellWhereItIs).unwrap();
    }
    assert_eq!(office.process.try_wait().unwrap(), None);
}

const ABORTED: i32 = 6;

fn who_is_to_blame() {
    for (task, expected) in [
        (Does::Abort, ExitStatus::Signal(ABORTED)),
        (Does::Exit(0), ExitStatus::Code(0)),
        (Does::Exit(9), ExitStatus::Code(9)),
    ] {
        let mut office = Office::open();
        office.place(&Does::Print(String::new()));
        let culprit = office.place(&task);
        let behind = [office.place(&Does::TellWhereItIs), office.place(&Echo(vec![], vec![Blob::from(vec![0; 9999])]))];
        assert_eq!(office.buried(), expected);
        assert_eq!((office.ended().0, office.desk.next_answer().unwrap().is_none()), (1, true));
        assert!(office.desk.has_begun(culprit) && !office.desk.retract(culprit));
        for slot in behind {
            assert!(!office.desk.has_begun(slot) && office.desk.retract(slot));
        }
        assert_eq!(office.desk.len(), 1);
    }
}

fn last_answers() {
    let mut office = Office::open();
    let blob = Blob::from(vec![5; 1 << 20]);
    for _ in 0..5 {
        office.place(&Echo(vec![], vec![blob.clone()]));
    }
    let last = office.place(&Does::RunUntilKilled);
    wait_until(|| office.desk.has_begun(last));
    office.kill();
    for job in 1..=5 {
        let (ended, result) = office.ended();
        let (_, blobs) = result.unwrap().unpack::<(Vec<u8>, Vec<Blob>)>().unwrap();
        assert_eq!((ended, &blobs[0]), (job, &blob));
    }
    assert!(office.desk.next_answer().unwrap().is_none() && office.desk.has_begun(last));
}

fn retract_and_cancel() {
    let mut office = Office::open();
    let head = office.place(&Does::RunUntilCancelled);
    wait_until(|| office.desk.has_begun(head));
    let behind = office.place(&Does::Abort);
    assert!(office.desk.retract(behind) && office.desk.cancel(head));
    assert_eq!(office.ended(), (1, Err(TaskError::Cancelled)));
    office.run(&Does::TellWhereItIs).unwrap();
}

fn desk_dropped() {
    let mut office = Office::open();
    let mut other = Office::open();
    office.place(&Echo(vec![], vec![Blob::from(vec![5; 1 << 20])]));
    let Answer::Ended { result: Ok(output), .. } = ({
        wait_until(|| office.desk.arm().unwrap());
        office.desk.next_answer().unwrap().unwrap()
    }) else {
        panic!("no answer")
    };
    office.kill();
    drop(office);
    let (_, blobs) = output.read().unwrap().unpack::<(Vec<u8>, Vec<Blob>)>().unwrap();
    assert_eq!(blobs[0], Blob::from(vec![5; 1 << 20]));
    other.run(&Does::TellWhereItIs).unwrap();
}
