//! What lapin and RabbitMQ say when something is wrong, in our words.

use lapin::ErrorKind;

use super::NAME;
use crate::Error;

/// AMQP's reply codes, from its specification.
mod code {
    pub(super) const ACCESS_REFUSED: u16 = 403;
    pub(super) const NOT_FOUND: u16 = 404;
    pub(super) const RESOURCE_LOCKED: u16 = 405;
    pub(super) const PRECONDITION_FAILED: u16 = 406;
    pub(super) const NOT_ALLOWED: u16 = 530;
}

/// Of a connection, or of a queue that does not matter.
pub(super) fn of_connection(error: &lapin::Error) -> Error {
    of_queue(error, "")
}

/// Of something that was done with this queue.
pub(super) fn of_queue(error: &lapin::Error, queue: &str) -> Error {
    let ErrorKind::ProtocolError(said) = error.kind() else { return Error::unavailable(NAME, error) };
    let reason = said.get_message().to_string();
    let queue = queue.to_owned();
    match said.get_id() {
        // "NOT_FOUND - no queue 'x' in vhost '/'". Others with this code are of queues whose process is about to start.
        code::NOT_FOUND if reason.contains("no queue") => Error::NoSuchQueue { queue },
        code::PRECONDITION_FAILED => match numbers(&reason) {
            // "message size 17 is larger than configured max size 16"
            Some([bytes, limit]) if reason.contains("message size") => Error::TooBig { bytes, limit },
            _ => Error::Mismatch { queue, reason },
        },
        code::ACCESS_REFUSED | code::NOT_ALLOWED => Error::Refused { broker: NAME.to_owned(), reason },
        // A queue that another connection owns, or did until a moment ago.
        code::RESOURCE_LOCKED => Error::unavailable(NAME, reason),
        _ if error.is_amqp_soft_error() && !reason.contains("NOT_FOUND") => {
            Error::Refused { broker: NAME.to_owned(), reason }
        }
        _ => Error::unavailable(NAME, reason),
    }
}

/// Of settling a delivery: nothing was recorded, or nobody knows.
pub(super) fn of_settling(error: &lapin::Error) -> Error {
    match error.kind() {
        ErrorKind::InvalidChannelState(..) | ErrorKind::InvalidChannel(_) | ErrorKind::InvalidConnectionState(_) => {
            Error::Stale
        }
        _ => Error::unavailable(NAME, error),
    }
}

/// The first two numbers in a text.
fn numbers(text: &str) -> Option<[u64; 2]> {
    let mut numbers = text.split(|c: char| !c.is_ascii_digit()).filter_map(|digits| digits.parse().ok());
    Some([numbers.next()?, numbers.next()?])
}

#[cfg(test)]
mod tests {
    use lapin::protocol::AMQPError;

    use super::*;

    fn said(code: u16, text: &str) -> Error {
        let error = AMQPError::from_id(code, text.into()).unwrap();
        of_queue(&ErrorKind::ProtocolError(error).into(), "q")
    }

    #[test]
    fn what_rabbitmq_says_becomes_what_a_caller_can_act_on() {
        let queue = || "q".to_owned();
        assert_eq!(said(404, "NOT_FOUND - no queue 'q' in vhost '/'"), Error::NoSuchQueue { queue: queue() });
        assert!(said(404, "NOT_FOUND - home node of durable queue 'q' is down").is_passing());
        let big = said(406, "PRECONDITION_FAILED - message size 17 is larger than configured max size 16");
        assert_eq!(big, Error::TooBig { bytes: 17, limit: 16 });
        assert!(matches!(said(406, "PRECONDITION_FAILED - inequivalent arg 'x-max-length'"), Error::Mismatch { .. }));
        assert!(matches!(said(403, "ACCESS_REFUSED"), Error::Refused { .. }));
        assert!(said(320, "CONNECTION_FORCED - broker forced connection closure").is_passing());
    }
}
