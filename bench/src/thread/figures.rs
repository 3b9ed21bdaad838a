//! What came out, as one line of JSON.

use measuring::{Report, Times};
use serde::Serialize;

/// Figures of one measurement; what it does not have is left out.
#[derive(Clone, Copy, Debug, Default, Serialize)]
pub(crate) struct Figures {
    /// Of a rate, a second; of memory, KiB.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) figure: Option<f64>,
    /// Microseconds.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) p50: Option<f64>,
    /// Microseconds.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) p99: Option<f64>,
    /// KiB resident before it began.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) before: Option<f64>,
    /// Workers created and ended a second.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) per_second: Option<f64>,
}

impl Figures {
    pub(crate) fn of(figure: f64) -> Self {
        Self { figure: Some(figure), ..Self::default() }
    }

    /// With p50 and p99.
    pub(crate) fn with_times(self, times: &Times) -> Self {
        Self { p50: Some(times.microseconds_at(0.5)), p99: Some(times.microseconds_at(0.99)), ..self }
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
