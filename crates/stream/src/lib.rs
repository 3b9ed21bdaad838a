//! Pipelines for data larger than memory: read in chunks, transform on all cores and in order, write; with backpressure,
//! one error, and nothing half-done left behind.
//!
//! ```text
//!   source ─► lane ─► transform ─► lane ─► transform.parallel(n) ─► lane ─► sink
//!               each lane is bounded by its high-water mark; chunks come from reused buffers
//!
//!   hands: threads (both ends block: files, stdin, stdout) or jobs of a pool (an end is async) that look, from the
//!   sink to the source, for a part that has input and room, and do one step of it
//! ```
//!
//! ```
//! use phalanx_stream::{Chunk, Source, map, pipeline};
//!
//! let upper = map(|mut chunk: Chunk| {
//!     chunk.make_ascii_uppercase();
//!     Ok(chunk)
//! });
//! let heard = pipeline(Source::reader("a text", &b"hello"[..])).through(upper.parallel(2)).collect_blocking()?;
//! assert_eq!(heard, [Chunk::from("HELLO")]);
//! # Ok::<(), phalanx_stream::Error>(())
//! ```
#![forbid(unsafe_code)]
#![deny(missing_docs)]

mod abort;
#[cfg(feature = "age")]
mod age;
#[cfg(any(feature = "gzip", feature = "zstd"))]
mod blocks;
mod chunk;
mod collect;
mod compose;
mod decode_error;
mod driver;
mod duplex;
mod ends;
mod error;
mod file;
mod finished;
mod forward;
#[cfg(feature = "gzip")]
mod gzip;
mod joint;
mod lane;
mod map;
mod part;
mod pipeline;
mod progress;
mod readable;
mod run;
mod sink;
mod source;
mod state;
mod stop;
mod summary;
mod text;
mod transform;
mod writable;
#[cfg(feature = "zstd")]
mod zstd;

pub use abort::AbortHandle;
#[cfg(feature = "age")]
pub use age::{Decrypt, Encrypt, Identities, Identity, KeyError, Recipient, Recipients, decrypt, encrypt};
pub use chunk::{Buffers, CHUNK_BYTES, Chunk};
pub use collect::through;
pub use compose::{Composed, compose};
pub use decode_error::{DecodeError, Limits};
pub use duplex::{Duplex, duplex_of, pass_through};
pub use error::{Cause, Error};
pub use file::{Durability, FileError, FileTarget, Interrupt};
pub use finished::{Ends, Finished, finished};
#[cfg(feature = "gzip")]
pub use gzip::{Gunzip, Gzip, gunzip, gzip};
pub use joint::Mark;
pub use map::{Map, Spreading, map};
pub use part::PartFigures;
pub use pipeline::{BYTES_MARK, ITEMS_MARK, Pipe, Pipeline, Running, Stage, pipeline};
#[cfg(feature = "bar")]
pub use progress::Bar;
pub use progress::{Events, Progress, ProgressState, ProgressStream, Watch};
pub use readable::Readable;
pub use sink::{AsyncSink, BlockingSink, IntoSink, Sink};
pub use source::{BlockingSource, IntoSource, Source};
pub use state::Phase;
pub use summary::{Meter, Summary};
#[cfg(feature = "hash")]
pub use text::{Algorithm, Digest, Hash, UnknownAlgorithm, hash};
pub use text::{
    Chunks, Filter, FlatMap, Group, Inspect, JoinLines, LONGEST_LINE, Lines, Scan, Tee, TextError, Throttle, Twin,
    Uppercase, UppercaseUnicode, chunks, filter, flat_map, group, inspect, join_lines, lines, scan, tee, throttle,
    uppercase, uppercase_unicode,
};
#[cfg(feature = "csv")]
pub use text::{Csv, ToCsv, csv, to_csv};
#[cfg(feature = "json")]
pub use text::{Ndjson, ToNdjson, ndjson, to_ndjson};
pub use transform::{Flow, Outlet, ParallelTransform, Transform};
pub use writable::{Corked, Refused, Writable};
#[cfg(feature = "zstd")]
pub use zstd::{Unzstd, Zstd, unzstd, zstd};
