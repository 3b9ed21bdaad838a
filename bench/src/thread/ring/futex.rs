//! A letter box in each direction: 64 bytes of shared memory and a word that says that they are new. No queue, nothing
//! checked: what the hardware and the kernel allow.

use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};

use measuring::{During, Failure, stay_on};
use phalanx_shared::Segment;

use super::{MESSAGE_BYTES, Message, round_trips};
use crate::Task;
use crate::cores::Cores;
use crate::figures::Figures;
use crate::peer::{self, Given, Peer};
use crate::words::{sleep_while, wake_one};

/// Words of 64 bits from one box to the next: each part on cache lines of its own.
const BOX_WORDS: usize = 32;
const ASKED: usize = 0;
const ANSWERED: usize = BOX_WORDS;
const WORDS: usize = 2 * BOX_WORDS;
/// From the start of a box to its message.
const MESSAGE_AT: usize = 16;
const MESSAGE_WORDS: usize = MESSAGE_BYTES / size_of::<u64>();

/// How a side waits for a letter.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Waiting {
    Sleep,
    Spin,
}

pub(super) fn drive(task: Task, waiting: Waiting) -> Result<Figures, Failure> {
    let memory = Segment::create("bench", WORDS * size_of::<u64>()).during("map shared memory")?;
    let _peer = Peer::start(task, Given::Memory(memory.descriptor().during("share the memory")?))?;
    stay_on(task.cores.own)?;
    let (asked, answered) = (LetterBox::at(&memory, ASKED), LetterBox::at(&memory, ANSWERED));
    let mut seen = 0;
    round_trips(task, |message| {
        asked.put(message, waiting)?;
        let (message, now) = answered.take(seen, waiting)?;
        seen = now;
        Ok(message)
    })
}

pub(super) fn answer(cores: Cores, waiting: Waiting) -> Result<(), Failure> {
    let memory = Segment::map(peer::memory()?).during("map the shared memory")?;
    stay_on(cores.peer)?;
    let (asked, answered) = (LetterBox::at(&memory, ASKED), LetterBox::at(&memory, ANSWERED));
    let mut seen = 0;
    loop {
        let (message, now) = asked.take(seen, waiting)?;
        seen = now;
        answered.put(&message, waiting)?;
    }
}

struct LetterBox<'a> {
    letters: &'a AtomicU32,
    message: &'a [AtomicU64],
}

impl<'a> LetterBox<'a> {
    fn at(memory: &'a Segment, word: usize) -> Self {
        let start = word + MESSAGE_AT;
        let words_of_32_bits = size_of::<u64>() / size_of::<u32>();
        Self {
            letters: &memory.words()[word * words_of_32_bits],
            message: &memory.words()[start..start + MESSAGE_WORDS],
        }
    }

    fn put(&self, message: &Message, waiting: Waiting) -> Result<(), Failure> {
        let (words, _) = message.as_chunks();
        for (place, word) in self.message.iter().zip(words) {
            place.store(u64::from_ne_bytes(*word), Ordering::Relaxed);
        }
        self.letters.fetch_add(1, Ordering::Release);
        if waiting == Waiting::Sleep { wake_one(self.letters) } else { Ok(()) }
    }

    fn take(&self, seen: u32, waiting: Waiting) -> Result<(Message, u32), Failure> {
        let now = loop {
            let now = self.letters.load(Ordering::Acquire);
            if now != seen {
                break now;
            }
            match waiting {
                Waiting::Sleep => sleep_while(self.letters, seen)?,
                Waiting::Spin => std::hint::spin_loop(),
            }
        };
        let mut message = [0; MESSAGE_BYTES];
        for (word, place) in message.as_chunks_mut().0.iter_mut().zip(self.message) {
            *word = place.load(Ordering::Relaxed).to_ne_bytes();
        }
        Ok((message, now))
    }
}
