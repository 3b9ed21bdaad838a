//! The everyday transforms: text, lines, pieces, rows, digests.

mod chunks;
mod cut;
mod error;
#[cfg(feature = "hash")]
mod hash;
mod items;
mod lines;
#[cfg(feature = "json")]
mod ndjson;
#[cfg(feature = "csv")]
mod rows;
mod tee;
mod throttle;
mod unicode;
mod uppercase;

pub use chunks::{Chunks, Group, chunks, group};
pub use error::TextError;
#[cfg(feature = "hash")]
pub use hash::{Algorithm, Digest, Hash, UnknownAlgorithm, hash};
pub use items::{Filter, FlatMap, Inspect, Scan, filter, flat_map, inspect, scan};
pub use lines::{JoinLines, LONGEST_LINE, Lines, join_lines, lines};
#[cfg(feature = "json")]
pub use ndjson::{Ndjson, ToNdjson, ndjson, to_ndjson};
#[cfg(feature = "csv")]
pub use rows::{Csv, ToCsv, csv, to_csv};
pub use tee::{Tee, Twin, tee};
pub use throttle::{Throttle, throttle};
pub use unicode::{UppercaseUnicode, uppercase_unicode};
pub use uppercase::{Uppercase, uppercase};
