//! [`KindLimits`], [`Pause`], [`Schedule`]: what is said of many jobs at once. All of it is stored and survives.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::NewJob;
use crate::{QueueName, UnixMillis};

/// How fast jobs of one kind may be begun, over all runners.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct KindLimits {
    /// In which queue.
    pub queue: QueueName,
    /// Which kind.
    pub kind: String,
    /// So many at once.
    pub concurrency: Option<u32>,
    /// So many in each such time: a bucket that fills evenly and holds that many.
    pub rate: Option<(u32, Duration)>,
}

/// What is paused: nothing of it is given out, what runs goes on, submitting goes on.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Pause {
    /// In which queue.
    pub queue: QueueName,
    /// One kind, or all.
    pub kind: Option<String>,
}

/// A job that is submitted again and again.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Schedule {
    /// Its name: saying it again replaces it.
    pub name: String,
    /// When, in UTC: five fields, `minute hour day month weekday`, as cron(5) has them.
    pub cron: String,
    /// What: a new id is made for each, from the name and the moment, so that it is submitted once however many look.
    pub job: NewJob,
    /// The next time.
    pub next: UnixMillis,
}
