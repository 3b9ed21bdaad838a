//! A value that goes to another thread and comes back, each thread on its core.

mod crossbeam;
mod ours;
mod sides;
mod tokio_mpsc;

use measuring::{During, Failure};

use crate::Task;
use crate::figures::Figures;
use crate::rival::{Measure, Rival};

/// Messages that may wait: the default of ours.
const QUEUED_AT_MOST: usize = 1000;
const MEBIBYTE: usize = 1 << 20;

pub(crate) fn drive(task: Task) -> Result<Figures, Failure> {
    match task.measure {
        Measure::PortEight => returned(task, vec![7u8; 8]),
        Measure::PortMebibyte => returned(task, vec![7u8; MEBIBYTE]),
        _ => returned(task, 7u64),
    }
}

fn returned<T: Send + 'static>(task: Task, value: T) -> Result<Figures, Failure> {
    match task.rival {
        Rival::Phalanx => ours::awaited(task, value),
        Rival::PhalanxBlocking => ours::blocking(task, value),
        Rival::PhalanxWorker => ours::of_a_worker(task, value),
        Rival::TokioMpsc => tokio_mpsc::measure(task, value),
        Rival::Crossbeam => crossbeam::measure(task, value),
        rival => Err(rival.has_no(task.measure)),
    }
}

fn event_loop() -> Result<tokio::runtime::Runtime, Failure> {
    tokio::runtime::Builder::new_current_thread().enable_all().build().during("start the event loop")
}

fn ended() -> Failure {
    Failure::new("the other thread ended early")
}
