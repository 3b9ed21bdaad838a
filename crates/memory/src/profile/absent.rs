//! A program that was built without heap profiles.

use super::Error;

/// What there never is.
#[derive(Debug)]
pub struct HeapProfile(std::convert::Infallible);

impl HeapProfile {
    /// Bytes that live.
    pub fn bytes(&self) -> u64 {
        match self.0 {}
    }

    /// Number of allocations that were sampled.
    pub fn samples(&self) -> u64 {
        match self.0 {}
    }

    /// The profile as pprof reads it.
    pub fn to_pprof(&self) -> Vec<u8> {
        match self.0 {}
    }

    /// The profile as a picture.
    pub fn to_flame_graph(&self, _title: &str) -> Vec<u8> {
        match self.0 {}
    }
}

pub(super) fn availability() -> Result<(), Error> {
    Err(Error::Unavailable)
}

pub(super) fn is_on() -> bool {
    false
}

pub(super) fn start() -> Result<(), Error> {
    Err(Error::Unavailable)
}

pub(super) fn stop() -> Result<(), Error> {
    Err(Error::Unavailable)
}

pub(super) fn take() -> Result<HeapProfile, Error> {
    Err(Error::Unavailable)
}
