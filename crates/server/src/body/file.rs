//! A file as a response body, read in pieces off the event loop: a large result needs no more memory than a small one.

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use std::fs::File;
use std::io::{self, ErrorKind, Read};
use std::pin::Pin;
use std::task::{Context, Poll};
use tokio::task::{JoinHandle, spawn_blocking};

/// Bytes in one piece (256 KiB: most results are one piece; larger pieces were slower in copying files).
const PIECE_BYTES: u64 = 256 * 1024;

/// The bytes of an open file.
pub(crate) struct FileBody {
    left_bytes: u64,
    state: State,
}

enum State {
    Idle(File),
    Reading(JoinHandle<io::Result<(File, Bytes)>>),
    Over,
}

impl FileBody {
    /// The first `length_bytes` of `file`.
    pub(crate) fn new(file: File, length_bytes: u64) -> Self {
        FileBody { left_bytes: length_bytes, state: State::Idle(file) }
    }
}

fn read(mut file: File, bytes: u64) -> io::Result<(File, Bytes)> {
    let mut piece = Vec::with_capacity(bytes as usize);
    (&mut file).take(bytes).read_to_end(&mut piece)?;
    match piece.len() as u64 == bytes {
        true => Ok((file, piece.into())),
        false => Err(ErrorKind::UnexpectedEof.into()),
    }
}

impl Body for FileBody {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<io::Result<Frame<Bytes>>>> {
        loop {
            match std::mem::replace(&mut self.state, State::Over) {
                State::Over => return Poll::Ready(None),
                State::Idle(_) if self.left_bytes == 0 => return Poll::Ready(None),
                State::Idle(file) => {
                    let piece_bytes = self.left_bytes.min(PIECE_BYTES);
                    self.state = State::Reading(spawn_blocking(move || read(file, piece_bytes)));
                }
                State::Reading(mut reading) => {
                    let outcome = match Pin::new(&mut reading).poll(cx) {
                        Poll::Pending => {
                            self.state = State::Reading(reading);
                            return Poll::Pending;
                        }
                        Poll::Ready(outcome) => outcome,
                    };
                    let (file, piece) = match outcome.map_err(io::Error::other).and_then(|read| read) {
                        Ok(read) => read,
                        Err(error) => return Poll::Ready(Some(Err(error))),
                    };
                    self.left_bytes -= piece.len() as u64;
                    self.state = State::Idle(file);
                    return Poll::Ready(Some(Ok(Frame::data(piece))));
                }
            }
        }
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(self.left_bytes)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use http_body_util::BodyExt;
    use std::io::Write;

    #[test]
    fn a_file_comes_whole_whatever_its_length_and_a_cut_one_fails() {
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        for length in [0, 1, PIECE_BYTES, PIECE_BYTES * 2 + 5] {
            let path = tempfile::NamedTempFile::new().unwrap();
            let content: Vec<u8> = (0..length).map(|i| (i % 251) as u8).collect();
            path.as_file().write_all(&content).unwrap();
            let body = |length| FileBody::new(File::open(path.path()).unwrap(), length);
            let collected = runtime.block_on(body(length).collect()).unwrap().to_bytes();
            assert_eq!(collected, content);
            assert!(runtime.block_on(body(length + 1).collect()).is_err());
        }
    }
}
