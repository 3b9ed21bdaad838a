//! The lane: small messages that cross in shared memory once two ends talk much.

#![allow(clippy::unwrap_used)]

use std::fs::File;
use std::io::{Read, Write};
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use phalanx_channel::{Attachments, Channel, DescriptorPolicy, End, Error, Options};
use phalanx_shared::{RingSender, Segment};
use std::sync::atomic::{AtomicU64, Ordering};

const DEADLINE: Duration = Duration::from_secs(20);
/// More messages than it takes until there is a lane.
const WARM_UP: u64 = 100;
/// Tells this program's second process which part it plays.
const ROLE: &str = "PHALANX_TEST_LANE_ROLE";

type Numbers = Channel<u64, u64>;

/// Runs one end, with a deadline. Each end has a thread and a runtime of its own, so that both are awake at once.
fn run<T>(end: impl Future<Output = T>) -> T {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async { tokio::time::timeout(DEADLINE, end).await.expect("the test took too long") })
}

/// Answers every number with itself, until the end.
async fn echo(channel: &Numbers) {
    while let Some(message) = channel.recv().await.unwrap() {
        channel.send(&message.value).await.unwrap();
    }
}

async fn warm_up(channel: &Numbers) {
    for n in 0..WARM_UP {
        channel.send(&n).await.unwrap();
        assert_eq!(channel.recv().await.unwrap().unwrap().value, n);
    }
}

fn open(end: End<u64, u64>) -> Numbers {
    end.open().unwrap()
}

#[test]
fn order_is_kept_however_often_the_stream_changes_its_way() {
    type Item = (u64, Vec<u8>);
    let (ours, theirs) = End::<Item, ()>::pair().unwrap();
    let sending = std::thread::spawn(move || {
        run(async {
            let ours = ours.open().unwrap();
            for n in 0..4000u64 {
                match n % 97 {
                    // Too large for the ring, a batch, a large payload, descriptors.
                    10 => ours.send(&(n, vec![n as u8; 40_000])).await.unwrap(),
                    20..30 => ours.feed(&(n, vec![n as u8; 3_000])).await.unwrap(),
                    40 => {
                        let payload = vec![n as u8; 200_000];
                        ours.send_with(&(n, Vec::new()), Attachments::payload(&payload)).await.unwrap();
                    }
                    50 | 51 => {
                        let file = File::open("/proc/self/exe").unwrap();
                        ours.send_with(&(n, Vec::new()), Attachments::none().descriptor(file)).await.unwrap();
                    }
                    60 => while matches!(ours.try_send(&(n, Vec::new())), Err(Error::Full)) {},
                    _ => ours.send(&(n, vec![n as u8; 30])).await.unwrap(),
                }
            }
            ours.close(DEADLINE).await.unwrap();
        });
    });
    run(async {
        let theirs = theirs.open_with(Options::default().descriptors(DescriptorPolicy::Accept)).unwrap();
        let mut expected = 0;
        while let Some(message) = theirs.recv().await.unwrap() {
            let (n, body) = message.value;
            assert_eq!(n, expected);
            assert!(body.iter().chain(&message.payload).all(|byte| *byte == n as u8));
            assert_eq!(message.descriptors.len(), usize::from(matches!(n % 97, 50 | 51)));
            expected += 1;
        }
        assert_eq!(expected, 4000);
    });
    sending.join().unwrap();
}

#[test]
fn a_receiver_that_sleeps_is_woken() {
    let (ours, theirs) = End::<u64, u64>::pair().unwrap();
    let echoing = std::thread::spawn(move || run(async { echo(&open(theirs)).await }));
    run(async {
        let ours = open(ours);
        warm_up(&ours).await;
        for n in 0..200 {
            // Longer than anybody spins.
            tokio::time::sleep(Duration::from_millis(1)).await;
            ours.send(&n).await.unwrap();
            assert_eq!(ours.recv().await.unwrap().unwrap().value, n);
        }
    });
    echoing.join().unwrap();
}

#[test]
fn a_sender_learns_that_the_receiver_is_gone() {
    let (ours, theirs) = End::<u64, u64>::pair().unwrap();
    let (gone, is_gone) = std::sync::mpsc::channel();
    let echoing = std::thread::spawn(move || {
        run(async {
            let theirs = open(theirs);
            for _ in 0..WARM_UP {
                let message = theirs.recv().await.unwrap().unwrap();
                theirs.send(&message.value).await.unwrap();
            }
        });
        gone.send(()).unwrap();
    });
    run(async {
        let ours = open(ours);
        warm_up(&ours).await;
        is_gone.recv().unwrap();
        let error = ours.send(&0).await.unwrap_err();
        assert!(matches!(error, Error::Closed), "{error}");
        assert!(ours.recv().await.unwrap().is_none());
    });
    echoing.join().unwrap();
}

/// Starts this program again as `role`, with a channel.
fn second_process(role: &str) -> (Child, End<u64, u64>) {
    let (ours, theirs) = End::<u64, u64>::pair().unwrap();
    let theirs = theirs.into_descriptor();
    rustix::io::fcntl_setfd(&theirs, rustix::io::FdFlags::empty()).unwrap();
    let child = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "the_second_process", "--nocapture"])
        .env(ROLE, format!("{role} {}", theirs.as_raw_fd()))
        .stdout(Stdio::null())
        .spawn()
        .unwrap();
    (child, ours)
}

/// No test of its own: what [`second_process`] starts.
#[test]
fn the_second_process() {
    let Ok(role) = std::env::var(ROLE) else { return };
    let (role, descriptor) = role.rsplit_once(' ').unwrap();
    // SAFETY: the parent left this descriptor to us, and nothing else here owns it.
    let descriptor = unsafe { OwnedFd::from_raw_fd(descriptor.parse().unwrap()) };
    let die = || rustix::process::kill_process(rustix::process::getpid(), rustix::process::Signal::KILL).unwrap();
    run(async {
        let channel = open(End::from_descriptor(descriptor).unwrap());
        match role {
            "sends and dies" => {
                for n in 0..WARM_UP {
                    assert_eq!(channel.recv().await.unwrap().unwrap().value, n);
                    channel.send(&n).await.unwrap();
                }
                for n in 0..1000 {
                    channel.send(&n).await.unwrap();
                }
            }
            "echoes" => echo(&channel).await,
            "has no descriptor left" => {
                let mut limit = rustix::process::getrlimit(rustix::process::Resource::Nofile);
                limit.current = Some(64);
                rustix::process::setrlimit(rustix::process::Resource::Nofile, limit).unwrap();
                let full: Vec<File> = std::iter::from_fn(|| File::open("/dev/null").ok()).collect();
                assert!(!full.is_empty());
                std::mem::forget(full);
                echo(&channel).await;
            }
            _ => {
                for _ in 0..WARM_UP {
                    let message = channel.recv().await.unwrap().unwrap();
                    channel.send(&message.value).await.unwrap();
                }
            }
        }
        die();
    });
}

#[test]
fn a_few_messages_need_no_ring_and_many_get_one_for_each_direction() {
    let (mut child, ours) = second_process("echoes");
    let rings = || {
        let maps = std::fs::read_to_string(format!("/proc/{}/maps", child.id())).unwrap();
        maps.lines().filter(|line| line.contains("phalanx-ring")).count()
    };
    run(async {
        let ours = open(ours);
        ours.send(&1).await.unwrap();
        ours.recv().await.unwrap().unwrap();
        assert_eq!(rings(), 0);
        warm_up(&ours).await;
        assert_eq!(rings(), 2);
        ours.close(DEADLINE).await.unwrap();
    });
    child.wait().unwrap();
}

#[test]
fn what_a_killed_process_has_sent_is_received_and_then_the_end() {
    let (mut child, ours) = second_process("sends and dies");
    run(async {
        let ours = open(ours);
        warm_up(&ours).await;
        child.wait().unwrap();
        for n in 0..1000 {
            assert_eq!(ours.recv().await.unwrap().map(|message| message.value), Some(n));
        }
        assert!(ours.recv().await.unwrap().is_none());
    });
}

#[test]
fn a_sender_learns_that_the_receiver_was_killed_at_the_second_message_at_the_latest() {
    let (mut child, ours) = second_process("receives and dies");
    run(async {
        let ours = open(ours);
        warm_up(&ours).await;
        child.wait().unwrap();
        // It had no time to leave word: what is sent first lies there unread.
        let _ = ours.send(&1).await;
        assert!(matches!(ours.send(&2).await, Err(Error::Closed)));
        assert!(ours.recv().await.unwrap().is_none());
    });
}

/// Layout of a frame: see `frame.rs`.
fn frame(kind: u8, descriptors: u8) -> [u8; 16] {
    let mut bytes = [0; 16];
    bytes[12..].copy_from_slice(&[kind, 0, descriptors, 1]);
    bytes
}

const LANE: u8 = 9;
const ON_LANE: u8 = 10;
const ON_SOCKET: u8 = 11;

fn give(socket: &UnixStream, bytes: &[u8], descriptor: Option<OwnedFd>) {
    use rustix::net::{SendAncillaryBuffer, SendAncillaryMessage, SendFlags, sendmsg};
    use std::os::fd::AsFd;
    let mut space = [std::mem::MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
    let mut ancillary = SendAncillaryBuffer::new(&mut space);
    let borrowed: Vec<_> = descriptor.iter().map(AsFd::as_fd).collect();
    if !borrowed.is_empty() {
        ancillary.push(SendAncillaryMessage::ScmRights(&borrowed));
    }
    sendmsg(socket, &[std::io::IoSlice::new(bytes)], &mut ancillary, SendFlags::empty()).unwrap();
}

/// What a channel says to a peer that does `mischief`.
fn told(mischief: impl FnOnce(&mut UnixStream)) -> Error {
    let (ours, mut theirs) = UnixStream::pair().unwrap();
    mischief(&mut theirs);
    run(async {
        let channel = open(End::from_descriptor(ours.into()).unwrap());
        let error = channel.recv().await.unwrap_err();
        assert!(channel.recv().await.unwrap().is_none(), "after the error comes the end");
        error
    })
}

#[test]
fn a_peer_that_lies_about_its_ring_gets_an_error_and_nothing_worse() {
    let ring = || RingSender::create(64 * 1024).unwrap().descriptor().unwrap();
    let spoilt = |at: usize, value: u64| {
        let descriptor = ring();
        let segment = Segment::map(descriptor.try_clone().unwrap()).unwrap();
        segment.words::<AtomicU64>()[at].store(value, Ordering::SeqCst);
        descriptor
    };
    let plain = || File::open("/proc/self/exe").unwrap().into();
    for (name, descriptor) in [
        ("a plain file", plain()),
        ("another mark", spoilt(0, 1)),
        ("a position out of reach", spoilt(16, u64::MAX - 7)),
        ("a crooked position", spoilt(16, 3)),
    ] {
        let error = told(|socket| give(socket, &[frame(LANE, 1), frame(ON_LANE, 0)].concat(), Some(descriptor)));
        assert!(matches!(error, Error::Malformed(_)), "{name}: {error}");
    }
    for (name, frames, descriptor) in [
        ("no ring at all", vec![frame(ON_LANE, 0)], None),
        ("two rings", vec![frame(LANE, 1), frame(LANE, 0)], Some(ring())),
        ("back without having left", vec![frame(ON_SOCKET, 0)], None),
    ] {
        let error = told(|socket| give(socket, &frames.concat(), descriptor));
        assert!(matches!(error, Error::Malformed(_)), "{name}: {error}");
    }
}

#[test]
fn what_comes_beside_the_lane_is_an_error() {
    let error = told(|socket| {
        let ring = RingSender::create(64 * 1024).unwrap().descriptor().unwrap();
        give(socket, &[frame(LANE, 1), frame(ON_LANE, 0)].concat(), Some(ring));
        socket.write_all(&frame(5, 0)).unwrap();
    });
    assert!(matches!(error, Error::Malformed(_)), "{error}");
}

#[test]
fn a_flood_of_bells_costs_nothing() {
    let (ours, mut theirs) = UnixStream::pair().unwrap();
    let mut ring = RingSender::create(64 * 1024).unwrap();
    give(&theirs, &[frame(LANE, 1), frame(ON_LANE, 0)].concat(), Some(ring.descriptor().unwrap()));
    let ringing = std::thread::spawn(move || {
        for _ in 0..20_000 {
            theirs.write_all(&frame(12, 0)).unwrap();
        }
        // Then one message: kind 1 with the number 7.
        let mut message = frame(1, 0).to_vec();
        message[0] = 1;
        message.push(7);
        ring.try_send(&message).unwrap();
        theirs.write_all(&frame(12, 0)).unwrap();
        theirs.shutdown(std::net::Shutdown::Write).unwrap();
        let _ = theirs.read(&mut [0; 64]);
    });
    run(async {
        let channel = open(End::from_descriptor(ours.into()).unwrap());
        assert_eq!(channel.recv().await.unwrap().unwrap().value, 7);
        assert!(channel.recv().await.unwrap().is_none());
    });
    ringing.join().unwrap();
}

#[test]
fn a_process_without_a_descriptor_left_gets_its_messages_all_the_same() {
    let (mut child, ours) = second_process("has no descriptor left");
    run(async {
        let ours = open(ours);
        warm_up(&ours).await;
        warm_up(&ours).await;
        let maps = std::fs::read_to_string(format!("/proc/{}/maps", child.id())).unwrap();
        assert!(!maps.contains("phalanx-ring"), "it had room for a ring");
        ours.close(DEADLINE).await.unwrap();
    });
    child.wait().unwrap();
}
