//! The front process in a real cluster: control socket, metrics, health, logs.

mod asking;
mod control;
mod hostile;
mod logs;
mod memory;
mod programs;
mod restarts;

pub(crate) use programs::run;

use crate::Test;

pub(crate) fn tests() -> impl Iterator<Item = &'static Test> {
    control::TESTS.iter().chain(hostile::TESTS).chain(memory::TESTS).chain(restarts::TESTS).chain(logs::TESTS)
}
