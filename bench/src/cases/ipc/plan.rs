//! What is measured, where, and for how long.

use std::time::Duration;

use crate::cases::cores::Placement;

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, clap::ValueEnum)]
pub(crate) enum Measure {
    /// Round trips of a small message
    PingPong,
    /// Messages of 1 KiB in one direction
    OneWay,
    /// Payloads of 1 MiB
    Payload,
    /// Memory of the sender while the receiver is stopped
    Unread,
}

impl Measure {
    /// Its name on the command lines of both `phalanx-bench-ipc` and `ipc.js`.
    pub(super) fn word(self) -> &'static str {
        match self {
            Self::PingPong => "ping-pong",
            Self::OneWay => "one-way",
            Self::Payload => "payload",
            Self::Unread => "unread",
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Measurement {
    pub(crate) measure: Measure,
    pub(crate) placement: Placement,
}

impl Measurement {
    pub(super) const PING_PONG: Self = Self::on_two_cores(Measure::PingPong);
    pub(super) const PING_PONG_ON_ONE_CORE: Self = Self { measure: Measure::PingPong, placement: Placement::OneCore };
    pub(super) const ONE_WAY: Self = Self::on_two_cores(Measure::OneWay);
    pub(super) const PAYLOAD: Self = Self::on_two_cores(Measure::Payload);
    pub(super) const UNREAD: Self = Self::on_two_cores(Measure::Unread);

    pub(super) const ALL: [Self; 5] =
        [Self::PING_PONG, Self::PING_PONG_ON_ONE_CORE, Self::ONE_WAY, Self::PAYLOAD, Self::UNREAD];

    const fn on_two_cores(measure: Measure) -> Self {
        Self { measure, placement: Placement::CoreEach }
    }
}

/// How long one measurement lasts.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Schedule {
    pub(crate) warm_up: Duration,
    pub(crate) counted: Duration,
}
