//! When a worker counts as ready.

use std::time::Duration;

use phalanx::Readiness;

use super::{Wrong, within};
use crate::run_command::options::Options;

/// The longest that makes sense.
const DAY: Duration = Duration::from_secs(24 * 3600);

/// What was chosen; `None` leaves it to what the program is.
pub(super) fn check(options: &Options, node: bool) -> Result<Option<Readiness>, Wrong> {
    let after = options.ready_after.map(|span| within("ready-after", span.0, Duration::ZERO..=DAY)).transpose()?;
    let chosen = [
        ("ready-notify", options.ready_notify.then_some(Readiness::Notify)),
        ("ready-line", options.ready_line.clone().map(Readiness::Line)),
        ("ready-after", after.map(Readiness::After)),
        ("wait-ready", options.wait_ready.then_some(Readiness::Message)),
    ];
    let mut chosen = chosen.into_iter().filter_map(|(name, readiness)| Some((name, readiness?)));
    match (chosen.next(), chosen.next()) {
        (Some((one, _)), Some((other, _))) => {
            Err(Wrong(format!("{one} and {other} are two ways to get ready; choose one of them")))
        }
        (Some((_, Readiness::Line(text))), None) if text.is_empty() => {
            Err(Wrong("ready-line is empty: say what the line contains".into()))
        }
        (Some((_, Readiness::Message)), None) if !node => {
            Err(Wrong("wait-ready is Node's process.send('ready'), and this is not Node; say --node if it is".into()))
        }
        (readiness, _) => Ok(readiness.map(|(_, readiness)| readiness)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_way_at_most() {
        let both = Options { ready_notify: true, wait_ready: true, ..Options::default() };
        assert!(check(&both, true).unwrap_err().0.starts_with("ready-notify and wait-ready are two ways"));
        assert_eq!(check(&Options::default(), true), Ok(None));
        let message = Options { wait_ready: true, ..Options::default() };
        assert_eq!(check(&message, true), Ok(Some(Readiness::Message)));
        assert!(check(&message, false).unwrap_err().0.contains("this is not Node"));
    }
}
