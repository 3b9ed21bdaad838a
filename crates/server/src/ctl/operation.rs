//! Operations: begun by one request, waited for by others, so that a lost connection loses nothing.

use std::time::{Duration, Instant};

use serde_json::Value;

use super::arguments::Wait;
use super::client::{Client, Trouble};
use super::tell;
use crate::start::Failure;

/// How long one request for the end of an operation stays open.
const ONE_WAIT: Duration = Duration::from_secs(20);
/// From one attempt to reach a lost server to the next.
const RETRY: Duration = Duration::from_millis(50);
/// How long a server that was reached once may be unreachable: an upgrade replaces its front.
const ABSENCE: Duration = Duration::from_secs(10);

/// Begins the operation and, if wanted, waits for its end.
pub(super) async fn perform(client: &Client, path: &str, wait: &Wait, json: bool) -> Result<(), Failure> {
    let begun = begin(client, path).await?;
    if !wait.wait {
        tell(json, &begun, describe);
        return Ok(());
    }
    let Some(number) = begun["operation"].as_u64() else {
        return Err(Failure::Other(format!("the server gave the operation no number: {begun}")));
    };
    let over = until_over(client, number, Instant::now() + wait.timeout()).await?;
    tell(json, &over, describe);
    match over["state"].as_str() {
        Some("done") => Ok(()),
        _ => Err(Failure::Other(describe(&over))),
    }
}

/// Begins it once, even if the connection breaks before the answer: then the server's last operation tells whether it has begun.
async fn begin(client: &Client, path: &str) -> Result<Value, Failure> {
    let before = last_operation(client).await?;
    let kind = path.trim_start_matches('/').split('?').next().unwrap_or_default();
    let asked = Instant::now();
    loop {
        let broken = match client.post(path).await {
            Ok(begun) => return Ok(begun),
            Err(Trouble::Broken(why)) => why,
            Err(trouble) => return Err(trouble.into()),
        };
        loop {
            tokio::time::sleep(RETRY).await;
            match last_operation(client).await {
                Ok(last) if last["operation"] != before["operation"] && last["kind"] == kind => return Ok(last),
                _ if asked.elapsed() >= ABSENCE => return Err(Failure::Unavailable(broken)),
                // It was not heard: it is asked again.
                Ok(_) => break,
                Err(_) => {}
            }
        }
    }
}

/// The operation that the server began last; null if there was none.
async fn last_operation(client: &Client) -> Result<Value, Trouble> {
    client.get("/status").await.map(|mut status| status["operation"].take())
}

async fn until_over(client: &Client, number: u64, deadline: Instant) -> Result<Value, Failure> {
    let mut seen = Instant::now();
    loop {
        let left = deadline.saturating_duration_since(Instant::now());
        if left.is_zero() {
            let why = format!("operation {number} is still under way; it goes on (phalanx ctl status shows it)");
            return Err(Failure::Other(why));
        }
        let wait = ONE_WAIT.min(left);
        let path = format!("/operations/{number}?wait={}", wait.as_secs().max(1));
        match client.get_within(&path, wait).await {
            Ok(state) if state["state"] == "running" => seen = Instant::now(),
            Ok(state) => return Ok(state),
            Err(Trouble::Unreachable(_) | Trouble::Broken(_)) if seen.elapsed() < ABSENCE => {
                tokio::time::sleep(RETRY).await;
            }
            Err(trouble) => return Err(trouble.into()),
        }
    }
}

fn describe(operation: &Value) -> String {
    let kind = operation["kind"].as_str().unwrap_or("the operation");
    let number = operation["operation"].as_u64().unwrap_or_default();
    match operation["state"].as_str() {
        Some("done") => format!("{kind} (operation {number}) is done"),
        Some("failed") => {
            format!("{kind} (operation {number}) failed: {}", operation["error"].as_str().unwrap_or("no reason given"))
        }
        _ => format!("{kind} (operation {number}) is under way"),
    }
}
