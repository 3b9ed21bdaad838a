//! [`Voice`]: how all threads of a job process speak to the owner: one message after the other, and the bell if it sleeps.

use std::os::fd::OwnedFd;
use std::os::unix::process::parent_id;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use phalanx_shared::{Bell, Error, RingSender};
use rustix::io::Errno;

use super::Broken;
use crate::desk::protocol::RETURNED;

/// How long to wait for the owner before looking whether it still lives.
pub(super) const PATIENCE: Duration = Duration::from_secs(1);

/// The sending end of the answers.
#[derive(Debug)]
pub(super) struct Voice {
    ring: Mutex<RingSender>,
    bell: OwnedFd,
    /// Our parent when we began.
    owner: u32,
    /// Regions of inputs that nobody here holds any more, and the owner does not know of.
    returned: Mutex<Returned>,
}

#[derive(Debug, Default)]
struct Returned {
    regions: Vec<u64>,
    /// The job that runs will tell of them.
    is_told_soon: bool,
}

impl Voice {
    pub(super) fn new(ring: RingSender, bell: OwnedFd) -> Voice {
        Voice { ring: Mutex::new(ring), bell, owner: parent_id(), returned: Mutex::default() }
    }

    /// Says it, waiting for room as long as the owner lives.
    pub(super) fn say(&self, message: &[u8]) -> Result<(), Broken> {
        let mut ring = self.ring.lock().unwrap_or_else(PoisonError::into_inner);
        loop {
            match ring.try_send_silently(message) {
                Ok(Bell::NotNeeded) => return Ok(()),
                Ok(Bell::Ring) => return self.ring_the_bell(),
                Err(Error::Full) => match ring.wait_for_room(message.len(), PATIENCE) {
                    Ok(()) => {}
                    Err(Error::TimedOut { .. }) => self.check_owner()?,
                    Err(error) => return Err(Broken::of(error)),
                },
                Err(error) => return Err(Broken::of(error)),
            }
        }
    }

    fn ring_the_bell(&self) -> Result<(), Broken> {
        match rustix::io::write(&self.bell, &1_u64.to_ne_bytes()) {
            // A full counter is readable.
            Ok(_) | Err(Errno::AGAIN) => Ok(()),
            Err(error) => Err(Broken(format!("cannot ring the bell of the owner: {error}"))),
        }
    }

    /// An error if the owner is gone.
    pub(super) fn check_owner(&self) -> Result<(), Broken> {
        if parent_id() == self.owner { Ok(()) } else { Err(Broken("its owner is gone".into())) }
    }

    /// A job begins: what is returned from now on, it tells with its answer.
    pub(super) fn tell_later(&self) {
        self.returned().is_told_soon = true;
    }

    /// A job is over: what was returned meanwhile, without the region `own`; and whether `own` was among them.
    pub(super) fn tell_now(&self, own: Option<u64>) -> Result<bool, Broken> {
        let mut regions = {
            let mut returned = self.returned();
            returned.is_told_soon = false;
            std::mem::take(&mut returned.regions)
        };
        let before = regions.len();
        regions.retain(|region| Some(*region) != own);
        self.tell(&regions)?;
        Ok(regions.len() < before)
    }

    /// Nobody holds this region any more.
    pub(super) fn give_back(&self, region: u64) {
        let mut returned = self.returned();
        returned.regions.push(region);
        if !returned.is_told_soon {
            let regions = std::mem::take(&mut returned.regions);
            drop(returned);
            // If the owner cannot be told, it has given us up.
            let _ = self.tell(&regions);
        }
    }

    fn tell(&self, regions: &[u64]) -> Result<(), Broken> {
        if regions.is_empty() {
            return Ok(());
        }
        let mut message = vec![RETURNED];
        message.extend(regions.iter().flat_map(|region| region.to_ne_bytes()));
        self.say(&message)
    }

    fn returned(&self) -> std::sync::MutexGuard<'_, Returned> {
        self.returned.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
