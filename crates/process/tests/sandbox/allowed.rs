//! What a process in the strictest sandbox still can do: all that a task needs which computes.

use std::collections::HashMap;
use std::io::{Read, Write};
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant, SystemTime};

use phalanx_process::{ExitStatus, Sandbox};
use rustix::event::EventfdFlags;
use rustix::fs::MemfdFlags;

use crate::child::{Attempt, outcome, same};
use crate::{Test, attempt, ended, said, users};

pub(crate) const TESTS: &[Test] = &[
    ("a full process has threads, memory, time and randomness", computing),
    ("a full process reads, writes and maps the files that it was given", given_files),
    ("a full process reads a whole file with the standard library", whole_file),
    ("a full process talks over what it was given", given_channels),
    ("a full process that aborts, overflows its stack or panics dies as any other", dying),
];

fn computing() {
    for user in users() {
        for level in [Sandbox::Full, Sandbox::NoNetwork] {
            for what in [
                "run threads",
                "allocate a lot",
                "catch a panic",
                "hash with random keys",
                "tell the time",
                "sleep",
                "count processors",
                "run a runtime",
                "name a thread",
                "run destructors of threads",
                "have 64 KiB on the stack of a thread",
            ] {
                assert_eq!(said(user(attempt(level, what))).trim_end(), "done", "{level}: {what}");
            }
        }
    }
}

fn given_files() {
    let file = rustix::fs::memfd_create("test", MemfdFlags::CLOEXEC).unwrap();
    rustix::io::pwrite(&file, &[7; 8192], 0).unwrap();
    for what in ["read and write a file", "map a file to read", "map a file to write", "tell the size of a file"] {
        assert_eq!(said(attempt(Sandbox::Full, what).descriptor("file", file.as_fd())).trim_end(), "done", "{what}");
    }
    let mut found = [0; 2];
    rustix::io::pread(&file, &mut found, 100).unwrap();
    assert_eq!(found, [1, 2], "what it wrote did not arrive");
}

fn whole_file() {
    let file = rustix::fs::memfd_create("test", MemfdFlags::CLOEXEC).unwrap();
    rustix::io::pwrite(&file, &[7; 100_000], 0).unwrap();
    for level in [Sandbox::Full, Sandbox::NoNetwork] {
        rustix::fs::seek(&file, rustix::fs::SeekFrom::Start(0)).unwrap();
        let role = attempt(level, "read a whole file").descriptor("file", file.as_fd());
        assert_eq!(said(role).trim_end(), "done", "{level}");
    }
}

fn given_channels() {
    let bell = rustix::event::eventfd(0, EventfdFlags::CLOEXEC).unwrap();
    assert_eq!(said(attempt(Sandbox::Full, "ring a bell").descriptor("bell", bell.as_fd())).trim_end(), "done");
    let mut rung = [0; 8];
    rustix::io::read(&bell, &mut rung).unwrap();
    assert_eq!(u64::from_ne_bytes(rung), 3);
    let (mut ours, theirs) = UnixStream::pair().unwrap();
    ours.write_all(b"hello").unwrap();
    assert_eq!(
        said(attempt(Sandbox::Full, "answer over a socket").descriptor("socket", theirs.as_fd())).trim_end(),
        "done"
    );
    let mut answer = [0; 5];
    ours.read_exact(&mut answer).unwrap();
    assert_eq!(&answer, b"HELLO");
}

fn dying() {
    for level in [Sandbox::Full, Sandbox::NoNetwork] {
        assert_eq!(ended(attempt(level, "abort")).status, ExitStatus::Signal(libc::SIGABRT));
        assert_eq!(ended(attempt(level, "fault")).status, ExitStatus::Signal(libc::SIGSEGV));
        for what in ["overflow the stack", "overflow the stack of a thread"] {
            let overflowed = ended(attempt(level, what));
            assert_eq!(overflowed.status, ExitStatus::Signal(libc::SIGABRT), "{what}");
            assert!(overflowed.stderr.contains("has overflowed its stack"), "{}", overflowed.stderr);
        }
        for traced in [false, true] {
            let role = attempt(level, "panic");
            let role = if traced { role.env("RUST_BACKTRACE", "1") } else { role };
            let panicked = ended(role);
            assert_eq!(panicked.status, ExitStatus::Code(101));
            assert!(
                panicked.stderr.contains("panicked at") && panicked.stderr.contains("as asked"),
                "{}",
                panicked.stderr
            );
        }
        let leaving = ended(attempt(level, "exit with 7"));
        assert_eq!(leaving.status, ExitStatus::Code(7));
    }
}

static DESTROYED: AtomicU32 = AtomicU32::new(0);

struct Counted;

impl Drop for Counted {
    fn drop(&mut self) {
        DESTROYED.fetch_add(1, Ordering::SeqCst);
    }
}

thread_local! {
    static COUNTED: Counted = const { Counted };
}

pub(crate) const ATTEMPTS: &[Attempt] = &[
    ("run threads", |_| {
        let threads: Vec<_> = (0..32_u64).map(|number| std::thread::spawn(move || number * 2)).collect();
        let sum: u64 = threads.into_iter().map(|thread| thread.join().unwrap()).sum();
        same(sum, 992)
    }),
    ("allocate a lot", |_| {
        let threads: Vec<_> = (0..4)
            .map(|_| {
                std::thread::spawn(|| {
                    // Small ones from the heap, large ones mapped, growing ones moved, and all given back.
                    let small: Vec<Box<[u8]>> =
                        (0..20_000).map(|size| vec![1; size % 500].into_boxed_slice()).collect();
                    let mut growing = Vec::new();
                    (0..(8 << 20)).for_each(|byte| growing.push(byte as u8));
                    growing.shrink_to(1000);
                    small.len() + growing.len() + vec![1_u8; 64 << 20].len()
                })
            })
            .collect();
        let all: usize = threads.into_iter().map(|thread| thread.join().unwrap()).sum();
        same(all, 4 * (20_000 + (8 << 20) + (64 << 20)))
    }),
    ("catch a panic", |_| {
        let caught = std::panic::catch_unwind(|| panic!("as asked"));
        same(caught.unwrap_err().downcast_ref::<&str>().copied(), Some("as asked"))
    }),
    ("hash with random keys", |_| {
        let map: HashMap<u32, u32> = (0..100).map(|number| (number, number)).collect();
        same(map.len(), 100)
    }),
    ("tell the time", |_| {
        let began = Instant::now();
        let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap();
        same(began.elapsed() < Duration::from_secs(10) && since > Duration::from_secs(1_000_000_000), true)
    }),
    ("sleep", |_| {
        std::thread::sleep(Duration::from_millis(1));
        std::thread::park_timeout(Duration::from_millis(1));
        "done".into()
    }),
    ("count processors", |_| same(std::thread::available_parallelism().unwrap().get() > 0, true)),
    ("run a runtime", |_| {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
        runtime.block_on(async { tokio::time::sleep(Duration::from_millis(1)).await });
        "done".into()
    }),
    ("name a thread", |_| {
        let thread = std::thread::Builder::new().name("with-a-name".into());
        let named = thread.spawn(|| rustix::thread::name().unwrap()).unwrap().join().unwrap();
        same(named.to_str(), Ok("with-a-name"))
    }),
    ("run destructors of threads", |_| {
        for _ in 0..5 {
            std::thread::spawn(|| COUNTED.with(|_| ())).join().unwrap();
        }
        same(DESTROYED.load(Ordering::SeqCst), 5)
    }),
    ("have 64 KiB on the stack of a thread", |_| {
        let thread = std::thread::Builder::new().stack_size(256 << 10);
        let sum = || std::hint::black_box([1_u8; 64 << 10]).iter().map(|byte| u32::from(*byte)).sum::<u32>();
        same(thread.spawn(sum).unwrap().join().unwrap(), 64 << 10)
    }),
    ("read and write a file", |role| {
        let file = role.take("file").unwrap();
        let mut found = [0; 4];
        rustix::io::pread(&file, &mut found, 4000).unwrap();
        rustix::io::pwrite(&file, &[1, 2], 100).unwrap();
        // Beyond its end.
        rustix::io::pwrite(&file, &[1; 4096], 20_000).unwrap();
        same(found, [7; 4])
    }),
    ("read a whole file", |role| {
        let mut bytes = Vec::new();
        let read = std::fs::File::from(role.take("file").unwrap()).read_to_end(&mut bytes);
        same((read.unwrap(), bytes.iter().all(|byte| *byte == 7)), (100_000, true))
    }),
    ("map a file to read", |role| map(role.take("file").unwrap(), rustix::mm::ProtFlags::READ)),
    ("map a file to write", |role| {
        map(role.take("file").unwrap(), rustix::mm::ProtFlags::READ | rustix::mm::ProtFlags::WRITE)
    }),
    ("tell the size of a file", |role| {
        let file = role.take("file").unwrap();
        same(rustix::fs::fstat(&file).unwrap().st_size >= 8192, true)
    }),
    ("ring a bell", |role| {
        let bell = role.take("bell").unwrap();
        outcome(rustix::io::write(&bell, &3_u64.to_ne_bytes()).map_err(Into::into))
    }),
    ("answer over a socket", |role| {
        let mut socket: UnixStream = role.take("socket").unwrap().into();
        let mut asked = [0; 5];
        outcome(socket.read_exact(&mut asked).and_then(|()| socket.write_all(&asked.to_ascii_uppercase())))
    }),
    ("panic", |_| panic!("as asked")),
    ("exit with 7", |_| std::process::exit(7)),
    ("overflow the stack", |_| deeper(0).to_string()),
    ("overflow the stack of a thread", |_| std::thread::spawn(|| deeper(0)).join().unwrap().to_string()),
    ("fault", |_| {
        // SAFETY: nothing is mapped there: this ends the process, which is what is asked for.
        unsafe { std::ptr::without_provenance::<u8>(8).read_volatile() }.to_string()
    }),
];

fn map(file: OwnedFd, protection: rustix::mm::ProtFlags) -> String {
    let (flags, length) = (rustix::mm::MapFlags::SHARED, 8192);
    // SAFETY: a new mapping of a file that is at least as long, which is read within its bounds.
    let byte = unsafe {
        let at = rustix::mm::mmap(std::ptr::null_mut(), length, protection, flags, &file, 0).unwrap();
        let byte = at.cast::<u8>().add(5000).read_volatile();
        rustix::mm::munmap(at, length).unwrap();
        byte
    };
    same(byte, 7)
}

#[allow(unconditional_recursion)]
fn deeper(level: u64) -> u64 {
    let here = std::hint::black_box([level; 128]);
    deeper(level + 1) + here[5]
}
