//! Asks a [`HealthCheck`].

use std::net::SocketAddr;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::program::HealthCheck;

/// For the whole answer to one question.
const ANSWER_DEADLINE: Duration = Duration::from_secs(5);
/// Bytes of an answer that are read: the status is in the first line.
const STATUS_BYTES: usize = 64;

/// Healthy, or why not.
pub(super) async fn ask(check: &HealthCheck) -> Result<(), String> {
    let asked = async {
        match check {
            HealthCheck::Tcp { address } => connect(*address).await.map(drop),
            HealthCheck::Http { address, path } => get(*address, path).await,
        }
    };
    let outcome = tokio::time::timeout(ANSWER_DEADLINE, asked).await;
    outcome
        .unwrap_or_else(|_| Err(format!("no answer within {} s", ANSWER_DEADLINE.as_secs())))
        .map_err(|why| format!("{check}: {why}"))
}

async fn connect(address: SocketAddr) -> Result<TcpStream, String> {
    TcpStream::connect(address).await.map_err(|error| error.to_string())
}

async fn get(address: SocketAddr, path: &str) -> Result<(), String> {
    let mut stream = connect(address).await?;
    let request = format!(
        "GET {path} HTTP/1.1\r\nhost: {address}\r\nuser-agent: phalanx-health-check\r\nconnection: close\r\n\r\n"
    );
    stream.write_all(request.as_bytes()).await.map_err(|error| error.to_string())?;
    let mut head = Vec::with_capacity(STATUS_BYTES);
    while head.len() < STATUS_BYTES && !head.contains(&b'\n') {
        let mut some = [0; STATUS_BYTES];
        match stream.read(&mut some).await {
            Ok(0) => break,
            Ok(count) => head.extend_from_slice(&some[..count]),
            Err(error) => return Err(error.to_string()),
        }
    }
    match status_of(&head) {
        Some(200..=399) => Ok(()),
        Some(status) => Err(format!("it answers {status}")),
        None => Err("its answer is no HTTP".into()),
    }
}

/// The status of `HTTP/1.1 200 OK`.
fn status_of(head: &[u8]) -> Option<u16> {
    let line = std::str::from_utf8(head.split(|byte| *byte == b'\n').next()?).ok()?;
    let mut words = line.split_ascii_whitespace();
    words.next()?.starts_with("HTTP/1.").then_some(())?;
    words.next()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_status_is_read_from_the_first_line() {
        assert_eq!(status_of(b"HTTP/1.1 204 No Content\r\nx: y"), Some(204));
        assert_eq!(status_of(b"SSH-2.0-x\r\n"), None);
        assert_eq!(status_of(b""), None);
    }

    #[tokio::test]
    async fn nobody_there_is_said_with_the_address() {
        let free = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
        let why = ask(&HealthCheck::Tcp { address: free }).await.unwrap_err();
        assert!(why.contains(&free.to_string()), "{why}");
    }
}
