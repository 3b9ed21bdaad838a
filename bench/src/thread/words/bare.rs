//! The system call itself, and nothing around it. Shared between processes, also where two threads use it: as ours is.

use std::os::fd::OwnedFd;
use std::sync::atomic::{AtomicU32, Ordering};

use measuring::{During, Failure};
use phalanx_shared::Segment;
use rustix::io::Errno;
use rustix::thread::futex::{self, Flags};

use super::{WORDS, Words};

/// Words of a mapped memfd.
pub(crate) struct BareWords(Segment);

impl BareWords {
    pub(crate) fn new() -> Result<Self, Failure> {
        Segment::create("bench", WORDS * size_of::<u32>()).map(Self).during("map shared memory")
    }

    pub(crate) fn two_handles() -> Result<(Self, Self), Failure> {
        let ours = Self::new()?;
        let theirs = Self::from_descriptor(ours.descriptor()?)?;
        Ok((ours, theirs))
    }

    pub(crate) fn from_descriptor(memory: OwnedFd) -> Result<Self, Failure> {
        Segment::map(memory).map(Self).during("map the shared memory")
    }

    pub(crate) fn descriptor(&self) -> Result<OwnedFd, Failure> {
        self.0.descriptor().during("get a descriptor of the shared memory")
    }

    fn word(&self, index: usize) -> &AtomicU32 {
        &self.0.words()[index]
    }
}

impl Words for BareWords {
    fn load(&self, index: usize) -> Result<u32, Failure> {
        Ok(self.word(index).load(Ordering::SeqCst))
    }

    fn store(&self, index: usize, value: u32) -> Result<(), Failure> {
        self.word(index).store(value, Ordering::SeqCst);
        Ok(())
    }

    fn add_one(&self, index: usize) -> Result<(), Failure> {
        self.word(index).fetch_add(1, Ordering::SeqCst);
        Ok(())
    }

    fn sleep_while(&self, index: usize, expected: u32) -> Result<(), Failure> {
        sleep_while(self.word(index), expected)
    }

    fn wake_one(&self, index: usize) -> Result<(), Failure> {
        wake_one(self.word(index))
    }
}

pub(crate) fn sleep_while(word: &AtomicU32, expected: u32) -> Result<(), Failure> {
    match futex::wait(word, Flags::empty(), expected, None) {
        Ok(()) | Err(Errno::AGAIN | Errno::INTR) => Ok(()),
        Err(error) => Err(error).during("wait on a futex"),
    }
}

pub(crate) fn wake_one(word: &AtomicU32) -> Result<(), Failure> {
    futex::wake(word, Flags::empty(), 1).map(drop).during("wake a futex")
}
