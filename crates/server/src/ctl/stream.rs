//! Answers without an end: events and log lines, copied out as they come.

use std::io::Write;

use http_body_util::BodyExt;
use serde_json::Value;

use super::client::Client;
use crate::start::Failure;

/// Longest line that is put together; the server sends none that is longer.
const LONGEST_LINE_BYTES: usize = 64 * 1024;

/// Prints what happens until the server ends or the output is closed.
pub(super) async fn events(client: &Client, json: bool) -> Result<(), Failure> {
    let mut body = client.stream("/events").await?;
    let mut lines = Lines::default();
    while let Some(Ok(frame)) = body.frame().await {
        let Ok(data) = frame.into_data() else { continue };
        for line in lines.add(&data) {
            let text = match (json, serde_json::from_slice::<Value>(&line)) {
                (false, Ok(event)) => event["text"].as_str().map(str::to_owned),
                _ => None,
            };
            let text = text.unwrap_or_else(|| String::from_utf8_lossy(&line).into_owned());
            if writeln!(std::io::stdout(), "{text}").is_err() {
                return Ok(());
            }
        }
    }
    Ok(())
}

/// Prints log lines as the workers wrote them.
pub(super) async fn logs(client: &Client, worker: Option<u32>, lines: u32, follow: bool) -> Result<(), Failure> {
    let worker = worker.map(|worker| format!("&worker={worker}")).unwrap_or_default();
    let follow = if follow { "&follow=1" } else { "" };
    let mut body = client.stream(&format!("/logs?lines={lines}{worker}{follow}")).await?;
    let mut out = std::io::stdout();
    while let Some(Ok(frame)) = body.frame().await {
        let Ok(data) = frame.into_data() else { continue };
        if out.write_all(&data).and_then(|()| out.flush()).is_err() {
            return Ok(());
        }
    }
    Ok(())
}

/// Puts lines together from pieces.
#[derive(Default)]
struct Lines {
    rest: Vec<u8>,
}

impl Lines {
    fn add(&mut self, piece: &[u8]) -> Vec<Vec<u8>> {
        let mut whole = Vec::new();
        for part in piece.split_inclusive(|byte| *byte == b'\n') {
            self.rest.extend_from_slice(part);
            if self.rest.ends_with(b"\n") || self.rest.len() > LONGEST_LINE_BYTES {
                let mut line = std::mem::take(&mut self.rest);
                line.pop_if(|byte| *byte == b'\n');
                whole.push(line);
            }
        }
        whole
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_come_whole_however_they_were_cut() {
        let mut lines = Lines::default();
        assert!(lines.add(b"on").is_empty());
        assert_eq!(lines.add(b"e\ntwo\nthr"), [b"one".to_vec(), b"two".to_vec()]);
        assert_eq!(lines.add(b"ee\n"), [b"three".to_vec()]);
    }
}
