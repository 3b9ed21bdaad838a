//! A fault while frames are walked: the answer is what was found until then, and the thread goes on.
//!
//! An unwinder trusts the tables of the code that was interrupted. They are wrong for a few instructions here and there
//! (where the unwinder itself jumps into a handler of a panic, for one), and there are none for code that was generated or
//! for a stack that was overwritten. It then reads where nothing is.
//!
//! ```text
//!   interrupted code ── our signal ──► handler: walks ── fault ──► here: answers, and returns to where the first signal
//!        ▲                                                         had come from, as if the handler had ended
//!        └───────────────────────────────────────────────────────────────┘
//! ```
//!
//! Faults of anybody else go to whoever handled them before.

use std::cell::Cell;
use std::mem::MaybeUninit;
use std::sync::OnceLock;
use std::sync::atomic::{Ordering, compiler_fence};

/// What a walk into nowhere ends with.
pub(super) const FAULTS: [libc::c_int; 2] = [libc::SIGSEGV, libc::SIGBUS];

/// Who handled them before.
static BEFORE: OnceLock<[libc::sigaction; 2]> = OnceLock::new();

/// A walk, as far as its end needs it. It lies on the stack of the handler.
pub(super) struct Attempt {
    /// What the handler's signal interrupted.
    pub(super) context: *mut libc::ucontext_t,
    /// `errno` of the interrupted code.
    pub(super) errno: libc::c_int,
    /// Sends the answer.
    pub(super) answer: unsafe fn(*const Attempt),
    /// For `answer`.
    pub(super) record: *mut super::record::Record,
}

thread_local! {
    /// The walk of this thread. Without a destructor and with a constant at the beginning it is plain memory, which a
    /// signal handler may use.
    static WALKING: Cell<*const Attempt> = const { Cell::new(std::ptr::null()) };
}

/// From now on a fault of this thread ends this attempt; null: it is nobody's.
pub(super) fn watch(attempt: *const Attempt) {
    // The unwinder runs between two of these, and may come back through `recover`.
    compiler_fence(Ordering::SeqCst);
    WALKING.set(attempt);
    compiler_fence(Ordering::SeqCst);
}

/// Goes before whoever handles faults now. Once.
pub(super) fn install() -> std::io::Result<()> {
    let mut before = [MaybeUninit::<libc::sigaction>::zeroed(); 2];
    for (number, before) in FAULTS.iter().zip(&mut before) {
        // SAFETY: only asks; the result is written before it is read, and zeroed is a valid `sigaction`.
        if unsafe { libc::sigaction(*number, std::ptr::null(), before.as_mut_ptr()) } != 0 {
            return Err(std::io::Error::last_os_error());
        }
    }
    // SAFETY: zeroed, then written by the system.
    let before = before.map(|before| unsafe { before.assume_init() });
    let before = BEFORE.get_or_init(|| before);
    for (number, before) in FAULTS.iter().zip(before) {
        let mut action = *before;
        action.sa_sigaction = recover as extern "C" fn(libc::c_int, *mut libc::siginfo_t, *mut libc::c_void) as usize;
        action.sa_flags |= libc::SA_SIGINFO | libc::SA_ONSTACK;
        // SAFETY: a valid `sigaction`, whose handler has the signature of SA_SIGINFO, is async-signal-safe (see there) and
        // stays valid for ever.
        if unsafe { libc::sigaction(*number, &action, std::ptr::null_mut()) } != 0 {
            return Err(std::io::Error::last_os_error());
        }
    }
    Ok(())
}

/// The handler of faults. Async-signal-safe: it reads memory of this thread, copies, and calls what sends the answer.
extern "C" fn recover(number: libc::c_int, info: *mut libc::siginfo_t, context: *mut libc::c_void) {
    let attempt = WALKING.replace(std::ptr::null());
    if attempt.is_null() {
        return pass_on(number, info, context);
    }
    // SAFETY: the attempt lies in the frame of our handler, which this thread has not left: it takes the pointer back
    // before. Its context is the valid one that the kernel gave to that handler, `context` the one that it gave to this.
    // With what the first one holds (registers and signal mask; the floating-point state, which it points to or holds,
    // lies above both frames and was not touched) in the second, this handler returns to where that one was called.
    // Nothing that it skips owns anything: the handler's frame and the unwinder's hold plain memory and no lock.
    unsafe {
        ((*attempt).answer)(attempt);
        let (ours, first) = (context.cast::<libc::ucontext_t>(), (*attempt).context);
        (*ours).uc_flags = (*first).uc_flags;
        (*ours).uc_mcontext = (*first).uc_mcontext;
        (*ours).uc_sigmask = (*first).uc_sigmask;
        *libc::__errno_location() = (*attempt).errno;
    }
}

/// Does what would have been done without us.
fn pass_on(number: libc::c_int, info: *mut libc::siginfo_t, context: *mut libc::c_void) {
    let before = FAULTS.iter().position(|fault| *fault == number).zip(BEFORE.get()).and_then(|(at, all)| all.get(at));
    match before {
        Some(before) if before.sa_sigaction != libc::SIG_DFL && before.sa_sigaction != libc::SIG_IGN => {
            // SAFETY: the handler that the system had for this signal, called with what the system called us with, by the
            // signature that its flags tell.
            unsafe {
                if before.sa_flags & libc::SA_SIGINFO != 0 {
                    type WithInfo = extern "C" fn(libc::c_int, *mut libc::siginfo_t, *mut libc::c_void);
                    std::mem::transmute::<usize, WithInfo>(before.sa_sigaction)(number, info, context);
                } else {
                    std::mem::transmute::<usize, extern "C" fn(libc::c_int)>(before.sa_sigaction)(number);
                }
            }
        }
        // SAFETY: gives the signal its default action; the instruction faults again and ends the process, as it should.
        _ => unsafe {
            libc::signal(number, libc::SIG_DFL);
        },
    }
}
