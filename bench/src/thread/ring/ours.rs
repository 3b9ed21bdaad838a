//! Ours, with its defaults: a ring in each direction; who finds nothing looks for 20 µs, then sleeps.

use std::time::Duration;

use measuring::{During, Failure, stay_on};
use phalanx_shared::{RingReceiver, RingSender};

use super::{MESSAGE_BYTES, round_trips, whole};
use crate::Task;
use crate::cores::Cores;
use crate::figures::Figures;
use crate::peer::{self, Given, Peer};

const RING_BYTES: usize = 64 * 1024;
/// Nobody who lives is silent for so long.
pub(super) const DEADLINE: Duration = Duration::from_secs(5);
/// No timer in the kernel for a wait: as the bare futex does it.
pub(super) const NEVER: Duration = Duration::MAX;

pub(super) fn drive(task: Task, deadline: Duration) -> Result<Figures, Failure> {
    let mut sender = RingSender::create(RING_BYTES).during("create a ring")?;
    let mut receiver = RingReceiver::create(RING_BYTES).during("create a ring")?;
    let read = sender.descriptor().during("share the ring")?;
    let written = receiver.descriptor().during("share the ring")?;
    let _peer = Peer::start(task, Given::TwoMemories { read, written })?;
    stay_on(task.cores.own)?;
    let mut answer = Vec::with_capacity(MESSAGE_BYTES);
    round_trips(task, |message| {
        sender.send(message, deadline).during("send")?;
        receiver.recv(&mut answer, deadline).during("receive")?;
        whole(&answer)
    })
}

pub(super) fn answer(cores: Cores, deadline: Duration) -> Result<(), Failure> {
    let mut receiver = RingReceiver::from_descriptor(peer::memory()?).during("open the ring")?;
    let mut sender = RingSender::from_descriptor(peer::second_memory()?).during("open the other ring")?;
    stay_on(cores.peer)?;
    let mut message = Vec::with_capacity(MESSAGE_BYTES);
    loop {
        receiver.recv(&mut message, deadline).during("receive")?;
        sender.send(&message, deadline).during("send back")?;
    }
}
