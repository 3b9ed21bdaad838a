//! Lines out of chunks, wherever those are cut.

use crate::text::TextError;
use crate::{Cause, Chunk, Flow, Outlet};

/// Finds the lines in what comes, one after the other, as far as there is room for what is made of them.
#[derive(Debug)]
pub(crate) struct LineCutter {
    /// What is left of the last chunk.
    rest: Chunk,
    /// The beginning of a line whose end has not come.
    begun: Vec<u8>,
    /// Lines that were whole.
    lines: u64,
    longest: usize,
}

impl LineCutter {
    pub(crate) fn new(longest: usize) -> LineCutter {
        LineCutter { rest: Chunk::default(), begun: Vec::new(), lines: 0, longest }
    }

    pub(crate) fn set_longest(&mut self, longest: usize) {
        self.longest = longest;
    }

    pub(crate) fn take(&mut self, chunk: Chunk) {
        self.rest = chunk;
    }

    /// Calls `each` with the lines (their numbers count from 1) until there is no room or no whole line.
    pub(crate) fn cut<T: 'static>(
        &mut self,
        out: &mut Outlet<'_, T>,
        mut each: impl FnMut(u64, &[u8], &mut Outlet<'_, T>) -> Result<(), Cause>,
    ) -> Result<Flow, Cause> {
        let mut rest = std::mem::take(&mut self.rest);
        let mut from = 0;
        for end in memchr::memchr_iter(b'\n', &rest) {
            if out.is_full() {
                rest.advance(from);
                self.rest = rest;
                return Ok(Flow::Again);
            }
            let piece = &rest[from..end];
            from = end + 1;
            if self.begun.is_empty() {
                each(self.lines + 1, self.within_limit(without_return(piece))?, out)?;
            } else {
                self.begun.extend_from_slice(piece);
                each(self.lines + 1, self.within_limit(without_return(&self.begun))?, out)?;
                self.begun.clear();
            }
            self.lines += 1;
        }
        self.begun.extend_from_slice(&rest[from..]);
        self.within_limit(without_return(&self.begun))?;
        Ok(Flow::Next)
    }

    /// The last line, if the text does not end with the end of a line.
    pub(crate) fn last<T: 'static>(
        &mut self,
        out: &mut Outlet<'_, T>,
        mut each: impl FnMut(u64, &[u8], &mut Outlet<'_, T>) -> Result<(), Cause>,
    ) -> Result<Flow, Cause> {
        if !self.begun.is_empty() {
            each(self.lines + 1, self.within_limit(&self.begun)?, out)?;
        }
        Ok(Flow::Next)
    }

    fn within_limit<'a>(&self, line: &'a [u8]) -> Result<&'a [u8], TextError> {
        within_limit(line, self.lines + 1, self.longest)
    }
}

/// The line, if it is no longer than allowed.
pub(crate) fn within_limit(line: &[u8], number: u64, limit: usize) -> Result<&[u8], TextError> {
    if line.len() > limit {
        return Err(TextError::LineTooLong { line: number, limit });
    }
    Ok(line)
}

pub(crate) fn without_return(line: &[u8]) -> &[u8] {
    line.strip_suffix(b"\r").unwrap_or(line)
}

#[cfg(test)]
pub(crate) mod tests {
    /// The bytes in pieces of these sizes, again and again.
    pub(crate) fn pieces(mut bytes: &[u8], sizes: &[usize]) -> Vec<Vec<u8>> {
        let mut pieces = Vec::new();
        for size in sizes.iter().cycle() {
            if bytes.is_empty() {
                break;
            }
            let (piece, rest) = bytes.split_at(bytes.len().min(*size));
            pieces.push(piece.to_vec());
            bytes = rest;
        }
        pieces
    }
}
