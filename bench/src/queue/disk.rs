//! What the disk can do: a record appended, `fdatasync`, the next one. Every durable queue waits for this.

use std::fs::File;
use std::io::Write;
use std::path::Path;
use std::time::{Duration, Instant};

use measuring::{During, Failure, Times};

use crate::PAYLOAD_BYTES;

/// Measures for `time` and prints one line of JSON.
pub(crate) fn run(folder: &Path, time: Duration) -> Result<(), Failure> {
    let path = folder.join("appended");
    let mut file = File::create(&path).during(&format!("create {}", path.display()))?;
    let record = [b'x'; PAYLOAD_BYTES];
    let mut times = Times::new()?;
    let began = Instant::now();
    while began.elapsed() < time {
        let start = Instant::now();
        file.write_all(&record).and_then(|()| file.sync_data()).during("append a record")?;
        times.add(start.elapsed());
    }
    let figure = times.count() as f64 / began.elapsed().as_secs_f64();
    let figures =
        serde_json::json!({ "figure": figure, "p50": times.microseconds_at(0.5), "p99": times.microseconds_at(0.99) });
    println!("{figures}");
    Ok(())
}
