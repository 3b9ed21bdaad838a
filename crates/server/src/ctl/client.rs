//! HTTP over the control socket: one connection a request, each with a deadline.

use std::path::PathBuf;
use std::time::Duration;

use bytes::Bytes;
use http::response::Parts;
use http::{HeaderMap, Method, Request, StatusCode};
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
/// More than any profile.
const LARGEST_FILE_BYTES: usize = 64 << 20;

/// Where the server listens for commands.
pub(super) struct Client {
    socket: PathBuf,
    /// The app that is asked, if it was named.
    app: Option<String>,
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
        Client { socket, app: None }
    }

    /// The same; who is not there is called by this name.
    pub(super) fn of_app(self, name: &str) -> Client {
        Client { app: Some(name.to_owned()), ..self }
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

    /// As [`get_within`](Self::get_within).
    pub(super) async fn post_within(&self, path: &str, patience: Duration) -> Result<Value, Trouble> {
        self.ask(Method::POST, path, patience).await
    }

    /// An answer that is no JSON, and its head.
    pub(super) async fn post_for_bytes(&self, path: &str, patience: Duration) -> Result<(HeaderMap, Bytes), Trouble> {
        let exchange = async {
            let (head, body) = self.open(Method::POST, path).await?;
            let bytes = Self::whole(body, LARGEST_FILE_BYTES).await?;
            match head.status.is_success() {
                true => Ok((head.headers, bytes)),
                false => Err(refusal(head.status, &bytes)),
            }
        };
        self.in_time(patience, exchange).await
    }

    async fn whole(body: Incoming, most: usize) -> Result<Bytes, Trouble> {
        let body = Limited::new(body, most).collect().await;
        body.map(|body| body.to_bytes()).map_err(|error| Trouble::Broken(format!("the answer broke off: {error}")))
    }

    async fn in_time<T>(
        &self,
        deadline: Duration,
        exchange: impl Future<Output = Result<T, Trouble>>,
    ) -> Result<T, Trouble> {
        let late = |_| Trouble::Unreachable(format!("{} gave no answer in time", self.socket.display()));
        tokio::time::timeout(deadline, exchange).await.map_err(late)?
    }

    async fn ask(&self, method: Method, path: &str, deadline: Duration) -> Result<Value, Trouble> {
        let exchange = async {
            let (head, body) = self.open(method, path).await?;
            understand(head.status, &Self::whole(body, LARGEST_ANSWER_BYTES).await?)
        };
        self.in_time(deadline, exchange).await
    }

    /// An answer that goes on: the caller reads it piece by piece.
    pub(super) async fn stream(&self, path: &str) -> Result<Incoming, Trouble> {
        let (head, body) = self.in_time(ANSWER_DEADLINE, self.open(Method::GET, path)).await?;
        if head.status.is_success() {
            return Ok(body);
        }
        let text = Self::whole(body, LARGEST_ANSWER_BYTES).await.unwrap_or_default();
        Err(refusal(head.status, &text))
    }

    fn absence(&self, error: &std::io::Error) -> String {
        let socket = self.socket.display();
        match &self.app {
            Some(name) => {
                format!("the app {name} does not run ({socket}: {error}); `phalanx ctl ls` shows those that do")
            }
            None => format!(
                "no server answers at {socket}: {error}; start one with `phalanx serve`, or name its socket with --control"
            ),
        }
    }

    async fn open(&self, method: Method, path: &str) -> Result<(Parts, Incoming), Trouble> {
        let connected = UnixStream::connect(&self.socket).await;
        let socket = connected.map_err(|error| Trouble::Unreachable(self.absence(&error)))?;
        let broken = |error: hyper::Error| Trouble::Broken(format!("the connection broke: {error}"));
        let (mut sender, connection) = http1::handshake(TokioIo::new(socket)).await.map_err(broken)?;
        tokio::spawn(connection);
        let request = Request::builder().method(method).uri(path).header("host", "phalanx").body(Empty::<Bytes>::new());
        let request = request.map_err(|error| Trouble::Refused(format!("{path} cannot be asked for: {error}")))?;
        Ok(sender.send_request(request).await.map_err(broken)?.into_parts())
    }
}

/// The JSON of a success, or the server's words.
fn understand(status: StatusCode, body: &[u8]) -> Result<Value, Trouble> {
    match status.is_success() {
        true => Ok(serde_json::from_slice(body).unwrap_or(Value::Null)),
        false => Err(refusal(status, body)),
    }
}

fn refusal(status: StatusCode, body: &[u8]) -> Trouble {
    let value: Value = serde_json::from_slice(body).unwrap_or(Value::Null);
    let why = value["error"].as_str().map_or_else(|| String::from_utf8_lossy(body).into_owned(), str::to_owned);
    Trouble::Refused(if why.is_empty() { format!("the server answered {status}") } else { why })
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
