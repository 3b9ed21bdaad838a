//! The channel as the parent of real Node processes, in both serializations.

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream, UdpSocket};
use std::os::unix::net::{UnixListener, UnixStream};
use std::time::Duration;

use phalanx_channel::node::{Error, ErrorValue, Handle, RegExp, Serialization, SparseArray, Value};
use serde::{Deserialize, Serialize};

use crate::dumps::{self, text};
use crate::peers::{BOTH, Forked, Node, nodes, pair, within};

/// Answers each message with itself.
const ECHO: &str = "process.on('message', m => process.send(m));";

/// Runs `test` with a child of each version in both serializations.
async fn with_each<T: Future<Output = ()>>(script: &str, test: impl Fn(Forked, Node, Serialization) -> T) {
    for node in nodes() {
        for serialization in BOTH {
            eprintln!("with Node {} and {}", node.version, serialization.name());
            test(node.fork(serialization, script), node.clone(), serialization).await;
        }
    }
}

fn deadline(stream: &TcpStream) {
    stream.set_read_timeout(Some(Duration::from_secs(30))).unwrap();
}

#[tokio::test]
async fn every_kind_of_json_comes_back() {
    with_each(ECHO, async |child, _, _| {
        for message in [
            Value::Null,
            true.into(),
            17.into(),
            (-2.5).into(),
            "".into(),
            "two\nlines, é€😀 \u{2028}".into(),
            Vec::new().into(),
            vec![1.into(), vec!["x".into()].into()].into(),
            Value::Object(Vec::new()),
            Value::object([("a", Value::object([("b", 1)])), ("é€", Value::Null)]),
        ] {
            child.send(message.clone()).await;
            assert_eq!(child.recv().await, message);
        }
        child.ends_well().await;
    })
    .await;
}

#[tokio::test]
async fn a_typed_channel_speaks_both_serializations() {
    #[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
    #[serde(tag = "kind")]
    enum Job {
        Add { numbers: Vec<f64>, label: Option<String> },
        Stop,
    }
    for node in nodes() {
        for serialization in BOTH {
            let (ours, theirs) = pair();
            let mut process = node.run(serialization, ECHO, theirs);
            let channel = phalanx_channel::node::NodeChannel::<Job, Job>::open(ours, serialization).unwrap();
            for job in [Job::Add { numbers: vec![1.0, 2.5], label: None }, Job::Stop] {
                within(channel.send(&job)).await.unwrap();
                assert_eq!(within(channel.recv()).await.unwrap().unwrap().value, job);
            }
            within(channel.close(Duration::from_secs(30))).await.unwrap();
            assert!(process.wait().unwrap().success());
        }
    }
}

#[tokio::test]
async fn every_value_is_understood_by_node_and_by_us() {
    let script = r#"
        const { isDeepStrictEqual, inspect } = require('util');
        const same = (a, b) => isDeepStrictEqual(a, b) || (Number.isNaN(+a) && inspect(a) === inspect(b));
        process.on('message', ({ expression, value }) => {
            const own = eval('(' + expression + ')');
            process.send({ understood: same(value, own) || inspect(value, { depth: 5 }), v: own });
        });
    "#;
    for node in nodes() {
        let child = node.fork(Serialization::Advanced, script);
        let mut rows = dumps::rows();
        let [resizable, float16] = dumps::newer_rows().try_into().ok().unwrap();
        // The versions that have them write them in this form.
        rows.extend((node.version >= 20).then_some(resizable));
        rows.extend((node.version >= 24).then_some(float16));
        for row in rows {
            let question = Value::object([("expression", row.expression.into()), ("value", row.value.clone())]);
            child.send(question).await;
            let answer = child.recv().await;
            assert_eq!(answer.get("understood"), Some(&true.into()), "Node {}: {}", node.version, row.expression);
            // Labels are numbered by their place in the message.
            let renumbered =
                |value: &Value| text(value).replace("Label(2)", "Label(1)").replace("Label(3)", "Label(2)");
            let (ours, theirs) = (text(&row.value), text(answer.get("v").unwrap()));
            assert!(ours == theirs || ours == renumbered(answer.get("v").unwrap()), "Node {}: {theirs}", node.version);
        }
        child.ends_well().await;
    }
}

#[tokio::test]
async fn text_beyond_ascii_is_understood_wherever_it_may_stand() {
    let script = r#"
        process.on('message', ({ error, pattern, text, map, array }) => process.send([
            error.message, error.stack, pattern.source, text.valueOf(), map.get('é€😀'), Object.keys(array).pop(),
        ].every(text => text === 'é€😀')));
    "#;
    for node in nodes() {
        let child = node.fork(Serialization::Advanced, script);
        let text = || "é€😀".to_owned();
        let error = ErrorValue { message: Some(text()), stack: Some(text()), ..ErrorValue::default() };
        let array = SparseArray { length: 1, entries: vec![("0".into(), 1.into()), (text(), 2.into())] };
        child
            .send(Value::object([
                ("error", Value::Error(Box::new(error))),
                ("pattern", Value::RegExp(Box::new(RegExp { source: text(), flags: 16 }))),
                ("text", Value::Boxed(Box::new(text().into()))),
                ("map", Value::Map(vec![(text().into(), text().into())])),
                ("array", Value::Sparse(array)),
            ]))
            .await;
        assert_eq!(child.recv().await, true.into(), "Node {}", node.version);
        child.ends_well().await;
    }
}

#[tokio::test]
async fn shared_objects_are_the_same_object_in_node() {
    use phalanx_channel::node::Label;
    let script =
        "process.on('message', m => process.send(m.a === m.b && m.a.me === m.a && m.c === m.buffer && m.c[0]));";
    for node in nodes() {
        let child = node.fork(Serialization::Advanced, script);
        let me = Value::Object(vec![("me".into(), Value::Reference(Label(5)))]);
        let message = Value::object([
            ("buffer", Value::Shared(Label(6), Box::new(Value::buffer([42])))),
            ("a", Value::Shared(Label(5), Box::new(me))),
            ("b", Value::Reference(Label(5))),
            ("c", Value::Reference(Label(6))),
        ]);
        child.send(message).await;
        assert_eq!(child.recv().await, 42.into());
        child.ends_well().await;
    }
}

#[tokio::test]
async fn an_array_that_node_passes_on_in_its_sparse_form_is_a_list() {
    for node in nodes() {
        let child = node.fork(Serialization::Advanced, ECHO);
        let lists = vec![1.into(), Vec::new().into(), vec!["x".into(), Value::Null].into()];
        let with_holes = vec![Value::Undefined, Value::Hole, 3.into()];
        for list in [lists, with_holes, (0..10_000).map(Value::from).collect()] {
            child.send(list.clone()).await;
            assert_eq!(child.recv().await, list.into());
        }
        child.ends_well().await;
    }
}

#[tokio::test]
async fn five_megabytes_of_many_byte_characters_come_back() {
    with_each(ECHO, async |child, _, _| {
        let text = "aé€😀".repeat(500_000);
        let message = Value::object([("text", text)]);
        child.send(message.clone()).await;
        assert!(child.recv().await == message, "another text came back");
        child.ends_well().await;
    })
    .await;
}

#[tokio::test]
async fn nothing_is_lost_of_two_thousand_messages_before_a_close() {
    let script = r#"
        let n = 0;
        process.on('message', m => { if (m.n !== n++) process.exit(2) });
        process.on('disconnect', () => process.exit(n === 2000 ? 0 : 3));
    "#;
    with_each(script, async |mut child, _, _| {
        let filling = "x".repeat(1000);
        for n in 0..2000 {
            child.send(Value::object([("n", n.into()), ("filling", Value::from(filling.as_str()))])).await;
        }
        within(child.channel.clone().close(Duration::from_secs(30))).await.unwrap();
        assert_eq!(child.status().await.code(), Some(0));
    })
    .await;
}

#[tokio::test]
async fn everything_that_a_child_wrote_before_its_end_arrives() {
    // It ends as soon as the kernel has everything.
    let script = r#"
        for (let n = 0; n < 2000; n++) process.send({ n, filling: 'x'.repeat(1000) }, n < 1999 ? null : () => process.exit(4));
    "#;
    with_each(script, async |mut child, _, _| {
        for n in 0..2000 {
            let message = child.recv().await;
            assert_eq!(message.get("n"), Some(&n.into()));
        }
        assert!(within(child.channel.recv()).await.unwrap().is_none());
        assert_eq!(child.status().await.code(), Some(4));
    })
    .await;
}

#[tokio::test]
async fn a_child_that_ends_with_something_unread_gives_its_messages_and_then_the_end() {
    // Node reads nothing while it runs this; its end resets the connection.
    let script = "require('fs').writeSync(1, ''); process.send('last words'); \
                  Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 300); process.exit(0);";
    with_each(script, async |mut child, _, _| {
        for n in 0..10 {
            child.channel.try_send(&n.into()).unwrap();
        }
        assert_eq!(child.recv().await, "last words".into());
        assert!(within(child.channel.recv()).await.unwrap().is_none());
        assert_eq!(child.status().await.code(), Some(0));
    })
    .await;
}

#[tokio::test]
async fn a_child_that_is_killed_while_we_send_is_an_error_and_no_signal() {
    with_each(
        "setInterval(() => {}, 1000); process.send(0); Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0);",
        async |mut child, _, _| {
            child.recv().await;
            let message = Value::String("x".repeat(10_000));
            while child.channel.try_send(&message).is_ok() {}
            let sending = tokio::spawn({
                let channel = child.channel.clone();
                async move { channel.send(&"one more".into()).await }
            });
            child.kill();
            assert!(matches!(within(sending).await.unwrap(), Err(Error::Closed)));
            assert!(within(child.channel.recv()).await.unwrap().is_none());
        },
    )
    .await;
}

#[tokio::test]
async fn a_channel_that_is_cut_while_node_sends_ends_here_without_an_error() {
    // Node itself may end with EPIPE.
    let script = "process.on('error', () => process.exit(1)); setInterval(() => process.send('x'.repeat(10000)), 0);";
    with_each(script, async |mut child, _, _| {
        child.recv().await;
        within(child.channel.clone().close(Duration::from_secs(30))).await.unwrap();
        while within(child.channel.recv()).await.unwrap().is_some() {}
        assert!(matches!(child.status().await.code(), Some(0 | 1)));
    })
    .await;
}

#[tokio::test]
async fn a_server_of_ours_serves_in_node() {
    let script = r#"
        process.on('message', (m, server) => {
            server.on('connection', socket => { socket.end(m + ' ' + server.constructor.name); server.close(); });
            process.send('ready');
        });
    "#;
    with_each(script, async |child, _, _| {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        within(child.channel.send_handle(&"served by a".into(), listener.into())).await.unwrap();
        assert_eq!(child.recv().await, "ready".into());
        let mut stream = TcpStream::connect(address).unwrap();
        deadline(&stream);
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        assert_eq!(answer, "served by a Server");
        drop(stream);
        child.ends_well().await;
    })
    .await;
}

#[tokio::test]
async fn a_unix_server_of_ours_serves_in_node() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("server");
    let script =
        "process.on('message', (m, s) => { s.on('connection', c => { c.end(m); s.close() }); process.send(1) });";
    with_each(script, async |child, _, _| {
        let listener = UnixListener::bind(&path).unwrap();
        within(child.channel.send_handle(&"hello".into(), listener.into())).await.unwrap();
        child.recv().await;
        let mut stream = UnixStream::connect(&path).unwrap();
        stream.set_read_timeout(Some(Duration::from_secs(30))).unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        assert_eq!(answer, "hello");
        drop(stream);
        child.ends_well().await;
        std::fs::remove_file(&path).unwrap();
    })
    .await;
}

/// The two ends of a TCP connection.
fn connection() -> (TcpStream, TcpStream) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let client = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
    deadline(&client);
    (client, listener.accept().unwrap().0)
}

#[tokio::test]
async fn a_connection_of_ours_does_not_block_the_event_loop_of_node() {
    // The connection is blocking when it is given to us; nobody reads what Node writes until it says that its loop turned.
    let script = r#"
        process.on('message', (m, socket) => {
            socket.write(Buffer.alloc(50e6));
            let ticks = 0;
            const timer = setInterval(() => { if (++ticks === 5) { clearInterval(timer); process.send('turning'); } }, 1);
            socket.on('close', () => process.disconnect());
            socket.end();
        });
    "#;
    with_each(script, async |mut child, _, _| {
        let (mut client, server) = connection();
        server.set_nonblocking(false).unwrap();
        within(child.channel.send_handle(&1.into(), server.into())).await.unwrap();
        assert_eq!(child.recv().await, "turning".into());
        let read = tokio::task::spawn_blocking(move || std::io::copy(&mut client, &mut std::io::sink()));
        assert_eq!(within(read).await.unwrap().unwrap(), 50_000_000);
        assert!(within(child.channel.recv()).await.unwrap().is_none());
        assert_eq!(child.status().await.code(), Some(0));
    })
    .await;
}

#[tokio::test]
async fn descriptors_that_would_end_node_are_refused_and_node_lives_on() {
    with_each(ECHO, async |child, _, _| {
        let file = std::fs::File::open("/dev/null").unwrap();
        let refused = child.channel.send_handle(&1.into(), Handle::Native(file.into())).await;
        assert!(matches!(refused, Err(Error::Handle(_))));
        let (datagram, _) = std::os::unix::net::UnixDatagram::pair().unwrap();
        let refused = child.channel.send_handle(&1.into(), Handle::Native(datagram.into())).await;
        assert!(matches!(refused, Err(Error::Handle(_))));
        child.send("alive").await;
        assert_eq!(child.recv().await, "alive".into());
        child.ends_well().await;
    })
    .await;
}

#[tokio::test]
async fn handles_and_messages_arrive_in_the_order_in_which_they_were_sent() {
    let script = "process.on('message', (m, h) => { process.send([m, h ? h.constructor.name : null]); h?.destroy() });";
    with_each(script, async |child, _, _| {
        let mut clients = Vec::new();
        let sending: Vec<_> = (0..20)
            .map(|n: i32| {
                let channel = child.channel.clone();
                let (client, server) = connection();
                clients.push(client);
                async move {
                    match n % 3 {
                        0 => channel.send_handle(&n.into(), server.into()).await,
                        _ => channel.send(&n.into()).await,
                    }
                }
            })
            .collect();
        // Each is begun before the one before it has ended.
        let sent = tokio::spawn(async move {
            let mut tasks = Vec::new();
            for send in sending {
                tasks.push(tokio::spawn(send));
                tokio::task::yield_now().await;
            }
            for task in tasks {
                within(task).await.unwrap().unwrap();
            }
        });
        for n in 0..20 {
            let name = if n % 3 == 0 { "Socket".into() } else { Value::Null };
            assert_eq!(child.recv().await, vec![n.into(), name].into());
        }
        within(sent).await.unwrap();
        child.ends_well().await;
    })
    .await;
}

#[tokio::test]
async fn a_datagram_socket_works_in_both_programs() {
    let script = r#"
        process.on('message', (m, socket) => {
            socket.on('message', (text, from) => socket.send('echo ' + text, from.port, from.address, () => socket.close()));
            process.send(socket.constructor.name);
            const own = require('dgram').createSocket('udp4').bind(0, '127.0.0.1', () => process.send('own', own));
        });
    "#;
    with_each(script, async |child, _, _| {
        let (ours, theirs) = (UdpSocket::bind("127.0.0.1:0").unwrap(), UdpSocket::bind("127.0.0.1:0").unwrap());
        ours.set_read_timeout(Some(Duration::from_secs(30))).unwrap();
        let address = theirs.local_addr().unwrap();
        within(child.channel.send_handle(&1.into(), theirs.into())).await.unwrap();
        assert_eq!(child.recv().await, "Socket".into());
        ours.send_to(b"hi", address).unwrap();
        let mut answer = [0; 20];
        let count = ours.recv(&mut answer).unwrap();
        assert_eq!(&answer[..count], b"echo hi");
        let incoming = child.incoming().await;
        let received = UdpSocket::try_from(incoming.handle.unwrap()).unwrap();
        assert!(received.local_addr().unwrap().ip().is_loopback());
    })
    .await;
}

#[tokio::test]
async fn a_server_of_node_serves_here() {
    let script = r#"
        const server = require('net').createServer().listen(0, '127.0.0.1', () => {
            process.send({ port: server.address().port }, server, () => server.close());
        });
        process.on('message', m => process.send(m));
    "#;
    with_each(script, async |child, _, _| {
        let incoming = child.incoming().await;
        let listener = TcpListener::try_from(incoming.handle.unwrap()).unwrap();
        let address = listener.local_addr().unwrap();
        assert_eq!(incoming.value.get("port"), Some(&i32::from(address.port()).into()));
        child.send("still there").await; // the handle was confirmed, or this would not come back
        assert_eq!(child.recv().await, "still there".into());
        let client = TcpStream::connect(address).unwrap();
        let (mut server, _) = std::thread::spawn(move || {
            listener.set_nonblocking(false).unwrap();
            listener.accept().unwrap()
        })
        .join()
        .unwrap();
        server.write_all(b"from here").unwrap();
        drop(server);
        let mut text = String::new();
        (&client).read_to_string(&mut text).unwrap();
        assert_eq!(text, "from here");
        child.ends_well().await;
    })
    .await;
}

#[tokio::test]
async fn the_server_in_node_closes_when_its_last_connection_here_is_closed() {
    let script = r#"
        const net = require('net');
        const server = net.createServer(socket => {
            process.send('yours', socket, () => {
                server.getConnections((error, count) => {
                    process.send({ count });
                    server.close(() => process.send('closed'));
                    process.send('closing');
                });
            });
        }).listen(0, '127.0.0.1', () => process.send(server.address().port));
        process.on('message', m => process.send(m));
    "#;
    with_each(script, async |child, _, _| {
        let port = child.recv().await.as_f64().unwrap() as u16;
        let mut client = TcpStream::connect(("127.0.0.1", port)).unwrap();
        deadline(&client);
        let incoming = child.incoming().await;
        assert_eq!(incoming.value, "yours".into());
        assert_eq!(child.recv().await, Value::object([("count", 1)]));
        assert_eq!(child.recv().await, "closing".into());
        child.send("mark").await;
        assert_eq!(child.recv().await, "mark".into(), "closed came before the connection was closed");

        let Some(Handle::Socket { descriptor, held }) = incoming.handle else { panic!("no connection") };
        assert!(held.is_some());
        let mut stream = TcpStream::from(descriptor);
        stream.write_all(b"bye").unwrap();
        drop(stream);
        drop(held);
        assert_eq!(child.recv().await, "closed".into());
        let mut text = String::new();
        client.read_to_string(&mut text).unwrap();
        assert_eq!(text, "bye");
        child.ends_well().await;
    })
    .await;
}

#[tokio::test]
async fn internal_messages_of_a_program_in_node_are_dropped() {
    let script = "process.send({ cmd: 'NODE_FOO' }); process.send({ cmd: 'NODE_' }); process.on('message', () => {});";
    with_each(script, async |child, _, _| {
        assert_eq!(child.recv().await, Value::object([("cmd", "NODE_")]));
        child.ends_well().await;
    })
    .await;
}

#[tokio::test]
async fn no_length_is_split_over_two_reads_of_node_18() {
    // It would hear nothing any more. It reads 64 KiB at once, here after both messages would be there.
    let script = r#"
        process.on('message', m => { if (m === 'small') process.disconnect() });
        process.send('ready');
        Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 300);
    "#;
    for node in nodes().iter().filter(|node| node.version == 18) {
        let mut child = node.fork(Serialization::Advanced, script);
        assert_eq!(child.recv().await, "ready".into());
        // With its length, the version and the string's own head it has 64 KiB less two bytes.
        child.channel.try_send(&Value::String("x".repeat(65536 - 2 - 10))).unwrap();
        child.channel.try_send(&"small".into()).unwrap();
        assert!(within(child.channel.recv()).await.unwrap().is_none());
        assert_eq!(child.status().await.code(), Some(0));
    }
}
