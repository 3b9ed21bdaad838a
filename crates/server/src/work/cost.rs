//! [`Cost`]: how dear a piece of work is.

use phalanx::image::Plan;
use std::time::Duration;

/// What a task is expected to cost on one core. Only the proportions matter: the pools measure how fast they really are.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Cost(pub(super) Duration);

/// One number of `/process` beside seven others (`tasks/heavy_work.rs`).
const MICROSECONDS_PER_NUMBER: u64 = 600;
/// A body whose picture is not known yet: a JPEG of 2 MB takes about 40 ms.
const NANOSECONDS_PER_BODY_BYTE: u64 = 20;
/// For a body of unknown length: a small photo.
const USUAL_BODY_BYTES: u64 = 1 << 20;
/// What a pipeline does in one go before it lets others have their turn.
const STREAM: Duration = Duration::from_millis(5);
/// Drawing and encoding the sample.
const NANOSECONDS_PER_SAMPLE_PIXEL: u64 = 30;

/// Memory that work at this picture takes besides its body, in bytes: what is planned from its header, and the body once more,
/// because a job process looks at a copy. Its output is copied too, twice, but then the encoder has given back more than that.
/// On threads there is no copy; the difference is not worth a second rule.
pub(crate) fn charge_of(plan: &Plan, body: u64) -> u64 {
    plan.estimated_bytes.saturating_add(body)
}

impl Cost {
    /// This many numbers.
    pub(crate) fn numbers(count: usize) -> Self {
        // Eight at once take little longer than one.
        Cost(Duration::from_micros(MICROSECONDS_PER_NUMBER * (count.max(1) as u64).next_multiple_of(8).max(5)))
    }

    /// A picture of which nothing is known but the length of the body.
    pub(crate) fn of_body(announced: Option<u64>) -> Self {
        Cost(Duration::from_nanos(announced.unwrap_or(USUAL_BODY_BYTES) * NANOSECONDS_PER_BODY_BYTE))
    }

    /// A picture whose header was read.
    pub(crate) fn of_picture(plan: &Plan) -> Self {
        Cost(plan.estimated_cost)
    }

    /// The first turn of a pipeline.
    pub(crate) fn of_stream() -> Self {
        Cost(STREAM)
    }

    /// The sample picture.
    pub(crate) fn of_sample(pixels: u64) -> Self {
        Cost(Duration::from_nanos(pixels * NANOSECONDS_PER_SAMPLE_PIXEL))
    }
}
