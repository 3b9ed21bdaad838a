//! The channel against a socket that does as it likes: what Node does only now and then, or never.

use std::fs::File;
use std::io::IoSlice;
use std::mem::MaybeUninit;
use std::net::{TcpListener, UdpSocket};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::time::Duration;

use phalanx_channel::node::{
    Error, Handle, InternalMessages, NodeChannel, Options, Serialization, Value, advanced, json,
};
use rustix::net::{SendAncillaryBuffer, SendAncillaryMessage, SendFlags};
use serde::{Deserialize, Serialize};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::UnixStream;

use crate::peers::{BOTH, encode, pair, within};

/// The peer: a bare socket, and what it has received.
struct Peer {
    socket: UnixStream,
    serialization: Serialization,
    json: json::Decoder,
    advanced: advanced::Decoder,
}

fn connect(serialization: Serialization, options: Options) -> (NodeChannel, Peer) {
    let (ours, theirs) = pair();
    let theirs = std::os::unix::net::UnixStream::from(theirs);
    theirs.set_nonblocking(true).unwrap();
    let peer = Peer {
        socket: UnixStream::from_std(theirs).unwrap(),
        serialization,
        json: json::Decoder::new(1 << 20),
        advanced: advanced::Decoder::new(1 << 20),
    };
    (NodeChannel::open_with(ours, serialization, options).unwrap(), peer)
}

fn json_pair() -> (NodeChannel, Peer) {
    connect(Serialization::Json, Options::new())
}

impl Peer {
    async fn write(&mut self, bytes: &[u8]) {
        within(self.socket.write_all(bytes)).await.unwrap();
    }

    async fn send(&mut self, message: &Value) {
        let bytes = encode(self.serialization, message);
        self.write(&bytes).await;
    }

    /// Bytes with descriptors.
    async fn write_with(&mut self, bytes: &[u8], descriptors: &[BorrowedFd<'_>]) {
        within(self.socket.writable()).await.unwrap();
        let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(8))];
        let mut ancillary = SendAncillaryBuffer::new(&mut space);
        ancillary.push(SendAncillaryMessage::ScmRights(descriptors));
        let sent = rustix::net::sendmsg(&self.socket, &[IoSlice::new(bytes)], &mut ancillary, SendFlags::NOSIGNAL);
        assert_eq!(sent, Ok(bytes.len()));
    }

    fn take(&mut self) -> Option<Value> {
        match self.serialization {
            Serialization::Json => self.json.take().unwrap(),
            Serialization::Advanced => self.advanced.take().unwrap(),
        }
    }

    /// The next message; nothing at the end. Descriptors are not looked at.
    async fn recv(&mut self) -> Option<Value> {
        loop {
            if let Some(value) = self.take() {
                return Some(value);
            }
            let mut bytes = [0; 4096];
            match within(self.socket.read(&mut bytes)).await {
                Ok(0) | Err(_) => return None,
                Ok(count) => match self.serialization {
                    Serialization::Json => self.json.push(&bytes[..count]),
                    Serialization::Advanced => self.advanced.push(&bytes[..count]),
                },
            }
        }
    }

    /// Has it received nothing more than what was taken? The answer to a question of our own comes after everything that was
    /// sent before it.
    async fn recv_up_to_answer(&mut self) -> Vec<Value> {
        self.send(&Value::object([("cmd", "NODE_SOCKET_GET_COUNT"), ("key", "mark")])).await;
        let mut seen = Vec::new();
        loop {
            let message = self.recv().await.expect("the answer");
            if message.get("cmd") == Some(&"NODE_SOCKET_COUNT".into()) {
                return seen;
            }
            seen.push(message);
        }
    }
}

fn command(name: &str) -> Value {
    Value::object([("cmd", name)])
}

fn handle_message(name: &str, message: Value) -> Value {
    Value::object([("cmd", "NODE_HANDLE".into()), ("type", name.into()), ("msg", message)])
}

async fn recv(channel: &NodeChannel) -> Value {
    within(channel.recv()).await.unwrap().expect("a message").value
}

#[tokio::test]
async fn killed_between_any_two_bytes_gives_the_whole_messages_and_then_the_end() {
    for serialization in BOTH {
        let message = Value::object([("a", "é€😀"), ("b", "\n")]);
        let one = encode(serialization, &message);
        let bytes = [&one[..], &one[..]].concat();
        for cut in 0..=bytes.len() {
            let (channel, mut peer) = connect(serialization, Options::new());
            peer.write(&bytes[..cut]).await;
            drop(peer);
            for _ in 0..cut / one.len() {
                assert_eq!(recv(&channel).await, message);
            }
            assert!(within(channel.recv()).await.unwrap().is_none(), "cut at {cut}");
        }
    }
}

#[tokio::test]
async fn a_reset_is_the_end_and_comes_after_everything_that_was_written() {
    for serialization in BOTH {
        let (channel, mut peer) = connect(serialization, Options::new());
        within(channel.send(&"never read".into())).await.unwrap();
        for n in 0..100 {
            peer.send(&n.into()).await;
        }
        drop(peer); // with something unread: the kernel reports a reset
        for n in 0..100 {
            assert_eq!(recv(&channel).await, n.into());
        }
        assert!(within(channel.recv()).await.unwrap().is_none());
        assert!(matches!(within(channel.send(&1.into())).await, Err(Error::Closed)));
    }
}

#[tokio::test]
async fn a_blank_or_broken_line_is_an_error_and_the_channel_goes_on() {
    let (channel, mut peer) = json_pair();
    peer.write(b"\n{\n\"NODE_\n{\"cmd\":\"NODE_HANDLE\n7\n").await;
    for _ in 0..4 {
        assert!(matches!(within(channel.recv()).await, Err(Error::Malformed(_))));
    }
    assert_eq!(recv(&channel).await, 7.into());
}

#[tokio::test]
async fn a_message_of_another_type_is_an_error_and_the_channel_goes_on() {
    for serialization in BOTH {
        let (ours, theirs) = pair();
        let typed: NodeChannel<u8, Vec<u8>> = NodeChannel::open(ours, serialization).unwrap();
        let any: NodeChannel = NodeChannel::open(theirs, serialization).unwrap();
        any.send(&"text".into()).await.unwrap();
        any.send(&vec![Value::from(1), 2.into()].into()).await.unwrap();
        assert!(matches!(within(typed.recv()).await, Err(Error::Unexpected(_))));
        assert_eq!(within(typed.recv()).await.unwrap().unwrap().value, [1, 2]);
    }
}

#[tokio::test]
async fn a_message_beyond_the_limit_ends_the_channel_and_is_not_sent_either() {
    for serialization in BOTH {
        let (channel, mut peer) = connect(serialization, Options::new().largest_message(100));
        let large = Value::String("x".repeat(200));
        assert!(matches!(channel.send(&large).await, Err(Error::TooLarge { limit: 100, .. })));
        peer.send(&large).await;
        assert!(matches!(within(channel.recv()).await, Err(Error::TooLarge { limit: 100, .. })));
        assert!(within(channel.recv()).await.unwrap().is_none());
        assert!(peer.recv().await.is_none());
    }
}

#[tokio::test]
async fn what_node_would_not_give_to_its_program_is_not_sent() {
    #[derive(Serialize, Deserialize)]
    struct Looks {
        cmd: String,
    }
    for serialization in BOTH {
        let (ours, theirs) = pair();
        let channel: NodeChannel<Looks> = NodeChannel::open(ours, serialization).unwrap();
        let any: NodeChannel = NodeChannel::open(theirs, serialization).unwrap();
        let internal = Looks { cmd: "NODE_FOO".into() };
        assert!(matches!(channel.send(&internal).await, Err(Error::Reserved(_))));
        assert!(matches!(channel.try_send(&internal), Err(Error::Reserved(_))));
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        assert!(matches!(channel.send_handle(&internal, listener.into()).await, Err(Error::Reserved(_))));
        assert!(matches!(any.send(&command("NODE_HANDLE_ACK")).await, Err(Error::Reserved(_))));
        assert!(matches!(any.send_internal(&command("NODE_HANDLE_ACK"), None).await, Err(Error::Reserved(_))));
        assert!(matches!(any.send(&Value::Undefined).await, Err(Error::Encode(_))));
        // Exactly the prefix is a message like any other.
        any.send(&command("NODE_")).await.unwrap();
        assert_eq!(within(channel.recv()).await.unwrap().unwrap().value, command("NODE_"));
    }
}

#[tokio::test]
async fn internal_messages_are_dropped_unless_they_are_wanted() {
    for serialization in BOTH {
        let (channel, mut peer) = connect(serialization, Options::new());
        peer.send(&command("NODE_CLUSTER")).await;
        peer.send(&1.into()).await;
        assert_eq!(recv(&channel).await, 1.into());

        let options = Options::new().internal_messages(InternalMessages::Deliver);
        let (channel, mut peer) = connect(serialization, options);
        peer.send(&command("NODE_CLUSTER")).await;
        assert_eq!(recv(&channel).await, command("NODE_CLUSTER"));
        within(channel.send_internal(&command("NODE_CLUSTER"), None)).await.unwrap();
        assert_eq!(peer.recv().await, Some(command("NODE_CLUSTER")));
    }
}

#[tokio::test]
async fn nothing_is_sent_after_a_handle_until_it_is_confirmed() {
    for serialization in BOTH {
        let (channel, mut peer) = connect(serialization, Options::new());
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let first = tokio::spawn({
            let channel = channel.clone();
            async move { channel.send_handle(&"first".into(), listener.into()).await }
        });
        assert_eq!(peer.recv().await, Some(handle_message("net.Server", "first".into())));
        channel.try_send(&"second".into()).unwrap();
        // Answers to handles are not messages: they are sent although the queue stands still.
        let file = File::open("/dev/null").unwrap();
        let theirs = encode(serialization, &handle_message("net.Native", "theirs".into()));
        peer.write_with(&theirs, &[file.as_fd()]).await;
        assert_eq!(peer.recv().await, Some(command("NODE_HANDLE_ACK")));
        assert!(!first.is_finished());
        peer.send(&command("NODE_HANDLE_ACK")).await;
        assert_eq!(peer.recv().await, Some("second".into()));
        within(first).await.unwrap().unwrap();
    }
}

#[tokio::test]
async fn a_handle_that_is_never_confirmed_is_an_error_and_the_rest_goes_on() {
    let (channel, mut peer) = connect(Serialization::Json, Options::new().handle_deadline(Duration::from_millis(50)));
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let again = listener.try_clone().unwrap();
    let sent = within(channel.send_handle(&1.into(), listener.into())).await;
    assert!(matches!(sent, Err(Error::NotAcknowledged { .. })), "{sent:?}");
    within(channel.send(&2.into())).await.unwrap();
    assert_eq!(peer.recv().await, Some(handle_message("net.Server", 1.into())));
    assert_eq!(peer.recv().await, Some(2.into()));
    // The late answer is not taken for that to the next handle.
    peer.send(&command("NODE_HANDLE_ACK")).await;
    let sent = within(channel.send_handle(&3.into(), again.into())).await;
    assert!(matches!(sent, Err(Error::NotAcknowledged { .. })), "{sent:?}");
}

#[tokio::test]
async fn a_handle_that_did_not_arrive_is_sent_again_three_times() {
    for serialization in BOTH {
        let (channel, mut peer) = connect(serialization, Options::new());
        let (a, _b) = std::os::unix::net::UnixStream::pair().unwrap();
        let sent = tokio::spawn({
            let channel = channel.clone();
            async move { channel.send_handle(&1.into(), a.into()).await }
        });
        for _ in 0..4 {
            assert_eq!(peer.recv().await, Some(handle_message("net.Socket", 1.into())));
            peer.send(&command("NODE_HANDLE_NACK")).await;
        }
        assert!(matches!(within(sent).await.unwrap(), Err(Error::HandleLost { attempts: 4 })));
        within(channel.send(&2.into())).await.unwrap();
        assert_eq!(peer.recv().await, Some(2.into()));
    }
}

#[tokio::test]
async fn an_answer_that_nobody_asked_for_does_nothing() {
    let (channel, mut peer) = json_pair();
    peer.write(b"{\"cmd\":\"NODE_HANDLE_ACK\"}\n{\"cmd\":\"NODE_HANDLE_NACK\"}\n1\n").await;
    assert_eq!(recv(&channel).await, 1.into());
}

#[tokio::test]
async fn each_handle_is_answered_once_and_nothing_else_is() {
    for serialization in BOTH {
        let (channel, mut peer) = connect(serialization, Options::new());
        let udp = UdpSocket::bind("127.0.0.1:0").unwrap();
        let plain = encode(serialization, &"plain".into());
        let message = encode(serialization, &handle_message("dgram.Socket", 1.into()));
        // Wrapped once more, as Node sends it again: still one message on the wire.
        let wrapped = encode(serialization, &handle_message("net.Native", handle_message("dgram.Socket", 2.into())));
        peer.write(&plain).await;
        peer.write_with(&message, &[udp.as_fd()]).await;
        peer.write_with(&wrapped, &[udp.as_fd()]).await;
        peer.send(&command("NODE_FOO")).await;
        assert_eq!(recv(&channel).await, "plain".into());
        for n in [1, 2] {
            let incoming = within(channel.recv()).await.unwrap().unwrap();
            assert_eq!(incoming.value, n.into());
            let received = UdpSocket::try_from(incoming.handle.unwrap()).unwrap();
            assert_eq!(received.local_addr().unwrap(), udp.local_addr().unwrap());
            assert!(rustix::io::fcntl_getfd(&received).unwrap().contains(rustix::io::FdFlags::CLOEXEC));
        }
        assert_eq!(peer.recv_up_to_answer().await, [command("NODE_HANDLE_ACK"), command("NODE_HANDLE_ACK")]);
    }
}

#[tokio::test]
async fn a_handle_without_its_descriptor_is_denied() {
    for serialization in BOTH {
        let (channel, mut peer) = connect(serialization, Options::new());
        peer.send(&handle_message("net.Socket", 1.into())).await;
        assert_eq!(peer.recv_up_to_answer().await, [command("NODE_HANDLE_NACK")]);
        peer.send(&2.into()).await;
        assert_eq!(recv(&channel).await, 2.into());
    }
}

#[tokio::test]
async fn of_two_descriptors_at_once_the_second_is_closed_and_never_mistaken() {
    let (channel, mut peer) = json_pair();
    let (first, second) = (UdpSocket::bind("127.0.0.1:0").unwrap(), UdpSocket::bind("127.0.0.1:0").unwrap());
    let message = encode(Serialization::Json, &handle_message("dgram.Socket", 1.into()));
    let two = [&message[..], &message[..]].concat();
    peer.write_with(&two, &[first.as_fd(), second.as_fd()]).await;
    let incoming = within(channel.recv()).await.unwrap().unwrap();
    let received = UdpSocket::try_from(incoming.handle.unwrap()).unwrap();
    assert_eq!(received.local_addr().unwrap(), first.local_addr().unwrap());
    assert_eq!(peer.recv_up_to_answer().await, [command("NODE_HANDLE_ACK"), command("NODE_HANDLE_NACK")]);
    peer.write_with(&message, &[second.as_fd()]).await;
    let incoming = within(channel.recv()).await.unwrap().unwrap();
    let received = UdpSocket::try_from(incoming.handle.unwrap()).unwrap();
    assert_eq!(received.local_addr().unwrap(), second.local_addr().unwrap());
}

#[tokio::test]
async fn the_descriptor_may_come_with_any_byte_of_its_message() {
    let udp = UdpSocket::bind("127.0.0.1:0").unwrap();
    for serialization in BOTH {
        let before = encode(serialization, &0.into());
        let message = encode(serialization, &handle_message("dgram.Socket", 1.into()));
        for at in 0..message.len() {
            let (channel, mut peer) = connect(serialization, Options::new());
            peer.write(&[&before[..], &message[..at]].concat()).await;
            peer.write_with(&message[at..], &[udp.as_fd()]).await;
            assert_eq!(recv(&channel).await, 0.into());
            assert!(within(channel.recv()).await.unwrap().unwrap().handle.is_some(), "at byte {at}");
        }
    }
}

#[tokio::test]
async fn a_descriptor_with_a_message_without_a_handle_is_closed() {
    let (channel, mut peer) = json_pair();
    let (ours, theirs) = pair();
    peer.write_with(b"1\n", &[theirs.as_fd()]).await;
    drop(theirs);
    for n in 2..5 {
        assert_eq!(recv(&channel).await, (n - 1).into());
        peer.write(format!("{n}\n").as_bytes()).await;
    }
    assert_eq!(recv(&channel).await, 4.into());
    // The last copy is gone: its other end sees the end.
    let mut other = std::os::unix::net::UnixStream::from(ours);
    other.set_read_timeout(Some(Duration::from_secs(30))).unwrap();
    assert_eq!(std::io::Read::read(&mut other, &mut [0]).unwrap(), 0);
}

#[tokio::test]
async fn the_sender_of_counted_sockets_hears_when_the_last_is_closed() {
    for serialization in BOTH {
        let (channel, mut peer) = connect(serialization, Options::new());
        let (a, _b) = pair();
        let mut message = handle_message("net.Socket", 1.into());
        if let Value::Object(members) = &mut message {
            members.push(("key".into(), "4:127.0.0.1:0".into()));
        }
        let bytes = encode(serialization, &message);
        peer.write_with(&bytes, &[a.as_fd()]).await;
        let incoming = within(channel.recv()).await.unwrap().unwrap();
        assert_eq!(peer.recv().await, Some(command("NODE_HANDLE_ACK")));

        let ask = |name: &str| Value::object([("cmd", name), ("key", "4:127.0.0.1:0")]);
        peer.send(&ask("NODE_SOCKET_GET_COUNT")).await;
        let count = peer.recv().await.unwrap();
        assert_eq!(count.get("cmd"), Some(&"NODE_SOCKET_COUNT".into()));
        assert_eq!(count.get("count"), Some(&1.into()));
        peer.send(&ask("NODE_SOCKET_NOTIFY_CLOSE")).await;
        assert_eq!(peer.recv_up_to_answer().await, []);
        drop(incoming);
        assert_eq!(peer.recv().await, Some(ask("NODE_SOCKET_ALL_CLOSED")));
        peer.send(&ask("NODE_SOCKET_NOTIFY_CLOSE")).await;
        assert_eq!(peer.recv().await, Some(ask("NODE_SOCKET_ALL_CLOSED")));
    }
}

#[tokio::test]
async fn a_peer_that_does_not_read_costs_bounded_memory_and_the_send_ends_in_time() {
    for serialization in BOTH {
        let options = Options::new().queued_bytes(100_000).send_deadline(Duration::from_millis(50));
        let (channel, mut peer) = connect(serialization, options);
        let message = Value::String("x".repeat(1000));
        let sent = (0..10_000).take_while(|_| channel.try_send(&message).is_ok()).count();
        // 100 kB in the queue, and what the kernel keeps (about 220 kB).
        assert!((90..2_000).contains(&sent), "{sent}");
        assert!(matches!(channel.try_send(&message), Err(Error::Full)));
        assert!(matches!(within(channel.send(&message)).await, Err(Error::Stalled { .. })));
        for _ in 0..sent {
            assert_eq!(peer.recv().await.as_ref(), Some(&message));
        }
        within(channel.send(&"on".into())).await.unwrap();
        assert_eq!(peer.recv().await, Some("on".into()));
    }
}

#[tokio::test]
async fn a_program_that_does_not_receive_holds_the_sender_back() {
    for serialization in BOTH {
        let (ours, theirs) = pair();
        let options = Options::new().queued_bytes(10_000).send_deadline(Duration::from_millis(50));
        let channel: NodeChannel = NodeChannel::open_with(ours, serialization, options.clone()).unwrap();
        let sender: NodeChannel = NodeChannel::open_with(theirs, serialization, options).unwrap();
        let mut sent = 0;
        while within(sender.send(&sent.into())).await.is_ok() {
            sent += 1;
            assert!(sent < 1_000_000, "nothing holds the sender back");
        }
        for n in 0..sent {
            assert_eq!(recv(&channel).await, n.into());
        }
    }
}

#[tokio::test]
async fn a_peer_that_asks_without_end_and_never_reads_costs_bounded_memory() {
    let (channel, peer) = json_pair();
    let question = b"{\"cmd\":\"NODE_SOCKET_GET_COUNT\",\"key\":\"k\"}\n".repeat(1000);
    let mut written = 0;
    // The end of it is that we read no more.
    while let Ok(Ok(())) = tokio::time::timeout(Duration::from_millis(200), peer.socket.writable()).await {
        written += peer.socket.try_write(&question).unwrap_or(0);
        assert!(written < 50_000_000, "every question is kept");
        tokio::task::yield_now().await;
    }
    drop(channel);
}

#[tokio::test]
async fn close_flushes_and_the_peer_sees_the_end_although_clones_live() {
    for serialization in BOTH {
        let (channel, mut peer) = connect(serialization, Options::new());
        let clone = channel.clone();
        for n in 0..500 {
            channel.try_send(&Value::from(vec![n.into(), "x".repeat(1000).into()])).unwrap();
        }
        let closing = tokio::spawn(channel.close(Duration::from_secs(30)));
        for n in 0..500 {
            let message = peer.recv().await.unwrap();
            assert!(matches!(message, Value::Array(items) if items[0] == n.into()));
        }
        assert!(peer.recv().await.is_none());
        within(closing).await.unwrap().unwrap();
        assert!(matches!(clone.send(&1.into()).await, Err(Error::Closed)));
        assert!(within(clone.recv()).await.unwrap().is_none());
    }
}

#[tokio::test]
async fn close_ends_in_time_when_the_peer_does_not_read() {
    let (channel, peer) = json_pair();
    while channel.try_send(&Value::String("x".repeat(1000))).is_ok() {}
    let closed = within(channel.close(Duration::from_millis(50))).await;
    assert!(matches!(closed, Err(Error::Stalled { .. })));
    drop(peer);
}

#[tokio::test]
async fn close_says_when_the_peer_went_without_taking_everything() {
    let (channel, peer) = json_pair();
    while channel.try_send(&Value::String("x".repeat(1000))).is_ok() {}
    let closing = tokio::spawn(channel.close(Duration::from_secs(30)));
    drop(peer);
    assert!(matches!(within(closing).await.unwrap(), Err(Error::Closed)));

    let (channel, peer) = json_pair();
    within(channel.send(&1.into())).await.unwrap();
    drop(peer);
    assert!(within(channel.recv()).await.unwrap().is_none());
    within(channel.close(Duration::from_secs(30))).await.unwrap();
}

#[tokio::test]
async fn a_dropped_channel_still_writes_what_is_queued() {
    let (channel, mut peer) = json_pair();
    for n in 0..800 {
        channel.try_send(&Value::from(vec![n.into(), "x".repeat(1000).into()])).unwrap();
    }
    drop(channel);
    let mut seen = 0;
    while peer.recv().await.is_some() {
        seen += 1;
    }
    assert_eq!(seen, 800);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn concurrent_sends_stay_whole_messages() {
    for serialization in BOTH {
        let (channel, mut peer) = connect(serialization, Options::new().queued_bytes(50_000));
        let senders: Vec<_> = (0..4)
            .map(|sender| {
                let channel = channel.clone();
                tokio::spawn(async move {
                    for n in 0..200 {
                        let message = vec![sender.into(), n.into(), "y".repeat(7_000).into()];
                        channel.send(&message.into()).await.unwrap();
                    }
                })
            })
            .collect();
        let mut next = [0; 4];
        for _ in 0..800 {
            let Some(Value::Array(items)) = peer.recv().await else { panic!("no array") };
            let (sender, n) = (items[0].as_f64().unwrap() as usize, items[1].as_f64().unwrap() as i32);
            assert_eq!(n, next[sender], "each sender's messages stay in order");
            next[sender] += 1;
        }
        for sender in senders {
            within(sender).await.unwrap();
        }
    }
}

#[tokio::test]
async fn only_a_unix_stream_socket_becomes_a_channel() {
    let file: OwnedFd = File::open("/dev/null").unwrap().into();
    assert!(matches!(NodeChannel::<Value>::open(file, Serialization::Json), Err(Error::System { .. })));
    let tcp: OwnedFd = TcpListener::bind("127.0.0.1:0").unwrap().into();
    assert!(matches!(NodeChannel::<Value>::open(tcp, Serialization::Json), Err(Error::System { .. })));
}

#[test]
fn without_a_runtime_it_is_an_error() {
    let (ours, _theirs) = pair();
    assert!(matches!(NodeChannel::<Value>::open(ours, Serialization::Json), Err(Error::System { .. })));
}

#[tokio::test]
async fn a_handle_of_a_wrong_kind_is_refused_before_it_is_sent() {
    let (channel, mut peer) = json_pair();
    let null: OwnedFd = File::open("/dev/null").unwrap().into();
    assert!(matches!(channel.send_handle(&1.into(), Handle::Native(null)).await, Err(Error::Handle(_))));
    within(channel.send(&2.into())).await.unwrap();
    assert_eq!(peer.recv().await, Some(2.into()));
}
