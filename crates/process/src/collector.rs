//! [`Collector`]: the output of a program up to a limit.

/// Bytes of one read: what a pipe holds.
pub(crate) const CHUNK: usize = 64 * 1024;

/// Collects bytes up to a limit and knows whether there were more.
#[derive(Debug)]
pub(crate) struct Collector {
    bytes: Vec<u8>,
    limit: usize,
}

/// There was more than the limit allows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Overflow;

impl Collector {
    pub(crate) fn up_to(limit: usize) -> Collector {
        Collector { bytes: Vec::new(), limit }
    }

    /// Keeps what fits.
    pub(crate) fn push(&mut self, chunk: &[u8]) -> Result<(), Overflow> {
        let room = self.limit - self.bytes.len();
        self.bytes.extend_from_slice(&chunk[..chunk.len().min(room)]);
        if chunk.len() > room { Err(Overflow) } else { Ok(()) }
    }

    pub(crate) fn into_bytes(self) -> Vec<u8> {
        self.bytes
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn exactly_the_limit_is_kept_and_one_byte_more_is_an_overflow() {
        let mut collector = Collector::up_to(5);
        assert_eq!(collector.push(b"abc"), Ok(()));
        assert_eq!(collector.push(b"de"), Ok(()));
        assert_eq!(collector.push(b""), Ok(()));
        assert_eq!(collector.push(b"f"), Err(Overflow));
        assert_eq!(collector.into_bytes(), b"abcde");
    }
}
