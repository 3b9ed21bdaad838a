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
    /// The front said something.
    FrontLink,
    /// A front's process ended.
    FrontProcess,
    /// The check of an upgrade ended.
    Check,
    /// The process that writes down the stacks of a hung worker ended.
    Dumper(WorkerId),
    /// A child that is no worker any more, or never was one, ended.
    Leftover,
    /// The dispatcher said something.
    Dispatcher,
    /// The dispatcher's process ended.
    DispatcherProcess,
    /// The attendant of the programs said something.
    Attendant,
    /// The attendant's process ended.
    AttendantProcess,
    /// The process of a companion ended.
    Companion(u32),
}

/// Bits that tell the kinds apart; the number is above them.
const KIND_BITS: u32 = 4;

impl Source {
    pub(super) fn data(self) -> epoll::EventData {
        let (kind, number) = match self {
            Source::Signals => (0, 0),
            Source::Commands => (1, 0),
            Source::Control(worker) => (2, worker.get()),
            Source::Process(worker) => (3, worker.get()),
            Source::Gate(worker) => (4, worker.get()),
            Source::FrontLink => (5, 0),
            Source::FrontProcess => (6, 0),
            Source::Check => (7, 0),
            Source::Leftover => (8, 0),
            Source::Dispatcher => (9, 0),
            Source::DispatcherProcess => (10, 0),
            Source::Dumper(worker) => (11, worker.get()),
            Source::Companion(index) => (12, index),
            Source::Attendant => (13, 0),
            Source::AttendantProcess => (14, 0),
        };
        epoll::EventData::new_u64(kind | u64::from(number) << KIND_BITS)
    }

    pub(super) fn of(data: u64) -> Source {
        let number = (data >> KIND_BITS) as u32;
        let worker = WorkerId::new(number);
        match data & ((1 << KIND_BITS) - 1) {
            0 => Source::Signals,
            1 => Source::Commands,
            2 => Source::Control(worker),
            3 => Source::Process(worker),
            4 => Source::Gate(worker),
            5 => Source::FrontLink,
            6 => Source::FrontProcess,
            7 => Source::Check,
            8 => Source::Leftover,
            9 => Source::Dispatcher,
            10 => Source::DispatcherProcess,
            11 => Source::Dumper(worker),
            13 => Source::Attendant,
            14 => Source::AttendantProcess,
            _ => Source::Companion(number),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_epoll_reports_is_what_was_watched() {
        let worker = WorkerId::new(u32::MAX);
        let of_worker =
            [Source::Control(worker), Source::Process(worker), Source::Gate(worker), Source::Dumper(worker)];
        let single = [
            Source::Signals,
            Source::Commands,
            Source::FrontLink,
            Source::FrontProcess,
            Source::Check,
            Source::Leftover,
            Source::Dispatcher,
            Source::DispatcherProcess,
            Source::Attendant,
            Source::AttendantProcess,
            Source::Companion(0),
            Source::Companion(15),
        ];
        for source in single.into_iter().chain(of_worker) {
            assert_eq!(Source::of(source.data().u64()), source);
        }
    }
}
