//! [`Split`]: one lane becomes two. It goes on when both have room.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Instant;

use crate::lane::{Lane, Taken};
use crate::part::{Drive, Part, Role, Step, Tally, free};
use crate::{Buffers, Error};

pub(crate) struct Split<T> {
    name: String,
    split: fn(T) -> (T, T),
    from: Arc<Lane<T>>,
    to: [Arc<Lane<T>>; 2],
    tally: Arc<Tally>,
    is_at_it: Mutex<()>,
    /// Somebody is at it, or it is over.
    is_taken: AtomicBool,
}

impl<T: Send + 'static> Split<T> {
    pub(crate) fn new(name: String, split: fn(T) -> (T, T), from: Arc<Lane<T>>, to: [Arc<Lane<T>>; 2]) -> Split<T> {
        Split {
            name,
            split,
            from,
            to,
            tally: Arc::default(),
            is_at_it: Mutex::new(()),
            is_taken: AtomicBool::new(false),
        }
    }

    fn has_room(&self) -> bool {
        self.to.iter().all(|lane| lane.room() > 0)
    }

    fn work(&self) -> Step {
        let mut inputs = VecDeque::new();
        if !self.has_room() {
            return Step::Waiting;
        }
        match self.from.take(&mut inputs, usize::MAX) {
            Taken::Nothing => Step::Waiting,
            Taken::Ended => {
                self.to.iter().for_each(|lane| lane.end());
                Step::Ended
            }
            Taken::Some(amount) => {
                let began = Instant::now();
                self.tally.took(amount);
                let (mut first, mut second): (Vec<T>, Vec<T>) = inputs.into_iter().map(self.split).unzip();
                self.to[1].give(&mut second);
                self.tally.gave(self.to[0].give(&mut first));
                self.tally.stepped(began.elapsed());
                Step::Worked
            }
        }
    }
}

impl<T: Send + 'static> Part for Split<T> {
    fn name(&self) -> &str {
        &self.name
    }

    fn role(&self) -> Role {
        Role::Transform
    }

    fn drive(&self) -> Drive {
        Drive::Steps
    }

    fn tally(&self) -> &Arc<Tally> {
        &self.tally
    }

    fn is_ready(&self) -> bool {
        !self.is_taken.load(Ordering::Acquire) && self.has_room() && self.from.has_news()
    }

    fn wanted_hands(&self) -> usize {
        usize::from(self.is_ready() && self.to.iter().all(|lane| lane.is_half_empty()))
    }

    fn step(&self, _: &Buffers) -> Result<Step, Error> {
        let Some(_at_it) = free(&self.is_at_it) else { return Ok(Step::Waiting) };
        self.is_taken.store(true, Ordering::Release);
        let step = self.work();
        self.is_taken.store(step == Step::Ended, Ordering::Release);
        Ok(step)
    }

    fn abort(&self, _: &Error) {
        self.from.clear();
    }
}
