//! [`compose`]: two stages as one.

use crate::{Pipe, Stage};

/// Two stages in a row as one, to be handed on by one name (Node's `compose`). More: compose again.
///
/// ```
/// use phalanx_stream::{Source, compose, map, pipeline};
///
/// let hypotenuse = compose(map(|n: f64| Ok(n * n)), map(|n: f64| Ok(n + 16.0)));
/// let heard = pipeline(Source::iter([3.0])).through(hypotenuse).collect_blocking()?;
/// assert_eq!(heard, [25.0]);
/// # Ok::<(), phalanx_stream::Error>(())
/// ```
pub fn compose<A, B>(first: A, second: B) -> Composed<A, B>
where
    A: Stage,
    B: Stage<In = A::Out>,
{
    Composed { first, second }
}

/// Two stages in a row: see [`compose`].
#[derive(Debug, Clone)]
pub struct Composed<A, B> {
    first: A,
    second: B,
}

impl<A: Stage, B: Stage<In = A::Out>> Stage for Composed<A, B> {
    type In = A::In;
    type Out = B::Out;

    fn attach(self, pipe: Pipe<A::In>) -> Pipe<B::Out> {
        self.second.attach(self.first.attach(pipe))
    }
}
