//! What is measured, where, and for how long.

use std::time::Duration;

use clap::ValueEnum;

use crate::cases::cores::Placement;

/// The parts of the report, each with a table of its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, ValueEnum)]
pub(crate) enum Part {
    /// Empty jobs for one thread of a pool
    Pool,
    /// Starting, keeping and ending worker threads
    Worker,
    /// Values that are moved between two threads
    Port,
    /// Words that threads or processes share
    Words,
    /// 64 bytes between two processes
    Ring,
}

impl Part {
    pub(super) const ALL: [Self; 5] = [Self::Pool, Self::Worker, Self::Port, Self::Words, Self::Ring];
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, ValueEnum)]
pub(super) enum Measure {
    PoolLone,
    PoolCrowd,
    WorkerStart,
    WorkerMemory,
    WorkerCycles,
    PortValue,
    PortEight,
    PortMebibyte,
    Add,
    Wait,
    Spin,
    Ring,
}

impl Measure {
    /// Its name on the command lines of both `phalanx-bench-thread` and `thread.js`.
    pub(super) fn word(self) -> String {
        self.to_possible_value().map(|value| value.get_name().to_owned()).unwrap_or_default()
    }

    pub(super) fn part(self) -> Part {
        match self {
            Self::PoolLone | Self::PoolCrowd => Part::Pool,
            Self::WorkerStart | Self::WorkerMemory | Self::WorkerCycles => Part::Worker,
            Self::PortValue | Self::PortEight | Self::PortMebibyte => Part::Port,
            Self::Add | Self::Wait | Self::Spin => Part::Words,
            Self::Ring => Part::Ring,
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Measurement {
    pub(super) measure: Measure,
    pub(super) placement: Placement,
}

impl Measurement {
    pub(super) const POOL_LONE: Self = Self::on_two_cores(Measure::PoolLone);
    pub(super) const POOL_CROWD: Self = Self::on_two_cores(Measure::PoolCrowd);
    pub(super) const WORKER_START: Self = Self::on_two_cores(Measure::WorkerStart);
    pub(super) const WORKER_MEMORY: Self = Self::on_two_cores(Measure::WorkerMemory);
    pub(super) const WORKER_CYCLES: Self = Self::on_two_cores(Measure::WorkerCycles);
    pub(super) const PORT_VALUE: Self = Self::on_two_cores(Measure::PortValue);
    pub(super) const PORT_EIGHT: Self = Self::on_two_cores(Measure::PortEight);
    pub(super) const PORT_MEBIBYTE: Self = Self::on_two_cores(Measure::PortMebibyte);
    pub(super) const ADD: Self = Self::on_two_cores(Measure::Add);
    pub(super) const WAIT: Self = Self::on_two_cores(Measure::Wait);
    pub(super) const WAIT_ON_ONE_CORE: Self = Self::on_one_core(Measure::Wait);
    pub(super) const SPIN: Self = Self::on_two_cores(Measure::Spin);
    pub(super) const RING: Self = Self::on_two_cores(Measure::Ring);
    pub(super) const RING_ON_ONE_CORE: Self = Self::on_one_core(Measure::Ring);

    pub(super) const ALL: [Self; 14] = [
        Self::POOL_LONE,
        Self::POOL_CROWD,
        Self::WORKER_START,
        Self::WORKER_MEMORY,
        Self::WORKER_CYCLES,
        Self::PORT_VALUE,
        Self::PORT_EIGHT,
        Self::PORT_MEBIBYTE,
        Self::ADD,
        Self::WAIT,
        Self::WAIT_ON_ONE_CORE,
        Self::SPIN,
        Self::RING,
        Self::RING_ON_ONE_CORE,
    ];

    const fn on_two_cores(measure: Measure) -> Self {
        Self { measure, placement: Placement::CoreEach }
    }

    const fn on_one_core(measure: Measure) -> Self {
        Self { measure, placement: Placement::OneCore }
    }
}

/// How long one measurement lasts.
#[derive(Clone, Copy, Debug)]
pub(super) struct Schedule {
    pub(super) warm_up: Duration,
    pub(super) counted: Duration,
    /// Workers that are created and ended to see what stays behind.
    pub(super) cycles: u32,
}

impl Schedule {
    /// A Node worker is created and ended in less than this, on a busy machine too.
    const CYCLE_AT_MOST: Duration = Duration::from_millis(100);

    pub(super) fn of(self, measure: Measure) -> Duration {
        match measure {
            Measure::WorkerCycles => Self::CYCLE_AT_MOST * self.cycles,
            _ => self.warm_up + self.counted,
        }
    }
}
