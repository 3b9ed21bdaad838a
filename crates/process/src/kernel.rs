//! What the running kernel must be able to do, asked once at start.

use crate::Error;

/// The oldest kernel that has all we use: `pidfd_open` (5.3), waiting by pidfd (5.4), `close_range` (5.9), and the
/// epoll and memfd behaviour that the tests run on.
const OLDEST: (u32, u32) = (5, 10);

pub(crate) fn check() -> Result<(), Error> {
    let release = rustix::system::uname().release().to_string_lossy().into_owned();
    match version(&release) {
        Some(version) if version < OLDEST => Err(Error::Kernel { missing: "a release of at least 5.10", release }),
        // A release that we cannot read is no reason to refuse: a missing call reports itself when it is used.
        _ => Ok(()),
    }
}

/// Major and minor number of a release such as `6.1.0-18-amd64`.
fn version(release: &str) -> Option<(u32, u32)> {
    let mut numbers = release.split(|c: char| !c.is_ascii_digit()).map(str::parse);
    Some((numbers.next()?.ok()?, numbers.next()?.ok()?))
}

#[cfg(test)]
mod tests {
    use super::version;

    #[test]
    fn releases_are_compared_as_numbers() {
        assert_eq!(version("6.1.0-18-amd64"), Some((6, 1)));
        assert_eq!(version("5.10.0"), Some((5, 10)));
        assert!(version("5.9.16-custom").unwrap() < super::OLDEST);
        assert_eq!(version("linux"), None);
    }
}
