//! [`Stdio`]: what a child finds at one of its descriptor numbers.

use std::fs::{File, OpenOptions};
use std::os::fd::{AsRawFd, BorrowedFd, OwnedFd, RawFd};

use rustix::net::{AddressFamily, SocketFlags, SocketType};
use rustix::pipe::PipeFlags;

use crate::SpawnError;

/// What a child finds at one of its descriptor numbers.
#[derive(Debug, Default)]
#[non_exhaustive]
pub enum Stdio {
    /// A connection to us. At 0, 1 and 2 a pipe (64 KiB; whoever writes into a full one waits), at any other number a
    /// two-way stream.
    #[default]
    Pipe,
    /// `/dev/null`: nothing to read, and what is written is gone.
    Null,
    /// What this process has at the same number.
    Inherit,
    /// This file, pipe or socket.
    Descriptor(OwnedFd),
}

impl From<OwnedFd> for Stdio {
    fn from(descriptor: OwnedFd) -> Stdio {
        Stdio::Descriptor(descriptor)
    }
}

impl From<File> for Stdio {
    fn from(file: File) -> Stdio {
        Stdio::Descriptor(file.into())
    }
}

/// Number of standard input, output and error.
pub(crate) const STDIN: RawFd = 0;
pub(crate) const STDOUT: RawFd = 1;
pub(crate) const STDERR: RawFd = 2;

/// The largest descriptor number that Linux ever allows (`fs.nr_open` by default).
const MAX_NUMBER: RawFd = 1 << 20;

/// Our ends of a child's pipes, by the number at which the child has the other end. All non-blocking.
pub(crate) type OurEnds = Vec<(RawFd, OwnedFd)>;

/// Which descriptor of this process becomes which number in the child.
#[derive(Debug, Default)]
pub(crate) struct Placements {
    /// Source and target. No source is another one's target, so the order does not matter.
    pub(crate) pairs: Vec<(RawFd, RawFd)>,
    /// The sources that we own; open until the child has its copies.
    held: Vec<OwnedFd>,
}

impl Placements {
    /// Opens what is to be opened.
    pub(crate) fn of(stdio: Vec<(RawFd, Stdio)>) -> Result<(Placements, OurEnds), SpawnError> {
        let mut placements = Placements::default();
        let mut ours = OurEnds::new();
        let mut null_device = None;
        let mut wanted: Vec<(RawFd, RawFd)> = Vec::with_capacity(stdio.len());
        let numbers = || stdio.iter().map(|(target, _)| *target).collect();
        if stdio.iter().any(|(target, _)| !(0..=MAX_NUMBER).contains(target)) {
            return Err(SpawnError::BadDescriptor { numbers: numbers() });
        }
        for (target, kind) in stdio {
            let theirs = match kind {
                Stdio::Inherit if target <= STDERR => continue,
                Stdio::Inherit => {
                    wanted.push((target, target));
                    continue;
                }
                Stdio::Descriptor(descriptor) => descriptor,
                Stdio::Null => {
                    // One for all: nothing is read or written that could be told apart.
                    if null_device.is_none() {
                        let opened = null()?;
                        null_device = Some(opened.as_raw_fd());
                        placements.held.push(opened);
                    }
                    wanted.extend(null_device.map(|null_device| (null_device, target)));
                    continue;
                }
                Stdio::Pipe => {
                    let (our_end, theirs) = pipe(target)?;
                    ours.push((target, our_end));
                    theirs
                }
            };
            wanted.push((theirs.as_raw_fd(), target));
            placements.held.push(theirs);
        }
        placements.arrange(wanted)?;
        Ok((placements, ours))
    }

    /// Adds a descriptor at a number that is free in the child, and says which.
    pub(crate) fn add_anywhere(&mut self, descriptor: OwnedFd) -> Result<RawFd, SpawnError> {
        let taken = |number: RawFd| self.pairs.iter().any(|(_, target)| *target == number);
        let target = (STDERR + 1..).find(|number| !taken(*number)).unwrap_or(RawFd::MAX);
        let mut wanted = std::mem::take(&mut self.pairs);
        wanted.push((descriptor.as_raw_fd(), target));
        self.held.push(descriptor);
        self.arrange(wanted)?;
        Ok(target)
    }

    /// Moves each source out of the way whose number is the target of another.
    fn arrange(&mut self, wanted: Vec<(RawFd, RawFd)>) -> Result<(), SpawnError> {
        let above = wanted.iter().map(|(_, target)| target + 1).max().unwrap_or(0);
        let mut arranged = Vec::with_capacity(wanted.len());
        for &(source, target) in &wanted {
            let in_the_way = wanted.iter().any(|(other, its)| *its == source && *other != source);
            if source == target || !in_the_way {
                arranged.push((source, target));
                continue;
            }
            // SAFETY: `source` is open: it is one of `held`, or a number that the user asked to inherit, and then a
            // closed one is reported by the call.
            let borrowed = unsafe { BorrowedFd::borrow_raw(source) };
            let copy = rustix::io::fcntl_dupfd_cloexec(borrowed, above)
                .map_err(|errno| SpawnError::system("copy a descriptor for a child", errno))?;
            arranged.push((copy.as_raw_fd(), target));
            self.held.push(copy);
        }
        self.pairs = arranged;
        Ok(())
    }
}

fn null() -> Result<OwnedFd, SpawnError> {
    let file = OpenOptions::new().read(true).write(true).open("/dev/null");
    Ok(file.map_err(|source| SpawnError::system("open /dev/null", source))?.into())
}

/// Our end and the child's. Only ours is non-blocking: few programs expect that of their standard streams.
fn pipe(target: RawFd) -> Result<(OwnedFd, OwnedFd), SpawnError> {
    let failed = |errno| SpawnError::system("create a pipe for a child", errno);
    let (ours, theirs) = match target {
        STDIN => {
            let (reader, writer) = rustix::pipe::pipe_with(PipeFlags::CLOEXEC).map_err(failed)?;
            (writer, reader)
        }
        STDOUT | STDERR => rustix::pipe::pipe_with(PipeFlags::CLOEXEC).map_err(failed)?,
        _ => rustix::net::socketpair(AddressFamily::UNIX, SocketType::STREAM, SocketFlags::CLOEXEC, None)
            .map_err(failed)?,
    };
    rustix::io::ioctl_fionbio(&ours, true).map_err(failed)?;
    Ok((ours, theirs))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_source_is_the_target_of_another_so_nothing_is_overwritten_before_it_is_placed() {
        let a = OwnedFd::from(File::open("/dev/null").unwrap());
        let b = OwnedFd::from(File::open("/dev/zero").unwrap());
        let (a_number, b_number) = (a.as_raw_fd(), b.as_raw_fd());
        // Each wants the other's number.
        let stdio = vec![(b_number, Stdio::from(a)), (a_number, Stdio::from(b))];
        let (mut placements, ours) = Placements::of(stdio).unwrap();
        assert!(ours.is_empty());
        let free = placements.add_anywhere(File::open("/dev/null").unwrap().into()).unwrap();
        assert!(free > 2 && free != a_number && free != b_number);
        for (source, target) in &placements.pairs {
            assert!(!placements.pairs.iter().any(|(other, its)| its == source && other != source), "{source} {target}");
        }
    }
}
