//! The front process.

pub(crate) mod feed;
pub(crate) mod link;
mod logs;
pub(crate) mod socket;

pub use logs::Logs;
