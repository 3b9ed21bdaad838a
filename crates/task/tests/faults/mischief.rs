//! Tasks that do what no task should, one at each level of the sandbox.

use std::net::{SocketAddr, TcpStream};
use std::time::{Duration, Instant};

use phalanx_task::{Sandbox, Task, TaskContext, TaskError};
use serde::{Deserialize, Serialize};

use crate::scribble;

/// What a task does. What it says is its own account of it.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) enum Mischief {
    /// None at all: honest work of about this many microseconds.
    Work(u32),
    /// None either: says this text.
    Recite(String),
    Segfault,
    Abort,
    OverflowTheStack,
    AllocateWithoutEnd,
    SpinForEver,
    /// Ignores every signal that can be ignored, and catches its own faults; then spins for ever.
    IgnoreSignalsAndSpin,
    /// As many children as it gets, this many at most.
    ForkBomb(u32),
    RunAProgram,
    Connect(SocketAddr),
    Listen,
    Read(String),
    SendSignal {
        pid: u32,
        signal: i32,
    },
    StopItself,
    Exit(i32),
    /// Leaves without the destructors and handlers of an ordinary exit.
    ExitAtOnce(i32),
    PanicWhilePanicking,
    /// This many bytes to standard error, then its last words, then an abort.
    ChatterAndAbort(usize),
    /// Sequences that would command a terminal, to standard error, then an abort.
    CommandTheTerminalAndAbort,
    CloseEveryDescriptor,
    /// Garbage to each descriptor with a number up to 1023.
    WriteToEveryDescriptor(u64),
    /// Cuts, stretches, seals, locks and re-flags each descriptor that it was given.
    TamperWithEveryDescriptor,
    /// Garbage over all memory that it shares with anybody.
    ScribbleOverSharedMemory(u64),
    /// Threads that go on when the task has returned.
    LeaveThreads(usize),
    /// A thread that aborts the process this much later.
    LeaveABomb(Duration),
}

/// Said by honest work.
pub(crate) const DONE: &str = "done";

impl Mischief {
    fn commit(self, cx: &TaskContext) -> Result<String, TaskError> {
        let said = match self {
            Mischief::Work(micros) => work(micros),
            Mischief::Recite(text) => text,
            Mischief::Segfault => segfault(),
            Mischief::Abort => std::process::abort(),
            Mischief::OverflowTheStack => format!("depth {}", dig(1)),
            Mischief::AllocateWithoutEnd => allocate(),
            Mischief::SpinForEver => spin(),
            Mischief::IgnoreSignalsAndSpin => ignore_signals_and_spin(),
            Mischief::ForkBomb(most) => fork_bomb(most),
            Mischief::RunAProgram => {
                told(std::process::Command::new("/bin/true").status().map(|status| status.to_string()))
            }
            Mischief::Connect(address) => told(TcpStream::connect(address).map(|_| "connected".to_owned())),
            Mischief::Listen => told(std::net::TcpListener::bind(("127.0.0.1", 0)).map(|_| "listens".to_owned())),
            Mischief::Read(path) => told(std::fs::read(path).map(|bytes| format!("{} bytes", bytes.len()))),
            Mischief::SendSignal { pid, signal } => send_signal(pid, signal),
            Mischief::StopItself => send_signal(std::process::id(), libc::SIGSTOP),
            Mischief::Exit(code) => std::process::exit(code),
            Mischief::ExitAtOnce(code) => exit_at_once(code),
            Mischief::PanicWhilePanicking => panic_while_panicking(),
            Mischief::ChatterAndAbort(bytes) => chatter_and_abort(bytes),
            Mischief::CommandTheTerminalAndAbort => {
                eprintln!("\x1b]0;a new title\x07\x1b[2J\x1b[31mred\rover \u{9b}31m\n{LAST_WORDS}");
                std::process::abort()
            }
            Mischief::CloseEveryDescriptor => close_every_descriptor(),
            Mischief::WriteToEveryDescriptor(seed) => scribble::over_descriptors(seed),
            Mischief::TamperWithEveryDescriptor => scribble::tamper(),
            Mischief::ScribbleOverSharedMemory(seed) => scribble::over_mappings(seed),
            Mischief::LeaveThreads(count) => leave_threads(count),
            Mischief::LeaveABomb(fuse) => {
                std::thread::spawn(move || {
                    std::thread::sleep(fuse);
                    std::process::abort()
                });
                "a bomb ticks".to_owned()
            }
        };
        cx.progress(1, 1);
        Ok(said)
    }
}

/// A task at one level of the sandbox.
pub(crate) trait Level: Task<Output = String> {
    /// The `number` makes it another input than all others, so that it is not taken for poison.
    fn task(what: Mischief, number: u64) -> Self;
}

macro_rules! at_level {
    ($(#[$doc:meta])* $type:ident, $name:literal, $level:ident) => {
        $(#[$doc])*
        #[derive(Debug, Serialize, Deserialize)]
        pub(crate) struct $type {
            what: Mischief,
            number: u64,
        }

        impl Task for $type {
            const NAME: &'static str = $name;
            const SANDBOX: Sandbox = Sandbox::$level;
            type Output = String;

            fn run(self, cx: &TaskContext) -> Result<String, TaskError> {
                self.what.commit(cx)
            }
        }

        impl Level for $type {
            fn task(what: Mischief, number: u64) -> $type {
                $type { what, number }
            }
        }
    };
}

at_level! {
    /// May do what the user may.
    Free, "free", None
}
at_level! {
    /// Has files, but no network and no programs.
    Offline, "offline", NoNetwork
}
at_level! {
    /// Has its memory and its processor.
    Confined, "confined", Full
}

/// What the kernel said to an attempt, in one word that does not change with the language.
fn told(attempt: std::io::Result<String>) -> String {
    attempt.unwrap_or_else(|error| format!("{:?}", error.kind()))
}

fn work(micros: u32) -> String {
    let end = Instant::now() + Duration::from_micros(micros.into());
    while Instant::now() < end {
        std::hint::spin_loop();
    }
    DONE.to_owned()
}

fn segfault() -> String {
    // SAFETY: there is none: this is the bug in a C library that the owner must survive.
    unsafe { std::ptr::without_provenance_mut::<u8>(8).write_volatile(1) };
    "wrote where nothing is".to_owned()
}

#[inline(never)]
fn dig(depth: u64) -> u64 {
    let ballast = std::hint::black_box([depth; 64]);
    if depth == 0 { 0 } else { dig(depth + 1) + ballast[0] }
}

fn allocate() -> String {
    let mut hoard: Vec<Vec<u8>> = Vec::new();
    loop {
        hoard.push(std::hint::black_box(vec![1; 1 << 20]));
    }
}

fn spin() -> ! {
    loop {
        std::hint::spin_loop();
    }
}

fn ignore_signals_and_spin() -> String {
    for signal in 1..=64 {
        // SAFETY: a disposition without a handler runs no code of ours; for SIGKILL and SIGSTOP the kernel refuses.
        unsafe { libc::signal(signal, libc::SIG_IGN) };
    }
    spin()
}

fn fork_bomb(most: u32) -> String {
    let mut born = 0;
    for _ in 0..most {
        // SAFETY: the child calls only what any child of `fork` may.
        match unsafe { libc::fork() } {
            0 => {
                // SAFETY: nothing of this process is used any more.
                unsafe {
                    libc::pause();
                    libc::_exit(0);
                }
            }
            -1 => return format!("{born} born, then {:?}", std::io::Error::last_os_error().kind()),
            _ => born += 1,
        }
    }
    format!("{born} born")
}

fn send_signal(pid: u32, signal: i32) -> String {
    // SAFETY: `kill` takes numbers.
    match unsafe { libc::kill(pid as i32, signal) } {
        0 => "sent".to_owned(),
        _ => format!("{:?}", std::io::Error::last_os_error().kind()),
    }
}

fn exit_at_once(code: i32) -> String {
    // SAFETY: nothing of this process is used any more.
    unsafe { libc::_exit(code) }
}

fn panic_while_panicking() -> String {
    struct Bomb;
    impl Drop for Bomb {
        fn drop(&mut self) {
            panic!("the second panic");
        }
    }
    let _bomb = Bomb;
    panic!("the first panic");
}

/// The last words of [`Mischief::ChatterAndAbort`].
pub(crate) const LAST_WORDS: &str = "these are my last words";

fn chatter_and_abort(bytes: usize) -> String {
    let line = "I have so much to say. ".repeat(50);
    let mut said = 0;
    while said < bytes {
        eprintln!("{line}");
        said += line.len() + 1;
    }
    eprintln!("{LAST_WORDS}");
    std::process::abort()
}

fn close_every_descriptor() -> String {
    for descriptor in 0..1024 {
        // SAFETY: there is none for what the process still wants to do with them: that is the mischief.
        unsafe { libc::close(descriptor) };
    }
    "closed".to_owned()
}

fn leave_threads(count: usize) -> String {
    let left = (0..count).map_while(|_| std::thread::Builder::new().spawn(|| spin()).ok()).count();
    format!("{left} threads go on")
}
