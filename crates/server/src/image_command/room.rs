//! [`Room`]: the memory that all pictures together may take.
//!
//! How much a picture needs is known when its file has been read, and that takes memory too. So who has a place and needs a larger one never
//! waits for it: it gives its place back and comes again for the whole at once. Nobody waits for who waits, and the bound holds always.

use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};

/// Bytes that all pictures together may take.
#[derive(Debug)]
pub(super) struct Room {
    bytes: u64,
    taken: Mutex<u64>,
    freed: Condvar,
}

/// Bytes of a [`Room`], free again when this is dropped.
#[derive(Debug)]
pub(super) struct Place<'r> {
    room: &'r Room,
    bytes: u64,
}

/// More than the whole room.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct TooLarge {
    pub(super) wanted: u64,
    pub(super) room: u64,
}

/// What a larger place may be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Grown {
    Yes,
    /// Come again for the whole.
    NotNow,
}

impl Room {
    pub(super) fn new(bytes: u64) -> Room {
        Room { bytes, taken: Mutex::new(0), freed: Condvar::new() }
    }

    /// All of it.
    pub(super) fn bytes(&self) -> u64 {
        self.bytes
    }

    /// Waits for a place.
    pub(super) fn enter(&self, bytes: u64) -> Result<Place<'_>, TooLarge> {
        self.can_hold(bytes)?;
        let mut taken = self.taken();
        while *taken + bytes > self.bytes {
            taken = self.freed.wait(taken).unwrap_or_else(PoisonError::into_inner);
        }
        *taken += bytes;
        Ok(Place { room: self, bytes })
    }

    fn can_hold(&self, bytes: u64) -> Result<(), TooLarge> {
        if bytes > self.bytes { Err(TooLarge { wanted: bytes, room: self.bytes }) } else { Ok(()) }
    }

    fn taken(&self) -> MutexGuard<'_, u64> {
        self.taken.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Place<'_> {
    /// Makes it `bytes` large, without waiting.
    pub(super) fn grow_to(&mut self, bytes: u64) -> Result<Grown, TooLarge> {
        self.room.can_hold(bytes)?;
        let more = bytes.saturating_sub(self.bytes);
        let mut taken = self.room.taken();
        if *taken + more > self.room.bytes {
            return Ok(Grown::NotNow);
        }
        *taken += more;
        self.bytes += more;
        Ok(Grown::Yes)
    }
}

impl Drop for Place<'_> {
    fn drop(&mut self) {
        *self.room.taken() -= self.bytes;
        self.room.freed.notify_all();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_place_grows_only_into_what_is_free() {
        let room = Room::new(100);
        let other = room.enter(60).unwrap();
        let mut place = room.enter(10).unwrap();
        assert_eq!(place.grow_to(40), Ok(Grown::Yes));
        assert_eq!(place.grow_to(41), Ok(Grown::NotNow));
        assert_eq!(place.grow_to(101), Err(TooLarge { wanted: 101, room: 100 }));
        drop(other);
        assert_eq!(place.grow_to(100), Ok(Grown::Yes));
        drop(place);
        assert_eq!(*room.taken(), 0);
    }

    #[test]
    fn what_is_larger_than_the_room_does_not_wait() {
        assert_eq!(Room::new(100).enter(101).unwrap_err(), TooLarge { wanted: 101, room: 100 });
    }

    #[test]
    fn never_more_is_taken_than_there_is() {
        let room = Room::new(100);
        std::thread::scope(|scope| {
            for bytes in [30, 50, 70, 100, 20, 90] {
                let room = &room;
                scope.spawn(move || {
                    let mut wanted = 1;
                    loop {
                        let mut place = room.enter(wanted).unwrap();
                        assert!(*room.taken() <= 100);
                        match place.grow_to(bytes).unwrap() {
                            Grown::Yes => break,
                            Grown::NotNow => wanted = bytes,
                        }
                    }
                });
            }
        });
        assert_eq!(*room.taken(), 0);
    }
}
