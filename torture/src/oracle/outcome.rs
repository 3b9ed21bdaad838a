//! [`Outcome`]: the one thing that became of a request or of a connection.

use std::io::ErrorKind;

/// What a tally counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) enum Outcome {
    /// The right answer to this request, once.
    Ok,
    /// Nobody listened.
    Refused,
    /// The connection broke before the request was sent whole.
    ResetBeforeSend,
    /// The connection broke or ended after the request was sent, before the first byte of an answer.
    ResetAfterSend,
    /// The answer broke off in its middle.
    CutOff,
    /// Nothing, or not all, came within the deadline.
    TimedOut,
    /// Something came that is no answer to this request.
    WrongAnswer,
    /// More came than one answer, or an answer that was given before.
    Duplicate,
    /// The server announced the end of a connection, or ended it while no request was under way. No failure.
    CleanClose,
    /// Our own machine could not even try, such as for want of ports. Says nothing about the server.
    Client,
}

impl Outcome {
    /// All that are failures of the server.
    pub(crate) const FAILURES: [Outcome; 7] = [
        Outcome::Refused,
        Outcome::ResetBeforeSend,
        Outcome::ResetAfterSend,
        Outcome::CutOff,
        Outcome::TimedOut,
        Outcome::WrongAnswer,
        Outcome::Duplicate,
    ];

    /// As in the head of a table.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Outcome::Ok => "ok",
            Outcome::Refused => "refused",
            Outcome::ResetBeforeSend => "reset before send",
            Outcome::ResetAfterSend => "reset after send",
            Outcome::CutOff => "cut off",
            Outcome::TimedOut => "timed out",
            Outcome::WrongAnswer => "wrong",
            Outcome::Duplicate => "twice",
            Outcome::CleanClose => "clean closes",
            Outcome::Client => "client's own",
        }
    }
}

/// A right answer: who gave it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Answer {
    pub(crate) pid: u32,
    pub(crate) generation: u32,
    /// The server will close the connection after it.
    pub(crate) closes: bool,
}

/// A request that failed: how, and what was seen.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Failure {
    pub(crate) outcome: Outcome,
    pub(crate) seen: String,
}

impl Failure {
    pub(crate) fn new(outcome: Outcome, seen: impl Into<String>) -> Failure {
        Failure { outcome, seen: seen.into() }
    }

    /// An error of the system while `doing`; `reset` is what a broken connection means at this point.
    pub(crate) fn of(doing: &str, error: &std::io::Error, reset: Outcome) -> Failure {
        let outcome = match error.kind() {
            ErrorKind::ConnectionRefused | ErrorKind::NotFound => Outcome::Refused,
            ErrorKind::ConnectionReset | ErrorKind::BrokenPipe | ErrorKind::ConnectionAborted => reset,
            ErrorKind::NotConnected | ErrorKind::UnexpectedEof => reset,
            ErrorKind::WouldBlock | ErrorKind::TimedOut => Outcome::TimedOut,
            _ => Outcome::Client,
        };
        Failure::new(outcome, format!("{doing}: {error}"))
    }
}
