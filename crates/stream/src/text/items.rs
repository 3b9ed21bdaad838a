//! [`filter()`], [`flat_map()`], [`scan()`], [`inspect()`]: closures as transforms, one call at a time.

use std::borrow::Cow;
use std::marker::PhantomData;

use crate::{Cause, Flow, Outlet, Transform};

/// Passes on the items for which the closure says `true`.
///
/// ```
/// use phalanx_stream::{Source, filter, pipeline};
///
/// let even = pipeline(Source::iter(1..=6)).through(filter(|n: &i32| n % 2 == 0)).collect_blocking()?;
/// assert_eq!(even, [2, 4, 6]);
/// # Ok::<(), phalanx_stream::Error>(())
/// ```
pub fn filter<T, F>(keep: F) -> Filter<T, F>
where
    F: FnMut(&T) -> bool + Send + 'static,
{
    Filter { keep, item: PhantomData }
}

/// See [`filter()`].
pub struct Filter<T, F> {
    keep: F,
    item: PhantomData<fn(T)>,
}

impl<T, F> Transform for Filter<T, F>
where
    T: Send + 'static,
    F: FnMut(&T) -> bool + Send + 'static,
{
    type In = T;
    type Out = T;

    fn name(&self) -> Cow<'static, str> {
        "filter".into()
    }

    fn transform(&mut self, item: T, out: &mut Outlet<'_, T>) -> Result<Flow, Cause> {
        if (self.keep)(&item) {
            out.push(item);
        }
        Ok(Flow::Next)
    }
}

/// None, one or many outputs for each input. They are asked for as there is room, so there may be any number of them.
///
/// ```
/// use phalanx_stream::{Source, flat_map, pipeline};
///
/// let words = flat_map(|line: &str| Ok(line.split(' ').map(str::to_owned).collect::<Vec<_>>()));
/// let heard = pipeline(Source::iter(["one two", "three"])).through(words).collect_blocking()?;
/// assert_eq!(heard, ["one", "two", "three"]);
/// # Ok::<(), phalanx_stream::Error>(())
/// ```
pub fn flat_map<T, I, F>(work: F) -> FlatMap<T, I, F>
where
    I: IntoIterator,
    F: FnMut(T) -> Result<I, Cause> + Send + 'static,
{
    FlatMap { work, under_way: None, item: PhantomData }
}

/// See [`flat_map()`].
pub struct FlatMap<T, I: IntoIterator, F> {
    work: F,
    under_way: Option<I::IntoIter>,
    item: PhantomData<fn(T)>,
}

impl<T, I, F> Transform for FlatMap<T, I, F>
where
    T: Send + 'static,
    I: IntoIterator<Item: Send + 'static, IntoIter: Send> + 'static,
    F: FnMut(T) -> Result<I, Cause> + Send + 'static,
{
    type In = T;
    type Out = I::Item;

    fn name(&self) -> Cow<'static, str> {
        "flat_map".into()
    }

    fn transform(&mut self, item: T, out: &mut Outlet<'_, I::Item>) -> Result<Flow, Cause> {
        self.under_way = Some((self.work)(item)?.into_iter());
        self.resume(out)
    }

    fn resume(&mut self, out: &mut Outlet<'_, I::Item>) -> Result<Flow, Cause> {
        if let Some(items) = &mut self.under_way {
            while !out.is_full() {
                match items.next() {
                    Some(item) => out.push(item),
                    None => {
                        self.under_way = None;
                        return Ok(Flow::Next);
                    }
                }
            }
            return Ok(Flow::Again);
        }
        Ok(Flow::Next)
    }
}

/// One output for each input, by a closure that keeps a state: sums, numbers, what was before.
///
/// ```
/// use phalanx_stream::{Source, pipeline, scan};
///
/// let sums = scan(0, |sum, n: i32| {
///     *sum += n;
///     Ok(*sum)
/// });
/// assert_eq!(pipeline(Source::iter(1..=4)).through(sums).collect_blocking()?, [1, 3, 6, 10]);
/// # Ok::<(), phalanx_stream::Error>(())
/// ```
pub fn scan<S, T, O, F>(state: S, work: F) -> Scan<S, T, O, F>
where
    F: FnMut(&mut S, T) -> Result<O, Cause> + Send + 'static,
{
    Scan { state, work, types: PhantomData }
}

/// See [`scan()`].
pub struct Scan<S, T, O, F> {
    state: S,
    work: F,
    types: PhantomData<fn(T) -> O>,
}

impl<S, T, O, F> Transform for Scan<S, T, O, F>
where
    S: Send + 'static,
    T: Send + 'static,
    O: Send + 'static,
    F: FnMut(&mut S, T) -> Result<O, Cause> + Send + 'static,
{
    type In = T;
    type Out = O;

    fn name(&self) -> Cow<'static, str> {
        "scan".into()
    }

    fn transform(&mut self, item: T, out: &mut Outlet<'_, O>) -> Result<Flow, Cause> {
        out.push((self.work)(&mut self.state, item)?);
        Ok(Flow::Next)
    }
}

/// Shows each item to the closure and passes it on.
///
/// ```
/// use phalanx_stream::{Chunk, Source, inspect, pipeline};
/// use std::sync::Arc;
/// use std::sync::atomic::{AtomicUsize, Ordering};
///
/// let bytes = Arc::new(AtomicUsize::new(0));
/// let counter = bytes.clone();
/// let counting = inspect(move |chunk: &Chunk| {
///     counter.fetch_add(chunk.len(), Ordering::Relaxed);
/// });
/// pipeline(Source::reader("a text", &b"hello"[..])).through(counting).collect_blocking()?;
/// assert_eq!(bytes.load(Ordering::Relaxed), 5);
/// # Ok::<(), phalanx_stream::Error>(())
/// ```
pub fn inspect<T, F>(look: F) -> Inspect<T, F>
where
    F: FnMut(&T) + Send + 'static,
{
    Inspect { look, item: PhantomData }
}

/// See [`inspect()`].
pub struct Inspect<T, F> {
    look: F,
    item: PhantomData<fn(T)>,
}

impl<T, F> Transform for Inspect<T, F>
where
    T: Send + 'static,
    F: FnMut(&T) + Send + 'static,
{
    type In = T;
    type Out = T;

    fn name(&self) -> Cow<'static, str> {
        "inspect".into()
    }

    fn transform(&mut self, item: T, out: &mut Outlet<'_, T>) -> Result<Flow, Cause> {
        (self.look)(&item);
        out.push(item);
        Ok(Flow::Next)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Buffers, Source, pipeline};

    #[test]
    fn any_number_of_outputs_come_as_there_is_room() {
        let mut transform = flat_map(|_: ()| Ok(0_u64..));
        let (mut given, buffers) = (Vec::new(), Buffers::new(1, 1));
        let mut out = Outlet::new(&mut given, 100, &buffers);
        assert_eq!(transform.transform((), &mut out).unwrap(), Flow::Again);
        assert_eq!(given.len(), 100);
        let mut out = Outlet::new(&mut given, 100, &buffers);
        assert_eq!(transform.resume(&mut out).unwrap(), Flow::Again);
        assert_eq!(given.last(), Some(&199));
    }

    #[test]
    fn an_error_of_a_closure_ends_the_pipeline() {
        let failing = flat_map(|n: u32| if n < 2 { Ok(vec![n; 3]) } else { Err("two is too many".into()) });
        let error = pipeline(Source::iter(0..5)).through(failing).collect_blocking().unwrap_err();
        assert_eq!(error.to_string(), "flat_map: two is too many");
    }
}
