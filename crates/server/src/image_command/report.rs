//! What is told of the pictures: a bar where somebody looks, a line for each that failed, a summary; or JSON for machines.

use std::fmt::{self, Display};
use std::io::{self, IsTerminal, Write, stderr};
use std::path::Path;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use indicatif::{HumanDuration, ProgressBar, ProgressDrawTarget, ProgressStyle};
use phalanx::image::Warning;
use serde_json::{Value, json};

use super::make::{Made, Outcome, Trouble};
use super::order::{Item, Order, Told};
use crate::config::quantity::ByteSize;
use crate::ending::Ending;

/// Between two drawings of the bar.
const REDRAW: Duration = Duration::from_millis(100);

/// Gathers what the hands say.
#[derive(Debug)]
pub(super) struct Report {
    told: Told,
    bar: ProgressBar,
    since: Instant,
    tally: Mutex<Tally>,
}

#[derive(Debug, Default)]
struct Tally {
    all: usize,
    made: usize,
    failed: usize,
    kept: usize,
    skipped: usize,
    bytes_before: u64,
    bytes_after: u64,
    /// Why it ended before its time.
    stopped: Option<Stopped>,
}

#[derive(Debug, Clone)]
enum Stopped {
    By(String),
    ReaderGone,
}

impl Report {
    /// Of so many pictures, and so many files that are none.
    pub(super) fn new(told: Told, all: usize, skipped: usize) -> Report {
        let bar = ProgressBar::with_draw_target(Some(all as u64), ProgressDrawTarget::stderr());
        let style = ProgressStyle::with_template("{percent:>3} % [{bar:30}] {wide_msg}");
        bar.set_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()).progress_chars("=> "));
        let tally = Mutex::new(Tally { all, skipped, ..Tally::default() });
        let report = Report { told, bar, since: Instant::now(), tally };
        report.draw(&report.tally());
        report
    }

    /// Takes what became of a picture; whether to go on.
    pub(super) fn outcome(&self, item: &Item, outcome: Result<Outcome, Trouble>) -> bool {
        match outcome {
            Ok(outcome) => {
                let mut tally = self.tally();
                match &outcome {
                    Outcome::Made(made) => {
                        tally.made += 1;
                        tally.bytes_before += made.bytes_before;
                        tally.bytes_after += made.bytes_after;
                    }
                    Outcome::Kept(_) => tally.kept += 1,
                }
                self.draw(&tally);
                drop(tally);
                self.machine_line(|| done(item, &outcome))
            }
            Err(Trouble::GivenUp) => false,
            Err(Trouble::ReaderGone) => self.stop(Stopped::ReaderGone),
            Err(Trouble::Everything(why)) => self.stop(Stopped::By(format!("{}: {why}", item.from))),
            Err(Trouble::Picture(why)) => self.failed(&item.from, &why),
        }
    }

    /// A picture that cannot be made; whether to go on.
    pub(super) fn failed(&self, name: &dyn Display, why: &str) -> bool {
        let mut tally = self.tally();
        tally.failed += 1;
        self.bar.suspend(|| {
            let _ = writeln!(stderr(), "phalanx image: {name}: {why}");
        });
        self.draw(&tally);
        drop(tally);
        self.machine_line(|| json!({ "outcome": "failed", "from": name.to_string(), "error": why }))
    }

    /// The last words.
    pub(super) fn end(self) -> Result<(), Ending> {
        self.bar.finish_and_clear();
        let elapsed = self.since.elapsed();
        let tally = self.tally();
        let is_short = tally.made + tally.failed + tally.kept < tally.all;
        let _ = writeln!(stderr(), "{}", Summary { tally: &tally, elapsed });
        if is_short {
            let _ = writeln!(stderr(), "the same command goes on with the rest");
        }
        match &tally.stopped {
            Some(Stopped::ReaderGone) => Err(Ending::reader_gone()),
            Some(Stopped::By(why)) => Err(Ending::failed(why.clone())),
            None if tally.failed > 0 => Err(Ending::told_already()),
            None if tally.all == 0 => Err(Ending::failed("there is no picture in the folder")),
            None => Ok(()),
        }
    }

    fn stop(&self, why: Stopped) -> bool {
        self.tally().stopped.get_or_insert(why);
        false
    }

    fn machine_line(&self, line: impl FnOnce() -> Value) -> bool {
        self.told == Told::People || tell_machine(&line()) || self.stop(Stopped::ReaderGone)
    }

    fn tally(&self) -> MutexGuard<'_, Tally> {
        self.tally.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// `12 of 40, 2 failed, 23.5 pictures/s, 2 seconds left`
    fn draw(&self, tally: &Tally) {
        let (over, elapsed) = (tally.made + tally.failed + tally.kept, self.since.elapsed());
        let failed = if tally.failed > 0 { format!(", {} failed", tally.failed) } else { String::new() };
        let mut line = format!("{over} of {}{failed}", tally.all);
        if tally.made > 0 && over < tally.all && elapsed > REDRAW {
            let rate = tally.made as f64 / elapsed.as_secs_f64();
            let left = Duration::from_secs_f64((tally.all - over) as f64 / rate);
            line += &format!(", {rate:.1} pictures/s, {} left", HumanDuration(left));
        }
        self.bar.set_message(line);
        self.bar.set_position(over as u64);
    }
}

/// Tells of the only picture.
pub(super) fn tell_one(order: &Order, item: &Item, outcome: Result<Outcome, Trouble>) -> Result<(), Ending> {
    let failed = |why: String| {
        if order.told == Told::Json {
            tell_machine(&json!({ "outcome": "failed", "from": item.from.to_string(), "error": why }));
        }
        Err(Ending::failed(format!("{}: {why}", item.from)))
    };
    match outcome {
        // Nobody asked for it to be left as it is: it is said, and no success.
        Ok(Outcome::Kept(path)) => failed(format!("{} is there already; --force replaces it", path.display())),
        Ok(outcome) => {
            match (&outcome, order.told) {
                (_, Told::Json) => {
                    tell_machine(&done(item, &outcome));
                }
                (Outcome::Made(made), Told::People) if stderr().is_terminal() => {
                    let _ = writeln!(stderr(), "{}", Line(made));
                }
                _ => {}
            }
            Ok(())
        }
        Err(why) => failed(why.to_string()),
    }
}

/// A line of JSON; whether anybody reads it.
fn tell_machine(line: &Value) -> bool {
    let mut out = io::stdout().lock();
    writeln!(out, "{line}").and_then(|()| out.flush()).is_ok()
}

fn done(item: &Item, outcome: &Outcome) -> Value {
    let from = item.from.to_string();
    let shown = |path: &Path| path.display().to_string();
    match outcome {
        Outcome::Kept(path) => json!({ "outcome": "kept", "from": from, "to": shown(path) }),
        Outcome::Made(made) => json!({
            "outcome": "made",
            "from": from,
            "to": made.to.as_deref().map(shown),
            "format": made.format.name(),
            "width": made.width,
            "height": made.height,
            "bytes_before": made.bytes_before,
            "bytes_after": made.bytes_after,
            "warnings": made.warnings.iter().map(|warning| odd(*warning)).collect::<Vec<_>>(),
        }),
    }
}

/// What was odd about the source.
fn odd(warning: Warning) -> String {
    match warning {
        Warning::BrokenProfile => "the colour profile is broken; the colours were taken as sRGB".into(),
        Warning::FirstFrameOnly => "it is an animation; its first frame was used".into(),
        Warning::DamagedData => "it is cut or damaged; the picture is what there was of it".into(),
        other => format!("{other:?}"),
    }
}

/// `800×600, 4.1 MiB → 62.0 KiB, small.jpg`
struct Line<'m>(&'m Made);

impl Display for Line<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Made { to, width, height, bytes_before, bytes_after, warnings, .. } = self.0;
        write!(f, "{width}×{height}, {} → {}", ByteSize(*bytes_before), ByteSize(*bytes_after))?;
        if let Some(path) = to {
            write!(f, ", {}", path.display())?;
        }
        warnings.iter().try_for_each(|warning| write!(f, "; {}", odd(*warning)))
    }
}

/// `38 of 40 pictures made, 2 failed, 3 other files skipped: 166.0 MiB → 2.4 MiB, 23.5 pictures/s, in 1.7 s`
struct Summary<'t> {
    tally: &'t Tally,
    elapsed: Duration,
}

impl Display for Summary<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Tally { all, made, failed, kept, skipped, bytes_before, bytes_after, .. } = self.tally;
        write!(f, "{made} of {all} pictures made")?;
        for (count, what) in [
            (failed, "failed"),
            (kept, "there already"),
            (skipped, if *skipped == 1 { "other file skipped" } else { "other files skipped" }),
        ] {
            if *count > 0 {
                write!(f, ", {count} {what}")?;
            }
        }
        if *made > 0 {
            let seconds = self.elapsed.as_secs_f64();
            let rate = *made as f64 / seconds.max(f64::EPSILON);
            let (before, after) = (ByteSize(*bytes_before), ByteSize(*bytes_after));
            write!(f, ": {before} → {after}, {rate:.1} pictures/s, in {seconds:.1} s")?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_summary_says_what_became_of_each() {
        let mut tally = Tally { all: 3, made: 3, bytes_before: 3 << 20, bytes_after: 3 << 10, ..Tally::default() };
        let told = |tally: &Tally| Summary { tally, elapsed: Duration::from_millis(1500) }.to_string();
        assert_eq!(told(&tally), "3 of 3 pictures made: 3 MiB → 3 KiB, 2.0 pictures/s, in 1.5 s");
        (tally.all, tally.failed, tally.kept, tally.skipped) = (9, 2, 4, 1);
        let says = "3 of 9 pictures made, 2 failed, 4 there already, 1 other file skipped: 3 MiB";
        assert!(told(&tally).starts_with(says), "{}", told(&tally));
        assert_eq!(told(&Tally { skipped: 2, ..Tally::default() }), "0 of 0 pictures made, 2 other files skipped");
    }
}
