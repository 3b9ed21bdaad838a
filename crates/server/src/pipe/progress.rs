//! `--progress`: a bar where somebody looks, else a line each second, for a log.

use std::io::{IsTerminal, stderr};
use std::thread::JoinHandle;
use std::time::Duration;

use phalanx_stream::{Progress, ProgressState, Watch};

use crate::config::quantity::ByteSize;
use crate::ending::Ending;

/// Between two lines.
const INTERVAL: Duration = Duration::from_secs(1);

/// Shows it until the pipeline has ended. A thread that is given back ends with it.
pub(super) fn show(watch: Watch) -> Result<Option<JoinHandle<()>>, Ending> {
    if stderr().is_terminal() {
        watch.bar()?;
        return Ok(None);
    }
    let events = watch.every(INTERVAL);
    let telling = move || {
        for progress in events.filter(|progress| progress.state != ProgressState::Failed) {
            eprintln!("{}", line(&progress));
        }
    };
    let thread = std::thread::Builder::new().name("progress".into()).spawn(telling);
    thread.map(Some).map_err(|error| Ending::failed(format!("cannot start a thread: {error}")))
}

/// `512 MiB of 1 GiB read, 300 MiB written, 410 MiB/s, 2 s left`
fn line(progress: &Progress) -> String {
    let of = progress.total.filter(|total| *total != progress.read);
    let of = of.map(|total| format!(" of {}", ByteSize(total))).unwrap_or_default();
    let time = match (progress.state, progress.eta) {
        (ProgressState::Done, _) => format!(", in {:.1} s", progress.elapsed.as_secs_f64()),
        (_, Some(eta)) => format!(", {} s left", eta.as_secs_f64().ceil()),
        (_, None) => String::new(),
    };
    // A float that is too large becomes the largest number, which is right here.
    let rate = ByteSize(progress.rate as u64);
    format!("{}{of} read, {} written, {rate}/s{time}", ByteSize(progress.read), ByteSize(progress.written))
}
