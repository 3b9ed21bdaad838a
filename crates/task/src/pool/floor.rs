//! [`Floor`]: what lies behind the pool's lock: the state, the desks, and how their answers are read.
//!
//! A desk whose process has tasks is armed whenever nobody reads it, so that the keeper hears its bell.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::Waker;
use std::time::{Duration, Instant};

use crate::desk::{Answer, Desk, Hello};
use crate::pool::heavy::Heavy;
use crate::pool::spin::{LONGEST, LOOKS_PER_READING, Looking};
use crate::pool::state::{Seat, State, Waits};
use crate::pool::table::{Jobs, Table, answered};
use crate::{Progress, ProgressCell};

/// Answers of one process that are read before another one has its turn.
const MOST_ANSWERS: usize = 256;
/// How long answers are left to a caller that was woken, before the keeper reads them.
const LEFT_FOR: Duration = Duration::from_millis(1);

/// What lies behind the lock.
pub(super) struct Floor {
    pub(super) state: State<Jobs>,
    pub(super) table: Table,
    looking: Looking,
    /// Who has tasks when somebody comes to attend: their bells are not armed until he goes.
    attended: Vec<Seat>,
    /// When the keeper wakes up by itself; nothing: not before it is rung for.
    pub(super) alarm: Option<Instant>,
    /// Whether the keeper is awake, or was rung for.
    pub(super) is_keeper_awake: bool,
    /// Processes that have said hello, for the keeper.
    pub(super) hellos: Vec<(Seat, Hello)>,
    /// Copies that are left to the keeper.
    pub(super) heavy: Heavy,
    /// What tasks have said of their progress.
    pub(super) heard: Vec<(Arc<ProgressCell>, Progress)>,
    /// Whether there are answers that nobody has read and nobody will be rung for.
    pub(super) is_unheard: bool,
    /// Who waits for the end of the pool, and until when.
    pub(super) draining: Vec<(Instant, Waker)>,
}

impl Floor {
    pub(super) fn new(state: State<Jobs>, table: Table, cores: usize) -> Floor {
        Floor {
            state,
            table,
            looking: Looking::new(cores),
            attended: Vec::new(),
            alarm: None,
            is_keeper_awake: true,
            hellos: Vec::new(),
            heavy: Heavy::default(),
            heard: Vec::new(),
            is_unheard: false,
            draining: Vec::new(),
        }
    }

    /// Reads the answers of all processes that may have some.
    pub(super) fn look(&mut self, now: Instant) {
        for seat in (0..self.state.seats()).map(Seat) {
            if self.state.may_answer(seat) {
                self.look_at(seat, now);
            }
        }
    }

    /// Reads the answers of one process; its bell is armed afterwards.
    pub(super) fn look_at(&mut self, seat: Seat, now: Instant) {
        for _ in 0..MOST_ANSWERS {
            match self.table.next_answer_or_arm(seat) {
                Ok(Some(answer)) => self.hear(seat, answer, now),
                Ok(None) => return,
                Err(what) => return self.state.malformed(seat, what.0),
            }
        }
        // It talks without end: the others first.
        self.is_unheard = true;
    }

    /// A bell was rung: reads the answers of a process as far as the first one that somebody waits for. True if there may be
    /// more: they are his, for he is awake now, and to wake each of many callers from here would take a system call each.
    pub(super) fn hear_bell(&mut self, seat: Seat, now: Instant) -> bool {
        for _ in 0..MOST_ANSWERS {
            match self.table.next_answer_or_arm(seat) {
                Ok(Some(answer)) => {
                    let is_awaited = match &answer {
                        Answer::Ended { job, .. } => {
                            self.state.running(seat, *job).is_some_and(|parcel| parcel.is_awaited())
                        }
                        _ => false,
                    };
                    self.hear(seat, answer, now);
                    if is_awaited && self.state.may_answer(seat) {
                        self.state.note(Some(now + LEFT_FOR));
                        return true;
                    }
                }
                Ok(None) => return false,
                Err(what) => {
                    self.state.malformed(seat, what.0);
                    return false;
                }
            }
        }
        self.is_unheard = true;
        false
    }

    fn hear(&mut self, seat: Seat, answer: Answer, now: Instant) {
        match answer {
            Answer::Waits { job } => self.state.waits(seat, job, Waits::ForSomething),
            Answer::Runs { job } => self.state.waits(seat, job, Waits::Not),
            Answer::Hello(hello) => self.hellos.push((seat, hello)),
            Answer::Checkpoint { job, details } => {
                if let Some(parcel) = self.state.running(seat, job) {
                    parcel.attempt.keep(details);
                }
            }
            Answer::Progress { job, progress } => {
                if let Some(parcel) = self.state.running(seat, job) {
                    self.heard.push((parcel.progress.clone(), progress));
                }
            }
            Answer::Ended { job, result, ran } => {
                self.state.said_it_ran(seat, ran);
                if result.is_err()
                    && let Some(parcel) = self.state.running(seat, job)
                {
                    parcel.attempt.answers();
                }
                let serial = self.table.serial(seat).unwrap_or_default();
                if let Err(what) = self.state.answered(seat, job, answered(seat, serial, result), now) {
                    self.state.malformed(seat, what);
                }
            }
        }
    }

    /// Reads all answers, those too that come in a while if that is worth it. Bells are armed at the end, once.
    pub(super) fn attend(&mut self, wanted: &AtomicUsize) {
        let mut attended = std::mem::take(&mut self.attended);
        attended.extend((0..self.state.seats()).map(Seat).filter(|seat| self.state.may_answer(*seat)));
        if !self.skim(&attended) {
            self.look_for_a_while(&attended, wanted);
        }
        let now = Instant::now();
        // Also of those who have nothing to do any more: the next task may be given to them.
        attended.drain(..).for_each(|seat| self.look_at(seat, now));
        self.attended = attended;
        self.state.dispatch(&mut self.table, now);
    }

    /// Reads what processes have answered, without arming their bells. True if a task is over.
    fn skim(&mut self, attended: &[Seat]) -> bool {
        let (mut is_over, mut now) = (false, None);
        for seat in attended.iter().copied() {
            for _ in 0..MOST_ANSWERS {
                if !self.state.may_answer(seat) {
                    break;
                }
                match self.table.desk(seat).map(Desk::next_answer) {
                    Some(Ok(Some(answer))) => {
                        is_over |= matches!(answer, Answer::Ended { .. });
                        self.hear(seat, answer, *now.get_or_insert_with(Instant::now));
                    }
                    None | Some(Ok(None)) => break,
                    Some(Err(what)) => {
                        self.state.malformed(seat, what.0);
                        break;
                    }
                }
            }
        }
        is_over
    }

    /// Looks for the next answer for a while, if that is worth it and nobody else wants the floor.
    fn look_for_a_while(&mut self, attended: &[Seat], wanted: &AtomicUsize) {
        if !self.state.may_look_for_a_while() || !self.looking.is_worth_it() {
            return;
        }
        let until = Instant::now() + LONGEST;
        for seat in attended {
            if let Some(desk) = self.table.desk(*seat) {
                desk.disarm();
            }
        }
        let found = loop {
            if self.skim_often(attended) {
                break true;
            }
            if wanted.load(Ordering::Relaxed) > 0 || Instant::now() >= until {
                break false;
            }
        };
        self.looking.ended(found);
    }

    fn skim_often(&mut self, attended: &[Seat]) -> bool {
        for _ in 0..LOOKS_PER_READING {
            if self.skim(attended) {
                return true;
            }
            std::hint::spin_loop();
        }
        false
    }
}
