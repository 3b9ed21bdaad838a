//! `--cron-restart`: times at which the workers are replaced.

use std::fmt;

use chrono::{DateTime, Local};

use super::app::Wrong;

/// When to reload, as `cron` writes it, in local time.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Cron(croner::Cron);

impl fmt::Display for Cron {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0.pattern)
    }
}

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

    /// The first time after `now`, if there is one.
    pub(super) fn next(&self, now: DateTime<Local>) -> Option<DateTime<Local>> {
        self.0.find_next_occurrence(&now, false).ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use chrono::TimeZone;

    #[test]
    fn the_next_time_is_after_now() {
        let cron = Cron::read("0 4 * * *").unwrap();
        let at = |day, hour| Local.with_ymd_and_hms(2024, 1, day, hour, 0, 0).unwrap();
        assert_eq!(cron.next(at(1, 3)), Some(at(1, 4)));
        assert_eq!(cron.next(at(1, 4)), Some(at(2, 4)));
    }

    #[test]
    fn what_is_no_time_is_said() {
        for text in ["", "soon", "99 * * * *", "0 0 30 2 *"] {
            let why = Cron::read(text).unwrap_err().0;
            assert!(why.starts_with(&format!("cron-restart: {text:?} is no time: ")), "{why}");
        }
    }
}
