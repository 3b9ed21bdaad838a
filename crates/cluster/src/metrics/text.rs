//! The text format of Prometheus, version 0.0.4.

use std::fmt::{Display, Write};
use std::time::Duration;

use phalanx_shared::Buckets;

/// What kind of figure a family holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// Only grows.
    Counter,
    /// Goes up and down.
    Gauge,
    /// Times in buckets.
    Histogram,
}

/// A family: its name, what it tells, its kind.
#[derive(Debug, Clone, Copy)]
pub(super) struct Family {
    pub(super) name: &'static str,
    pub(super) help: &'static str,
    pub(super) kind: Kind,
}

/// A label and its value.
pub(super) type Label<'a> = (&'static str, &'a dyn Display);

/// The text as it grows.
#[derive(Debug, Default)]
pub(super) struct Text(String);

impl Text {
    pub(super) fn into_string(self) -> String {
        self.0
    }

    /// Begins a family; its samples follow.
    pub(super) fn family(&mut self, family: Family) {
        let Family { name, help, kind } = family;
        let kind = match kind {
            Kind::Counter => "counter",
            Kind::Gauge => "gauge",
            Kind::Histogram => "histogram",
        };
        self.line(format_args!("# HELP {name} {help}\n# TYPE {name} {kind}"));
    }

    /// One figure.
    pub(super) fn sample(&mut self, name: &str, labels: &[Label<'_>], value: impl Display) {
        self.series(name, "", labels, value);
    }

    /// The figures of a histogram without labels.
    pub(super) fn histogram(&mut self, name: &str, buckets: &Buckets) {
        let mut below = 0u64;
        for (index, count) in buckets.counts().iter().enumerate() {
            below = below.wrapping_add(*count);
            match Buckets::bound(index) {
                Some(bound) => self.series(name, "_bucket", &[("le", &Seconds(bound))], below),
                None => self.series(name, "_bucket", &[("le", &"+Inf")], below),
            }
        }
        self.series(name, "_sum", &[], Seconds(buckets.sum()));
        self.series(name, "_count", &[], below);
    }

    fn series(&mut self, name: &str, suffix: &str, labels: &[Label<'_>], value: impl Display) {
        let mut written = String::new();
        for (label, value) in labels {
            let comma = if written.is_empty() { "" } else { "," };
            let value = value.to_string().replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n");
            let _ = write!(written, "{comma}{label}=\"{value}\"");
        }
        if written.is_empty() {
            self.line(format_args!("{name}{suffix} {value}"));
        } else {
            self.line(format_args!("{name}{suffix}{{{written}}} {value}"));
        }
    }

    /// Writing into a string does not fail.
    fn line(&mut self, line: std::fmt::Arguments<'_>) {
        let _ = writeln!(self.0, "{line}");
    }
}

/// A time in seconds, exact to the microsecond, without a needless zero.
pub(super) struct Seconds(pub(super) Duration);

impl Display for Seconds {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self.0.subsec_micros() {
            0 => write!(f, "{}", self.0.as_secs()),
            micros => {
                let fraction = format!("{micros:06}");
                write!(f, "{}.{}", self.0.as_secs(), fraction.trim_end_matches('0'))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn seconds_are_exact() {
        let text = |micros| Seconds(Duration::from_micros(micros)).to_string();
        assert_eq!(
            [text(16), text(1_000_000), text(1_500_000), text(67_108_864)],
            ["0.000016", "1", "1.5", "67.108864"]
        );
    }

    #[test]
    fn labels_are_escaped() {
        let mut text = Text::default();
        text.sample("a", &[("b", &"c\"\\\nd"), ("e", &1)], 2);
        assert_eq!(text.into_string(), "a{b=\"c\\\"\\\\\\nd\",e=\"1\"} 2\n");
    }
}
