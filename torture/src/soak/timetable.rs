//! [`timetable`]: which blow falls when; all of it from the seed.
//!
//! ```text
//!  0 %  upgrade                                                          a day's crashes and reloads
//!  5 %  ├── storm ──────── reloads, and kills of everything but the primary and worker 0
//! 40 %  ├── watch ──────── no reloads: worker 0, front and queue grow old; worker 1 and its job process are killed on
//! 85 %  ├── storm
//! 97 %  upgrade
//! ```
//!
//! A reload replaces every worker, so what is to be seen of a worker that grows old is seen in the watch; and what a primary does
//! that reloads for a day is seen from the first upgrade to the second.

use std::time::Duration;

use crate::blow::Blow;
use crate::random::Random;

/// Parts of the whole.
pub(crate) const FIRST_UPGRADE: f64 = 0.02;
pub(crate) const STORM: std::ops::Range<f64> = 0.05..0.40;
pub(crate) const WATCH: std::ops::Range<f64> = 0.40..0.85;
pub(crate) const SECOND_STORM: std::ops::Range<f64> = 0.85..0.97;
pub(crate) const SECOND_UPGRADE: f64 = 0.975;

/// Between two blows of a kind, on average: a run of 20 minutes then has more reloads than a day of a deployment each hour.
const RELOAD: f64 = 20.0;
const KILL_WORKER: f64 = 9.0;
const KILL_JOB_PROCESS: f64 = 14.0;
const KILL_FRONT: f64 = 40.0;
const KILL_OWNER: f64 = 50.0;
const REOPEN: f64 = 60.0;
const SCALE: f64 = 120.0;
/// Between two rests of the clients.
const REST: f64 = 22.0;
/// A rest takes seconds itself, however short the run.
const REST_HASTE: f64 = 0.75;
/// A run that is shorter than this has its blows closer together, so that each kind comes.
const USUAL: f64 = 600.0;

/// All blows in their order, each with its time.
pub(crate) fn timetable(lasts: Duration, random: &mut Random) -> Vec<(Duration, Blow)> {
    let seconds = lasts.as_secs_f64();
    let haste = (seconds / USUAL).clamp(0.35, 1.0);
    let mut blows = vec![(FIRST_UPGRADE * seconds, Blow::Upgrade), (SECOND_UPGRADE * seconds, Blow::Upgrade)];
    let mut repeat = |every: f64, parts: &[&std::ops::Range<f64>], blow: Blow| {
        for part in parts {
            // Between half of the usual pause and one and a half.
            let mut pause = || every * haste * (0.5 + random.duration(Duration::from_secs(1)).as_secs_f64());
            let mut at = part.start * seconds + pause() / 2.0;
            while at < part.end * seconds {
                blows.push((at, blow));
                at += pause();
            }
        }
    };
    let everywhere = [&STORM, &WATCH, &SECOND_STORM];
    let storms = [&STORM, &SECOND_STORM];
    repeat(RELOAD, &storms, Blow::Reload);
    repeat(KILL_WORKER, &everywhere, Blow::KillWorker);
    repeat(KILL_JOB_PROCESS, &everywhere, Blow::KillJobProcess);
    repeat(KILL_FRONT, &storms, Blow::KillFront);
    repeat(KILL_OWNER, &storms, Blow::KillOwner);
    repeat(REOPEN, &everywhere, Blow::ReopenLog);
    repeat(SCALE, &everywhere, Blow::UpAndDown);
    repeat(REST * (REST_HASTE / haste).max(1.0), &[&(0.05..1.0)], Blow::Rest);
    blows.sort_by(|one, other| one.0.total_cmp(&other.0));
    blows.into_iter().map(|(at, blow)| (Duration::from_secs_f64(at), blow)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn twenty_minutes_hold_a_day_and_the_watch_no_reload() {
        let whole = Duration::from_secs(1200);
        let table = timetable(whole, &mut Random::new(1, "timetable"));
        let count = |wanted: Blow| table.iter().filter(|(_, blow)| *blow == wanted).count();
        assert!(count(Blow::Reload) >= 24, "{}", count(Blow::Reload));
        assert!(count(Blow::KillWorker) >= 96 && count(Blow::KillOwner) >= 5 && count(Blow::UpAndDown) >= 4);
        assert_eq!(count(Blow::Upgrade), 2);
        let in_the_watch = |at: &Duration| WATCH.contains(&(at.as_secs_f64() / whole.as_secs_f64()));
        assert!(table.iter().all(|(at, blow)| !in_the_watch(at) || !matches!(blow, Blow::Reload | Blow::KillOwner)));
        assert_eq!(table, timetable(whole, &mut Random::new(1, "timetable")));
        assert!(timetable(Duration::from_secs(60), &mut Random::new(1, "timetable")).len() > 20);
    }
}
