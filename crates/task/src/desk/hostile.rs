//! What a job process that lies can do to its owner: get itself killed.

use std::collections::HashSet;
use std::sync::atomic::{AtomicU64, Ordering};

use phalanx_shared::Segment;
use proptest::prelude::*;

use super::wire::{DONE, FAILED, HELLO, Hello, NO_OUTPUT, PROGRESS, RETURNED, Which};
use super::*;
use crate::{Blob, Confinement};

/// A job process that does what we say.
struct Liar {
    desk: Desk,
    answers: RingSender,
    ring: Segment,
    board: Board,
    slots: Vec<Slot>,
}

const MAX_BYTES: u64 = 1024 * 1024;

impl Liar {
    /// Has been offered three jobs, the second with a large input, and has begun the first two.
    fn sit_down() -> Liar {
        let mut liar = Liar::enter();
        liar.say(&hello(&["task"]));
        assert!(matches!(liar.desk.next_answer(), Ok(Some(Answer::Hello(_)))));
        for (job, bytes) in [0, 10_000, 0].into_iter().enumerate() {
            let input = Packed { bytes: vec![1; 10], blobs: vec![Blob::from(vec![2; bytes]); usize::from(bytes > 0)] };
            let job = job as u64 + 100;
            let offer = Offer { job, task: "task", told: Told::first(job), deadline: None, input: &input };
            match liar.desk.offer(&offer).unwrap() {
                Offered::Placed(slot) => liar.slots.push(slot),
                Offered::NoRoom => panic!("no room"),
            }
        }
        for slot in &liar.slots[..2] {
            assert!(liar.board.begin(slot.index.into(), slot.number));
        }
        liar
    }

    fn enter() -> Liar {
        let limits = DeskLimits { max_input: MAX_BYTES, max_output: MAX_BYTES, spin: Duration::ZERO };
        let (desk, ends) = Desk::create(&limits).unwrap();
        let ring = Segment::map(ends.answers.try_clone().unwrap()).unwrap();
        let answers = RingSender::from_descriptor(ends.answers).unwrap();
        Liar { desk, answers, ring, board: Board::map(ends.board).unwrap(), slots: Vec::new() }
    }

    fn say(&mut self, message: &[u8]) {
        self.answers.try_send(message).unwrap();
    }

    fn which(&self, job: usize) -> Which {
        let Slot { index, number } = self.slots[job];
        Which { slot: index, output: NO_OUTPUT, is_returned: false, ran_ns: 0, number }
    }

    fn say_done(&mut self, which: Which, parcel: Parcel, body: &[u8]) {
        let mut message = Vec::new();
        which.write(DONE, &mut message);
        parcel.write(&mut message);
        message.extend_from_slice(body);
        self.say(&message);
    }

    /// What the owner makes of the next thing that was said.
    fn is_found_out(&mut self, why: &str) {
        match self.desk.next_answer() {
            Err(Malformed(words)) => assert!(words.contains(why), "\"{words}\" instead of \"{why}\""),
            other => panic!("{other:?} instead of \"{why}\""),
        }
    }
}

fn hello(tasks: &[&str]) -> Vec<u8> {
    let tasks = tasks.iter().map(ToString::to_string).collect();
    let hello = Hello { pid: 1, tasks, confinement: Confinement::none() };
    postcard::to_extend(&hello, vec![HELLO]).unwrap()
}

fn nothing() -> Parcel {
    Parcel { region: 0, region_bytes: 0, body_bytes: 0, blobs: 0, body_in_region: false }
}

fn done(parcel: Parcel, output: u8, why: &str) {
    let mut liar = Liar::sit_down();
    let which = Which { output, ..liar.which(0) };
    liar.say_done(which, parcel, &[]);
    match liar.desk.next_answer() {
        Err(Malformed(words)) => assert!(words.contains(why), "\"{words}\" instead of \"{why}\""),
        Ok(Some(Answer::Ended { result: Ok(output), .. })) => {
            let words = output.read().unwrap_err().0;
            assert!(words.contains(why), "\"{words}\" instead of \"{why}\"");
        }
        other => panic!("{other:?} instead of \"{why}\""),
    }
}

#[test]
fn who_speaks_before_its_hello_or_says_it_twice_or_wrongly_is_found_out() {
    let mut liar = Liar::enter();
    liar.say(&[DONE; 64]);
    liar.is_found_out("before the first word");
    let mut liar = Liar::sit_down();
    liar.say(&hello(&["task"]));
    liar.is_found_out("second hello");
    let mut liar = Liar::enter();
    liar.say(&hello(&["b", "a"]));
    liar.is_found_out("not in order");
    let mut liar = Liar::enter();
    liar.say(&[HELLO, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff]);
    liar.is_found_out("cannot be read");
}

#[test]
fn an_answer_to_a_job_that_it_has_not_begun_or_not_got_or_answered_already_is_found_out() {
    let strangers = [
        (Which { number: 77, ..Liar::sit_down().which(0) }, "was not given"),
        (Which { slot: 63, ..Liar::sit_down().which(0) }, "was not given"),
        (Which { slot: 64, ..Liar::sit_down().which(0) }, "was not given"),
        (Which { slot: 255, ..Liar::sit_down().which(0) }, "was not given"),
        (Liar::sit_down().which(2), "has not begun"),
        (Which { is_returned: true, ..Liar::sit_down().which(0) }, "not lent"),
    ];
    for (which, why) in strangers {
        let mut liar = Liar::sit_down();
        liar.say_done(which, nothing(), &[]);
        liar.is_found_out(why);
    }
    let mut liar = Liar::sit_down();
    liar.say_done(liar.which(0), nothing(), &[]);
    liar.say_done(liar.which(0), nothing(), &[]);
    assert!(matches!(liar.desk.next_answer(), Ok(Some(Answer::Ended { job: 100, .. }))));
    liar.is_found_out("was not given");
    let mut liar = Liar::sit_down();
    assert!(liar.desk.retract(liar.slots[2]));
    liar.say_done(liar.which(1), nothing(), &[]);
    assert!(matches!(liar.desk.next_answer(), Ok(Some(Answer::Ended { job: 101, .. }))));
    assert_eq!(liar.desk.lent(), 1, "not returned, so not free");
}

#[test]
fn outputs_that_lie_elsewhere_than_in_their_file_are_found_out_before_anything_is_allocated() {
    let file = MAX_BYTES + SLACK_BYTES;
    let parcel = nothing();
    done(Parcel { region: file, region_bytes: 1, ..parcel }, 0, "beyond its file");
    done(Parcel { region: u64::MAX, region_bytes: 2, ..parcel }, 0, "beyond its file");
    done(Parcel { region: 0, region_bytes: u64::MAX, ..parcel }, 0, "beyond its file");
    done(Parcel { region_bytes: 1, ..parcel }, OUTPUTS as u8, "beyond its file");
    done(Parcel { region_bytes: 1, ..parcel }, NO_OUTPUT, "beyond its file");
    done(Parcel { body_bytes: u64::MAX, ..parcel }, 0, "bytes came with an output");
    done(
        Parcel { body_bytes: 1 << 40, region_bytes: 1, body_in_region: true, ..parcel },
        0,
        "bytes came with an output",
    );
    done(Parcel { body_bytes: 100, region_bytes: file, body_in_region: true, blobs: 13, ..parcel }, 0, "too large");
    done(
        Parcel { body_bytes: file, region_bytes: file, body_in_region: true, blobs: 100_000, ..parcel },
        0,
        "too large",
    );
    done(Parcel { body_bytes: file, region_bytes: file, body_in_region: true, ..parcel }, 0, "larger than it");
    done(Parcel { blobs: 1, ..parcel }, 0, "too large");
}

#[test]
fn lengths_of_blobs_that_make_no_sense_are_found_out() {
    let region_bytes = 100_000;
    for lengths in [[u64::MAX, 1], [1, u64::MAX], [50_000, 50_001], [1 << 63, 1 << 63]] {
        let mut liar = Liar::sit_down();
        let body: Vec<u8> = lengths.iter().flat_map(|len| len.to_ne_bytes()).collect();
        let parcel = Parcel { region_bytes, body_bytes: 16, blobs: 2, ..nothing() };
        liar.say_done(Which { output: 0, ..liar.which(0) }, parcel, &body);
        match liar.desk.next_answer() {
            Ok(Some(Answer::Ended { result: Ok(output), .. })) => {
                assert!(output.read().unwrap_err().0.contains("larger than it"), "{lengths:?}");
            }
            other => panic!("{other:?}"),
        }
    }
}

#[test]
fn two_outputs_in_one_place_are_found_out() {
    let mut liar = Liar::sit_down();
    let parcel = Parcel { region_bytes: 10, ..nothing() };
    for job in [0, 1] {
        liar.say_done(Which { output: 3, ..liar.which(job) }, parcel, &[]);
    }
    let first = liar.desk.next_answer().unwrap();
    liar.is_found_out("two outputs lie in one place");
    drop(first);
}

#[test]
fn returns_of_what_was_not_lent_are_found_out() {
    for regions in [vec![4096_u64], vec![u64::MAX], vec![0, 0]] {
        let mut liar = Liar::sit_down();
        let words: Vec<u8> = regions.iter().flat_map(|region| region.to_ne_bytes()).collect();
        liar.say(&[&[RETURNED][..], &words].concat());
        liar.is_found_out("not lent");
    }
    for bytes in [&[RETURNED][..], &[RETURNED, 1], &[RETURNED; 10]] {
        let mut liar = Liar::sit_down();
        liar.say(bytes);
        liar.is_found_out("a return of nothing");
    }
}

#[test]
fn positions_that_run_backwards_or_too_far_are_found_out() {
    for head in [0, 1, 9, 1 << 40, u64::MAX] {
        let mut liar = Liar::sit_down();
        // The second group of words is the sender's position; it was moved by the hello.
        liar.ring.words::<AtomicU64>()[16].store(head, Ordering::SeqCst);
        liar.is_found_out("the sender's position");
    }
}

/// A message: any bytes, or one that is nearly right.
fn messages() -> impl Strategy<Value = Vec<u8>> {
    let number = prop_oneof![0..6_u64, any::<u64>()];
    let bytes = prop_oneof![0..100_u64, 4000..20_000_u64, 0..3 * MAX_BYTES, any::<u64>()];
    let parcel = (bytes.clone(), bytes.clone(), bytes, prop_oneof![0..4_u32, any::<u32>()], any::<bool>()).prop_map(
        |(region, region_bytes, body_bytes, blobs, body_in_region)| Parcel {
            region,
            region_bytes,
            body_bytes,
            blobs,
            body_in_region,
        },
    );
    let which = (prop_oneof![0..4_u8, any::<u8>()], any::<u8>(), any::<bool>(), number).prop_map(
        |(slot, output, is_returned, number)| Which { slot, output: output % 20, is_returned, ran_ns: 0, number },
    );
    let rest = prop::collection::vec(any::<u8>(), 0..100);
    let nearly = (prop_oneof![Just(DONE), Just(PROGRESS), Just(FAILED)], which, parcel, rest, any::<bool>()).prop_map(
        |(kind, which, mut parcel, rest, is_consistent)| {
            let mut message = Vec::new();
            which.write(kind, &mut message);
            if kind == DONE {
                if is_consistent && !parcel.body_in_region {
                    parcel.body_bytes = rest.len() as u64;
                }
                parcel.write(&mut message);
            }
            message.extend(rest);
            message
        },
    );
    prop_oneof![1 => prop::collection::vec(any::<u8>(), 0..200), 4 => nearly]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    #[test]
    fn whatever_is_said_each_job_ends_at_most_once_and_nobody_panics(said in prop::collection::vec(messages(), 1..6)) {
        let mut liar = Liar::sit_down();
        for slot in &liar.slots {
            liar.board.begin(slot.index.into(), slot.number);
        }
        let mut ended = HashSet::new();
        for message in said {
            liar.say(&message);
            loop {
                match liar.desk.next_answer() {
                    Ok(Some(Answer::Ended { job, result, .. })) => {
                        prop_assert!((100..103).contains(&job) && ended.insert(job));
                        if let Ok(output) = result
                            && let Ok(packed) = output.read()
                        {
                            prop_assert!(packed.len() as u64 <= MAX_BYTES);
                        }
                    }
                    Ok(Some(_)) => {}
                    Ok(None) | Err(_) => break,
                }
            }
        }
        prop_assert_eq!(liar.desk.len(), 3 - ended.len());
    }

    #[test]
    fn whatever_is_written_over_the_rings_memory_nobody_panics(
        writes in prop::collection::vec((0..400_usize, prop_oneof![0..300_u64, any::<u64>()]), 1..20)
    ) {
        let mut liar = Liar::sit_down();
        liar.say_done(liar.which(0), nothing(), &[]);
        for (at, word) in writes {
            liar.ring.words::<AtomicU64>()[at].store(word, Ordering::SeqCst);
            // Messages of length zero without end would be read for ever: as many as fit are enough.
            for _ in 0..100 {
                if !matches!(liar.desk.next_answer(), Ok(Some(_))) {
                    break;
                }
            }
            let _ = liar.desk.arm();
        }
    }
}
