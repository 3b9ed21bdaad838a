//! The features that checks and tests are run with: all brokers, where they can be built.

use crate::step::Failure;
use crate::tools::{self, Missing};

/// Transforms and ends of streams that the server does not need.
const STREAMS: &str = "phalanx-stream/csv,phalanx-stream/json,phalanx-stream/net";
/// The same, all brokers, S3, and the program of `bench queue`, which knows them all.
const ALL: &str = "phalanx-stream/csv,phalanx-stream/json,phalanx-stream/net,\
    phalanx-queue/amqp,phalanx-queue/kafka,phalanx-queue/postgres,phalanx-queue/s3,phalanx-bench/queue";

/// Arguments for cargo. Without what librdkafka is built with, no broker's code is looked at, which is said, or it is installed.
pub(crate) fn provide(missing: Missing) -> Result<Vec<&'static str>, Failure> {
    tools::provide(&tools::FOR_FEATURES, missing)?;
    let all = tools::FOR_FEATURES.iter().all(|tool| tool.find().is_some());
    Ok(vec!["--features", if all { ALL } else { STREAMS }])
}

/// What builds the program of `bench queue`; that case is nothing without it.
pub(crate) fn provide_for_bench() -> Result<&'static [&'static str], Failure> {
    tools::provide(&tools::FOR_FEATURES, Missing::allowed())?;
    match tools::FOR_FEATURES.iter().find(|tool| tool.find().is_none()) {
        None => Ok(&["--features", "queue"]),
        Some(_) => Err(Failure::new("bench queue cannot be built without them")),
    }
}

/// What builds libjpeg-turbo for `bench image`; without it that row is left out.
pub(crate) fn provide_for_pictures() -> Result<&'static [&'static str], Failure> {
    tools::provide(&tools::FOR_LIBJPEG_TURBO, Missing::allowed())?;
    tools::provide(&[tools::JPEG_PROGRAMS], Missing::allowed())?;
    let all = tools::FOR_LIBJPEG_TURBO.iter().all(|tool| tool.find().is_some());
    Ok(if all { &["--features", "phalanx-bench/image-rivals"] } else { &[] })
}
