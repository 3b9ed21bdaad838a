//! [`Record`]: what one thread writes into the pipe, in one piece.

/// The frames of a stack that are told of, from the innermost.
pub(super) const MAX_FRAMES: usize = 128;

/// What a record begins with.
const MAGIC: u32 = 0x5048_5344;

/// Bytes before the addresses.
const HEADER: usize = size_of::<Record>() - MAX_FRAMES * size_of::<u64>();

// Only then is a write into the pipe never mixed with that of another thread.
const _: () = assert!(size_of::<Record>() <= libc::PIPE_BUF);

/// The answer of one thread. It has no padding, so all its bytes are initialised.
#[repr(C)]
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Record {
    magic: u32,
    pub(super) thread: u32,
    /// Which request it answers.
    pub(super) request: u32,
    count: u32,
    addresses: [u64; MAX_FRAMES],
}

impl Record {
    pub(super) fn new(thread: u32, request: u32) -> Record {
        Record { magic: MAGIC, thread, request, count: 0, addresses: [0; MAX_FRAMES] }
    }

    /// Adds an address; false if it was the last one that fits.
    pub(super) fn push(&mut self, address: u64) -> bool {
        let Some(free) = self.addresses.get_mut(self.count as usize) else { return false };
        *free = address;
        self.count += 1;
        (self.count as usize) < MAX_FRAMES
    }

    pub(super) fn is_empty(&self) -> bool {
        self.count == 0
    }

    pub(super) fn addresses(&self) -> &[u64] {
        self.addresses.get(..self.count as usize).unwrap_or(&[])
    }

    /// How many of its bytes are written.
    pub(super) fn used_bytes(&self) -> usize {
        HEADER + size_of_val(self.addresses())
    }

    /// Takes a record from the front of `bytes`; `None` if there is no whole one yet.
    ///
    /// Errors: what stands there is no record.
    pub(super) fn parse(bytes: &mut Vec<u8>) -> Result<Option<Record>, NoRecord> {
        let Some(header) = bytes.get(..HEADER) else { return Ok(None) };
        let word = |index: usize| {
            let at = index * size_of::<u32>();
            header.get(at..at + size_of::<u32>()).and_then(|four| four.try_into().ok()).map_or(0, u32::from_ne_bytes)
        };
        let count = word(3) as usize;
        if word(0) != MAGIC || count > MAX_FRAMES {
            return Err(NoRecord);
        }
        let end = HEADER + count * size_of::<u64>();
        let Some(addresses) = bytes.get(HEADER..end) else { return Ok(None) };
        let mut record = Record::new(word(1), word(2));
        for address in addresses.chunks_exact(size_of::<u64>()) {
            record.push(address.try_into().map_or(0, u64::from_ne_bytes));
        }
        bytes.drain(..end);
        Ok(Some(record))
    }
}

/// Bytes that are no record.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct NoRecord;

#[cfg(test)]
mod tests {
    use super::*;

    fn bytes(record: &Record) -> Vec<u8> {
        let words = [record.magic, record.thread, record.request, record.count];
        let header = words.iter().flat_map(|word| word.to_ne_bytes());
        header.chain(record.addresses().iter().flat_map(|address| address.to_ne_bytes())).collect()
    }

    #[test]
    fn records_are_read_as_they_were_written_however_they_are_cut() {
        let (mut first, mut second) = (Record::new(7, 1), Record::new(8, 1));
        first.push(0x1234);
        first.push(u64::MAX);
        while second.push(5) {}
        assert_eq!((second.addresses().len(), second.used_bytes()), (MAX_FRAMES, size_of::<Record>()));
        let all = [bytes(&first), bytes(&second)].concat();
        for cut in 0..all.len() {
            let mut pending = all[..cut].to_vec();
            let mut read = Vec::new();
            read.extend(std::iter::from_fn(|| Record::parse(&mut pending).unwrap()));
            pending.extend(&all[cut..]);
            read.extend(std::iter::from_fn(|| Record::parse(&mut pending).unwrap()));
            assert_eq!(read, [first.clone(), second.clone()]);
            assert!(pending.is_empty());
        }
    }

    #[test]
    fn what_is_no_record_is_refused() {
        let mut too_many = Record::new(7, 1);
        too_many.count = MAX_FRAMES as u32 + 1;
        let mut lie = [7, 1].map(|_: u32| 0u8).to_vec();
        lie.extend([0; 64]);
        assert_eq!(Record::parse(&mut lie), Err(NoRecord));
        let words = [too_many.magic, 0, 0, too_many.count];
        let mut bytes: Vec<u8> = words.iter().flat_map(|word| word.to_ne_bytes()).collect();
        assert_eq!(Record::parse(&mut bytes), Err(NoRecord));
    }
}
