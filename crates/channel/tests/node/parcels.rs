//! Connections that are sent and yet kept.

use std::net::{SocketAddr, TcpListener, TcpStream};

use phalanx_channel::node::{Error, Fate, Form, NodeChannel, Options, Parcel, Serialization, Value};
use std::io::{Read, Write};

use crate::peers::{BOTH, nodes, pair, within};

/// Connections on their way at once.
const IN_FLIGHT: usize = 8;
const COUNT: u32 = 200;

fn form(serialization: Serialization) -> Form {
    Form::new(serialization, &Value::object([("cmd", "NODE_TEST")]), "seq").unwrap()
}

fn listener() -> (TcpListener, SocketAddr) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    listener.set_nonblocking(true).unwrap();
    let address = listener.local_addr().unwrap();
    (listener, address)
}

/// A connection: our client's end, and what was accepted.
fn connection(listener: &TcpListener, address: SocketAddr) -> (TcpStream, Parcel) {
    let client = TcpStream::connect(address).unwrap();
    let (parcel, peer) = Parcel::accept(listener).unwrap().expect("it is connected");
    assert_eq!(peer, Some(client.local_addr().unwrap()));
    (client, parcel)
}

#[tokio::test]
async fn each_of_many_connections_at_once_comes_with_its_own_message() {
    // Says its number to each connection, while other messages come and go in between.
    let script = "
        process.on('internalMessage', (message, handle) => {
            if (message.cmd !== 'NODE_TEST') return;
            new (require('net').Socket)({ handle }).end(String(message.seq));
        });
        process.on('message', message => process.send(message));
    ";
    for node in nodes() {
        for serialization in BOTH {
            let (ours, theirs) = pair();
            let mut process = node.run(serialization, script, theirs);
            let options = Options::new().parcels_in_flight(IN_FLIGHT);
            let channel: NodeChannel = NodeChannel::open_with(ours, serialization, options).unwrap();
            let (listener, address) = listener();
            let form = form(serialization);
            let mut clients = Vec::new();
            for number in 0..COUNT {
                let (client, parcel) = connection(&listener, address);
                channel.post(&form, number, &parcel).unwrap();
                if number % 3 == 0 {
                    // Some of them larger than what may be on the way beside a connection.
                    let text = "x".repeat(if number % 30 == 0 { 100_000 } else { 100 });
                    within(channel.send(&text.into())).await.unwrap();
                    within(channel.recv()).await.unwrap().unwrap();
                }
                clients.push((client, parcel));
            }
            for (number, (mut client, parcel)) in clients.into_iter().enumerate() {
                within(async {
                    while parcel.fate() != Fate::Arrived {
                        tokio::task::yield_now().await;
                    }
                })
                .await;
                // Our copy is the last one that keeps it open.
                drop(parcel);
                let mut answer = String::new();
                client.read_to_string(&mut answer).unwrap();
                assert_eq!(answer, number.to_string(), "Node {} {}", node.version, serialization.name());
            }
            channel.close(std::time::Duration::from_secs(30)).await.unwrap();
            assert!(process.wait().unwrap().success());
        }
    }
}

#[tokio::test]
async fn a_parcel_is_on_its_way_until_its_own_answer_comes() {
    let (ours, theirs) = pair();
    let channel: NodeChannel =
        NodeChannel::open_with(ours, Serialization::Json, Options::new().parcels_in_flight(2)).unwrap();
    let mut peer = std::os::unix::net::UnixStream::from(theirs);
    let (listener, address) = listener();
    let parcels: Vec<_> = (0..3).map(|_| connection(&listener, address)).collect();
    let fates = || parcels.iter().map(|(_, parcel)| parcel.fate()).collect::<Vec<_>>();
    for (number, (_, parcel)) in parcels.iter().enumerate() {
        channel.post(&form(Serialization::Json), number as u32, parcel).unwrap();
    }
    assert_eq!(fates(), [Fate::Sent, Fate::Sent, Fate::Kept], "two at a time");
    let answered = async |answer: &[u8], peer: &mut std::os::unix::net::UnixStream| {
        let before = fates();
        peer.write_all(answer).unwrap();
        within(async {
            while fates() == before {
                tokio::task::yield_now().await;
            }
        })
        .await;
    };
    answered(b"{\"cmd\":\"NODE_HANDLE_ACK\"}\n", &mut peer).await;
    assert_eq!(fates(), [Fate::Arrived, Fate::Sent, Fate::Sent]);
    // The second is missing, again and again; the third arrives in between.
    peer.write_all(b"{\"cmd\":\"NODE_HANDLE_NACK\"}\n{\"cmd\":\"NODE_HANDLE_ACK\"}\n").unwrap();
    peer.write_all(&b"{\"cmd\":\"NODE_HANDLE_NACK\"}\n".repeat(3)).unwrap();
    assert!(matches!(within(channel.recv()).await, Err(Error::HandleLost { attempts: 4 })));
    assert_eq!(fates(), [Fate::Arrived, Fate::Kept, Fate::Arrived]);
    // At the end of the peer, what was on its way certainly was not taken.
    channel.post(&form(Serialization::Json), 9, &parcels[1].1).unwrap();
    assert_eq!(fates()[1], Fate::Sent);
    drop(peer);
    assert!(within(channel.recv()).await.unwrap().is_none());
    assert_eq!(fates()[1], Fate::Sent);
    assert!(matches!(channel.post(&form(Serialization::Json), 9, &parcels[1].1), Ok(()) | Err(Error::Closed)));
    assert!(matches!(channel.post(&form(Serialization::Advanced), 9, &parcels[1].1), Err(Error::Encode(_))));
}
