//! The channel as the child of real Node processes: `child_process.fork` starts this test program again.

use std::ffi::OsStr;
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::time::Duration;

use phalanx_channel::node::{Handle, NodeChannel, Serialization, Value};

use crate::peers::{BOTH, encode, nodes, within};

/// What the child is to do.
const CASE: &str = "PHALANX_TEST_CASE";
/// The exit status of a child that did what it should (libtest ends with 0 as well if it ran no test at all).
const DONE: i32 = 7;

/// Forks this program from each Node version in both serializations. The script gets `child`, whose end it need not await:
/// its status is checked, and that it has not broken the parent.
fn forked(case: &str, script: &str) {
    let program = std::env::current_exe().unwrap();
    let script = format!(
        r#"
        const child = require('child_process').fork('as_child::the_child', ['--exact', '--nocapture', '--test-threads=1'], {{
            execPath: process.env.PROGRAM, execArgv: [], serialization: process.env.SERIALIZATION,
            stdio: ['ipc', 'ignore', 'inherit'],
        }});
        const expect = (real, wanted) => {{
            require('assert').deepStrictEqual(real, wanted);
        }};
        child.on('exit', (code, signal) => {{ if (code !== {DONE}) {{ console.error('child', code, signal); process.exit(1) }} }});
        {script}
        "#
    );
    for node in nodes() {
        for serialization in BOTH {
            let variables = [
                ("PROGRAM", program.as_os_str()),
                ("SERIALIZATION", OsStr::new(serialization.name())),
                (CASE, OsStr::new(case)),
            ];
            let status = node.parent(&script, &variables);
            assert!(status.success(), "Node {} with {}: {status}", node.version, serialization.name());
        }
    }
}

/// What the forked program runs; without a case there is nothing to do.
#[tokio::test]
async fn the_child() {
    let Ok(case) = std::env::var(CASE) else { return };
    assert_eq!(std::env::var("NODE_CHANNEL_FD").unwrap(), "0");
    let serialization = std::env::var("NODE_CHANNEL_SERIALIZATION_MODE").unwrap();
    let serialization = Serialization::from_name(&serialization).unwrap();
    let socket = std::io::stdin().as_fd().try_clone_to_owned().unwrap();
    match case.as_str() {
        "echo" => echo(open(socket, serialization)).await,
        "burst" => burst(open(socket, serialization)).await,
        "give a server" => give_a_server(open(socket, serialization)).await,
        "keep connections" => keep_connections(open(socket, serialization)).await,
        "deny once" => deny_once(socket, serialization).await,
        other => panic!("no case {other}"),
    }
    std::process::exit(DONE);
}

fn open(socket: OwnedFd, serialization: Serialization) -> NodeChannel {
    NodeChannel::open(socket, serialization).unwrap()
}

async fn close(channel: NodeChannel) {
    channel.close(Duration::from_secs(30)).await.unwrap();
}

async fn echo(channel: NodeChannel) {
    while let Some(incoming) = within(channel.recv()).await.unwrap() {
        within(channel.send(&incoming.value)).await.unwrap();
    }
}

#[test]
fn a_child_of_node_answers_and_ends_when_its_parent_disconnects() {
    forked(
        "echo",
        r#"
        const messages = [1, 'text', null, [1, [2]], { a: { b: 'é€😀' } }, 'x'.repeat(3e6)];
        let n = 0;
        child.on('message', m => { expect(m, messages[n++]); n < messages.length ? child.send(messages[n]) : child.disconnect() });
        child.send(messages[0]);
        "#,
    );
}

async fn burst(channel: NodeChannel) {
    let filling = "x".repeat(1000);
    for n in 0..2000 {
        let message = Value::object([("n", n.into()), ("filling", Value::from(filling.as_str()))]);
        within(channel.send(&message)).await.unwrap();
    }
    close(channel).await;
}

#[test]
fn all_two_thousand_messages_before_the_end_of_a_child_arrive() {
    forked(
        "burst",
        r#"
        let n = 0;
        child.on('message', m => expect(m.n, n++));
        child.on('close', () => expect(n, 2000));
        "#,
    );
}

async fn give_a_server(channel: NodeChannel) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    within(channel.send_handle(&"yours".into(), listener.into())).await.unwrap();
    let answer = tokio::task::spawn_blocking(move || {
        let mut stream = TcpStream::connect(address).unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        answer
    });
    assert_eq!(within(answer).await.unwrap(), "from the parent");
    close(channel).await;
}

#[test]
fn a_server_of_the_child_serves_in_its_parent() {
    forked(
        "give a server",
        r#"
        child.on('message', (m, server) => {
            expect(m, 'yours');
            server.on('connection', socket => { socket.end('from the parent'); server.close() });
        });
        "#,
    );
}

/// Answers on each connection, and closes it when told to.
async fn keep_connections(channel: NodeChannel) {
    let mut kept = Vec::new();
    while let Some(incoming) = within(channel.recv()).await.unwrap() {
        match incoming.handle {
            Some(Handle::Socket { descriptor, held }) => {
                assert!(held.is_some());
                let mut stream = TcpStream::from(descriptor);
                stream.write_all(b"hello").unwrap();
                kept.push((stream, held));
                within(channel.send(&"kept".into())).await.unwrap();
            }
            _ => kept.clear(),
        }
    }
}

#[test]
fn the_server_of_the_parent_closes_when_the_child_has_closed_its_last_connection() {
    forked(
        "keep connections",
        r#"
        const net = require('net');
        const server = net.createServer({ pauseOnConnect: true }, socket => child.send('take', socket));
        let kept = 0, closed = false;
        server.listen(0, '127.0.0.1', () => {
            for (let n = 0; n < 3; n++) {
                const client = net.connect(server.address().port, '127.0.0.1');
                let text = '';
                client.on('data', data => text += data);
                client.on('close', () => expect(text, 'hello'));
            }
        });
        child.on('message', m => {
            if (++kept < 3) return;
            server.getConnections((error, count) => {
                expect(count, 3);
                server.close(() => { closed = true; child.disconnect() });
                // Twice around through the child: it has answered nothing before it closed them.
                setTimeout(() => { expect(closed, false); child.send('close') }, 50);
            });
        });
        process.on('exit', () => { if (!closed) process.exitCode = 2 });
        "#,
    );
}

/// Says that the first handle has not come, so that Node sends it again, wrapped once more.
async fn deny_once(socket: OwnedFd, serialization: Serialization) {
    let mut bare = UnixStream::from(socket);
    bare.set_nonblocking(false).unwrap();
    let mut bytes = [0; 4096];
    // Descriptors that come with a plain read are closed by the kernel.
    let count = bare.read(&mut bytes).unwrap();
    assert!(bytes[..count].windows(11).any(|bytes| bytes == b"NODE_HANDLE"));
    let denial = Value::object([("cmd", "NODE_HANDLE_NACK")]);
    bare.write_all(&encode(serialization, &denial)).unwrap();

    let channel = open(bare.into(), serialization);
    let incoming = within(channel.recv()).await.unwrap().unwrap();
    assert_eq!(incoming.value, "take".into());
    let Some(Handle::Socket { descriptor, held }) = incoming.handle else { panic!("no connection") };
    assert!(held.is_some());
    TcpStream::from(descriptor).write_all(b"second time").unwrap();
    // A second confirmation would have ended the parent.
    assert_eq!(within(channel.recv()).await.unwrap().unwrap().value, "after".into());
    drop(held);
    close(channel).await;
}

#[test]
fn a_handle_that_node_sends_again_arrives_and_is_confirmed_once() {
    forked(
        "deny once",
        r#"
        const net = require('net');
        let text = '';
        const server = net.createServer({ pauseOnConnect: true }, socket => {
            child.send('take', socket);
            child.send('after');
            server.close();
        });
        server.listen(0, '127.0.0.1', () => {
            const client = net.connect(server.address().port, '127.0.0.1');
            client.on('data', data => text += data);
            client.on('close', () => expect(text, 'second time'));
        });
        process.on('exit', () => { if (text === '') process.exitCode = 2 });
        "#,
    );
}
