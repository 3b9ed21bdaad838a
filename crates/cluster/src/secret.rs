//! [`ClusterSecret`]: random bytes that the primary makes once and all workers of a cluster share.

use std::fmt;

use rustix::io::Errno;
use rustix::rand::GetRandomFlags;
use serde::{Deserialize, Serialize};

/// 32 random bytes. Keys are derived from them, each for one purpose; they are never used as they are, never logged, and
/// live as long as the cluster, also over upgrades.
#[derive(Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct ClusterSecret([u8; 32]);

impl ClusterSecret {
    /// New ones, from the kernel.
    pub(crate) fn generate() -> Result<ClusterSecret, Errno> {
        let mut bytes = [0; 32];
        // Up to 256 bytes come whole (getrandom(2)).
        rustix::rand::getrandom(&mut bytes, GetRandomFlags::empty())?;
        Ok(ClusterSecret(bytes))
    }

    #[cfg(feature = "tls")]
    pub(crate) fn bytes(&self) -> &[u8; 32] {
        &self.0
    }
}

impl fmt::Debug for ClusterSecret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ClusterSecret")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_two_are_alike_and_none_is_printed() {
        let secrets = [ClusterSecret::generate().unwrap(), ClusterSecret::generate().unwrap()];
        assert!(secrets[0] != secrets[1]);
        assert_eq!(format!("{:?}", secrets[0]), "ClusterSecret");
    }
}
