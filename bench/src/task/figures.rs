//! What came out, as one line of JSON.

use measuring::{Report, Times};
use serde::Serialize;

/// Figures of one measurement; what it does not have is left out.
#[derive(Clone, Copy, Debug, Default, Serialize)]
pub(crate) struct Figures {
    /// Tasks or photos a second; of payloads MB (10⁶ bytes, counted once) a second.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) figure: Option<f64>,
    /// Microseconds.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) p50: Option<f64>,
    /// Microseconds.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) p99: Option<f64>,
}

impl Figures {
    /// So many a second.
    pub(crate) fn of(figure: f64) -> Self {
        Self { figure: Some(figure), ..Self::default() }
    }

    /// With p50 and p99.
    pub(crate) fn with_times(self, times: &Times) -> Self {
        Self { p50: Some(times.microseconds_at(0.5)), p99: Some(times.microseconds_at(0.99)), ..self }
    }

    /// Payloads a second as MB a second.
    pub(crate) fn in_megabytes_of(self, payload_bytes: usize) -> Self {
        Self { figure: self.figure.map(|per_second| per_second * payload_bytes as f64 / 1e6), ..self }
    }

    pub(crate) fn print(self) {
        println!("{}", serde_json::json!(self));
    }
}

impl From<Report> for Figures {
    fn from(report: Report) -> Self {
        Self::of(report.figure)
    }
}
