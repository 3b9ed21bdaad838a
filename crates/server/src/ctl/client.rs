//! HTTP over the control socket: one connection a request, each with a deadline.

use std::path::PathBuf;
use std::time::Duration;

use bytes::Bytes;
use http::{Method, Request, StatusCode};
use http_body_util::{BodyExt, Empty, Limited};
use hyper::body::Incoming;
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use serde_json::Value;
use tokio::net::UnixStream;

use crate::start::Failure;

/// For a connection and the head of an answer that is given at once.
const ANSWER_DEADLINE: Duration = Duration::from_secs(10);
/// More than any answer that is no stream.
const LARGEST_ANSWER_BYTES: usize = 16 << 20;

/// Where the server listens for commands.
pub(super) struct Client {
    socket: PathBuf,
}

/// Why there is no answer.
#[derive(Debug)]
pub(super) enum Trouble {
    /// Nobody takes the connection.
    Unreachable(String),
    /// The connection broke before the answer was whole: the front, or the server, was replaced or ended.
    Broken(String),
    /// The server answered that it will not.
    Refused(String),
}

impl From<Trouble> for Failure {
    fn from(trouble: Trouble) -> Failure {
        match trouble {
            Trouble::Unreachable(why) | Trouble::Broken(why) => Failure::Unavailable(why),
            Trouble::Refused(why) => Failure::Other(why),
        }
    }
}

impl Client {
    pub(super) fn new(socket: PathBuf) -> Client {
        Client { socket }
    }

    pub(super) async fn get(&self, path: &str) -> Result<Value, Trouble> {
        self.ask(Method::GET, path, ANSWER_DEADLINE).await
    }

    pub(super) async fn post(&self, path: &str) -> Result<Value, Trouble> {
        self.ask(Method::POST, path, ANSWER_DEADLINE).await
    }

    /// An answer that the server gives within `patience`.
    pub(super) async fn get_within(&self, path: &str, patience: Duration) -> Result<Value, Trouble> {
        self.ask(Method::GET, path, patience + ANSWER_DEADLINE).await
    }

    async fn ask(&self, method: Method, path: &str, deadline: Duration) -> Result<Value, Trouble> {
        let exchange = async {
            let (status, body) = self.open(method, path).await?;
            let body = Limited::new(body, LARGEST_ANSWER_BYTES).collect().await;
            let body = body.map_err(|error| Trouble::Broken(format!("the answer broke off: {error}")))?;
            understand(status, &body.to_bytes())
        };
        tokio::time::timeout(deadline, exchange)
            .await
            .map_err(|_| Trouble::Unreachable(format!("{} gave no answer in time", self.socket.display())))?
    }

    /// An answer that goes on: the caller reads it piece by piece.
    pub(super) async fn stream(&self, path: &str) -> Result<Incoming, Trouble> {
        let (status, body) = tokio::time::timeout(ANSWER_DEADLINE, self.open(Method::GET, path))
            .await
            .map_err(|_| Trouble::Unreachable(format!("{} gave no answer in time", self.socket.display())))??;
        if status.is_success() {
            return Ok(body);
        }
        let text = Limited::new(body, LARGEST_ANSWER_BYTES).collect().await;
        let text = text.map(|text| text.to_bytes()).unwrap_or_default();
        Err(understand(status, &text)
            .err()
            .unwrap_or_else(|| Trouble::Refused(format!("the server answered {status}"))))
    }

    async fn open(&self, method: Method, path: &str) -> Result<(StatusCode, Incoming), Trouble> {
        let socket = UnixStream::connect(&self.socket).await.map_err(|error| {
            Trouble::Unreachable(format!(
                "no server answers at {}: {error}; start one with `phalanx serve`, or name its socket with --control",
                self.socket.display()
            ))
        })?;
        let broken = |error: hyper::Error| Trouble::Broken(format!("the connection broke: {error}"));
        let (mut sender, connection) = http1::handshake(TokioIo::new(socket)).await.map_err(broken)?;
        tokio::spawn(connection);
        let request = Request::builder().method(method).uri(path).header("host", "phalanx").body(Empty::<Bytes>::new());
        let request = request.map_err(|error| Trouble::Refused(format!("{path} cannot be asked for: {error}")))?;
        let (head, body) = sender.send_request(request).await.map_err(broken)?.into_parts();
        Ok((head.status, body))
    }
}

/// The JSON of a success, or the server's words.
fn understand(status: StatusCode, body: &[u8]) -> Result<Value, Trouble> {
    let value: Value = serde_json::from_slice(body).unwrap_or(Value::Null);
    if status.is_success() {
        return Ok(value);
    }
    let why = value["error"].as_str().map_or_else(|| String::from_utf8_lossy(body).into_owned(), str::to_owned);
    Err(Trouble::Refused(if why.is_empty() { format!("the server answered {status}") } else { why }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_refusal_is_told_in_the_servers_words() {
        let Err(Trouble::Refused(why)) = understand(StatusCode::CONFLICT, br#"{"error":"a reload is under way"}"#)
        else {
            panic!("no refusal");
        };
        assert_eq!(why, "a reload is under way");
        let Err(Trouble::Refused(why)) = understand(StatusCode::BAD_GATEWAY, b"") else { panic!("no refusal") };
        assert!(why.contains("502"), "{why}");
    }
}
