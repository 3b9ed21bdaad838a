//! Processes that hang, and what is told of their threads.

#![allow(clippy::unwrap_used)]

use std::collections::HashMap;
use std::hint::black_box;
use std::io::{Read, Write};
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use phalanx_process::{ExitStatus, Process, Role, Signal, stack_dump, take_role};
use rustix::event::{PollFd, PollFlags, poll};

const DEADLINE: Duration = Duration::from_secs(20);

fn main() {
    phalanx_process::init().expect("init");
    match phalanx_process::role() {
        None => run_tests(),
        Some("hung") => hung(),
        Some("busy") => busy(),
        Some("deaf") => deaf(),
        Some("faulty") => faulty(),
        #[cfg(target_arch = "x86_64")]
        Some("astray") => astray(),
        Some(other) => panic!("unknown role {other}"),
    }
}

fn run_tests() {
    let tests: [(&str, fn()); 8] = [
        ("a dump names the functions that each thread is in", names_the_functions),
        ("the dumper writes the same as text, and ends", dumper_writes_text),
        ("a stopped process is told of by its state", stopped),
        ("a thread that holds back signals is told of, the others answer", held_back),
        ("a process without a handler is not signalled", without_handler),
        ("a stack that makes no sense ends the walk, and the thread goes on", astray_is_survived),
        ("a fault of the program itself ends it as before", own_fault),
        ("threads that allocate are interrupted a thousand times and lose nothing", interrupted_often),
    ];
    let filter = std::env::args().nth(1).unwrap_or_default();
    let chosen = tests.iter().filter(|(name, _)| name.contains(&filter));
    let passed = chosen.inspect(|(name, test)| {
        test();
        println!("test {name} ... ok");
    });
    println!("{} passed, 0 failed", passed.count());
}

/// A child in a role, which has said that it is where it should be.
struct Subject {
    process: Process,
    stacks: OwnedFd,
    socket: UnixStream,
}

impl Subject {
    fn start(role: &'static str) -> Subject {
        let (ours, theirs) = UnixStream::pair().unwrap();
        let (stacks, write_end) = stack_dump::pipe().unwrap();
        let role = Role::new(role).descriptor("socket", theirs.as_fd()).descriptor("stacks", write_end.as_fd());
        let process = role.spawn().unwrap();
        drop(theirs);
        ours.set_read_timeout(Some(DEADLINE)).unwrap();
        let mut subject = Subject { process, stacks, socket: ours };
        subject.hear();
        subject
    }

    fn hear(&mut self) {
        self.socket.read_exact(&mut [0]).unwrap();
    }

    fn dump(&self) -> stack_dump::Dump {
        stack_dump::collect(self.process.pid(), self.stacks.as_fd(), DEADLINE).unwrap()
    }
}

impl Drop for Subject {
    fn drop(&mut self) {
        let _ = self.process.kill(Signal::Kill);
    }
}

fn names_the_functions() {
    let subject = Subject::start("hung");
    // The threads may still be on their way to where they hang.
    let until = Instant::now() + DEADLINE;
    loop {
        let mut dump = subject.dump();
        dump.symbolise();
        let by_name: HashMap<&str, &stack_dump::ThreadDump> =
            dump.threads().iter().map(|thread| (thread.name(), thread)).collect();
        let is_in = |thread: &str, function: &str| {
            by_name
                .get(thread)
                .is_some_and(|thread| thread.frames().iter().any(|frame| frame.function.contains(function)))
        };
        let main = &dump.threads()[0];
        assert_eq!((main.tid(), dump.threads().len(), dump.pid()), (subject.process.pid(), 3, subject.process.pid()));
        let found = main.frames().iter().any(|frame| frame.function.contains("main_hangs_here"))
            && is_in("spinner", "spins_here")
            && is_in("waiter", "waits_for_the_lock_here");
        if found {
            let frame = by_name["spinner"].frames().iter().find(|frame| frame.function.contains("spins_here")).unwrap();
            assert!(frame.location.as_ref().unwrap().contains("stack_dump.rs:"), "{frame:?}");
            // The innermost frame is of the program or the system, not of the handler.
            assert!(!dump.to_string().contains("stack_dump::handler"), "{dump}");
            return;
        }
        assert!(Instant::now() < until, "{dump}");
    }
}

fn dumper_writes_text() {
    let subject = Subject::start("hung");
    let (mut text, output) = UnixStream::pair().unwrap();
    text.set_read_timeout(Some(DEADLINE)).unwrap();
    let dumper = stack_dump::dumper(&subject.process, subject.stacks.as_fd(), output.as_fd(), DEADLINE);
    let dumper = dumper.spawn().unwrap();
    drop(output);
    let mut said = String::new();
    text.read_to_string(&mut said).unwrap();
    assert_eq!(wait(&dumper), ExitStatus::Code(0));
    assert!(said.contains(&format!("(process {}): 3 of 3 threads answered", subject.process.pid())), "{said}");
    assert!(said.contains("main_hangs_here"), "{said}");
    // It hangs as before.
    assert_eq!(subject.process.try_wait().unwrap(), None);
}

fn stopped() {
    let subject = Subject::start("hung");
    subject.process.kill(Signal::Stop).unwrap();
    // Until the kernel shows that it stands, it may still answer.
    let until = Instant::now() + DEADLINE;
    loop {
        let dump = subject.dump();
        let all_silent =
            dump.threads().iter().all(|thread| thread.silence().is_some_and(|why| why.contains("state T")));
        if all_silent {
            assert!(dump.to_string().contains("state T (stopped by a signal)"), "{dump}");
            break;
        }
        assert!(Instant::now() < until, "{dump}");
    }
    // The late answers to that do not count as those to the next.
    subject.process.kill(Signal::Continue).unwrap();
    let dump = subject.dump();
    assert!(dump.threads().iter().all(|thread| thread.silence().is_none()), "{dump}");
}

fn held_back() {
    let subject = Subject::start("deaf");
    let dump = subject.dump();
    let (deaf, others): (Vec<_>, Vec<_>) = dump.threads().iter().partition(|thread| thread.name() == "deaf");
    assert!(deaf[0].silence().unwrap().contains("holds back signals"), "{dump}");
    assert!(others.iter().all(|thread| thread.silence().is_none()) && others.len() == 1, "{dump}");
}

fn without_handler() {
    let (stacks, _write_end) = stack_dump::pipe().unwrap();
    let child =
        phalanx_process::blocking::spawn(phalanx_process::Command::new("sleep").arg("100").kill_on_drop()).unwrap();
    let dump = stack_dump::collect(child.pid(), stacks.as_fd(), DEADLINE).unwrap();
    assert!(dump.threads()[0].silence().unwrap().contains("no handler"), "{dump}");
    assert_eq!(child.try_exited().unwrap(), None);
    let nobody = stack_dump::collect(u32::MAX >> 1, stacks.as_fd(), DEADLINE).unwrap_err();
    assert!(nobody.to_string().contains("cannot read the threads of process"), "{nobody}");
}

#[cfg(not(target_arch = "x86_64"))]
fn astray_is_survived() {
    println!("(skipped: written for x86-64)");
}

#[cfg(target_arch = "x86_64")]
fn astray_is_survived() {
    let mut subject = Subject::start("astray");
    for _ in 0..50 {
        let mut dump = subject.dump();
        let thread = dump.threads().iter().find(|thread| thread.name() == "astray").unwrap();
        assert_eq!(thread.silence(), None, "{dump}");
        dump.symbolise();
        let thread = dump.threads().iter().find(|thread| thread.name() == "astray").unwrap();
        assert!(thread.frames()[0].function.contains("goes_astray"), "{dump}");
    }
    writeln!(subject.socket, "stop").unwrap();
    subject.hear();
    assert_eq!(wait(&subject.process), ExitStatus::Code(0));
}

fn own_fault() {
    let mut subject = Subject::start("faulty");
    assert_eq!(subject.dump().threads().len(), 1);
    writeln!(subject.socket, "fault").unwrap();
    assert_eq!(wait(&subject.process), ExitStatus::Signal(11));
}

fn interrupted_often() {
    let mut subject = Subject::start("busy");
    let mut answers = 0;
    while answers < 1000 {
        let dump = subject.dump();
        assert_eq!(subject.process.try_wait().unwrap(), None, "after {answers} answers:\n{dump}");
        answers += dump.threads().iter().filter(|thread| thread.silence().is_none()).count();
    }
    writeln!(subject.socket, "stop").unwrap();
    subject.hear();
    assert_eq!(wait(&subject.process), ExitStatus::Code(0));
}

fn wait(child: &Process) -> ExitStatus {
    let deadline = rustix::event::Timespec { tv_sec: DEADLINE.as_secs() as i64, tv_nsec: 0 };
    let ended = poll(&mut [PollFd::new(child, PollFlags::IN)], Some(&deadline)).unwrap();
    assert_eq!(ended, 1, "child {} did not end", child.pid());
    child.try_wait().unwrap().unwrap()
}

fn play(name: &str) -> UnixStream {
    let mut role = take_role(name).unwrap();
    stack_dump::install(role.take("stacks").unwrap()).unwrap();
    assert!(stack_dump::install(std::fs::File::open("/dev/null").unwrap().into()).is_err());
    role.take("socket").unwrap().into()
}

fn thread(name: &str, code: impl FnOnce() + Send + 'static) {
    std::thread::Builder::new().name(name.into()).spawn(code).unwrap();
}

#[inline(never)]
fn spins_here(counter: &AtomicU64) {
    while counter.fetch_add(1, Ordering::Relaxed) < u64::MAX {
        black_box(counter);
    }
}

#[inline(never)]
fn waits_for_the_lock_here(lock: &Mutex<u64>) -> u64 {
    *black_box(lock).lock().unwrap()
}

#[inline(never)]
fn main_hangs_here(mut socket: UnixStream) {
    socket.write_all(b"!").unwrap();
    loop {
        std::thread::park();
    }
}

/// One thread spins, one waits for a lock that is never given back, the main one sleeps.
fn hung() {
    let socket = play("hung");
    let lock = Arc::new(Mutex::new(0));
    let held = Arc::clone(&lock);
    let _guard = held.lock().unwrap();
    thread("spinner", || spins_here(&AtomicU64::new(0)));
    thread("waiter", move || println!("{}", waits_for_the_lock_here(&lock)));
    main_hangs_here(socket);
}

/// Threads that allocate, panic and unwind without end, and look at what they have.
fn busy() {
    let mut socket = play("busy");
    std::panic::set_hook(Box::new(|_| {}));
    let stop = Arc::new(AtomicBool::new(false));
    let threads: Vec<_> = (0..4)
        .map(|number: u64| {
            let stop = Arc::clone(&stop);
            std::thread::spawn(move || {
                let mut round = 0u64;
                while !stop.load(Ordering::Relaxed) {
                    let strings: Vec<String> = (0..50).map(|each| format!("{number} {round} {each}")).collect();
                    assert!(strings.iter().enumerate().all(|(each, text)| *text == format!("{number} {round} {each}")));
                    if round.is_multiple_of(16) {
                        assert!(std::panic::catch_unwind(|| panic!("on purpose")).is_err());
                    }
                    round += 1;
                }
            })
        })
        .collect();
    socket.write_all(b"!").unwrap();
    // The read is interrupted all the time, and goes on.
    socket.read_exact(&mut [0; 5]).unwrap();
    stop.store(true, Ordering::Relaxed);
    for thread in threads {
        thread.join().unwrap();
    }
    socket.write_all(b"!").unwrap();
    phalanx_process::die_now(0);
}

/// Reads where nothing is, when it is told to.
fn faulty() {
    let mut socket = play("faulty");
    socket.write_all(b"!").unwrap();
    socket.read_exact(&mut [0]).unwrap();
    // SAFETY: there is none; this is the fault.
    unsafe { std::ptr::without_provenance::<u8>(black_box(8)).read_volatile() };
}

/// A stack full of addresses where nothing is.
#[cfg(target_arch = "x86_64")]
static NOWHERE: [std::sync::atomic::AtomicU64; 16_384] =
    [const { std::sync::atomic::AtomicU64::new(0x0000_dead_beef_0000) }; 16_384];

/// Stands on a stack that makes no sense until `leave` is set. What it had in a wide register it has afterwards.
#[cfg(target_arch = "x86_64")]
#[inline(never)]
fn goes_astray(entered: &std::sync::atomic::AtomicU8, leave: &std::sync::atomic::AtomicU8) -> u64 {
    let stack = NOWHERE[NOWHERE.len() / 2].as_ptr();
    let kept: u64;
    // SAFETY: the stack pointer is put back before the block ends, and in between nothing is called; below it there is room
    // for the frames of signals, which may be overwritten.
    unsafe {
        std::arch::asm!(
            "movq xmm15, {value}",
            "mov {saved}, rsp",
            "mov rsp, {stack}",
            "mov byte ptr [{entered}], 1",
            "2: pause",
            "cmp byte ptr [{leave}], 0",
            "je 2b",
            "mov rsp, {saved}",
            "movq {kept}, xmm15",
            value = in(reg) 0x1234_5678_9abc_def0_u64,
            saved = out(reg) _,
            stack = in(reg) stack,
            entered = in(reg) entered.as_ptr(),
            leave = in(reg) leave.as_ptr(),
            kept = lateout(reg) kept,
            out("xmm15") _,
        );
    }
    kept
}

#[cfg(target_arch = "x86_64")]
fn astray() {
    use std::sync::atomic::AtomicU8;
    static ENTERED: AtomicU8 = AtomicU8::new(0);
    static LEAVE: AtomicU8 = AtomicU8::new(0);
    let mut socket = play("astray");
    let builder = std::thread::Builder::new().name("astray".into());
    let thread = builder.spawn(|| goes_astray(&ENTERED, &LEAVE)).unwrap();
    while ENTERED.load(Ordering::Acquire) == 0 {
        std::thread::yield_now();
    }
    socket.write_all(b"!").unwrap();
    socket.read_exact(&mut [0]).unwrap();
    LEAVE.store(1, Ordering::Release);
    assert_eq!(thread.join().unwrap(), 0x1234_5678_9abc_def0);
    socket.write_all(b"!").unwrap();
    phalanx_process::die_now(0);
}

/// One thread holds back every signal.
fn deaf() {
    let socket = play("deaf");
    let (ready, is_ready) = std::sync::mpsc::channel();
    thread("deaf", move || {
        block_all_signals();
        ready.send(()).unwrap();
        loop {
            std::thread::park();
        }
    });
    is_ready.recv().unwrap();
    main_hangs_here(socket);
}

fn block_all_signals() {
    let mut all = std::mem::MaybeUninit::uninit();
    // SAFETY: the set is initialised by the first call before the second reads it.
    unsafe {
        libc::sigfillset(all.as_mut_ptr());
        libc::pthread_sigmask(libc::SIG_BLOCK, all.as_ptr(), std::ptr::null_mut());
    }
}
