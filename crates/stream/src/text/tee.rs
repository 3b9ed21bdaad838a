//! [`tee()`]: everything goes on, and to a second sink.

use crate::{Chunk, IntoSink, Pipe, Sink, Stage};

/// Everything goes on, and to this sink as well. The slower of the two sets the pace; an error of either is the pipeline's
/// error; the run has ended when both have finished. Bytes are shared, not copied, until somebody changes them.
///
/// ```
/// use phalanx_stream::{Sink, Source, lines, pipeline, tee};
/// use std::sync::mpsc;
///
/// let (sender, receiver) = mpsc::sync_channel(10);
/// let heard = pipeline(Source::reader("a text", &b"one\ntwo"[..])).through(lines()).through(tee(Sink::sender(sender)));
/// assert_eq!(heard.collect_blocking()?, ["one", "two"]);
/// assert_eq!(receiver.into_iter().collect::<Vec<_>>(), ["one", "two"]);
/// # Ok::<(), phalanx_stream::Error>(())
/// ```
pub fn tee<T: Twin + Send + 'static>(sink: impl IntoSink<T>) -> Tee<T> {
    Tee { sink: sink.into_sink() }
}

/// See [`tee()`].
pub struct Tee<T> {
    sink: Sink<T>,
}

impl<T: Twin + Send + 'static> Stage for Tee<T> {
    type In = T;
    type Out = T;

    fn attach(self, pipe: Pipe<T>) -> Pipe<T> {
        pipe.branch(self.sink, T::twin)
    }
}

/// What can go two ways: a [`Chunk`], and whatever can be cloned.
pub trait Twin: Sized {
    /// Itself, and the same again.
    fn twin(self) -> (Self, Self);
}

impl<T: Clone> Twin for T {
    fn twin(self) -> (T, T) {
        (self.clone(), self)
    }
}

impl Twin for Chunk {
    fn twin(self) -> (Chunk, Chunk) {
        let (bytes, again) = self.into_bytes().twin();
        (Chunk::from(bytes), Chunk::from(again))
    }
}

#[cfg(test)]
mod tests {
    use std::sync::{Arc, Mutex, mpsc};

    use super::*;
    use crate::{BlockingSink, Cause, Error, Source, pipeline, uppercase};

    struct Full;

    impl BlockingSink for Full {
        type Item = u64;

        fn write(&mut self, item: u64) -> Result<(), Cause> {
            if item < 3 { Ok(()) } else { Err("the second disk is full".into()) }
        }

        fn finish(&mut self) -> Result<(), Cause> {
            Ok(())
        }
    }

    #[test]
    fn bytes_that_are_changed_on_one_way_stay_as_they_were_on_the_other() {
        #[derive(Clone, Default)]
        struct Kept(Arc<Mutex<Vec<u8>>>);
        impl std::io::Write for Kept {
            fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
                self.0.lock().unwrap().extend_from_slice(bytes);
                Ok(bytes.len())
            }
            fn flush(&mut self) -> std::io::Result<()> {
                Ok(())
            }
        }
        let kept = Kept::default();
        let bytes: Vec<u8> = (0..3_000_000_u32).map(|at| b'a' + (at % 26) as u8).collect();
        let source = Source::reader("a text", std::io::Cursor::new(bytes.clone()));
        let pipe = pipeline(source).through(tee(Sink::writer("a copy", kept.clone()))).through(uppercase());
        let upper: Vec<u8> = pipe.collect_blocking().unwrap().iter().flat_map(|chunk| chunk.to_vec()).collect();
        assert!(upper == bytes.to_ascii_uppercase());
        assert!(*kept.0.lock().unwrap() == bytes);
    }

    #[test]
    fn an_error_of_the_second_sink_is_that_of_the_pipeline() {
        let full = Sink::blocking("the second disk", Full);
        let error = pipeline(Source::iter(0..1_000_000_u64)).through(tee(full)).collect_blocking().unwrap_err();
        assert!(matches!(&error, Error::Sink { what, .. } if what == "the second disk"), "{error}");
    }

    #[test]
    fn the_slower_of_the_two_sets_the_pace() {
        const ITEMS: u64 = 100_000;
        let (aside, slow) = mpsc::sync_channel(0);
        let (sender, receiver) = mpsc::channel();
        let source = Source::iter((0..ITEMS).inspect(move |item| sender.send(*item).unwrap()));
        let running = std::thread::spawn(move || pipeline(source).through(tee(Sink::sender(aside))).collect_blocking());
        for item in 0..10 {
            assert_eq!(slow.recv(), Ok(item));
        }
        // Whatever the source still reads is bounded by the marks of its lane and of the two behind it.
        let read = std::iter::from_fn(|| receiver.recv_timeout(std::time::Duration::from_millis(300)).ok()).count();
        assert!((10..20_000).contains(&read), "{read}");
        assert_eq!(slow.into_iter().count() as u64, ITEMS - 10);
        assert_eq!(running.join().unwrap().unwrap().len() as u64, ITEMS);
    }
}
