//! What workers can listen on, and what they are told when they cannot.

use std::net::{Ipv6Addr, SocketAddr, TcpListener, UdpSocket};

use phalanx_channel::node::Value;
use phalanx_process::{ExitStatus, Signal};

use super::HELLO;
use super::stage::{Stage, Worker, each, each_version, get, round_robin, shared, within};
use crate::attendant::node::{Address, Said};

/// Says what went wrong with a server.
const TELL_ERROR: &str = r#"
    const tell = error => process.send({
        code: error.code, errno: error.errno, syscall: error.syscall, port: error.port, address: error.address,
    });
"#;

fn text<'a>(value: &'a Value, name: &str) -> &'a str {
    value.get(name).and_then(Value::as_str).unwrap_or_default()
}

fn port_in(value: &Value) -> u16 {
    value.get("port").and_then(Value::as_f64).unwrap() as u16
}

#[test]
fn a_port_that_is_taken_is_an_error_event_in_the_worker() {
    let script = format!(
        "{TELL_ERROR} require('net').createServer().on('error', tell).listen(Number(process.env.PORT), '127.0.0.1');"
    );
    for options in [round_robin(), shared()] {
        each_version(options, async |stage| {
            let taken = TcpListener::bind("127.0.0.1:0").unwrap();
            let port = taken.local_addr().unwrap().port();
            let worker = stage.start_with(&script, &[("PORT", port.to_string())]).await;
            let error = stage.message(&worker).await;
            assert_eq!((text(&error, "code"), text(&error, "syscall")), ("EADDRINUSE", "bind"));
            assert_eq!((text(&error, "address"), port_in(&error)), ("127.0.0.1", port));
            assert_eq!(error.get("errno"), Some(&Value::Number(-98.0)));
            // When the port is free again, the next attempt succeeds.
            drop(taken);
            stage.serve(HELLO, port).await;
        });
    }
}

#[test]
fn port_0_twice_gives_two_ports_that_the_next_worker_shares() {
    let script = r#"
        const ports = [];
        const listen = () => {
            const server = require('net').createServer().listen(0, '127.0.0.1', () => {
                ports.push(server.address().port);
                if (ports.length === 2) process.send(ports); else listen();
            });
        };
        listen();
    "#;
    for options in [round_robin(), shared()] {
        each_version(options, async |stage| {
            let ports = stage.message(&stage.start(script).await).await;
            let Value::Array(both) = &ports else { panic!("{ports:?}") };
            assert_ne!(both[0], both[1]);
            let again = stage.message(&stage.start(script).await).await;
            assert_eq!(again, ports);
        });
    }
}

#[test]
fn a_server_has_the_address_that_it_asked_for() {
    // What is asked for, and what `server.address()` is then.
    let cases = [
        ("{ port: 0 }", "::", "IPv6"),
        ("{ port: 0, host: '127.0.0.1' }", "127.0.0.1", "IPv4"),
        ("{ port: 0, host: '::1' }", "::1", "IPv6"),
        ("{ port: 0, host: '::', ipv6Only: true }", "::", "IPv6"),
        ("{ port: 0, host: 'localhost' }", "", ""),
    ];
    if UdpSocket::bind((Ipv6Addr::LOCALHOST, 0)).is_err() {
        eprintln!("skipped: this machine has no IPv6");
        return;
    }
    each_version(round_robin(), async |stage| {
        for (wish, address, family) in cases {
            let script = format!(
                "const server = require('http').createServer((_, response) => response.end('here'))
                    .listen({wish}, () => process.send(server.address()));"
            );
            let worker = stage.start(&script).await;
            let own = stage.message(&worker).await;
            if !address.is_empty() {
                assert_eq!((text(&own, "address"), text(&own, "family")), (address, family), "{wish}");
            }
            let told = stage.listens(&worker).await;
            assert_eq!((told.ip().to_string(), told.port()), (text(&own, "address").to_owned(), port_in(&own)));
            let v4 = SocketAddr::from(([127, 0, 0, 1], told.port()));
            match wish.contains("ipv6Only") {
                true => assert!(within(tokio::net::TcpStream::connect(v4)).await.is_err()),
                false if wish == "{ port: 0 }" => assert_eq!(get(v4).await, "here"),
                false => assert_eq!(get(told).await, "here"),
            }
            worker.kill(Signal::Kill);
            worker.exited().await;
        }
    });
}

#[test]
fn a_second_server_of_one_worker_on_a_port_is_an_error_and_one_after_the_first_is_none() {
    let script = format!(
        "{TELL_ERROR}
        const http = require('http');
        const answer = text => http.createServer((_, response) => response.end(text));
        const port = Number(process.env.PORT);
        const first = answer('first').listen(port, '127.0.0.1', () => {{
            answer('second').on('error', error => {{
                tell(error);
                first.close(() => answer('third').listen(port, '127.0.0.1', () => process.send('again')));
            }}).listen(port, '127.0.0.1');
        }});"
    );
    for options in [round_robin(), shared()] {
        each_version(options, async |stage| {
            let free = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
            let (other, address) = stage.serve(HELLO, free).await;
            let worker = stage.start_with(&script, &[("PORT", address.port().to_string())]).await;
            assert_eq!(text(&stage.message(&worker).await, "code"), "EADDRINUSE");
            assert_eq!(stage.message(&worker).await, "again".into());
            stage.hall.disconnect(other.id);
            assert!(stage.disconnected(other.id).await);
            assert_eq!(get(address).await, "third");
        });
    }
}

#[test]
fn an_exclusive_server_binds_by_itself() {
    let script = r#"
        const server = require('http').createServer((request, response) => response.end('own'));
        server.listen({ port: 0, host: '127.0.0.1', exclusive: true }, () => process.send(server.address().port));
    "#;
    each_version(round_robin(), async |stage| {
        let mut ports = Vec::new();
        for _ in 0..2 {
            let worker = stage.start(script).await;
            let port = stage.message(&worker).await.as_f64().unwrap() as u16;
            assert_eq!(get(([127, 0, 0, 1], port).into()).await, "own");
            assert_eq!(stage.hall.connections(worker.id).taken, 0);
            ports.push(port);
        }
        assert_ne!(ports[0], ports[1]);
    });
}

/// One request over a Unix socket.
async fn get_unix(address: &std::os::unix::net::SocketAddr) -> std::io::Result<String> {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    let stream = std::os::unix::net::UnixStream::connect_addr(address)?;
    stream.set_nonblocking(true)?;
    let mut stream = tokio::net::UnixStream::from_std(stream)?;
    stream.write_all(b"GET / HTTP/1.1\r\nhost: test\r\nconnection: close\r\n\r\n").await?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await?;
    Ok(answer.rsplit("\r\n").next().unwrap_or_default().to_owned())
}

const UNIX: &str = r#"
    const cluster = require('cluster');
    require('http').createServer((_, response) => response.end(String(cluster.worker.id)))
        .on('error', error => process.send(error.code))
        .listen({ path: process.env.SOCKET, readableAll: true, writableAll: true });
"#;

async fn listens_on_unix(stage: &Stage, worker: &Worker) -> String {
    let path = |said: &Said| match said {
        Said::Listening(Address::Unix(path)) => Some(path.clone()),
        _ => None,
    };
    stage.hears(worker.id, path).await
}

#[test]
fn a_unix_socket_is_shared_and_its_file_goes_with_the_last_server() {
    use std::os::unix::fs::PermissionsExt;
    for options in [round_robin(), shared()] {
        each(options, async |stage| {
            let path = stage.folder.path().join("app.sock");
            let variables = [("SOCKET", path.display().to_string())];
            // A program that was killed has left its file.
            drop(std::os::unix::net::UnixListener::bind(&path).unwrap());
            let first = stage.start_with(UNIX, &variables).await;
            assert_eq!(listens_on_unix(&stage, &first).await, path.display().to_string());
            let mode = std::fs::metadata(&path).unwrap().permissions().mode();
            assert_eq!(mode & 0o666, 0o666);
            let address = std::os::unix::net::SocketAddr::from_pathname(&path).unwrap();
            assert_eq!(within(get_unix(&address)).await.unwrap(), "1");
            let second = stage.start_with(UNIX, &variables).await;
            listens_on_unix(&stage, &second).await;
            stage.hall.disconnect(first.id);
            assert!(stage.disconnected(first.id).await);
            assert_eq!(within(get_unix(&address)).await.unwrap(), "2");
            stage.hall.disconnect(second.id);
            assert!(stage.disconnected(second.id).await);
            assert!(!path.exists());
        });
    }
}

#[test]
fn the_unix_socket_of_another_program_is_left_alone() {
    each_version(round_robin(), async |stage| {
        let path = stage.folder.path().join("app.sock");
        let _theirs = std::os::unix::net::UnixListener::bind(&path).unwrap();
        let worker = stage.start_with(UNIX, &[("SOCKET", path.display().to_string())]).await;
        assert_eq!(stage.message(&worker).await, "EADDRINUSE".into());
        assert!(path.exists());
    });
}

#[test]
fn udp_is_shared_by_all_workers() {
    let script = r#"
        const socket = require('dgram').createSocket('udp4');
        socket.on('message', (message, from) => socket.send(message + '!', from.port, from.address));
        socket.bind(Number(process.env.PORT), '127.0.0.1', () => process.send(socket.address().port));
    "#;
    each(round_robin(), async |stage| {
        let first = stage.start_with(script, &[("PORT", "0".to_owned())]).await;
        let port = stage.message(&first).await;
        let second = stage.start_with(script, &[("PORT", "0".to_owned())]).await;
        assert_eq!(stage.message(&second).await, port, "both have one socket");
        first.kill(Signal::Kill);
        first.exited().await;
        let address = SocketAddr::from(([127, 0, 0, 1], port.as_f64().unwrap() as u16));
        let client = tokio::net::UdpSocket::bind("127.0.0.1:0").await.unwrap();
        client.send_to(b"hello", address).await.unwrap();
        let mut answer = [0; 16];
        let (count, _) = within(client.recv_from(&mut answer)).await.unwrap();
        assert_eq!(&answer[..count], b"hello!");
    });
}

#[test]
fn the_ticket_keys_of_the_first_tls_server_are_everybodys() {
    let script = r#"
        const server = require('tls').createServer();
        server.listen(Number(process.env.PORT), '127.0.0.1', () =>
            process.send([server.address().port, server.getTicketKeys().toString('hex')]));
    "#;
    for options in [round_robin(), shared()] {
        each(options, async |stage| {
            let first = stage.start_with(script, &[("PORT", "0".to_owned())]).await;
            let keys = stage.message(&first).await;
            let second = stage.start_with(script, &[("PORT", "0".to_owned())]).await;
            assert_eq!(stage.message(&second).await, keys);
        });
    }
}

#[test]
fn sockets_that_were_given_to_the_cluster_are_given_to_the_programs() {
    let by_number = r#"
        require('http').createServer((_, response) => response.end('number')).listen({ fd: 7 });
    "#;
    let by_port = r#"
        require('http').createServer((_, response) => response.end('port')).listen(Number(process.env.PORT));
    "#;
    for options in [round_robin(), shared()] {
        each_version(options, async |stage| {
            for (script, answer) in [(by_number, "number"), (by_port, "port"), (HELLO, "3")] {
                let socket = TcpListener::bind("127.0.0.1:0").unwrap();
                let address = socket.local_addr().unwrap();
                stage.hall.inherit(7, socket.try_clone().unwrap().into()).unwrap();
                let worker = stage.start_with(script, &[("PORT", address.port().to_string())]).await;
                assert_eq!(stage.listens(&worker).await.port(), address.port(), "{script}");
                assert_eq!(get(address).await, answer);
                worker.kill(Signal::Kill);
                worker.exited().await;
                stage.hall.state.borrow_mut().inherited.clear();
            }
            // A descriptor that is nobody's.
            let script = format!("{TELL_ERROR} require('net').createServer().on('error', tell).listen({{ fd: 99 }});");
            let worker = stage.start(&script).await;
            assert_eq!(text(&stage.message(&worker).await, "code"), "EBADF");
        });
    }
}

#[test]
fn a_server_that_closes_leaves_the_port_to_others_and_the_last_one_closes_it() {
    let script = r#"
        const server = require('http').createServer((_, response) => response.end('closing'));
        server.listen(Number(process.env.PORT), '127.0.0.1');
        process.on('message', () => server.close(() => process.send('closed')));
    "#;
    for options in [round_robin(), shared()] {
        each_version(options, async |stage| {
            let (closing, address) = stage.serve(script, 0).await;
            let (other, _) = stage.serve(HELLO, 0).await;
            stage.hall.send(closing.id, &"close".into()).unwrap();
            assert_eq!(stage.message(&closing).await, "closed".into());
            for _ in 0..3 {
                assert_eq!(get(address).await, "2");
            }
            stage.hall.disconnect(other.id);
            assert!(stage.disconnected(other.id).await);
            assert!(within(tokio::net::TcpStream::connect(address)).await.is_err());
            assert_eq!(other.exited().await, ExitStatus::Code(0));
        });
    }
}
