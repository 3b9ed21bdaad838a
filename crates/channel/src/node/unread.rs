//! [`Unread`]: bytes that came and are not taken yet.

/// Room that is kept after a large message was taken.
const KEPT_BYTES: usize = 256 * 1024;

/// Bytes in their order, in one piece. Each byte is moved at most a few times, whatever the sizes of the pieces.
#[derive(Debug, Default)]
pub(super) struct Unread {
    bytes: Vec<u8>,
    taken: usize,
}

impl Unread {
    pub(super) fn push(&mut self, bytes: &[u8]) {
        if self.taken > 0 && self.taken >= self.bytes.len() - self.taken {
            self.bytes.drain(..self.taken);
            self.taken = 0;
            if self.bytes.is_empty() && self.bytes.capacity() > KEPT_BYTES {
                self.bytes = Vec::new();
            }
        }
        self.bytes.extend_from_slice(bytes);
    }

    pub(super) fn rest(&self) -> &[u8] {
        &self.bytes[self.taken..]
    }

    /// Takes so many bytes, at most those that are there.
    pub(super) fn take(&mut self, count: usize) -> &[u8] {
        let from = self.taken;
        self.taken = self.bytes.len().min(from.saturating_add(count));
        &self.bytes[from..self.taken]
    }

    pub(super) fn clear(&mut self) {
        *self = Unread::default();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_come_out_as_they_went_in() {
        let mut unread = Unread::default();
        let (mut put, mut got) = (0u32, 0u32);
        for step in 1..200usize {
            for _ in 0..step % 7 {
                unread.push(&put.to_le_bytes());
                put += 1;
            }
            while unread.rest().len() >= 4 * (step % 3 + 1) {
                assert_eq!(unread.take(4), got.to_le_bytes());
                got += 1;
            }
        }
        assert!(got > 500);
        assert_eq!(unread.take(1 << 20).len() as u32, 4 * (put - got));
        assert!(unread.rest().is_empty());
    }

    #[test]
    fn the_room_of_a_large_message_is_given_back() {
        let mut unread = Unread::default();
        unread.push(&vec![0; 8 << 20]);
        unread.take(8 << 20);
        unread.push(b"next");
        assert!(unread.bytes.capacity() < KEPT_BYTES);
        assert_eq!(unread.rest(), b"next");
    }
}
