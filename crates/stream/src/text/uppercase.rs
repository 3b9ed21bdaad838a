//! [`uppercase()`]: `a` to `z`, in place.

use std::borrow::Cow;

use crate::{Cause, Chunk, Flow, Outlet, ParallelTransform, Spreading, Transform};

/// ASCII letters to upper case, in place; all other bytes stay as they are, so UTF-8 stays UTF-8.
///
/// ```
/// use phalanx_stream::{Source, pipeline, uppercase};
///
/// let heard = pipeline(Source::reader("a text", &b"straight, no \xc3\xa4"[..])).through(uppercase()).collect_blocking()?;
/// assert_eq!(*heard[0], *b"STRAIGHT, NO \xc3\xa4");
/// # Ok::<(), phalanx_stream::Error>(())
/// ```
pub fn uppercase() -> Uppercase {
    Uppercase(())
}

/// See [`uppercase()`].
#[derive(Debug, Clone)]
pub struct Uppercase(());

impl Uppercase {
    /// On so many chunks at a time. One core does about as much as memory can move: worth it beside slow neighbours only.
    pub fn parallel(self, permits: usize) -> Spreading<Uppercase> {
        Spreading::new(self, permits)
    }
}

impl Transform for Uppercase {
    type In = Chunk;
    type Out = Chunk;

    fn name(&self) -> Cow<'static, str> {
        "uppercase".into()
    }

    fn transform(&mut self, mut chunk: Chunk, out: &mut Outlet<'_, Chunk>) -> Result<Flow, Cause> {
        chunk.make_ascii_uppercase();
        out.push(chunk);
        Ok(Flow::Next)
    }
}

impl ParallelTransform for Uppercase {
    type In = Chunk;
    type Out = Chunk;

    fn name(&self) -> Cow<'static, str> {
        "uppercase".into()
    }

    fn apply(&self, _: u64, mut chunk: Chunk, out: &mut Outlet<'_, Chunk>) -> Result<(), Cause> {
        chunk.make_ascii_uppercase();
        out.push(chunk);
        Ok(())
    }
}
