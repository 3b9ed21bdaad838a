//! [`View`]: a shared buffer as a row of integers, with every operation of JavaScript's `Atomics`.

use std::future::Future;
use std::marker::PhantomData;
use std::time::Duration;

use super::{Element, HEADER_BYTES, Notified, SharedBuffer, WaitPlace, Waitable};
use crate::Error;
use crate::error::system;
use crate::futex::{self, Deadline, Slept};
use crate::wait_async;

/// Elements of a shared buffer: what a typed array is in JavaScript, and `Atomics` with it.
///
/// It owns a handle on the buffer; a clone is cheap. Every operation is checked against the length, sequentially
/// consistent, and wraps around; those that change an element return its old value. Views of different widths over the
/// same bytes see the same bytes; what one sees while another width is written may be partly old, partly new.
///
/// ```
/// use phalanx_shared::SharedBuffer;
///
/// let buffer = SharedBuffer::growable(8, 16)?;
/// let view = buffer.view::<u32>()?;
/// assert_eq!(view.len(), 2);
/// assert_eq!(view.add(1, 7)?, 0);
/// assert_eq!(view.compare_exchange(1, 7, 70)?, 7);
/// buffer.grow(16)?; // the view grows with it
/// assert_eq!((view.len(), view.load(1)?, view.load(3)?), (4, 70, 0));
/// assert!(view.load(4).is_err());
/// # Ok::<(), phalanx_shared::Error>(())
/// ```
#[derive(Debug)]
pub struct View<T: Element> {
    buffer: SharedBuffer,
    byte_offset: usize,
    /// `None`: as far as the buffer reaches.
    count: Option<usize>,
    element: PhantomData<T>,
}

/// How a wait ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Waited {
    /// Somebody notified. (Or nobody did: see [`View::wait`]. Look at the element.)
    Ok,
    /// The element was not the expected value: there was no wait.
    NotEqual,
    /// Nobody notified in time.
    TimedOut,
}

impl<T: Element> View<T> {
    pub(super) fn tracking(buffer: SharedBuffer, byte_offset: usize) -> Result<View<T>, Error> {
        aligned::<T>(byte_offset)?;
        buffer.check(byte_offset, 0)?;
        Ok(View { buffer, byte_offset, count: None, element: PhantomData })
    }

    pub(super) fn fixed(buffer: SharedBuffer, byte_offset: usize, count: usize) -> Result<View<T>, Error> {
        aligned::<T>(byte_offset)?;
        let bytes = count.checked_mul(size_of::<T>());
        buffer.check(byte_offset, bytes.unwrap_or(usize::MAX))?;
        Ok(View { buffer, byte_offset, count: Some(count), element: PhantomData })
    }

    /// How many elements there are now.
    pub fn len(&self) -> usize {
        self.count.unwrap_or_else(|| (self.buffer.len() - self.byte_offset) / size_of::<T>())
    }

    /// Whether there is none now.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Where the view begins in its buffer.
    pub fn byte_offset(&self) -> usize {
        self.byte_offset
    }

    /// The buffer that it shows.
    pub fn buffer(&self) -> &SharedBuffer {
        &self.buffer
    }

    /// The element at `index`.
    pub fn load(&self, index: usize) -> Result<T, Error> {
        let place = self.place(index)?;
        Ok(if self.buffer.is_writable() { T::load(place) } else { T::load_from_read_only(place) })
    }

    /// Sets the element at `index`.
    pub fn store(&self, index: usize, value: T) -> Result<(), Error> {
        self.atomic(index).map(|place| T::store(place, value))
    }

    /// Adds `value`; the old value.
    pub fn add(&self, index: usize, value: T) -> Result<T, Error> {
        self.atomic(index).map(|place| T::add(place, value))
    }

    /// Subtracts `value`; the old value.
    pub fn sub(&self, index: usize, value: T) -> Result<T, Error> {
        self.atomic(index).map(|place| T::sub(place, value))
    }

    /// Bitwise and with `value`; the old value.
    pub fn and(&self, index: usize, value: T) -> Result<T, Error> {
        self.atomic(index).map(|place| T::and(place, value))
    }

    /// Bitwise or with `value`; the old value.
    pub fn or(&self, index: usize, value: T) -> Result<T, Error> {
        self.atomic(index).map(|place| T::or(place, value))
    }

    /// Bitwise exclusive or with `value`; the old value.
    pub fn xor(&self, index: usize, value: T) -> Result<T, Error> {
        self.atomic(index).map(|place| T::xor(place, value))
    }

    /// Sets the element; the old value.
    pub fn exchange(&self, index: usize, value: T) -> Result<T, Error> {
        self.atomic(index).map(|place| T::exchange(place, value))
    }

    /// Sets the element to `new` if it is `expected`. The old value: it was set if that is `expected`.
    pub fn compare_exchange(&self, index: usize, expected: T, new: T) -> Result<T, Error> {
        self.atomic(index).map(|place| T::compare_exchange(place, expected, new))
    }

    /// The element itself, for a loop that shall not check the length each time.
    ///
    /// An error for a view of a read-only buffer: a store through it would end the process.
    pub fn atomic(&self, index: usize) -> Result<&T::Atomic, Error> {
        self.buffer.check_writable("change an element of a shared buffer")?;
        self.place(index)
    }

    fn place(&self, index: usize) -> Result<&T::Atomic, Error> {
        let is_there = match self.count {
            Some(count) => index < count,
            None => index
                .checked_add(1)
                .and_then(|elements| elements.checked_mul(size_of::<T>()))
                .and_then(|bytes| bytes.checked_add(self.byte_offset))
                .is_some_and(|end| self.buffer.reaches(end)),
        };
        if !is_there {
            return Err(Error::OutOfBounds { index, count: 1, len: self.len() });
        }
        // Both offsets are multiples of the element's size, so this is no rounding.
        let first = (HEADER_BYTES + self.byte_offset) / size_of::<T>();
        Ok(&self.buffer.segment().words::<T::Atomic>()[first + index])
    }
}

impl<T: Waitable> View<T> {
    /// Sleeps while the element is `expected`, until somebody [notifies](View::notify), in whichever process, or
    /// `timeout` passes.
    ///
    /// `None` waits for ever, as in JavaScript; give a timeout whenever the one who should notify could have died: a
    /// killed process notifies nobody. A zero timeout never sleeps.
    ///
    /// [`Waited::Ok`] means: look again. Rarely nobody notified: a signal handler ran and the element had changed
    /// after it; or an asynchronous wait that was being given up passed its notify on.
    ///
    /// ```
    /// use phalanx_shared::{SharedBuffer, Waited};
    /// use std::time::Duration;
    ///
    /// let view = SharedBuffer::new(64)?.view::<i32>()?;
    /// let other = view.clone();
    /// let worker = std::thread::spawn(move || {
    ///     other.store(0, 1)?; // first the change,
    ///     other.notify_all(0) // then the wake-up
    /// });
    /// while view.load(0)? == 0 {
    ///     assert_ne!(view.wait(0, 0, Some(Duration::from_secs(10)))?, Waited::TimedOut);
    /// }
    /// # worker.join().unwrap()?;
    /// # Ok::<(), phalanx_shared::Error>(())
    /// ```
    pub fn wait(&self, index: usize, expected: T, timeout: Option<Duration>) -> Result<Waited, Error> {
        let place = self.place(index)?;
        if timeout == Some(Duration::ZERO) {
            return Ok(if self.load(index)? == expected { Waited::TimedOut } else { Waited::NotEqual });
        }
        let deadline = timeout.and_then(Deadline::after);
        match futex::sleep(T::futex(place), expected.bits(), deadline.as_ref()) {
            Ok(Slept::Woken) => Ok(Waited::Ok),
            Ok(Slept::NotEqual) => Ok(Waited::NotEqual),
            Ok(Slept::TimedOut) => Ok(Waited::TimedOut),
            Err(source) => Err(system("wait on an element of a shared buffer", source)),
        }
    }

    /// Wakes up to `count` of those who wait on the element, in any process, first come first served; how many.
    ///
    /// Change the element first: a waiter who comes too late then finds that it is not what he expected. For a view of a
    /// read-only buffer it is an error.
    pub fn notify(&self, index: usize, count: usize) -> Result<usize, Error> {
        let word = T::futex(self.atomic(index)?);
        self.notified(index)
            .count(|| futex::wake(word, count))
            .map_err(|source| system("notify the waiters of an element of a shared buffer", source))
    }

    /// Wakes everybody who waits on the element; how many.
    pub fn notify_all(&self, index: usize) -> Result<usize, Error> {
        self.notify(index, usize::MAX)
    }

    /// As [`wait`](View::wait), without a thread that sleeps: a future of any runtime.
    ///
    /// The wait begins now, not when the future is first polled; dropping the future ends it. One thread of this
    /// process (`phalanx-waits`) sleeps for all pending waits; there is none while there are none. A notify from any
    /// process is never lost, also without a change of the element; when several come at once, a wait may end with
    /// [`Waited::Ok`] that none of them was meant for: look at the element. [`notify`](View::notify) does not count a
    /// wait that began only microseconds before; and a notify that reaches a future while it is dropped goes to
    /// another waiter.
    ///
    /// Needs Linux 5.16 (else [`Error::Unsupported`]). About 4 000 waits may be pending at once, depending on how many
    /// buffers they are spread over (else [`Error::TooManyWaits`]). It keeps no runtime alive.
    ///
    /// ```
    /// # tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(async {
    /// use phalanx_shared::{SharedBuffer, Waited};
    ///
    /// let view = SharedBuffer::new(64)?.view::<i32>()?;
    /// let waits = view.wait_async(0, 0, Some(std::time::Duration::from_secs(10)));
    /// view.store(0, 1)?;
    /// view.notify_all(0)?;
    /// assert_eq!(waits.await?, Waited::Ok);
    /// # Ok::<(), phalanx_shared::Error>(())
    /// # }).unwrap();
    /// ```
    pub fn wait_async(
        &self,
        index: usize,
        expected: T,
        timeout: Option<Duration>,
    ) -> impl Future<Output = Result<Waited, Error>> + Send + use<T> {
        wait_async::begin(self.pending(index), expected.bits(), timeout)
    }

    /// What an asynchronous wait on the element needs.
    fn pending(&self, index: usize) -> Result<WaitPlace, Error> {
        self.place(index)?;
        Ok(WaitPlace::new(self.buffer.clone(), self.byte_offset + index * size_of::<T>()))
    }

    fn notified(&self, index: usize) -> Notified<'_> {
        self.buffer.notified(self.byte_offset + index * size_of::<T>())
    }
}

// Derived, it would ask for `T: Clone` in its documentation.
impl<T: Element> Clone for View<T> {
    fn clone(&self) -> View<T> {
        View { buffer: self.buffer.clone(), byte_offset: self.byte_offset, count: self.count, element: PhantomData }
    }
}

fn aligned<T: Element>(byte_offset: usize) -> Result<(), Error> {
    match byte_offset.is_multiple_of(size_of::<T>()) {
        true => Ok(()),
        false => Err(Error::Misaligned { byte_offset, element_bytes: size_of::<T>() }),
    }
}
