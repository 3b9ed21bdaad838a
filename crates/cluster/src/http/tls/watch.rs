//! Notices that the files of a certificate were replaced.

use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use super::{Source, Tls};

/// What tells one version of a file from another, also when it was put in place by a rename or a changed link.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Stamp {
    device: u64,
    inode: u64,
    size: u64,
    changed: (i64, i64),
}

impl Stamp {
    fn of(path: &Path) -> io::Result<Stamp> {
        let data = std::fs::metadata(path)?;
        let changed = (data.mtime(), data.mtime_nsec());
        Ok(Stamp { device: data.dev(), inode: data.ino(), size: data.size(), changed })
    }
}

type Stamps = Option<(Stamp, Stamp)>;

impl Source {
    /// The stamps of both files; `None` while one of them is away.
    fn stamps(&self) -> Stamps {
        Some((Stamp::of(&self.certificate).ok()?, Stamp::of(&self.key).ok()?))
    }
}

/// Takes a new certificate up once both files have been the same at two looks: who replaces them writes one after the
/// other.
#[derive(Debug)]
struct Looks {
    taken: Stamps,
    last: Stamps,
}

impl Looks {
    /// Whether to read the files now.
    fn look(&mut self, now: Stamps) -> bool {
        let settled = now.is_some() && now == self.last && now != self.taken;
        self.last = now;
        if settled {
            self.taken = now;
        }
        settled
    }
}

impl Tls {
    /// Looks at the files for as long as the server runs.
    pub(in crate::http) async fn watch(self) {
        // Whatever came between the first reading and now is read once more.
        let mut looks = Looks { taken: None, last: None };
        let mut interval = tokio::time::interval(self.look);
        interval.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        let mut first = true;
        loop {
            interval.tick().await;
            if !looks.look(self.source.stamps()) {
                continue;
            }
            match self.reload() {
                Ok(()) if first => {}
                Ok(()) => tracing::info!("the certificate in {} was taken up", self.source.certificate.display()),
                Err(error) => tracing::error!("the certificate stays as it was: {error}"),
            }
            first = false;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_change_is_taken_up_once_and_only_when_it_has_settled() {
        let stamp = |inode| {
            let stamp = Stamp { device: 1, inode, size: 1, changed: (0, 0) };
            Some((stamp, stamp))
        };
        let mut looks = Looks { taken: stamp(1), last: stamp(1) };
        let seen = [stamp(1), stamp(2), stamp(3), None, stamp(3), stamp(3), stamp(3)];
        let read = seen.map(|stamps| looks.look(stamps));
        assert_eq!(read, [false, false, false, false, false, true, false]);
    }
}
