//! What a channel writes into its socket, recorded.

use std::io::{IoSliceMut, Read};
use std::mem::MaybeUninit;
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::time::Duration;

use phalanx_channel::{Attachments, Channel, End};
use phalanx_fuzz::channel::{Question, RUNTIME};
use phalanx_fuzz::{Carried, Script, Step};

/// More than goes through the socket itself: the announcement of the arena and its pieces are in the record.
const LARGE: usize = 200 * 1024;

pub fn seeds() -> Vec<Vec<u8>> {
    let small = record(async |channel| {
        for question in
            [Question::Nothing, Question::Number(7, -1, 0.5), Question::Text("text".into()), Question::new()]
        {
            channel.send(&question).await.expect("it is sent");
        }
    });
    let asked = record(async |channel| {
        // Nobody answers: what counts is what was written.
        let _ = channel.request(&Question::new(), Duration::from_millis(10)).await;
        let _ = channel.send_acked(&Question::new(), Duration::from_millis(10)).await;
    });
    let payload = record(async |channel| {
        channel.send_with(&Question::Nothing, Attachments::payload(&[7; 300])).await.expect("it is sent");
    });
    let large = record(async |channel| {
        channel.send_with(&Question::Nothing, Attachments::payload(&[7; LARGE])).await.expect("it is sent");
    });
    let mut seeds = Vec::new();
    for mode in [0, 1, 2, 5] {
        for stream in [&small, &asked, &payload] {
            seeds.push(seed(mode, &[], stream));
            seeds.push(seed(mode, &[Step { length: 5, carried: Carried::Nothing }; 40], stream));
            seeds.push(seed(mode, &[Step { length: 16, carried: Carried::TwoPipes }], stream));
        }
        seeds.push(seed(mode, &[Step { length: 1, carried: Carried::Arena }], &large));
        seeds.push(seed(mode, &[Step { length: 16, carried: Carried::Most }], &large));
    }
    seeds
}

fn seed(mode: u8, steps: &[Step], stream: &[u8]) -> Vec<u8> {
    [vec![mode], Script::write(steps, stream)].concat()
}

/// The bytes that reach the socket while `talk` uses a channel over it.
fn record(talk: impl AsyncFnOnce(&Channel<Question, Question>)) -> Vec<u8> {
    let (ours, theirs) = UnixStream::pair().expect("a socket pair can be made");
    RUNTIME.with(|runtime| {
        runtime.block_on(async {
            let end = End::from_descriptor(OwnedFd::from(ours)).expect("a socket is an end");
            let channel = end.open().expect("it can be opened");
            talk(&channel).await;
            let _ = channel.close(Duration::from_millis(100)).await;
        });
    });
    read_all(theirs)
}

/// Reads to the end. Descriptors that come along are closed.
fn read_all(mut socket: UnixStream) -> Vec<u8> {
    let mut bytes = Vec::new();
    let mut buffer = vec![0; 64 * 1024];
    loop {
        let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(8))];
        let mut ancillary = rustix::net::RecvAncillaryBuffer::new(&mut space);
        let flags = rustix::net::RecvFlags::CMSG_CLOEXEC;
        match rustix::net::recvmsg(&socket, &mut [IoSliceMut::new(&mut buffer)], &mut ancillary, flags) {
            Ok(received) if received.bytes > 0 => bytes.extend(&buffer[..received.bytes]),
            Ok(_) => break,
            Err(rustix::io::Errno::CONNRESET) => {
                let _ = socket.read_to_end(&mut bytes);
                break;
            }
            Err(error) => panic!("cannot read the record: {error}"),
        }
    }
    bytes
}
