//! [`DeskEnds`]: what a job process is given of its desk, by name.

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use phalanx_process::{Role, TakenRole};

/// Role of a job process.
pub(crate) const ROLE: &str = "job";

const JOBS: &str = "jobs";
const ANSWERS: &str = "answers";
const BOARD: &str = "board";
const INPUT: &str = "input";
const OUTPUT: &str = "output";
const BELL: &str = "bell";

/// The descriptors of the job process's end. They may be dropped when it was spawned.
#[derive(Debug)]
pub struct DeskEnds {
    /// Ring of the jobs.
    pub(crate) jobs: OwnedFd,
    /// Ring of the answers.
    pub(crate) answers: OwnedFd,
    /// The words of claims.
    pub(crate) board: OwnedFd,
    /// File of the inputs, for reading.
    pub(crate) input: OwnedFd,
    /// File of the outputs.
    pub(crate) output: OwnedFd,
    /// What wakes the owner.
    pub(crate) bell: OwnedFd,
}

impl DeskEnds {
    /// Gives them to a role that is to be spawned.
    pub fn give_to<'a>(&'a self, role: Role<'a>) -> Role<'a> {
        self.named().into_iter().fold(role, |role, (name, descriptor)| role.descriptor(name, descriptor))
    }

    /// The role of a job process with these descriptors; the rest of its settings is the caller's.
    pub fn role(&self) -> Role<'_> {
        self.give_to(Role::new(ROLE))
    }

    fn named(&self) -> [(&'static str, BorrowedFd<'_>); 6] {
        [
            (JOBS, self.jobs.as_fd()),
            (ANSWERS, self.answers.as_fd()),
            (BOARD, self.board.as_fd()),
            (INPUT, self.input.as_fd()),
            (OUTPUT, self.output.as_fd()),
            (BELL, self.bell.as_fd()),
        ]
    }

    /// Those that a job process was given.
    pub(crate) fn taken(role: &mut TakenRole) -> Result<DeskEnds, phalanx_process::Error> {
        Ok(DeskEnds {
            jobs: role.take(JOBS)?,
            answers: role.take(ANSWERS)?,
            board: role.take(BOARD)?,
            input: role.take(INPUT)?,
            output: role.take(OUTPUT)?,
            bell: role.take(BELL)?,
        })
    }
}
