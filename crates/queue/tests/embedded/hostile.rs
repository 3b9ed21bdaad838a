//! Clients that lie, stammer, are silent, or do not listen.

use std::io::Write;

use phalanx_queue::JobId;
use phalanx_queue::embedded::words::{Request, ToClient, ToOwner, VERSION};
use phalanx_queue::job::JobFilter;
use rustix::process::Signal;

use crate::Test;
use crate::process::{Place, Running, Watched, until};

use crate::raw::Raw;

pub(crate) const TESTS: &[Test] = &[
    ("garbage closes its connection, and no other", garbage),
    ("a frame that announces too much closes its connection", huge),
    ("a frame may come byte by byte, and half a frame is nothing", halves),
    ("words in the wrong order close the connection", order),
    ("who speaks another version is told ours, and closed", version),
    ("who never reads the answers is not read any more, and holds up nobody", deaf),
    ("without descriptors clients wait, and the owner lives", no_descriptors),
];

/// An owner with an honest client, which is asked at the end.
fn honest(place: &Place) -> Running {
    let mut client = Running::start("submit", &place.url());
    client.says("took");
    client
}

fn goes_on(place: &Place, client: &mut Running, owner: u32) {
    client.says("took");
    client.says("took");
    assert_eq!(place.owner(), Some(owner), "{}", place.log());
}

fn garbage() {
    let place = Place::new();
    let mut client = honest(&place);
    let owner = place.owned();
    for seed in 0..50_u32 {
        let mut raw = if seed % 2 == 0 { Raw::connect(&place) } else { Raw::introduced(&place) };
        let byte = |n: u32| {
            ((n + seed * 200).wrapping_mul(2_654_435_761).rotate_left(13).wrapping_mul(0x9e37_79b1) >> 24) as u8
        };
        let bytes: Vec<u8> = (0..200).map(byte).collect();
        let frame = [&(bytes.len() as u32).to_le_bytes()[..], &bytes].concat();
        raw.0.write_all(&frame).unwrap();
        raw.is_closed();
    }
    goes_on(&place, &mut client, owner);
    assert!(place.log().contains("cannot be understood"), "{}", place.log());
}

fn huge() {
    let place = Place::new();
    let mut client = honest(&place);
    let owner = place.owned();
    let mut raw = Raw::introduced(&place);
    raw.0.write_all(&u32::MAX.to_le_bytes()).unwrap();
    raw.is_closed();
    goes_on(&place, &mut client, owner);
    assert!(place.log().contains("announced a frame of 4294967295 bytes"), "{}", place.log());
}

fn halves() {
    let place = Place::new();
    let mut client = honest(&place);
    let owner = place.owned();
    let mut raw = Raw::connect(&place);
    let hello = Raw::frame(&ToOwner::Hello { version: VERSION, client: JobId::new(), holds: Vec::new() });
    let stats = Raw::frame(&ToOwner::Ask { ask: 7, request: Request::Stats(None) });
    for byte in hello.iter().chain(&stats) {
        raw.0.write_all(&[*byte]).unwrap();
    }
    assert!(matches!(raw.hears(), Some(ToClient::Hello { .. })));
    assert!(matches!(raw.hears(), Some(ToClient::Answer { ask: 7, .. })));
    raw.0.write_all(&stats[..stats.len() - 1]).unwrap();
    drop(raw);
    goes_on(&place, &mut client, owner);
}

fn order() {
    let place = Place::new();
    let mut client = honest(&place);
    let owner = place.owned();
    let mut first = Raw::connect(&place);
    first.ask(1, Request::Stats(None));
    first.is_closed();
    let mut twice = Raw::introduced(&place);
    twice.say(&ToOwner::Hello { version: VERSION, client: JobId::new(), holds: Vec::new() });
    twice.is_closed();
    goes_on(&place, &mut client, owner);
}

fn version() {
    let place = Place::new();
    let mut client = honest(&place);
    let owner = place.owned();
    // A hello of a later version: its first two numbers, and then something that nobody here knows.
    let mut raw = Raw::connect(&place);
    let hello = postcard::to_stdvec(&(0_u32, VERSION + 1, "what comes later")).unwrap();
    raw.0.write_all(&[&(hello.len() as u32).to_le_bytes()[..], &hello].concat()).unwrap();
    assert!(matches!(raw.hears(), Some(ToClient::Hello { version: VERSION, .. })));
    raw.is_closed();
    goes_on(&place, &mut client, owner);
}

fn deaf() {
    let place = Place::new();
    let mut client = honest(&place);
    let owner = place.owned();
    // So that an answer is much longer than its question.
    (0..100).for_each(|_| drop(client.says("took")));
    let mut raw = Raw::introduced(&place);
    raw.0.set_nonblocking(true).unwrap();
    let list = Raw::frame(&ToOwner::Ask { ask: 7, request: Request::List(JobFilter::default()) });
    // The answers fill their buffers, then the questions theirs; and it stays so.
    let (mut full, mut written) = (0, 0);
    while full < 10 {
        match raw.0.write(&list[written..]) {
            Ok(count) => (full, written) = (0, (written + count) % list.len()),
            Err(_) => {
                full += 1;
                goes_on(&place, &mut client, owner);
            }
        }
    }
    // Whoever reads again is read again.
    raw.0.set_nonblocking(false).unwrap();
    assert!((0..1000).all(|_| matches!(raw.hears(), Some(ToClient::Answer { ask: 7, reply: Ok(_) }))));
}

fn no_descriptors() {
    let place = Place::new();
    // Room for a store, and for few clients.
    let owner = Running::start("owner", &place.url());
    let owner_pid = Watched::of(until("an owner", || place.owner().filter(|pid| *pid == owner.pid())));
    let (_running, owner) = (owner, owner_pid);
    let limit = rustix::process::Rlimit { current: Some(40), maximum: Some(40) };
    let pid = rustix::process::Pid::from_raw(owner.pid as i32);
    rustix::process::prlimit(pid, rustix::process::Resource::Nofile, limit).unwrap();
    let mut client = honest(&place);
    let crowd: Vec<Raw> = (0..60).map(|_| Raw::connect(&place)).collect();
    client.says("took");
    client.says("took");
    drop(crowd);
    let mut late = honest(&place);
    late.says("took");
    assert!(owner.lives());
    owner.signal(Signal::TERM);
    owner.ends();
}
