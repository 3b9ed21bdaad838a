//! [`Heavy`]: inputs and outputs so large that no event loop shall stand still while they are copied. The keeper does it.

use std::sync::Arc;

use crate::pool::parcel::Parcel;
use crate::pool::state::Ended;
use crate::pool::table::{Answered, Carried};

/// From here on a copy is heavy: 80 µs, twice what it takes to wake the keeper.
const HEAVY_BYTES: u64 = 256 * 1024;

type Over = Ended<Arc<Parcel>, Answered>;

/// What waits for the keeper.
#[derive(Default)]
pub(super) struct Heavy {
    ended: Vec<Over>,
    carried: Vec<Carried>,
}

impl Heavy {
    /// Takes out of both lists what is heavy, for the keeper.
    pub(super) fn leave(&mut self, ended: &mut Vec<Over>, carried: &mut Vec<Carried>) {
        self.ended.extend(ended.extract_if(.., |ended| is_heavy(ended)));
        self.carried.extend(carried.extract_if(.., |carried| carried.bytes() >= HEAVY_BYTES));
    }

    /// Adds to both lists what was left.
    pub(super) fn take(&mut self, ended: &mut Vec<Over>, carried: &mut Vec<Carried>) {
        ended.append(&mut self.ended);
        carried.append(&mut self.carried);
    }

    pub(super) fn is_empty(&self) -> bool {
        self.ended.is_empty() && self.carried.is_empty()
    }
}

fn is_heavy(ended: &Over) -> bool {
    matches!(&ended.result, Some(Ok(answered)) if answered.output.len() >= HEAVY_BYTES)
}
