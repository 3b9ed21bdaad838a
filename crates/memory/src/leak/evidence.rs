//! [`Leak`]: the evidence, in one line that an operator can act on.

use std::fmt;
use std::time::Duration;

use super::Resource;

/// The evidence for a leak.
#[derive(Debug, Clone, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[non_exhaustive]
pub struct Leak {
    /// What grows.
    pub resource: Resource,
    /// Bytes, or descriptors, for each unit of work: the median slope between samples at comparable load (Theil–Sen).
    pub per_work: f64,
    /// The slope is at least this, with the probability [`confidence`](Self::confidence).
    pub at_least: f64,
    /// From 0 to 1.
    pub confidence: f64,
    /// Units of work that were looked at.
    pub work: u64,
    /// How long they took.
    pub time: Duration,
    /// Value at the beginning of them.
    pub from: u64,
    /// Value at their end.
    pub to: u64,
    /// Number of samples that were compared.
    pub samples: u32,
}

/// `memory grew from 20.5 MiB to 23.4 MiB over 2944 requests in 12 s at comparable load: 1.0 KiB each (at least 1.0 KiB with
/// 99.99 % confidence, 47 samples)`.
impl fmt::Display for Leak {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let amount = |value: u64| match self.resource {
            Resource::Memory => bytes(value as f64),
            Resource::Descriptors => value.to_string(),
        };
        write!(
            f,
            "{} grew from {} to {} over {} requests in {} at comparable load: {} (at least {} with {} % confidence, {} samples)",
            self.resource,
            amount(self.from),
            amount(self.to),
            self.work,
            span(self.time),
            self.each(self.per_work),
            self.each(self.at_least),
            // Without the digits that are only those of the binary fraction.
            (self.confidence * 1e6).round() / 1e4,
            self.samples
        )
    }
}

impl Leak {
    /// Of bytes so many each; of descriptors one for so many requests.
    fn each(&self, slope: f64) -> String {
        match self.resource {
            Resource::Memory => format!("{} each", bytes(slope)),
            Resource::Descriptors if slope >= 0.95 => format!("{slope:.1} each"),
            Resource::Descriptors if slope > 0.0 => format!("1 for every {:.0}", 1.0 / slope),
            Resource::Descriptors => "0 each".to_owned(),
        }
    }
}

/// As people write it.
fn bytes(value: f64) -> String {
    const KIB: f64 = 1024.0;
    match value {
        small if small < KIB => format!("{small:.0} B"),
        medium if medium < KIB * KIB => format!("{:.1} KiB", medium / KIB),
        large if large < KIB * KIB * KIB => format!("{:.1} MiB", large / KIB / KIB),
        huge => format!("{:.1} GiB", huge / KIB / KIB / KIB),
    }
}

/// As people write it.
fn span(time: Duration) -> String {
    match time.as_secs() {
        0..10 => format!("{:.1} s", time.as_secs_f64()),
        seconds @ 10..120 => format!("{seconds} s"),
        seconds @ 120..7200 => format!("{} min", seconds / 60),
        seconds => format!("{} h", seconds / 3600),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn memory() -> Leak {
        Leak {
            resource: Resource::Memory,
            per_work: 1024.0,
            at_least: 1000.0,
            confidence: 0.9999,
            work: 2944,
            time: Duration::from_secs(12),
            from: 21_495_808,
            to: 24_510_464,
            samples: 47,
        }
    }

    #[test]
    fn the_evidence_is_one_line_with_units() {
        assert_eq!(
            memory().to_string(),
            "memory grew from 20.5 MiB to 23.4 MiB over 2944 requests in 12 s at comparable load: 1.0 KiB each (at least 1000 B \
             each with 99.99 % confidence, 47 samples)"
        );
    }

    #[test]
    fn descriptors_are_counted_by_the_requests_that_cost_one() {
        let leak =
            Leak { resource: Resource::Descriptors, per_work: 0.1, at_least: 0.0996, from: 24, to: 318, ..memory() };
        assert_eq!(
            leak.to_string(),
            "file descriptors grew from 24 to 318 over 2944 requests in 12 s at comparable load: 1 for every 10 (at least 1 for \
             every 10 with 99.99 % confidence, 47 samples)"
        );
        let two = Leak { per_work: 2.0, time: Duration::from_secs(7199), ..leak };
        assert!(two.to_string().contains("in 119 min at comparable load: 2.0 each"), "{two}");
    }

    #[test]
    fn sizes_are_written_in_the_unit_that_fits() {
        let written: Vec<String> = [0.0, 1023.0, 1536.0, 5e6, 5e9].map(bytes).to_vec();
        assert_eq!(written, ["0 B", "1023 B", "1.5 KiB", "4.8 MiB", "4.7 GiB"]);
    }
}
