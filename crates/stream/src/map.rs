//! [`map()`]: a closure as a transform.

use std::borrow::Cow;
use std::marker::PhantomData;

use crate::{Cause, Flow, Outlet, ParallelTransform, Pipe, Stage, Transform};

/// One output for each input. The closure keeps no state, so that it can go [in parallel](Map::parallel).
///
/// ```
/// use phalanx_stream::{Source, map, pipeline};
///
/// let squares = pipeline(Source::iter(1..4_u64)).through(map(|n: u64| Ok(n * n)).parallel(2)).collect_blocking()?;
/// assert_eq!(squares, [1, 4, 9]);
/// # Ok::<(), phalanx_stream::Error>(())
/// ```
pub fn map<I, O, F>(work: F) -> Map<I, O, F>
where
    F: Fn(I) -> Result<O, Cause> + Send + Sync + 'static,
{
    Map { work, types: PhantomData }
}

/// A closure as a transform: see [`map()`].
pub struct Map<I, O, F> {
    work: F,
    types: PhantomData<fn(I) -> O>,
}

impl<I, O, F> Map<I, O, F>
where
    I: Send + 'static,
    O: Send + 'static,
    F: Fn(I) -> Result<O, Cause> + Send + Sync + 'static,
{
    /// On so many inputs at a time, on the threads of the pipeline; outputs come in the order of the inputs.
    pub fn parallel(self, permits: usize) -> Spreading<Map<I, O, F>> {
        Spreading::new(self, permits)
    }
}

impl<I, O, F> Transform for Map<I, O, F>
where
    I: Send + 'static,
    O: Send + 'static,
    F: Fn(I) -> Result<O, Cause> + Send + Sync + 'static,
{
    type In = I;
    type Out = O;

    fn name(&self) -> Cow<'static, str> {
        "map".into()
    }

    fn transform(&mut self, input: I, out: &mut Outlet<'_, O>) -> Result<Flow, Cause> {
        out.push((self.work)(input)?);
        Ok(Flow::Next)
    }
}

impl<I, O, F> ParallelTransform for Map<I, O, F>
where
    I: Send + 'static,
    O: Send + 'static,
    F: Fn(I) -> Result<O, Cause> + Send + Sync + 'static,
{
    type In = I;
    type Out = O;

    fn name(&self) -> Cow<'static, str> {
        "map".into()
    }

    fn apply(&self, _: u64, input: I, out: &mut Outlet<'_, O>) -> Result<(), Cause> {
        out.push((self.work)(input)?);
        Ok(())
    }
}

/// A [`ParallelTransform`] with the number of inputs that it works on at a time.
pub struct Spreading<P> {
    transform: P,
    permits: usize,
}

impl<P: ParallelTransform> Spreading<P> {
    /// On so many inputs at a time; 0 is taken for 1.
    pub fn new(transform: P, permits: usize) -> Spreading<P> {
        Spreading { transform, permits: permits.max(1) }
    }
}

impl<P: ParallelTransform> Stage for Spreading<P> {
    type In = P::In;
    type Out = P::Out;

    fn attach(self, pipe: Pipe<P::In>) -> Pipe<P::Out> {
        pipe.spread(self.transform, self.permits)
    }
}
