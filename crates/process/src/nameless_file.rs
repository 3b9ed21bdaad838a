//! Files without a name, in memory: how what is too long for the environment reaches a child.

use std::io::{self, Read, Seek, Write};
use std::os::fd::OwnedFd;

use rustix::fs::MemfdFlags;
use serde::Serialize;
use serde::de::DeserializeOwned;

/// A file that holds `value`, at its beginning.
pub(crate) fn holding(value: &impl Serialize) -> io::Result<OwnedFd> {
    let bytes = postcard::to_stdvec(value).map_err(|why| io::Error::other(why.to_string()))?;
    let mut file = std::fs::File::from(rustix::fs::memfd_create("phalanx", MemfdFlags::CLOEXEC)?);
    file.write_all(&bytes)?;
    file.rewind()?;
    Ok(file.into())
}

/// The value that such a file holds.
pub(crate) fn read<T: DeserializeOwned>(file: OwnedFd) -> io::Result<T> {
    let mut bytes = Vec::new();
    std::fs::File::from(file).read_to_end(&mut bytes)?;
    postcard::from_bytes(&bytes).map_err(|why| io::Error::other(why.to_string()))
}
