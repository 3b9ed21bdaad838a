//! `--cron-restart`: times at which the workers are replaced.

use std::time::Duration;

use chrono::{DateTime, Local};

use super::app::Wrong;

/// When to reload, as `cron` writes it, in local time.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Cron(croner::Cron);

impl Cron {
    pub(super) fn read(text: &str) -> Result<Cron, Wrong> {
        let wrong = |why: String| {
            let why = why.trim_end_matches('.');
            Wrong(format!(
                "cron-restart: {text:?} is no time: {why}; write minute hour day month weekday, as in \"0 4 * * *\""
            ))
        };
        let cron: croner::Cron = text.parse().map_err(|error: croner::errors::CronError| wrong(error.to_string()))?;
        cron.find_next_occurrence(&Local::now(), false).map_err(|error| wrong(error.to_string()))?;
        Ok(Cron(cron))
    }

    /// How long from `now` to the next time.
    pub(super) fn wait(&self, now: DateTime<Local>) -> Option<Duration> {
        let next = self.0.find_next_occurrence(&now, false).ok()?;
        (next - now).to_std().ok()
    }
}
