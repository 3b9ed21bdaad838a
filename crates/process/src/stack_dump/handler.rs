//! The signal handler in the process that is asked, and the signal.
//!
//! It runs on the stack that it interrupts, not on an alternate one: those that the standard library gives to threads have
//! 8 KiB, of which the kernel's own frame takes up to a half where registers are wide, and walking frames needs about
//! 4 KiB. A thread that hangs with less than 16 KiB of stack left is ended by this instead of by the SIGKILL that follows.

use std::mem::MaybeUninit;
use std::os::fd::{AsRawFd, IntoRawFd, OwnedFd};
use std::sync::atomic::{AtomicI32, Ordering};

use rustix::fs::OFlags;

use super::fault::{self, Attempt};
use super::record::Record;
use crate::Error;

/// After the first real-time signal; the keeper of a tree has that one.
const ABOVE_FIRST: i32 = 5;

/// `REG_RIP` of `sys/ucontext.h`.
#[cfg(target_arch = "x86_64")]
const PROGRAM_COUNTER: usize = 16;

/// Where the handler writes; -1 before [`install`]. Never closed: a handler may run at any time.
static PIPE: AtomicI32 = AtomicI32::new(-1);

/// The signal that asks a thread where it stands.
pub fn signal_number() -> i32 {
    libc::SIGRTMIN() + ABOVE_FIRST
}

/// From now on each thread of this process tells where it stands when it gets [`signal_number`], into this end of a
/// [`pipe`](super::pipe).
///
/// Errors: a second call in the same process.
pub fn install(write_end: OwnedFd) -> Result<(), Error> {
    let failed = |source: std::io::Error| Error::system("install the handler for stack dumps", source);
    let flags = rustix::fs::fcntl_getfl(&write_end).map_err(|errno| failed(errno.into()))?;
    rustix::fs::fcntl_setfl(&write_end, flags | OFlags::NONBLOCK).map_err(|errno| failed(errno.into()))?;
    // The first walk initialises what the unwinder initialises once; a handler must not be the first.
    let mut nothing = Record::new(0, 0);
    // SAFETY: a record of our own.
    unsafe { walk(&raw mut nothing, None) };
    if PIPE.compare_exchange(-1, write_end.as_raw_fd(), Ordering::Release, Ordering::Relaxed).is_err() {
        return Err(failed(std::io::Error::other("it was installed already")));
    }
    // The handler owns it for ever.
    let _ = write_end.into_raw_fd();
    fault::install().map_err(failed)?;
    let mut action = MaybeUninit::<libc::sigaction>::zeroed();
    // SAFETY: zeroed is a valid `sigaction`; the handler has the right signature for SA_SIGINFO, is async-signal-safe (see
    // there), and stays valid for ever. All signals but faults wait while it runs.
    let result = unsafe {
        let action = action.assume_init_mut();
        action.sa_sigaction = tell as extern "C" fn(libc::c_int, *mut libc::siginfo_t, *mut libc::c_void) as usize;
        action.sa_flags = libc::SA_RESTART | libc::SA_SIGINFO;
        libc::sigfillset(&mut action.sa_mask);
        for fault in fault::FAULTS {
            libc::sigdelset(&mut action.sa_mask, fault);
        }
        libc::sigaction(signal_number(), action, std::ptr::null_mut())
    };
    if result == 0 { Ok(()) } else { Err(failed(std::io::Error::last_os_error())) }
}

/// `siginfo_t` of a signal that was sent with a value, as the kernel has it on 64-bit machines.
#[repr(C)]
pub(super) struct Queued {
    pub(super) number: libc::c_int,
    errno: libc::c_int,
    pub(super) code: libc::c_int,
    _padding: libc::c_int,
    pub(super) pid: libc::pid_t,
    pub(super) uid: libc::uid_t,
    pub(super) value: u64,
    _rest: [u64; 12],
}

const _: () = assert!(size_of::<Queued>() == size_of::<libc::siginfo_t>());

impl Queued {
    /// What [`collect`](super::collect) sends: our signal, with the number of the request.
    pub(super) fn request(request: u32) -> Queued {
        Queued {
            number: signal_number(),
            errno: 0,
            code: libc::SI_QUEUE,
            _padding: 0,
            pid: std::process::id().cast_signed(),
            uid: rustix::process::getuid().as_raw(),
            value: request.into(),
            _rest: [0; 12],
        }
    }
}

/// The handler.
///
/// Async-signal-safe: it calls `gettid` and `write`, puts `errno` back, and walks frames. It allocates nothing, takes no lock
/// of ours and cannot panic (no index, no arithmetic that overflows). A walk that ends in a fault ends in [`fault`].
extern "C" fn tell(_number: libc::c_int, info: *mut libc::siginfo_t, context: *mut libc::c_void) {
    // SAFETY: `errno` is this thread's own. The kernel gives a valid `siginfo_t` to a handler with SA_SIGINFO, and `Queued` is
    // its layout for SI_QUEUE, which is looked at first. `gettid` is async-signal-safe. Record and attempt outlive the walk
    // and are used only through these pointers; nobody watches them when this frame ends.
    unsafe {
        let errno = *libc::__errno_location();
        let info = info.cast::<Queued>();
        let request = if (*info).code == libc::SI_QUEUE { (*info).value as u32 } else { 0 };
        let context = context.cast::<libc::ucontext_t>();
        let mut record = Record::new(libc::syscall(libc::SYS_gettid) as u32, request);
        let attempt = Attempt { context, errno, answer, record: &raw mut record };
        fault::watch(&raw const attempt);
        walk(attempt.record, Some(program_counter(&*context)));
        fault::watch(std::ptr::null());
        answer(&raw const attempt);
        *libc::__errno_location() = errno;
    }
}

/// Writes what was found.
///
/// # Safety
///
/// A valid attempt with a valid record, which nobody else changes meanwhile.
unsafe fn answer(attempt: *const Attempt) {
    // SAFETY: valid, as the caller says; the kernel gave the context. `write` is async-signal-safe; the bytes are those of a
    // record without padding; the descriptor is never closed, and does not block: a full pipe loses this record, and `/proc`
    // tells of this thread then.
    unsafe {
        let record = (*attempt).record;
        if (*record).is_empty() {
            // The unwinder found no way past the signal: at least where it was.
            (*record).push(program_counter(&*(*attempt).context));
        }
        libc::write(PIPE.load(Ordering::Acquire), record.cast(), (*record).used_bytes());
    }
}

#[cfg(target_arch = "x86_64")]
fn program_counter(context: &libc::ucontext_t) -> u64 {
    context.uc_mcontext.gregs.get(PROGRAM_COUNTER).map_or(0, |counter| counter.cast_unsigned())
}

#[cfg(target_arch = "aarch64")]
fn program_counter(context: &libc::ucontext_t) -> u64 {
    context.uc_mcontext.pc
}

/// What the unwinder hands to a callback.
#[repr(C)]
struct UnwindContext {
    _opaque: [u8; 0],
}

/// `_URC_NO_REASON`: go on.
const GO_ON: libc::c_int = 0;
/// `_URC_NORMAL_STOP`.
const STOP: libc::c_int = 4;

// The unwinder that panics use too, so every Rust program is linked to it.
unsafe extern "C" {
    fn _Unwind_Backtrace(
        callback: extern "C" fn(*mut UnwindContext, *mut libc::c_void) -> libc::c_int,
        argument: *mut libc::c_void,
    ) -> libc::c_int;
    fn _Unwind_GetIP(context: *mut UnwindContext) -> usize;
}

struct Walk {
    record: *mut Record,
    /// The frame to begin with: those before it are the handler's own.
    from: Option<u64>,
}

/// Writes the return addresses of this thread into the record, from the one that was interrupted on.
///
/// To run in a signal handler, wherever the thread was interrupted: the unwinder works on its own stack, reads tables that
/// never change, and finds them by `_dl_find_object`, which takes no lock (glibc 2.35, libgcc 12). Older ones go through
/// `dl_iterate_phdr`, whose lock a thread may take again while it holds it; who else holds it is running, or in this
/// handler, and gives it back. Tables that are registered by hand (programs that generate code) are searched without
/// allocation unless they are new since the last panic.
///
/// # Safety
///
/// A valid record, which nobody else changes meanwhile.
unsafe fn walk(record: *mut Record, from: Option<u64>) {
    let mut walk = Walk { record, from };
    // SAFETY: the callback has the signature that the unwinder expects, and gets a pointer to `walk`, which outlives the
    // call and is borrowed by nobody else.
    unsafe { _Unwind_Backtrace(note, (&raw mut walk).cast()) };
}

extern "C" fn note(context: *mut UnwindContext, walk: *mut libc::c_void) -> libc::c_int {
    // SAFETY: the unwinder gives its own context and the pointer that `walk` gave it, see there.
    unsafe {
        let (address, walk) = (_Unwind_GetIP(context) as u64, walk.cast::<Walk>());
        if (*walk).from.is_some_and(|from| from != address) {
            return GO_ON;
        }
        (*walk).from = None;
        if address != 0 && (*(*walk).record).push(address) { GO_ON } else { STOP }
    }
}
