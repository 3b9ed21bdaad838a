//! Bodies, in and out.

mod file;
mod multipart;
mod reader;
mod upload;

pub(crate) use file::FileBody;
pub(crate) use multipart::{Event, Malformed, Multipart, boundary};
pub(crate) use reader::{BodyReader, announced_length};
pub(crate) use upload::{Picture, Upload};
