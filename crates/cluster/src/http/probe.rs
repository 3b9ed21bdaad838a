//! Probes: the worker asks itself for a path, through the same code that serves its clients, and tells the primary how
//! it was. So a health gate sees what a client would see, also while the worker is held and accepts nothing.

use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::UnixStream;
use tokio::sync::mpsc;

use super::door::Door;
use super::peer::Client;
use super::web_service::WebService;

/// Longest time until a probe is answered, if the primary is not less patient.
const PROBE_DEADLINE: Duration = Duration::from_secs(10);

/// Most bytes of an answer that are read: its status, and enough of its body to say what is wrong.
const MAX_ANSWER: u64 = 8 * 1024;

/// Most characters of the body that are told when the probe fails.
const TOLD: usize = 200;

/// Answers the primary's probes, one after the other.
pub(super) async fn answer<S: WebService>(door: Door<S>, mut probes: mpsc::Receiver<String>) {
    while let Some(path) = probes.recv().await {
        let outcome = match tokio::time::timeout(PROBE_DEADLINE, ask(door.clone(), &path)).await {
            Ok(Ok(answer)) => judge(&path, &answer),
            Ok(Err(error)) => Err(format!("GET {path} could not be asked: {error}")),
            Err(_) => Err(format!("GET {path} was not answered within {} s", PROBE_DEADLINE.as_secs())),
        };
        door.worker().probed(outcome);
    }
}

/// The beginning of the answer to `GET path`.
async fn ask<S: WebService>(door: Door<S>, path: &str) -> std::io::Result<Vec<u8>> {
    if !path.starts_with('/') || !path.bytes().all(|byte| byte.is_ascii_graphic()) {
        return Err(std::io::Error::other("it is no path: it must begin with / and have no blanks"));
    }
    let (mut ours, theirs) = std::os::unix::net::UnixStream::pair().and_then(|(ours, theirs)| {
        ours.set_nonblocking(true)?;
        theirs.set_nonblocking(true)?;
        Ok((UnixStream::from_std(ours)?, theirs))
    })?;
    door.begin(theirs.into(), Client::Unix(None), None);
    // HTTP/1.0, so that the body comes as it is, up to the end of the connection.
    let request = format!("GET {path} HTTP/1.0\r\nhost: localhost\r\nphalanx-probe: 1\r\n\r\n");
    ours.write_all(request.as_bytes()).await?;
    let mut answer = Vec::new();
    ours.take(MAX_ANSWER).read_to_end(&mut answer).await?;
    Ok(answer)
}

/// Healthy is a status from 200 to 299.
fn judge(path: &str, answer: &[u8]) -> Result<(), String> {
    let text = String::from_utf8_lossy(answer);
    let (head, body) = text.split_once("\r\n\r\n").unwrap_or((&text, ""));
    let status = head.split(' ').nth(1).unwrap_or_default();
    if status.len() == 3 && status.starts_with('2') {
        return Ok(());
    }
    if status.is_empty() {
        return Err(format!("GET {path} was not answered: the service failed or closed the connection"));
    }
    let body: String = body.chars().take(TOLD).map(|c| if c.is_control() { ' ' } else { c }).collect();
    match body.trim() {
        "" => Err(format!("GET {path} answered {status}")),
        body => Err(format!("GET {path} answered {status}: {body}")),
    }
}

#[cfg(test)]
mod tests {
    use super::judge;

    #[test]
    fn only_a_2xx_is_healthy_and_the_rest_is_told() {
        assert_eq!(judge("/readyz", b"HTTP/1.0 204 No Content\r\n\r\n"), Ok(()));
        let failed = |answer: &[u8]| judge("/readyz", answer).unwrap_err();
        assert_eq!(failed(b"HTTP/1.0 503 Busy\r\na: b\r\n\r\nno\ndatabase"), "GET /readyz answered 503: no database");
        assert_eq!(failed(b"HTTP/1.0 302 Found\r\n\r\n"), "GET /readyz answered 302");
        assert!(failed(b"").contains("was not answered"));
        assert!(failed(format!("HTTP/1.0 500 X\r\n\r\n{}", "ä".repeat(500)).as_bytes()).chars().count() < 250);
    }
}
