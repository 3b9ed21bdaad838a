//! Memory that a thread keeps from one picture to the next, within a bound.

use phalanx_memory::Account;

/// Bytes that a [`Scratch`] keeps between jobs at most; what is above goes back to the system at the end of a job.
pub const SCRATCH_KEEPS_BYTES: usize = 64 * 1024 * 1024;

/// Reused buffers of one thread: decoded planes, intermediate and output rasters.
///
/// Make one per thread and pass it to every [`process`](crate::process()); it saves the page faults of fresh memory. It never changes a
/// result, and keeps at most [`SCRATCH_KEEPS_BYTES`]. What all of a process keep together is listed as
/// [`SCRATCH_ACCOUNT`] by [`phalanx_memory::accounts`].
#[derive(Debug)]
pub struct Scratch {
    pub(crate) buffers: Buffers,
    account: Account,
}

/// Under this name [`phalanx_memory::accounts`] lists what is kept between jobs.
pub const SCRATCH_ACCOUNT: &str = "image buffers";

impl Default for Scratch {
    fn default() -> Self {
        Scratch { buffers: Buffers::default(), account: Account::named(SCRATCH_ACCOUNT) }
    }
}

impl Scratch {
    /// An empty scratch; it grows with the first picture.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Bytes held now.
    #[must_use]
    pub fn bytes(&self) -> usize {
        self.buffers.bytes()
    }

    /// Gives memory back until the bound holds.
    pub(crate) fn trim(&mut self) {
        self.trim_to(SCRATCH_KEEPS_BYTES as u64);
    }

    /// Gives memory back until no more than `bytes` are held: for who has less to spare than [`SCRATCH_KEEPS_BYTES`].
    pub fn trim_to(&mut self, bytes: u64) {
        self.buffers.trim(usize::try_from(bytes).unwrap_or(usize::MAX));
        self.account.set(self.bytes() as u64);
    }
}

/// Small pools of buffers: bytes for samples and pixels, and what a progressive JPEG keeps between its scans.
#[derive(Debug, Default)]
pub(crate) struct Buffers {
    bytes: Pool<u8>,
    pub(crate) coefficients: Pool<i16>,
    /// Sets of 64 coefficients or blocks.
    pub(crate) maps: Pool<u64>,
}

impl Buffers {
    /// A buffer of `length` zeros: the smallest free one that is large enough, else a new one.
    pub(crate) fn take(&mut self, length: usize) -> Vec<u8> {
        self.bytes.take(length)
    }

    /// Takes a buffer back.
    pub(crate) fn give(&mut self, buffer: Vec<u8>) {
        self.bytes.give(buffer);
    }

    fn bytes(&self) -> usize {
        self.bytes.bytes() + self.coefficients.bytes() + self.maps.bytes()
    }

    fn trim(&mut self, most: usize) {
        self.coefficients.trim(most.saturating_sub(self.bytes.bytes() + self.maps.bytes()));
        self.maps.trim(most.saturating_sub(self.bytes.bytes() + self.coefficients.bytes()));
        self.bytes.trim(most.saturating_sub(self.coefficients.bytes() + self.maps.bytes()));
    }
}

/// A small pool of buffers of one type.
#[derive(Debug, Default)]
pub(crate) struct Pool<T> {
    free: Vec<Vec<T>>,
}

/// Buffers that a pool holds at most; a job uses up to fifteen at once.
const MOST_BUFFERS: usize = 20;

impl<T: Copy + Default> Pool<T> {
    /// A buffer of `length` zeros: the smallest free one that is large enough, else a new one.
    pub(crate) fn take(&mut self, length: usize) -> Vec<T> {
        let best = self
            .free
            .iter()
            .enumerate()
            .filter(|(_, buffer)| buffer.capacity() >= length)
            .min_by_key(|(_, buffer)| buffer.capacity())
            .map(|(index, _)| index);
        match best {
            Some(index) => {
                let mut buffer = self.free.swap_remove(index);
                buffer.clear();
                buffer.resize(length, T::default());
                buffer
            }
            None => vec![T::default(); length],
        }
    }

    /// Takes a buffer back.
    pub(crate) fn give(&mut self, buffer: Vec<T>) {
        if buffer.capacity() > 0 && self.free.len() < MOST_BUFFERS {
            self.free.push(buffer);
        }
    }

    fn bytes(&self) -> usize {
        self.free.iter().map(|buffer| buffer.capacity() * size_of::<T>()).sum()
    }

    fn trim(&mut self, most: usize) {
        self.free.sort_unstable_by_key(Vec::capacity);
        while self.bytes() > most {
            self.free.pop();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_buffer_is_reused_and_comes_back_clean() {
        let mut buffers = Buffers::default();
        let mut first = buffers.take(1000);
        first.fill(7);
        let place = first.as_ptr();
        buffers.give(first);
        let second = buffers.take(900);
        assert_eq!(second.as_ptr(), place);
        assert!(second.iter().all(|&byte| byte == 0));
    }

    #[test]
    fn what_is_above_the_bound_is_given_back() {
        let mut scratch = Scratch::new();
        scratch.buffers.give(vec![0; SCRATCH_KEEPS_BYTES + 1]);
        scratch.buffers.give(vec![0; 100]);
        scratch.trim();
        assert_eq!(scratch.bytes(), 100);
        assert!(phalanx_memory::accounts().iter().any(|line| line.name == SCRATCH_ACCOUNT && line.used >= 100));
        scratch.trim_to(99);
        assert_eq!(scratch.bytes(), 0);
    }
}
