//! [`Phase`]: how far one end of a stream is. All ends share this one machine.
//!
//! ```text
//!            end()               all is through
//!   Open ───────────► Ending ───────────────────► Finished ──┐
//!     │                  │                                   ├─ dropped ─► Closed
//!     ├──── fail(error) ─┴──────────────────────► Errored ───┘
//!     └──── dropped before its end ──────────────────────────────────────► Closed
//! ```
//!
//! The first error counts; an end that has ended, in whatever way, hears of no later one.

use crate::Error;

/// How far one end of a stream is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Phase {
    /// Data flows.
    Open,
    /// The end was said; what waits is still on its way.
    Ending,
    /// All is through: Node's `finish` of a writable, `end` of a readable.
    Finished,
    /// It failed or was destroyed with an error, once.
    Errored,
    /// It is gone; before its end, if it was not `Finished`.
    Closed,
}

/// One end: its phase, and how it ended.
#[derive(Debug)]
pub(crate) struct Life {
    phase: Phase,
    outcome: Option<Result<(), Error>>,
}

impl Life {
    pub(crate) fn new() -> Life {
        Life { phase: Phase::Open, outcome: None }
    }

    pub(crate) fn phase(&self) -> Phase {
        self.phase
    }

    /// Whether it has not ended yet, in any way.
    pub(crate) fn is_alive(&self) -> bool {
        matches!(self.phase, Phase::Open | Phase::Ending)
    }

    /// How it ended, once it has.
    pub(crate) fn outcome(&self) -> Option<Result<(), Error>> {
        self.outcome.clone()
    }

    /// Whether it can take more; why not.
    pub(crate) fn check_open(&self) -> Result<(), Error> {
        match &self.outcome {
            Some(Err(error)) => Err(error.clone()),
            None if self.phase == Phase::Open => Ok(()),
            _ => Err(Error::WriteAfterEnd),
        }
    }

    /// No more will come.
    pub(crate) fn end(&mut self) {
        if self.phase == Phase::Open {
            self.phase = Phase::Ending;
        }
    }

    /// All is through.
    pub(crate) fn finish(&mut self) {
        if self.is_alive() {
            self.phase = Phase::Finished;
            self.outcome = Some(Ok(()));
        }
    }

    /// Ends it with an error; false if it had ended before.
    pub(crate) fn fail(&mut self, error: &Error) -> bool {
        let is_first = self.is_alive();
        if is_first {
            self.phase = Phase::Errored;
            self.outcome = Some(Err(error.clone()));
        }
        is_first
    }

    /// Its owner is gone. Before its end, that is an error for those who wait for it.
    pub(crate) fn close(&mut self, what: &str) {
        if self.is_alive() {
            self.outcome = Some(Err(Error::PrematureClose { what: what.to_owned() }));
        }
        self.phase = Phase::Closed;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn aborted(reason: &str) -> Error {
        Error::Aborted { reason: reason.to_owned() }
    }

    #[test]
    fn the_first_error_counts() {
        let mut life = Life::new();
        assert!(life.fail(&aborted("first")));
        assert!(!life.fail(&aborted("second")));
        life.end();
        life.finish();
        assert_eq!(life.phase(), Phase::Errored);
        assert!(life.outcome().unwrap().unwrap_err().to_string().contains("first"));
        life.close("it");
        assert_eq!(life.phase(), Phase::Closed);
        assert!(life.outcome().unwrap().unwrap_err().to_string().contains("first"));
    }

    #[test]
    fn what_has_finished_does_not_fail() {
        let mut life = Life::new();
        life.end();
        assert_eq!(life.phase(), Phase::Ending);
        life.finish();
        assert!(!life.fail(&aborted("late")));
        life.close("it");
        assert!(life.outcome().unwrap().is_ok());
    }

    #[test]
    fn closed_before_its_end_is_an_error() {
        let mut life = Life::new();
        life.close("the writing end");
        let error = life.outcome().unwrap().unwrap_err();
        assert_eq!(error.to_string(), "the writing end was closed before its end");
        assert!(life.check_open().is_err());
    }
}
