//! wrk, where it is installed: it needs less CPU than our own generator, so more of the machine is the server's.

use std::net::SocketAddr;
use std::process::Stdio;
use std::time::Duration;

use tokio::process::Command;

use super::{Outcome, Tally};

/// The version of wrk, if it is installed.
pub(crate) fn version() -> Option<String> {
    let output = std::process::Command::new("wrk").arg("-v").output().ok()?;
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    Some(text.split_whitespace().take(2).collect::<Vec<_>>().join(" "))
}

/// One wrk thread with `connections` for about `duration` (wrk knows whole seconds only).
pub(crate) async fn run(address: SocketAddr, connections: usize, duration: Duration) -> Result<Tally, String> {
    let seconds = duration.as_secs().max(1);
    let output = Command::new("wrk")
        .args([
            "-t1",
            "--latency",
            &format!("-c{connections}"),
            &format!("-d{seconds}s"),
            &format!("http://{address}/"),
        ])
        .stdin(Stdio::null())
        .kill_on_drop(true)
        .output();
    let deadline = Duration::from_secs(seconds) + super::ANSWER_DEADLINE;
    let output = tokio::time::timeout(deadline, output).await.map_err(|_| "wrk did not end".to_owned())?;
    let output = output.map_err(|error| format!("cannot run wrk: {error}"))?;
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    tally(&text).ok_or_else(|| format!("wrk said: {text}"))
}

/// wrk tells quantiles, not the whole distribution: they stand for the requests between them and the next.
fn tally(text: &str) -> Option<Tally> {
    let (requests, elapsed) = text.lines().find_map(|line| {
        let (requests, rest) = line.trim().split_once(" requests in ")?;
        Some((requests.parse::<u64>().ok()?, duration(rest.split(',').next()?)?))
    })?;
    let quantile = |percent: &str| {
        let line = text.lines().find(|line| line.trim_start().starts_with(percent))?;
        duration(line.split_whitespace().nth(1)?)
    };
    let errors = text.lines().filter_map(|line| line.trim().strip_prefix("Non-2xx or 3xx responses: "));
    let failed = errors.filter_map(|count| count.parse::<u64>().ok()).sum::<u64>();
    let accepted = requests.saturating_sub(failed);
    let mut tally = Tally::new();
    for (share, percent) in [(0.5, "50%"), (0.25, "75%"), (0.15, "90%"), (0.1, "99%")] {
        tally.note_many(Outcome::Accepted, quantile(percent)?, (accepted as f64 * share) as u64);
    }
    tally.note_many(Outcome::Accepted, quantile("99%")?, accepted.saturating_sub(tally.count(Outcome::Accepted)));
    tally.note_many(Outcome::Failed, Duration::ZERO, failed);
    tally.accepted_in_time = accepted;
    tally.elapsed = elapsed;
    Some(tally)
}

/// `1.50ms`, `187.00us`, `2.01s` or `1.00m`.
fn duration(text: &str) -> Option<Duration> {
    let text = text.trim();
    let unit_at = text.find(|letter: char| letter.is_alphabetic())?;
    let (value, unit) = text.split_at(unit_at);
    let seconds = match unit {
        "us" => 1e-6,
        "ms" => 1e-3,
        "s" => 1.0,
        "m" => 60.0,
        _ => return None,
    };
    Some(Duration::from_secs_f64(value.parse::<f64>().ok()? * seconds))
}

#[cfg(test)]
mod tests {
    use super::*;

    const REPORT: &str = "Running 2s test @ http://127.0.0.1:1/
  1 threads and 64 connections
  Latency Distribution
     50%  147.00us
     75%  210.00us
     90%    0.90ms
     99%    1.30ms
  400000 requests in 2.00s, 60.00MB read
Requests/sec: 200000.00
";

    #[test]
    fn counts_rate_and_quantiles_are_read() {
        let tally = tally(REPORT).unwrap();
        assert_eq!(tally.count(Outcome::Accepted), 400_000);
        assert_eq!(tally.per_second(), 200_000.0);
        assert!((tally.milliseconds_at(0.5).unwrap() - 0.147).abs() < 0.001);
        assert!((tally.milliseconds_at(0.99).unwrap() - 1.3).abs() < 0.01);
    }

    #[test]
    fn answers_that_are_not_2xx_do_not_count_as_accepted() {
        let report = format!("{REPORT}  Non-2xx or 3xx responses: 100000\n");
        let tally = tally(&report).unwrap();
        assert_eq!((tally.count(Outcome::Accepted), tally.count(Outcome::Failed)), (300_000, 100_000));
    }
}
