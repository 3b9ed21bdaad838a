//! One process, several images: this test executes itself in place.

#![allow(clippy::unwrap_used)]

use std::io::{BufRead, BufReader, Write};
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use phalanx_process::upgrade::{self, ExecInPlace, take_state};
use phalanx_process::{Error, ExitStatus, Process, Role, Signal, Signals, take_role};
use rustix::event::{PollFd, PollFlags, poll};

const DEADLINE: Duration = Duration::from_secs(10);
/// How often this process was replaced.
const GENERATION: &str = "TEST_GENERATION";
/// Number of the child that the first image spawned.
const CHILD: &str = "TEST_CHILD";

fn main() {
    phalanx_process::init().expect("init");
    match phalanx_process::role() {
        None => run_tests(),
        Some("image") => image(),
        Some("sleeper") => sleeper(),
        Some(other) => panic!("unknown role {other}"),
    }
}

fn run_tests() {
    let tests: [(&str, fn()); 7] = [
        ("the next image has the process id, the kept descriptors and no others", keeps_what_was_named),
        ("children are adopted by the next image, also one that ended meanwhile", adopts_children),
        ("children die with the process also after an exec in place", children_still_die_with_it),
        ("an exec that fails changes nothing", failure_restores),
        ("only the main thread may execute in place", only_the_main_thread),
        ("a signal between two images neither ends the process nor is lost", no_signal_is_lost),
        ("an image whose file was replaced is executed again", rolls_back),
    ];
    for (name, test) in tests {
        test();
        println!("test {name} ... ok");
    }
    println!("{} passed, 0 failed", tests.len());
}

/// A process that executes itself in place as often as it is told to.
struct Image {
    process: Process,
    says: BufReader<UnixStream>,
}

impl Image {
    fn start() -> Image {
        let (ours, theirs) = UnixStream::pair().unwrap();
        ours.set_read_timeout(Some(DEADLINE)).unwrap();
        let process = Role::new("image").descriptor("socket", theirs.as_fd()).spawn().unwrap();
        let mut image = Image { process, says: BufReader::new(ours) };
        assert_eq!(image.hear(), format!("generation 0 of {}", image.process.pid()));
        image
    }

    fn tell(&mut self, order: &str) {
        writeln!(self.says.get_mut(), "{order}").unwrap();
    }

    fn hear(&mut self) -> String {
        let mut line = String::new();
        self.says.read_line(&mut line).unwrap();
        assert!(line.ends_with('\n'), "the process is gone: {:?}", self.process.try_wait());
        line.trim_end().to_owned()
    }

    fn ask(&mut self, order: &str) -> String {
        self.tell(order);
        self.hear()
    }

    fn becomes(&mut self, generation: u32) {
        assert_eq!(self.hear(), format!("generation {generation} of {}", self.process.pid()));
    }
}

impl Drop for Image {
    fn drop(&mut self) {
        let _ = self.process.kill(Signal::Kill);
    }
}

fn keeps_what_was_named() {
    let mut image = Image::start();
    let before = image.ask("descriptors");
    image.tell("exec");
    image.becomes(1);
    assert_eq!(image.ask("descriptors"), before);
    assert_eq!(image.ask("variables"), "none");
}

fn adopts_children() {
    let mut image = Image::start();
    image.tell("spawn");
    let child = image.hear();
    assert!(Path::new(&format!("/proc/{child}")).exists());
    image.tell("exec");
    image.becomes(1);
    assert_eq!(image.ask("kill adopted"), "Signal(15)");
    assert!(image.ask("kill adopted").contains("is no child"), "a reaped child was adopted");
    image.tell("spawn");
    image.hear();
    image.tell("end child and exec");
    image.becomes(2);
    assert_eq!(image.ask("wait adopted"), "Signal(9)");
    assert!(matches!(Process::adopt(1), Err(Error::NotOurChild { pid: 1 })));
}

fn children_still_die_with_it() {
    let mut image = Image::start();
    image.tell("spawn");
    let child = image.hear();
    image.tell("exec");
    image.becomes(1);
    assert!(runs(&child));
    image.process.kill(Signal::Kill).unwrap();
    let until = Instant::now() + DEADLINE;
    while runs(&child) {
        assert!(Instant::now() < until, "child {child} outlived its parent");
        std::thread::yield_now();
    }
}

fn runs(pid: &str) -> bool {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    stat.rsplit_once(") ").is_some_and(|(_, rest)| !rest.starts_with(['Z', 'X']))
}

fn failure_restores() {
    let mut image = Image::start();
    let before = image.ask("descriptors");
    let said = image.ask("exec nothing");
    assert!(said.contains("/nowhere/to/be/found") && said.contains("nothing has changed"), "{said}");
    assert_eq!(image.ask("descriptors"), before);
    assert_eq!(image.ask("close-on-exec"), "true");
    image.process.kill(Signal::User2).unwrap();
    assert_eq!(image.hear(), "SIGUSR2");
    image.tell("exec");
    image.becomes(1);
}

fn only_the_main_thread() {
    let mut image = Image::start();
    assert!(image.ask("exec in thread").contains("main thread"));
}

fn no_signal_is_lost() {
    let mut image = Image::start();
    for generation in 1..=100 {
        // Which comes first, the exec or the signal, is up to the system.
        image.tell("exec");
        for signal in [Signal::User2, Signal::Terminate, Signal::TtyIn] {
            image.process.kill(signal).unwrap();
        }
        let mut heard: Vec<String> = (0..4).map(|_| image.hear()).collect();
        heard.sort();
        let became = format!("generation {generation} of {}", image.process.pid());
        // (One that is sent once is told once: it was read by the image that tells it.)
        assert_eq!(heard, ["SIGTERM", "SIGTTIN", "SIGUSR2", &became]);
    }
}

fn rolls_back() {
    let folder = tempfile::tempdir().unwrap();
    let (new, running) = (folder.path().join("new-image"), std::env::current_exe().unwrap());
    std::fs::copy(&running, &new).unwrap();
    let mut image = Image::start();
    image.tell(&format!("exec {}", new.display()));
    image.becomes(1);
    assert_eq!(PathBuf::from(image.ask("file")), new);
    std::fs::remove_file(&new).unwrap();
    assert_eq!(image.ask("file"), format!("{} (deleted)", new.display()));
    image.tell("exec kept");
    image.becomes(2);
    assert_eq!(PathBuf::from(image.ask("file")), running);
    assert_eq!(image.ask("name"), running.file_name().unwrap().to_str().unwrap()[..15]);
}

/// The process under test: does what it is told, line by line, and tells of each signal.
fn image() {
    let generation: u32 = std::env::var(GENERATION).map_or(0, |text| text.parse().unwrap());
    let mut role = take_role("image").expect("the role stays");
    let (socket, old_image) = match take_state() {
        None => (role.take("socket").unwrap(), upgrade::this_image().unwrap()),
        Some(mut state) => {
            assert!(generation > 0);
            (state.take("socket").unwrap(), state.take("old image").unwrap())
        }
    };
    assert!(take_state().is_none());
    // Another thread, which signals may reach.
    std::thread::spawn(|| std::thread::sleep(DEADLINE));
    // One in each image: the descriptors stay as many only if that of the image before is gone.
    let _not_kept = std::fs::File::open("/dev/null").unwrap();
    let signals = Signals::take(&[Signal::User2, Signal::Terminate, Signal::TtyIn]).unwrap();
    let mut image = Obedient { generation, orders: UnixStream::from(socket), old_image, signals };
    image.say(&format!("generation {generation} of {}", std::process::id()));
    loop {
        let mut polled = [
            PollFd::from_borrowed_fd(image.orders.as_fd(), PollFlags::IN),
            PollFd::from_borrowed_fd(image.signals.as_fd(), PollFlags::IN),
        ];
        if poll(&mut polled, None).is_err() {
            continue;
        }
        let (orders, signals) = (!polled[0].revents().is_empty(), !polled[1].revents().is_empty());
        if signals && let Some(signal) = image.signals.next() {
            image.say(signal.name());
        }
        if orders {
            image.obey();
        }
    }
}

struct Obedient {
    generation: u32,
    orders: UnixStream,
    old_image: OwnedFd,
    signals: Signals,
}

impl Obedient {
    fn say(&mut self, what: &str) {
        writeln!(self.orders, "{what}").unwrap();
    }

    /// Byte by byte, so that nothing is read that is meant for the next image.
    fn hear(&mut self) -> String {
        let mut line = Vec::new();
        let mut byte = [0];
        while rustix::io::read(&self.orders, &mut byte).unwrap_or(0) == 1 && byte != *b"\n" {
            line.push(byte[0]);
        }
        if line.is_empty() {
            phalanx_process::die_now(0);
        }
        String::from_utf8(line).unwrap()
    }

    fn exec(&self, image: impl FnOnce(&Obedient) -> ExecInPlace<'_>) -> Error {
        image(self)
            .env(GENERATION, (self.generation + 1).to_string())
            .keep("socket", self.orders.as_fd())
            .keep("old image", self.old_image.as_fd())
            .exec()
    }

    fn obey(&mut self) {
        let answer = match self.hear().as_str() {
            "descriptors" => std::fs::read_dir("/proc/self/fd").unwrap().count().to_string(),
            "variables" => {
                // Those of whoever runs the tests, such as PHALANX_PHOTOS, are no business of ours.
                let ours = |name: &str| name == "PHALANX_ROLE" || name == "PHALANX_STATE";
                std::env::vars().find(|(name, _)| ours(name)).map_or("none".into(), |(name, _)| name)
            }
            "spawn" => {
                let child = Role::new("sleeper").spawn().unwrap();
                // SAFETY: the test's own environment; the other thread only sleeps.
                unsafe { std::env::set_var(CHILD, child.pid().to_string()) };
                child.pid().to_string()
            }
            order @ ("kill adopted" | "wait adopted") => {
                match Process::adopt(std::env::var(CHILD).unwrap().parse().unwrap()) {
                    Err(error) => error.to_string(),
                    Ok(child) => {
                        if order == "kill adopted" {
                            assert!(child.kill(Signal::Terminate).unwrap());
                        }
                        format!("{:?}", wait(&child)).trim_start_matches("Some(").to_owned()
                    }
                }
            }
            "end child and exec" => {
                let child = Process::adopt(std::env::var(CHILD).unwrap().parse().unwrap()).unwrap();
                child.kill(Signal::Kill).unwrap();
                poll(&mut [PollFd::new(&child, PollFlags::IN)], None).unwrap();
                drop(child);
                self.exec(|_| ExecInPlace::new(upgrade::image_on_disk().unwrap())).to_string()
            }
            "close-on-exec" => {
                rustix::io::fcntl_getfd(&self.orders).unwrap().contains(rustix::io::FdFlags::CLOEXEC).to_string()
            }
            "file" => std::fs::read_link("/proc/self/exe").unwrap().display().to_string(),
            "name" => std::fs::read_to_string("/proc/self/comm").unwrap().trim_end().to_owned(),
            "exec nothing" => self.exec(|_| ExecInPlace::new(Path::new("/nowhere/to/be/found"))).to_string(),
            "exec kept" => self.exec(|image| ExecInPlace::new(image.old_image.as_fd())).to_string(),
            "exec in thread" => std::thread::scope(|scope| {
                scope.spawn(|| ExecInPlace::new(Path::new("/bin/true")).exec().to_string()).join()
            })
            .unwrap(),
            "exec" => self.exec(|_| ExecInPlace::new(upgrade::image_on_disk().unwrap())).to_string(),
            order => {
                let file = PathBuf::from(order.strip_prefix("exec ").expect("an order"));
                self.exec(|_| ExecInPlace::new(file)).to_string()
            }
        };
        self.say(&answer);
    }
}

fn wait(child: &Process) -> ExitStatus {
    let deadline = rustix::event::Timespec { tv_sec: DEADLINE.as_secs() as i64, tv_nsec: 0 };
    let ended = poll(&mut [PollFd::new(child, PollFlags::IN)], Some(&deadline)).unwrap();
    assert_eq!(ended, 1, "child {} did not end", child.pid());
    child.try_wait().unwrap().unwrap()
}

fn sleeper() {
    let _role = take_role("sleeper");
    loop {
        std::thread::park();
    }
}
