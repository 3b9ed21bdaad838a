//! What an epoll event is about; it travels as one word.

use rustix::event::epoll;

use crate::WorkerId;

/// Where an event comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Source {
    /// A signal came.
    Signals,
    /// The primary's code wants something.
    Commands,
    /// A worker said something.
    Control(WorkerId),
    /// A worker's process ended.
    Process(WorkerId),
    /// The command that judges a worker's health ended.
    Gate(WorkerId),
}

/// Bits that tell the kinds apart; the number is above them.
const KIND_BITS: u32 = 3;

impl Source {
    pub(super) fn data(self) -> epoll::EventData {
        let (kind, number) = match self {
            Source::Signals => (0, 0),
            Source::Commands => (1, 0),
            Source::Control(worker) => (2, worker.get()),
            Source::Process(worker) => (3, worker.get()),
            Source::Gate(worker) => (4, worker.get()),
        };
        epoll::EventData::new_u64(kind | u64::from(number) << KIND_BITS)
    }

    pub(super) fn of(data: u64) -> Source {
        let worker = WorkerId::new((data >> KIND_BITS) as u32);
        match data & ((1 << KIND_BITS) - 1) {
            0 => Source::Signals,
            1 => Source::Commands,
            2 => Source::Control(worker),
            3 => Source::Process(worker),
            _ => Source::Gate(worker),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_epoll_reports_is_what_was_watched() {
        let worker = WorkerId::new(u32::MAX);
        let of_worker = [Source::Control(worker), Source::Process(worker), Source::Gate(worker)];
        for source in [Source::Signals, Source::Commands].into_iter().chain(of_worker) {
            assert_eq!(Source::of(source.data().u64()), source);
        }
    }
}
