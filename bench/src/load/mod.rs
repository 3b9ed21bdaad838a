//! The load generator: HTTP/1.1 by hand over tokio, so that it costs little beside the server that shares its cores.
//!
//! [`closed`] keeps a fixed number of clients busy: it finds the capacity. [`open`] sends at a fixed rate whatever the
//! answers: it shows overload, and measures each latency from the moment at which the request was due.

pub(crate) mod closed;
mod connection;
pub(crate) mod open;
pub(crate) mod oracle;
pub(crate) mod probe;
mod request;
mod tally;
pub(crate) mod wrk;

pub(crate) use connection::{Answer, Connection};
pub(crate) use request::Request;
pub(crate) use tally::{Outcome, Tally};

use std::net::SocketAddr;
use std::time::Duration;

/// Longer than any server here may take; a request without an answer by then counts as timed out.
pub(crate) const ANSWER_DEADLINE: Duration = Duration::from_secs(30);

/// How connections are used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Reuse {
    /// A connection serves as many requests as the server allows.
    KeepAlive,
    /// Every request opens a connection of its own.
    OnePerRequest,
}

/// One request, on `kept` if there is a live connection in it, else on a new one. A connection that may be used again
/// is left in `kept`.
pub(crate) async fn exchange(
    address: SocketAddr,
    request: &Request,
    kept: &mut Option<Connection>,
) -> Result<Answer, Outcome> {
    let attempt = async {
        let mut connection = match kept.take().filter(Connection::is_open) {
            Some(connection) => connection,
            None => Connection::open(address).await.map_err(|_| Outcome::NotConnected)?,
        };
        let answer = connection.exchange(request).await?;
        if answer.connection_is_reusable {
            *kept = Some(connection);
        }
        Ok(answer)
    };
    match tokio::time::timeout(ANSWER_DEADLINE, attempt).await {
        Ok(result) => result,
        Err(_) => Err(Outcome::TimedOut),
    }
}
