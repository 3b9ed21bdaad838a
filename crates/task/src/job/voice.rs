//! [`Voice`]: how all threads of a job process speak to the owner: one message after the other, and the bell if it sleeps.
//!
//! An owner with many short tasks looks again within a microsecond or two, also if it has armed the bell meanwhile. So the
//! answer of a short task leaves the bell *owed* for a moment: if the owner has read by then, nobody needs to be woken.

use std::os::fd::OwnedFd;
use std::os::unix::process::parent_id;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use phalanx_shared::{Bell, Error, RingSender};
use rustix::io::Errno;

use super::Broken;
use crate::desk::protocol::RETURNED;

/// How long to wait for the owner before looking whether it still lives.
pub(super) const PATIENCE: Duration = Duration::from_secs(1);

/// How long a bell may be owed: less than a tenth of what it takes to wake somebody who sleeps.
pub(super) const LONGEST_DEBT: Duration = Duration::from_micros(4);
/// So many bells in a row that had to be rung after all, and they are rung at once,
const PATIENT_DEBTS: u32 = 4;
/// but for every so many, to see whether the owner looks again.
const DEBT_EVERY: u32 = 64;

/// The sending end of the answers.
#[derive(Debug)]
pub(super) struct Voice {
    ring: Mutex<Sender>,
    bell: OwnedFd,
    /// Our parent when we began.
    owner: u32,
    /// Regions of inputs that nobody here holds any more, and the owner does not know of.
    returned: Mutex<Returned>,
}

#[derive(Debug)]
struct Sender {
    ring: RingSender,
    /// The owner has armed its bell, was told something since, and may sleep.
    is_bell_owed: bool,
    /// Bells in a row that were owed and had to be rung after all, and what was told since without owing.
    vain: u32,
}

/// When the owner has to hear.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Hurry {
    /// At once.
    Now,
    /// [`Voice::ring_if_owed`] will be called within [`LONGEST_DEBT`], or after one more short task.
    Soon,
}

#[derive(Debug, Default)]
struct Returned {
    regions: Vec<u64>,
    /// The job that runs will tell of them.
    is_told_soon: bool,
}

impl Voice {
    pub(super) fn new(ring: RingSender, bell: OwnedFd) -> Voice {
        let ring = Mutex::new(Sender { ring, is_bell_owed: false, vain: 0 });
        Voice { ring, bell, owner: parent_id(), returned: Mutex::default() }
    }

    /// Says it, waiting for room as long as the owner lives.
    pub(super) fn say(&self, message: &[u8], hurry: Hurry) -> Result<(), Broken> {
        let mut sender = self.sender();
        sender.forget_paid_debt()?;
        loop {
            match sender.ring.try_send_silently(message) {
                Ok(bell) => {
                    sender.is_bell_owed |= bell == Bell::Ring;
                    break;
                }
                Err(Error::Full) => {
                    self.pay(&mut sender)?;
                    match sender.ring.wait_for_room(message.len(), PATIENCE) {
                        Ok(()) => {}
                        Err(Error::TimedOut { .. }) => self.check_owner()?,
                        Err(error) => return Err(Broken::of(error)),
                    }
                }
                Err(error) => return Err(Broken::of(error)),
            }
        }
        if hurry == Hurry::Soon && sender.may_owe() { Ok(()) } else { self.pay(&mut sender) }
    }

    /// Whether the bell may have to be rung.
    pub(super) fn owes(&self) -> Result<bool, Broken> {
        let mut sender = self.sender();
        sender.forget_paid_debt()?;
        Ok(sender.is_bell_owed)
    }

    /// Rings the bell that is owed, unless the owner has read what there is.
    pub(super) fn ring_if_owed(&self) -> Result<(), Broken> {
        let mut sender = self.sender();
        sender.forget_paid_debt()?;
        if sender.is_bell_owed {
            sender.vain = sender.vain.saturating_add(1);
        }
        self.pay(&mut sender)
    }

    fn pay(&self, sender: &mut Sender) -> Result<(), Broken> {
        if std::mem::take(&mut sender.is_bell_owed) { self.ring_the_bell() } else { Ok(()) }
    }

    fn sender(&self) -> MutexGuard<'_, Sender> {
        self.ring.lock().unwrap_or_else(PoisonError::into_inner)
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
        self.say(&message, Hurry::Now)
    }

    fn returned(&self) -> MutexGuard<'_, Returned> {
        self.returned.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Sender {
    /// Who has read all does not sleep in ignorance of something.
    fn forget_paid_debt(&mut self) -> Result<(), Broken> {
        if self.is_bell_owed && self.ring.is_empty().map_err(Broken::of)? {
            self.is_bell_owed = false;
            self.vain = 0;
        }
        Ok(())
    }

    /// Whether it has paid lately to wait for the owner, or is to be tried again.
    fn may_owe(&mut self) -> bool {
        if self.vain < PATIENT_DEBTS {
            return true;
        }
        self.vain = self.vain.wrapping_add(1).max(PATIENT_DEBTS);
        self.vain.is_multiple_of(DEBT_EVERY)
    }
}
