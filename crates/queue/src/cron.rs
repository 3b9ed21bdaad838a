//! When a [`Schedule`](crate::job::Schedule) is due next, and under which id its job is submitted: the same in every store.

use std::str::FromStr;

use chrono::{DateTime, Utc};
use croner::Cron;

use crate::{Error, JobId, UnixMillis};

/// The first moment after `after` that the line names, in UTC. [`Error::Malformed`] for a line that is none, or names no moment.
pub(crate) fn next_after(line: &str, after: UnixMillis) -> Result<UnixMillis, Error> {
    let malformed = |reason: String| Error::Malformed { what: format!("the cron line \"{line}\""), reason };
    if !line.trim_start().starts_with('@') && line.split_whitespace().count() != 5 {
        return Err(malformed("it has five fields: minute hour day month weekday".to_owned()));
    }
    let cron = Cron::from_str(line).map_err(|error| malformed(error.to_string()))?;
    let after = i64::try_from(after.0).ok().and_then(DateTime::<Utc>::from_timestamp_millis);
    let after = after.ok_or_else(|| malformed("it is too late for it".to_owned()))?;
    let next = cron.find_next_occurrence(&after, false).map_err(|error| malformed(error.to_string()))?;
    Ok(UnixMillis(u64::try_from(next.timestamp_millis()).unwrap_or(0)))
}

/// The id of the job that the schedule of this name submits at this moment: whoever submits it, it is submitted once.
pub(crate) fn tick_id(name: &str, at: UnixMillis) -> JobId {
    let mut bytes = [0_u8; 16];
    let [_, _, a, b, c, d, e, f] = at.0.to_be_bytes();
    bytes[..6].copy_from_slice(&[a, b, c, d, e, f]);
    let [high, low] = [fnv(name.as_bytes(), 0), fnv(name.as_bytes(), 0x5bd1_e995)];
    bytes[6..8].copy_from_slice(&high.to_be_bytes()[..2]);
    bytes[8..].copy_from_slice(&low.to_be_bytes());
    // UUID version 8: made by a rule of our own.
    bytes[6] = bytes[6] & 0x0f | 0x80;
    bytes[8] = bytes[8] & 0x3f | 0x80;
    JobId::from_bytes(bytes)
}

/// FNV-1a of 64 bits (draft-eastlake-fnv): its values are stored, so it must not change with a library.
fn fnv(bytes: &[u8], salt: u64) -> u64 {
    let offset = 0xcbf2_9ce4_8422_2325 ^ salt;
    bytes.iter().fold(offset, |hash, byte| (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// 2026-11-21 00:00:00 UTC, a Saturday.
    const MIDNIGHT: u64 = 1_795_219_200_000;

    #[test]
    fn the_next_moment_is_after_the_given_one_in_utc() {
        let next = |line| next_after(line, UnixMillis(MIDNIGHT)).map(|next| (next.0 - MIDNIGHT) / 1000);
        assert_eq!(next("* * * * *"), Ok(60));
        assert_eq!(next("0 0 * * *"), Ok(24 * 3600));
        assert_eq!(next("30 1 * * MON"), Ok(2 * 24 * 3600 + 5400));
        assert_eq!(next("@hourly"), Ok(3600));
    }

    #[test]
    fn a_line_that_is_none_is_refused() {
        for line in ["", "* * * *", "* * * * * *", "61 * * * *", "0 0 30 2 *", "@never"] {
            assert!(matches!(next_after(line, UnixMillis(MIDNIGHT)), Err(Error::Malformed { .. })), "{line}");
        }
    }

    #[test]
    fn the_id_of_a_tick_depends_on_name_and_moment_only() {
        let at = UnixMillis(MIDNIGHT);
        assert_eq!(tick_id("a", at), tick_id("a", at));
        assert_ne!(tick_id("a", at), tick_id("b", at));
        assert_ne!(tick_id("a", at), tick_id("a", at.after(std::time::Duration::from_secs(60))));
    }
}
