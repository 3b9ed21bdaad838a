//! [`Element`]: the integers that a view may hold, and what can be done with one of them in shared memory.

use std::fmt;
use std::sync::atomic::{
    AtomicI8, AtomicI16, AtomicI32, AtomicI64, AtomicU8, AtomicU16, AtomicU32, AtomicU64, Ordering, fence,
};

use crate::SharedWord;

mod sealed {
    pub trait Sealed {}
}

/// An integer that a [`View`](crate::View) may hold: `u8`, `u16`, `u32`, `u64`, `i8`, `i16`, `i32`, `i64`.
///
/// All operations are sequentially consistent, as JavaScript's `Atomics` are, and arithmetic wraps around.
pub trait Element: sealed::Sealed + Copy + Eq + fmt::Debug + Send + Sync + 'static {
    /// The same integer where several threads and processes may change it: `AtomicI32` for `i32`.
    type Atomic: SharedWord;

    #[doc(hidden)]
    fn load(place: &Self::Atomic) -> Self;
    #[doc(hidden)]
    fn load_from_read_only(place: &Self::Atomic) -> Self;
    #[doc(hidden)]
    fn store(place: &Self::Atomic, value: Self);
    #[doc(hidden)]
    fn add(place: &Self::Atomic, value: Self) -> Self;
    #[doc(hidden)]
    fn sub(place: &Self::Atomic, value: Self) -> Self;
    #[doc(hidden)]
    fn and(place: &Self::Atomic, value: Self) -> Self;
    #[doc(hidden)]
    fn or(place: &Self::Atomic, value: Self) -> Self;
    #[doc(hidden)]
    fn xor(place: &Self::Atomic, value: Self) -> Self;
    #[doc(hidden)]
    fn exchange(place: &Self::Atomic, value: Self) -> Self;
    #[doc(hidden)]
    fn compare_exchange(place: &Self::Atomic, expected: Self, new: Self) -> Self;
}

macro_rules! elements {
    ($($integer:ty => $atomic:ty),*) => {$(
        impl sealed::Sealed for $integer {}
        impl Element for $integer {
            type Atomic = $atomic;

            fn load(place: &$atomic) -> $integer {
                place.load(Ordering::SeqCst)
            }
            fn load_from_read_only(place: &$atomic) -> $integer {
                // Only a relaxed load is sure to be a plain load, on every processor.
                fence(Ordering::SeqCst);
                let value = place.load(Ordering::Relaxed);
                fence(Ordering::SeqCst);
                value
            }
            fn store(place: &$atomic, value: $integer) {
                place.store(value, Ordering::SeqCst);
            }
            fn add(place: &$atomic, value: $integer) -> $integer {
                place.fetch_add(value, Ordering::SeqCst)
            }
            fn sub(place: &$atomic, value: $integer) -> $integer {
                place.fetch_sub(value, Ordering::SeqCst)
            }
            fn and(place: &$atomic, value: $integer) -> $integer {
                place.fetch_and(value, Ordering::SeqCst)
            }
            fn or(place: &$atomic, value: $integer) -> $integer {
                place.fetch_or(value, Ordering::SeqCst)
            }
            fn xor(place: &$atomic, value: $integer) -> $integer {
                place.fetch_xor(value, Ordering::SeqCst)
            }
            fn exchange(place: &$atomic, value: $integer) -> $integer {
                place.swap(value, Ordering::SeqCst)
            }
            fn compare_exchange(place: &$atomic, expected: $integer, new: $integer) -> $integer {
                place.compare_exchange(expected, new, Ordering::SeqCst, Ordering::SeqCst).unwrap_or_else(|found| found)
            }
        }
    )*};
}
elements! {
    u8 => AtomicU8, u16 => AtomicU16, u32 => AtomicU32, u64 => AtomicU64,
    i8 => AtomicI8, i16 => AtomicI16, i32 => AtomicI32, i64 => AtomicI64
}

/// An [`Element`] on which threads can [wait](crate::View::wait): `i32` and `u32`, because the kernel's futex is a
/// word of 32 bits. Wider waits do not compile: half of a 64-bit value would be looked at, and changes of the other half
/// would be missed.
///
/// ```compile_fail
/// # use phalanx_shared::SharedBuffer;
/// let view = SharedBuffer::new(64).unwrap().view::<i64>().unwrap();
/// let _ = view.wait(0, 0, None); // JavaScript has this for BigInt64Array; no process could wake it
/// ```
pub trait Waitable: Element {
    #[doc(hidden)]
    fn futex(place: &Self::Atomic) -> &AtomicU32;
    #[doc(hidden)]
    fn bits(self) -> u32;
}

impl Waitable for u32 {
    fn futex(place: &AtomicU32) -> &AtomicU32 {
        place
    }
    fn bits(self) -> u32 {
        self
    }
}

impl Waitable for i32 {
    fn futex(place: &AtomicI32) -> &AtomicU32 {
        // SAFETY: both types have the size, the alignment and the bit validity of a `u32`, and both are atomic.
        unsafe { &*std::ptr::from_ref(place).cast::<AtomicU32>() }
    }
    fn bits(self) -> u32 {
        self.cast_unsigned()
    }
}
