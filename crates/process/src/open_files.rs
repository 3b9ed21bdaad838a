//! The limit of open files.

use rustix::process::{Resource, Rlimit};

use crate::Error;

/// Raises this process's limit of open files to the most that it may have, and returns that.
pub fn raise_open_files() -> Result<u64, Error> {
    let limit = rustix::process::getrlimit(Resource::Nofile);
    let most = limit.maximum.unwrap_or(u64::MAX);
    if limit.current.unwrap_or(u64::MAX) < most {
        rustix::process::setrlimit(Resource::Nofile, Rlimit { current: limit.maximum, maximum: limit.maximum })
            .map_err(|source| Error::system(format!("raise the limit of open files to {most}"), source))?;
    }
    Ok(most)
}
