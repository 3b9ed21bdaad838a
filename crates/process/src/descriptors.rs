//! [`Descriptors`]: descriptors that came into this process under names.

use std::os::fd::{AsRawFd, FromRawFd, OwnedFd, RawFd};

/// Descriptors by name. Names may repeat; order is kept.
#[derive(Debug, Default)]
pub(crate) struct Descriptors(Vec<(String, OwnedFd)>);

impl Descriptors {
    /// Becomes the owner of these numbers, after a look whether each is really open, and none is named twice.
    ///
    /// # Safety
    ///
    /// Nothing in this process may own one of the numbers, nor become the owner of one but through this call.
    pub(crate) unsafe fn own(numbers: Vec<(String, RawFd)>) -> Result<Descriptors, String> {
        let mut seen: Vec<RawFd> = numbers.iter().map(|(_, number)| *number).collect();
        seen.sort_unstable();
        if seen.windows(2).any(|pair| pair[0] == pair[1]) {
            return Err("it names a descriptor twice".into());
        }
        for (name, number) in &numbers {
            if *number <= libc::STDERR_FILENO {
                return Err(format!("descriptor {number} (\"{name}\") is a standard stream"));
            }
            // SAFETY: only asks for the flags of a number; a closed one gives EBADF.
            if unsafe { libc::fcntl(*number, libc::F_GETFD) } < 0 {
                return Err(format!("descriptor {number} (\"{name}\") is not open"));
            }
        }
        let own = |(name, number)| {
            // SAFETY: it is open, above the standard streams, named once, and the caller vouches that nobody owns it.
            (name, unsafe { OwnedFd::from_raw_fd(number) })
        };
        Ok(Descriptors(numbers.into_iter().map(own).collect()))
    }

    /// Takes the first one of this name.
    pub(crate) fn take(&mut self, name: &str) -> Option<OwnedFd> {
        let position = self.0.iter().position(|(its, _)| its == name)?;
        Some(self.0.remove(position).1)
    }

    /// Takes all of this name, in order.
    pub(crate) fn take_all(&mut self, name: &str) -> Vec<OwnedFd> {
        let (taken, rest): (Vec<_>, Vec<_>) = std::mem::take(&mut self.0).into_iter().partition(|(its, _)| its == name);
        self.0 = rest;
        taken.into_iter().map(|(_, descriptor)| descriptor).collect()
    }

    /// The numbers of all that are left.
    pub(crate) fn numbers(&self) -> Vec<RawFd> {
        self.0.iter().map(|(_, descriptor)| descriptor.as_raw_fd()).collect()
    }

    /// Takes all that are left.
    pub(crate) fn take_rest(&mut self) -> Vec<(String, OwnedFd)> {
        std::mem::take(&mut self.0)
    }
}

/// `name=number`, as it stands in a variable of ours.
pub(crate) fn parse(text: &str) -> Option<(String, RawFd)> {
    let (name, number) = text.split_once('=')?;
    Some((name.to_owned(), number.parse().ok()?))
}

#[cfg(test)]
mod tests {
    use std::os::fd::IntoRawFd;

    use super::*;

    fn open() -> RawFd {
        std::fs::File::open("/dev/null").unwrap().into_raw_fd()
    }

    #[test]
    fn they_are_taken_by_name_and_in_order() {
        let (a, b, c) = (open(), open(), open());
        let named = vec![("x".to_owned(), a), ("y".to_owned(), b), ("x".to_owned(), c)];
        // SAFETY: just opened and given away.
        let mut all = unsafe { Descriptors::own(named) }.unwrap();
        assert_eq!(all.take_all("x").iter().map(std::os::fd::AsRawFd::as_raw_fd).collect::<Vec<_>>(), [a, c]);
        assert!(all.take("x").is_none() && all.take("y").is_some());
        assert!(all.take_rest().is_empty());
    }

    #[test]
    fn a_closed_or_doubled_one_is_refused_before_any_is_owned() {
        let number = open();
        for bad in [vec![("a".to_owned(), number); 2], vec![("a".to_owned(), number), ("b".to_owned(), 9999)]] {
            // SAFETY: nothing else owns `number`; it must be refused, so it is not owned afterwards either.
            assert!(unsafe { Descriptors::own(bad) }.is_err());
        }
        // SAFETY: still open, and ours.
        assert!(unsafe { Descriptors::own(vec![("a".to_owned(), number)]) }.is_ok());
    }
}
