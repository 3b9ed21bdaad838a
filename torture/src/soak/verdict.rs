//! [`Verdict`]: whether memory, descriptors and threads of everybody stayed as they were.
//!
//! Compared are figures of moments at rest, when nobody asks anything: what is there then is kept, not needed. Each row is the
//! [trend](Trend) of one process over a window, or of many of about the same age, one after another, over all of the run.

use std::collections::BTreeMap;
use std::fmt;
use std::ops::Range;

use crate::blow::LEFT_ALONE;
use crate::record::{Entry, Role, Sample};
use crate::timetable;
use crate::trend::Trend;

/// A run must last so many seconds until memory is judged: in less, caches and pools are still filling. What clients saw is always judged.
const SHORTEST_JUDGED: f64 = 590.0;
/// More than this is no noise.
const MOST_GROWTH: f64 = 0.05;
/// Of memory that is a process's own, so much is a matter of which pages were touched: 64 pages.
const PAGES_KIB: f64 = 256.0;
/// Descriptors and threads are whole numbers: a trend of less than this is none.
const MOST_MORE: f64 = 0.75;
/// The part of a window that is warm-up: caches fill, pools grow to what they need.
const WARM_UP: f64 = 0.25;
/// Ages in seconds at which workers that were recycled are compared.
const AGES: Range<f64> = 4.0..25.0;

/// One series, judged.
#[derive(Debug)]
pub(crate) struct Row {
    name: String,
    window: Range<f64>,
    /// KiB.
    resident: Option<Trend>,
    unique: Option<Trend>,
    live: Option<Trend>,
    descriptors: Option<Trend>,
    threads: Option<Trend>,
}

/// All of them.
#[derive(Debug)]
pub(crate) struct Verdict {
    rows: Vec<Row>,
    long_enough: bool,
}

impl Verdict {
    /// Of a run of so many seconds.
    pub(crate) fn of(entries: &[Entry], seconds: f64) -> Verdict {
        let at_rest: Vec<&Sample> = entries
            .iter()
            .filter_map(|entry| match entry {
                Entry::Sample(sample) if sample.resting => Some(sample),
                _ => None,
            })
            .collect();
        let part = |range: Range<f64>| range.start * seconds..range.end * seconds;
        let (watch, storms) = (part(timetable::WATCH), part(timetable::STORM.start..timetable::SECOND_STORM.end));
        let mut rows = Vec::new();
        let mut oldest = |name: &str, window: &Range<f64>, wanted: &dyn Fn(&Sample) -> bool| {
            rows.extend(Row::of_the_oldest(name, warm(window), &at_rest, wanted));
        };
        oldest("primary, between the upgrades", &storms, &|sample| sample.role == Role::Primary && sample.epoch == 1);
        oldest("front, in the watch", &watch, &|sample| sample.role == Role::Front);
        oldest("queue, in the watch", &watch, &|sample| sample.role == Role::Owner);
        let alone = |sample: &Sample| sample.place == Some(LEFT_ALONE);
        oldest("worker 0, in the watch", &watch, &|sample| sample.role == Role::Worker && alone(sample));
        let ages = [
            ("workers of the same age", Role::Worker, AGES),
            ("fronts of the same age", Role::Front, AGES),
            // A job process that rests has nothing in hand, however old it is; it is killed when nobody wants its result any more.
            ("job processes", Role::Job, AGES.start..f64::MAX),
        ];
        for (name, role, ages) in ages {
            let young = at_rest.iter().copied().filter(|sample| sample.role == role && ages.contains(&sample.age));
            // Descriptors and threads of a young one are still as many as it has needed so far.
            rows.push(Row { descriptors: None, threads: None, ..Row::new(name, storms.clone(), young) });
        }
        Verdict { rows, long_enough: seconds >= SHORTEST_JUDGED }
    }

    /// Whether nothing speaks against it.
    pub(crate) fn is_flat(&self) -> bool {
        if !self.long_enough {
            return true;
        }
        let judged = self.rows.iter().filter(|row| row.resident.is_some()).count();
        judged > 0 && self.rows.iter().all(|row| row.wrongs().is_empty())
    }
}

/// Without its warm-up.
fn warm(window: &Range<f64>) -> Range<f64> {
    window.start + (window.end - window.start) * WARM_UP..window.end
}

impl Row {
    fn new<'a>(name: &str, window: Range<f64>, samples: impl Iterator<Item = &'a Sample>) -> Row {
        let samples: Vec<&Sample> = samples.filter(|sample| window.contains(&sample.at)).collect();
        let trend = |figure: &dyn Fn(&Sample) -> Option<f64>| {
            let points: Vec<(f64, f64)> = samples.iter().filter_map(|it| Some((it.at, figure(it)?))).collect();
            Trend::of(&points)
        };
        Row {
            name: name.to_owned(),
            resident: trend(&|it| Some(it.resident as f64)),
            unique: trend(&|it| Some(it.unique as f64)),
            live: trend(&|it| it.live.map(|live| live as f64)),
            descriptors: trend(&|it| Some(it.descriptors as f64)),
            threads: trend(&|it| Some(it.threads as f64)),
            window,
        }
    }

    /// The process that was seen most often in the window.
    fn of_the_oldest(
        name: &str,
        window: Range<f64>,
        samples: &[&Sample],
        wanted: &dyn Fn(&Sample) -> bool,
    ) -> Option<Row> {
        let mut seen: BTreeMap<u32, usize> = BTreeMap::new();
        let wanted = || samples.iter().copied().filter(|it| window.contains(&it.at) && wanted(it));
        wanted().for_each(|sample| *seen.entry(sample.pid).or_default() += 1);
        let (pid, _) = seen.into_iter().max_by_key(|(_, times)| *times)?;
        let its: Vec<&Sample> = wanted().filter(|sample| sample.pid == pid).collect();
        Some(Row::new(name, window, its.into_iter()))
    }

    /// What is not as it was.
    fn wrongs(&self) -> Vec<String> {
        let mut wrongs = Vec::new();
        for (what, trend) in
            [("resident memory", self.resident), ("memory of its own", self.unique), ("live memory", self.live)]
        {
            let grew = |trend: &Trend| trend.growth() > MOST_GROWTH && trend.last - trend.first > PAGES_KIB;
            if let Some(trend) = trend.filter(grew) {
                wrongs.push(format!("{what} grew by {:.1} %", trend.growth() * 100.0));
            }
        }
        for (what, trend) in [("descriptors", self.descriptors), ("threads", self.threads)] {
            if let Some(trend) = trend.filter(|trend| trend.last - trend.first > MOST_MORE) {
                wrongs.push(format!("{what} grew from {:.0} to {:.0}", trend.first, trend.last));
            }
        }
        wrongs
    }
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "| at rest | seconds | resident, MiB | its own, MiB | live, MiB | descriptors | threads | |")?;
        writeln!(f, "|---|---|---|---|---|---|---|---|")?;
        for row in &self.rows {
            let memory = |trend: Option<Trend>| match trend {
                Some(trend) => {
                    let [first, last] = [trend.first, trend.last].map(|kib| kib / 1024.0);
                    format!("{first:.2} → {last:.2} ({:+.1} %)", trend.growth() * 100.0)
                }
                None => "–".to_owned(),
            };
            let count = |trend: Option<Trend>| {
                trend.map_or_else(|| "–".to_owned(), |trend| format!("{:.0} → {:.0}", trend.first, trend.last))
            };
            let word = match (row.resident, row.wrongs()) {
                (None, _) => "too short to tell".to_owned(),
                (Some(_), _) if !self.long_enough => "too short to tell".to_owned(),
                (_, wrongs) if wrongs.is_empty() => "flat".to_owned(),
                (_, wrongs) => format!("**{}**", wrongs.join(", ")),
            };
            writeln!(
                f,
                "| {} | {:.0}–{:.0} | {} | {} | {} | {} | {} | {word} |",
                row.name,
                row.window.start,
                row.window.end,
                memory(row.resident),
                memory(row.unique),
                memory(row.live),
                count(row.descriptors),
                count(row.threads),
            )?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECONDS: f64 = 1200.0;

    /// A run in which the worker in place 0 has such memory and so many descriptors at each second of its life.
    fn run(resident: impl Fn(f64) -> f64, descriptors: impl Fn(f64) -> usize) -> Vec<Entry> {
        let mut random = crate::random::Random::new(5, "recorded");
        let mut entries = Vec::new();
        for second in (0..1200).filter(|second| second % 20 < 3) {
            let at = f64::from(second);
            for (role, place, pid) in [(Role::Primary, None, 1), (Role::Worker, Some(LEFT_ALONE), 2)] {
                let noise = random.below(600) as f64;
                let its_own = |own: f64, other: f64| if role == Role::Worker { own } else { other };
                let resident = its_own(resident(at), 8000.0) + noise;
                entries.push(Entry::Sample(Sample {
                    at,
                    role,
                    place,
                    pid,
                    epoch: 1,
                    age: at,
                    resting: true,
                    resident: resident as u64,
                    proportional: resident as u64,
                    unique: resident as u64,
                    live: None,
                    descriptors: if role == Role::Worker { descriptors(at) } else { 20 },
                    threads: 4,
                }));
            }
        }
        entries
    }

    #[test]
    fn a_plateau_after_warm_up_is_flat() {
        let warms_up = |at: f64| 20_000.0 + 12_000.0 * (at - 480.0).clamp(0.0, 60.0) / 60.0;
        let verdict = Verdict::of(&run(warms_up, |_| 30), SECONDS);
        assert!(verdict.is_flat(), "{verdict}");
    }

    #[test]
    fn a_leak_of_a_kibibyte_for_each_request_is_not() {
        // Ten requests a second.
        let verdict = Verdict::of(&run(|at| 20_000.0 + 10.0 * at, |_| 30), SECONDS);
        assert!(!verdict.is_flat() && verdict.to_string().contains("resident memory grew"), "{verdict}");
    }

    #[test]
    fn a_leak_of_a_descriptor_a_minute_is_not() {
        let verdict = Verdict::of(&run(|_| 20_000.0, |at| 30 + at as usize / 60), SECONDS);
        assert!(!verdict.is_flat() && verdict.to_string().contains("descriptors grew"), "{verdict}");
    }

    #[test]
    fn a_run_of_a_minute_is_not_judged_by_its_warm_up() {
        assert!(Verdict::of(&run(|at| 20_000.0 + 10.0 * at, |_| 30), 60.0).is_flat());
    }

    #[test]
    fn a_run_in_which_nothing_was_seen_proves_nothing() {
        assert!(!Verdict::of(&[], SECONDS).is_flat());
    }
}
