//! Words that two threads or two processes share: additions to one of them, and round trips with and without sleeping.

mod bare;
mod ours;
mod sides;

use measuring::{Failure, stay_on};

use crate::Task;
use crate::cores::Cores;
use crate::figures::Figures;
use crate::peer;
use crate::rival::{Measure, Rival};
use bare::BareWords;
pub(crate) use bare::{sleep_while, wake_one};
use ours::OurWords;
use sides::{beside_a_process, beside_a_thread};

/// Where the words lie: each on a pair of cache lines of its own, because processors fetch pairs.
pub(crate) const ADDED: usize = 0;
pub(crate) const ASKED: usize = 32;
pub(crate) const ANSWERED: usize = 64;
/// Words of 32 bits in all.
pub(crate) const WORDS: usize = 96;

/// Shared words of 32 bits.
pub(crate) trait Words: Sized {
    fn load(&self, index: usize) -> Result<u32, Failure>;
    fn store(&self, index: usize, value: u32) -> Result<(), Failure>;
    fn add_one(&self, index: usize) -> Result<(), Failure>;
    /// Sleeps unless the word is another than `expected`; may wake for no reason.
    fn sleep_while(&self, index: usize, expected: u32) -> Result<(), Failure>;
    fn wake_one(&self, index: usize) -> Result<(), Failure>;
}

pub(crate) fn drive(task: Task) -> Result<Figures, Failure> {
    match task.rival {
        Rival::Phalanx => {
            let (words, theirs) = OurWords::two_handles()?;
            beside_a_thread(task, &words, theirs)
        }
        Rival::PhalanxProcesses => {
            let words = OurWords::new()?;
            beside_a_process(task, &words, words.descriptor()?)
        }
        Rival::Futex => {
            let (words, theirs) = BareWords::two_handles()?;
            beside_a_thread(task, &words, theirs)
        }
        Rival::FutexProcesses => {
            let words = BareWords::new()?;
            beside_a_process(task, &words, words.descriptor()?)
        }
        rival => Err(rival.has_no(task.measure)),
    }
}

pub(crate) fn answer(rival: Rival, measure: Measure, cores: Cores) -> Result<(), Failure> {
    let memory = peer::memory()?;
    stay_on(cores.peer)?;
    match rival {
        Rival::PhalanxProcesses => sides::answer(measure, &OurWords::from_descriptor(memory)?),
        Rival::FutexProcesses => sides::answer(measure, &BareWords::from_descriptor(memory)?),
        rival => Err(rival.has_no(measure)),
    }
}
