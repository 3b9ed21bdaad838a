//! An uploaded picture while it arrives: its bytes are charged to the memory budget as they come, and its header is
//! judged as soon as it is there.

use crate::memory::{Reserved, SharedBudget, refused, reserve};
use crate::problem::{Code, Problem};
use phalanx::image::{Error, Format, Header, Limits, Transform, plan, probe};

/// Bytes by which the reservation grows: small against a picture, large against a piece of a body.
const RESERVE_STEP_BYTES: u64 = 256 * 1024;
/// No signature of a known format is longer.
const SIGNATURE_BYTES: usize = 12;
/// The first look at the header, in bytes; the next is at twice as many, and so on.
const FIRST_LOOK_BYTES: usize = 128;

/// The bytes that came so far.
pub(crate) struct Upload {
    bytes: Vec<u8>,
    reservation: Reserved,
    next_look: usize,
    judged: bool,
}

/// All bytes of a picture with a sound header. The memory is given back when this is dropped.
pub(crate) struct Picture {
    pub(crate) bytes: Vec<u8>,
    pub(crate) header: Header,
    pub(crate) reservation: Reserved,
}

impl Upload {
    /// Room for `announced` bytes. The room costs nothing until bytes are in it: neither memory nor budget.
    pub(crate) fn new(budget: &SharedBudget, announced: Option<u64>) -> Result<Self, Problem> {
        let capacity = announced.and_then(|length| usize::try_from(length).ok()).unwrap_or(0);
        Ok(Upload {
            bytes: Vec::with_capacity(capacity),
            reservation: reserve(budget, 0)?,
            next_look: FIRST_LOOK_BYTES,
            judged: false,
        })
    }

    /// Takes the next piece; refuses the picture as soon as its first bytes tell that it will not do.
    pub(crate) fn push(&mut self, piece: &[u8], limits: &Limits) -> Result<(), Problem> {
        let length = (self.bytes.len() + piece.len()) as u64;
        if length > self.reservation.bytes() {
            let more = length.next_multiple_of(RESERVE_STEP_BYTES) - self.reservation.bytes();
            self.reservation.try_grow(more).map_err(|exhausted| refused(&exhausted))?;
        }
        self.bytes.extend_from_slice(piece);
        if self.judged {
            return Ok(());
        }
        if self.bytes.len() >= SIGNATURE_BYTES && Format::sniff(&self.bytes).is_none() {
            return Err(Error::UnknownFormat.into());
        }
        if self.bytes.len() >= self.next_look {
            self.next_look = self.bytes.len() * 2;
            match probe(&self.bytes) {
                // A header that is cut looks damaged: the rest may still come.
                Err(Error::Damaged { .. }) => {}
                Err(error) => return Err(error.into()),
                Ok(header) => {
                    self.judged = true;
                    // For the usual wish: what is asked for may stand behind the picture.
                    match plan(&header, &Transform::default(), limits) {
                        // Only what no wish can change: the size of the source.
                        Err(error @ Error::TooLarge { .. }) => return Err(error.into()),
                        Ok(plan) => self.room_for(plan.estimated_bytes)?,
                        Err(_) => {}
                    }
                }
            }
        }
        Ok(())
    }

    /// Refuses while there is no room for the work: the rest of the body would be read in vain. Nothing is taken yet, so a slow
    /// client holds no more than it has sent. What can never fit is refused when all is known.
    fn room_for(&self, work: u64) -> Result<(), Problem> {
        match self.reservation.may_grow(work) {
            Err(exhausted) if !exhausted.never_fits() => Err(refused(&exhausted)),
            _ => Ok(()),
        }
    }

    /// The picture, once its last byte has come.
    pub(crate) fn finish(self) -> Result<Picture, Problem> {
        if self.bytes.is_empty() {
            return Err(Problem::new(
                Code::BadRequest,
                "the picture has 0 bytes; send a JPEG, PNG, WebP or GIF picture",
            ));
        }
        let header = probe(&self.bytes)?;
        Ok(Picture { bytes: self.bytes, header, reservation: self.reservation })
    }
}
