//! The generations that live: what each of them was told when it was started.
//!
//! A generation is one look at the settings. Every worker of it, also one that replaces a crashed one, gets the same
//! bytes, so that a cluster never mixes two configurations by accident. What no worker lives by any more is let go.

use std::collections::BTreeMap;
use std::os::fd::OwnedFd;
use std::panic::AssertUnwindSafe;

use phalanx_shared::Blob;

use crate::Error;
use crate::builder::SettingsSource;

/// What the workers of one generation get.
#[derive(Debug)]
pub(super) struct Settings {
    /// The settings, as the user's own code wrote them down; `None` if there is no such code.
    pub(super) snapshot: Option<Blob>,
    /// The program that they are; `None` for the one that this process runs.
    pub(super) image: Option<OwnedFd>,
}

/// The settings of each generation that lives.
#[derive(Default)]
pub(super) struct Generations {
    source: Option<SettingsSource>,
    living: BTreeMap<u32, Settings>,
    /// Number of the next generation.
    next: u32,
}

impl Generations {
    /// None yet; `source` writes the settings down for each new one.
    pub(super) fn new(source: Option<SettingsSource>) -> Generations {
        Generations { source, living: BTreeMap::new(), next: 0 }
    }

    /// Asks for the settings and keeps them as those of a new generation, one above all before.
    ///
    /// Errors: what the user's code says; then nothing has changed.
    pub(super) fn begin(&mut self) -> Result<u32, Error> {
        let snapshot = match &mut self.source {
            Some(source) => {
                let bytes = std::panic::catch_unwind(AssertUnwindSafe(source))
                    .unwrap_or_else(|_| Err("the code that reads the settings panicked".into()))
                    .map_err(Error::Settings)?;
                // Written into a sealed memory file now, once; each worker gets a descriptor of it.
                let file = Blob::from(bytes).descriptor().map_err(shared)?;
                Some(Blob::from_descriptor(file, usize::MAX).map_err(shared)?)
            }
            None => None,
        };
        let number = self.next;
        self.next += 1;
        self.living.insert(number, Settings { snapshot, image: None });
        Ok(number)
    }

    /// What the workers of `generation` get; those of the newest for one that is not known.
    pub(super) fn get(&self, generation: u32) -> Option<&Settings> {
        self.living.get(&generation).or_else(|| self.living.last_key_value().map(|(_, newest)| newest))
    }

    /// Lets go of all generations that are not needed.
    pub(super) fn retain(&mut self, needed: impl Fn(u32) -> bool) {
        self.living.retain(|generation, _| needed(*generation));
    }

    /// All that live.
    pub(super) fn living(&self) -> impl Iterator<Item = (u32, &Settings)> {
        self.living.iter().map(|(number, settings)| (*number, settings))
    }

    /// The number of the next one.
    pub(super) fn next(&self) -> u32 {
        self.next
    }

    /// Takes up a generation of an earlier image of this process.
    pub(super) fn take_up(&mut self, number: u32, settings: Settings) {
        self.living.insert(number, settings);
        self.next = self.next.max(number + 1);
    }

    /// Numbers go on from here.
    pub(super) fn continue_at(&mut self, next: u32) {
        self.next = self.next.max(next);
    }
}

pub(super) fn shared(source: phalanx_shared::Error) -> Error {
    Error::System { attempt: "keep the settings in memory", source: std::io::Error::other(source) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn settings_that_cannot_be_read_change_nothing() {
        let mut answers = vec![Err("line 3: no such key".into()), Ok(b"second".to_vec()), Ok(b"first".to_vec())];
        let mut generations = Generations::new(Some(Box::new(move || answers.pop().expect("three calls"))));
        let first = generations.begin().unwrap();
        let second = generations.begin().unwrap();
        assert_eq!((first, second), (0, 1));
        assert!(generations.begin().unwrap_err().to_string().contains("line 3"));
        let bytes = |generation| generations.get(generation).unwrap().snapshot.clone().unwrap().into_vec();
        assert_eq!((bytes(first), bytes(second)), (b"first".to_vec(), b"second".to_vec()));
    }

    #[test]
    fn a_panic_in_the_users_code_is_an_error() {
        let mut generations = Generations::new(Some(Box::new(|| panic!("in a test"))));
        assert!(generations.begin().unwrap_err().to_string().contains("panicked"));
    }
}
