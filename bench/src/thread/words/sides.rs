//! The two sides: one measures, the other answers for as long as it lives.

use std::os::fd::OwnedFd;
use std::time::Instant;

use measuring::{Failure, Meter, Schedule, stay_on};

use super::{ADDED, ANSWERED, ASKED, Words};
use crate::Task;
use crate::figures::Figures;
use crate::peer::{Given, Peer};
use crate::rival::Measure;

const LOOK_EVERY: u64 = 64;
const ADDS_BETWEEN_LOOKS: usize = 1024;

pub(super) fn beside_a_thread<W: Words + Send + 'static>(task: Task, ours: &W, theirs: W) -> Result<Figures, Failure> {
    std::thread::spawn(move || {
        if let Err(failure) = stay_on(task.cores.peer).and_then(|()| answer(task.measure, &theirs)) {
            eprintln!("the other thread ended: {failure}");
        }
    });
    measure(task, ours)
}

pub(super) fn beside_a_process(task: Task, ours: &impl Words, memory: OwnedFd) -> Result<Figures, Failure> {
    let _peer = Peer::start(task, Given::Memory(memory))?;
    measure(task, ours)
}

/// Does not return: the thread or process that answers ends with the one that measures.
pub(super) fn answer(measure: Measure, words: &impl Words) -> Result<(), Failure> {
    match measure {
        Measure::Add => loop {
            words.add_one(ADDED)?;
        },
        Measure::Wait => {
            let mut seen = 0;
            loop {
                seen = until_changed(words, ASKED, seen)?;
                words.store(ANSWERED, seen)?;
                words.wake_one(ANSWERED)?;
            }
        }
        _ => {
            let mut seen = 0;
            loop {
                seen = until_seen_to_change(words, ASKED, seen)?;
                words.store(ANSWERED, seen)?;
            }
        }
    }
}

fn measure(task: Task, words: &impl Words) -> Result<Figures, Failure> {
    stay_on(task.cores.own)?;
    match task.measure {
        Measure::Add => adds(task, words),
        Measure::Wait => round_trips(task, |number| {
            words.store(ASKED, number)?;
            words.wake_one(ASKED)?;
            until_changed(words, ANSWERED, number.wrapping_sub(1))
        }),
        _ => round_trips(task, |number| {
            words.store(ASKED, number)?;
            until_seen_to_change(words, ANSWERED, number.wrapping_sub(1))
        }),
    }
}

fn round_trips(task: Task, ask: impl Fn(u32) -> Result<u32, Failure>) -> Result<Figures, Failure> {
    let mut meter = Meter::start(Schedule { warm_up: task.warm_up, counted: task.counted, look_every: LOOK_EVERY });
    for number in (1..=u32::MAX).cycle() {
        let answered = ask(number)?;
        if answered != number {
            return Err(Failure::new(format!("asked {number}, answered {answered}")));
        }
        if let Some(report) = meter.one_more() {
            return Ok(report.into());
        }
    }
    Err(Failure::new("the numbers ran out"))
}

/// Both sides add; what counts is by how much the word grows.
fn adds(task: Task, words: &impl Words) -> Result<Figures, Failure> {
    let mut begins = Instant::now() + task.warm_up;
    let (mut counting, mut before, mut sum) = (false, 0u32, 0u64);
    loop {
        for _ in 0..ADDS_BETWEEN_LOOKS {
            words.add_one(ADDED)?;
        }
        let value = words.load(ADDED)?;
        sum += u64::from(value.wrapping_sub(before));
        before = value;
        let now = Instant::now();
        if !counting && now >= begins {
            (counting, begins, sum) = (true, now, 0);
        } else if counting && now - begins >= task.counted {
            return Ok(Figures::of(sum as f64 / (now - begins).as_secs_f64()));
        }
    }
}

fn until_changed(words: &impl Words, index: usize, before: u32) -> Result<u32, Failure> {
    loop {
        let now = words.load(index)?;
        if now != before {
            return Ok(now);
        }
        words.sleep_while(index, before)?;
    }
}

fn until_seen_to_change(words: &impl Words, index: usize, before: u32) -> Result<u32, Failure> {
    loop {
        let now = words.load(index)?;
        if now != before {
            return Ok(now);
        }
        std::hint::spin_loop();
    }
}
