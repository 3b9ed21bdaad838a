//! [`Bar`]: how far a pipeline is, on a terminal.

use std::fmt::Write;
use std::time::Duration;

use indicatif::{BinaryBytes, HumanDuration, ProgressBar, ProgressDrawTarget, ProgressStyle};

use super::{Events, Progress, ProgressState, Watch};
use crate::Error;

const REDRAW: Duration = Duration::from_millis(100);

impl Watch {
    /// A bar on standard error, if that is a terminal; else nothing is written at all. It counts bytes. When the pipeline
    /// has ended well, one line stays; after an error nothing, so that the message stands alone.
    pub fn bar(&self) -> Result<Bar, Error> {
        let target = ProgressDrawTarget::stderr();
        let is_hidden = target.is_hidden();
        if !is_hidden {
            let (bar, events) = (ProgressBar::with_draw_target(None, target), self.every(REDRAW));
            self.run("stream-bar", move || draw(&bar, events))?;
        }
        Ok(Bar { is_hidden })
    }
}

/// Says whether there is a bar: made by [`Watch::bar`]. It is drawn by a thread of its own, which ends with the pipeline.
#[derive(Debug, Clone, Copy)]
pub struct Bar {
    is_hidden: bool,
}

impl Bar {
    /// Whether nothing is drawn, because standard error is no terminal.
    pub fn is_hidden(&self) -> bool {
        self.is_hidden
    }
}

fn draw(bar: &ProgressBar, events: Events) {
    let mut has_bar = None;
    for progress in events {
        if has_bar != Some(progress.total.is_some()) {
            has_bar = Some(progress.total.is_some());
            bar.set_style(style(progress.total.is_some()));
        }
        bar.set_length(progress.total.unwrap_or(0));
        bar.set_position(progress.read.min(progress.total.unwrap_or(u64::MAX)));
        match progress.state {
            ProgressState::Done => bar.abandon_with_message(line(&progress)),
            ProgressState::Failed => bar.finish_and_clear(),
            _ => bar.set_message(line(&progress)),
        }
    }
}

fn style(has_total: bool) -> ProgressStyle {
    let template = if has_total { "{percent:>3} % [{bar:30}] {msg}" } else { "{spinner} {msg}" };
    ProgressStyle::with_template(template).unwrap_or_else(|_| ProgressStyle::default_bar()).progress_chars("=> ")
}

/// `512 MiB of 1 GiB → 300 MiB, 410 MiB/s, 2 seconds left`
fn line(progress: &Progress) -> String {
    let mut line = BinaryBytes(progress.read).to_string();
    if let Some(total) = progress.total
        && total != progress.read
    {
        let _ = write!(line, " of {}", BinaryBytes(total));
    }
    // A float as large as that is cut off at the largest number, which is right here.
    let rate = BinaryBytes(progress.rate as u64);
    let _ = write!(line, " → {}, {rate}/s", BinaryBytes(progress.written));
    match (progress.state, progress.eta) {
        (ProgressState::Running, Some(eta)) => {
            let _ = write!(line, ", {} left", HumanDuration(eta));
        }
        (ProgressState::Running, None) => {}
        _ => {
            let _ = write!(line, ", in {:.1} s", progress.elapsed.as_secs_f64());
        }
    }
    line
}

#[cfg(test)]
mod tests {
    use std::io::sink;

    use super::*;
    use crate::{Sink, Source, pipeline};

    #[test]
    fn a_line_says_what_is_known() {
        let mut progress = Progress {
            read: 512 << 20,
            written: 300 << 20,
            total: Some(1 << 30),
            elapsed: Duration::from_millis(1250),
            rate: 429_916_160.0,
            eta: Some(Duration::from_secs(2)),
            state: ProgressState::Running,
        };
        assert_eq!(line(&progress), "512.00 MiB of 1.00 GiB → 300.00 MiB, 410.00 MiB/s, 2 seconds left");
        (progress.total, progress.eta) = (None, None);
        assert_eq!(line(&progress), "512.00 MiB → 300.00 MiB, 410.00 MiB/s");
        progress.state = ProgressState::Done;
        assert_eq!(line(&progress), "512.00 MiB → 300.00 MiB, 410.00 MiB/s, in 1.2 s");
    }

    #[test]
    fn a_bar_follows_to_the_end() {
        let copy = pipeline(Source::reader("a text", &b"hello"[..]).total(10)).into(Sink::writer("nowhere", sink()));
        let events = copy.progress().every(REDRAW);
        copy.run_blocking().unwrap();
        let bar = ProgressBar::with_draw_target(None, ProgressDrawTarget::hidden());
        draw(&bar, events);
        assert!(bar.is_finished() && bar.position() == 5 && bar.length() == Some(10));
    }
}
