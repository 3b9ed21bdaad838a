//! 64 bytes that go to another process and come back.

mod futex;
#[cfg(feature = "iceoryx2")]
mod iceoryx;
mod ipc_channel;
mod ours;

use measuring::{Failure, Meter, Schedule};

use crate::Task;
use crate::cores::Cores;
use crate::figures::Figures;
use crate::rival::{Measure, Rival};
use futex::Waiting;

const MESSAGE_BYTES: usize = 64;
const LOOK_EVERY: u64 = 64;

type Message = [u8; MESSAGE_BYTES];

pub(crate) fn drive(task: Task) -> Result<Figures, Failure> {
    match task.rival {
        Rival::Phalanx => ours::drive(task, ours::DEADLINE),
        Rival::PhalanxForever => ours::drive(task, ours::NEVER),
        Rival::FutexProcesses => futex::drive(task, Waiting::Sleep),
        Rival::SpinningProcesses => futex::drive(task, Waiting::Spin),
        Rival::IpcChannel => ipc_channel::drive(task),
        #[cfg(feature = "iceoryx2")]
        Rival::Iceoryx2 => iceoryx::drive(task),
        #[cfg(not(feature = "iceoryx2"))]
        Rival::Iceoryx2 => Err(Failure::new("it is not built in")),
        rival => Err(rival.has_no(task.measure)),
    }
}

pub(crate) fn answer(rival: Rival, cores: Cores, meeting_place: Option<&str>) -> Result<(), Failure> {
    let met = || meeting_place.ok_or_else(|| Failure::new("the peer was not told where to meet the driver"));
    match rival {
        Rival::Phalanx => ours::answer(cores, ours::DEADLINE),
        Rival::PhalanxForever => ours::answer(cores, ours::NEVER),
        Rival::FutexProcesses => futex::answer(cores, Waiting::Sleep),
        Rival::SpinningProcesses => futex::answer(cores, Waiting::Spin),
        Rival::IpcChannel => ipc_channel::answer(cores, met()?),
        #[cfg(feature = "iceoryx2")]
        Rival::Iceoryx2 => iceoryx::answer(cores, met()?),
        rival => Err(rival.has_no(Measure::Ring)),
    }
}

/// Counts round trips; each message has a number, which must come back.
fn round_trips(task: Task, mut trip: impl FnMut(&Message) -> Result<Message, Failure>) -> Result<Figures, Failure> {
    let mut meter = Meter::start(Schedule { warm_up: task.warm_up, counted: task.counted, look_every: LOOK_EVERY });
    for number in 0u64.. {
        let sent = message(number);
        if trip(&sent)? != sent {
            return Err(Failure::new(format!("message {number} came back changed")));
        }
        if let Some(report) = meter.one_more() {
            return Ok(report.into());
        }
    }
    Err(Failure::new("the numbers ran out"))
}

fn message(number: u64) -> Message {
    let mut message = [7; MESSAGE_BYTES];
    message[..size_of::<u64>()].copy_from_slice(&number.to_ne_bytes());
    message
}

fn whole(bytes: &[u8]) -> Result<Message, Failure> {
    bytes.try_into().map_err(|_| Failure::new(format!("{} bytes came, not {MESSAGE_BYTES}", bytes.len())))
}
