//! Ours: bounds are checked, errors are values.

use std::os::fd::OwnedFd;

use measuring::{During, Failure};
use phalanx_shared::{SharedBuffer, View};

use super::{WORDS, Words};

pub(super) struct OurWords {
    buffer: SharedBuffer,
    view: View<u32>,
}

impl OurWords {
    pub(super) fn new() -> Result<Self, Failure> {
        Self::of(SharedBuffer::new(WORDS * size_of::<u32>()).during("create a shared buffer")?)
    }

    pub(super) fn two_handles() -> Result<(Self, Self), Failure> {
        let ours = Self::new()?;
        let theirs = Self::of(ours.buffer.clone())?;
        Ok((ours, theirs))
    }

    pub(super) fn from_descriptor(memory: OwnedFd) -> Result<Self, Failure> {
        Self::of(SharedBuffer::from_descriptor(memory).during("open the shared buffer")?)
    }

    pub(super) fn descriptor(&self) -> Result<OwnedFd, Failure> {
        self.buffer.descriptor().during("get a descriptor of the shared buffer")
    }

    fn of(buffer: SharedBuffer) -> Result<Self, Failure> {
        let view = buffer.view().during("look into the shared buffer")?;
        Ok(Self { buffer, view })
    }
}

impl Words for OurWords {
    fn load(&self, index: usize) -> Result<u32, Failure> {
        self.view.load(index).during("load")
    }

    fn store(&self, index: usize, value: u32) -> Result<(), Failure> {
        self.view.store(index, value).during("store")
    }

    fn add_one(&self, index: usize) -> Result<(), Failure> {
        self.view.add(index, 1).map(drop).during("add")
    }

    fn sleep_while(&self, index: usize, expected: u32) -> Result<(), Failure> {
        self.view.wait(index, expected, None).map(drop).during("wait")
    }

    fn wake_one(&self, index: usize) -> Result<(), Failure> {
        self.view.notify(index, 1).map(drop).during("notify")
    }
}
