//! Who gets which connection.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};

use tokio::io::{AsyncReadExt, AsyncWriteExt};

use super::stage::{each_version, get, within};
use super::{HELLO, HELLO_SLOWLY};
use crate::Distribution;
use crate::attendant::node::Options;

/// A request from an address of this machine's own choosing: all of 127.0.0.0/8 is it.
async fn get_from(client: IpAddr, server: SocketAddr) -> String {
    within(async {
        let socket = tokio::net::TcpSocket::new_v4().unwrap();
        socket.bind((client, 0).into()).unwrap();
        let mut stream = socket.connect(server).await.unwrap();
        stream.write_all(b"GET / HTTP/1.1\r\nhost: test\r\nconnection: close\r\n\r\n").await.unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await.unwrap();
        answer.rsplit("\r\n").next().unwrap().to_owned()
    })
    .await
}

#[test]
fn sticky_clients_come_to_the_same_worker_and_move_only_when_it_is_gone() {
    each_version(Options::new(Distribution::Sticky), async |stage| {
        let (first, address) = stage.serve(HELLO, 0).await;
        let _second = stage.serve(HELLO, 0).await;
        let clients: Vec<IpAddr> = (1..=20).map(|last| Ipv4Addr::new(127, 0, 7, last).into()).collect();
        let mut homes = Vec::new();
        for client in &clients {
            homes.push(get_from(*client, address).await);
        }
        assert!(homes.contains(&"1".to_owned()) && homes.contains(&"2".to_owned()), "{homes:?}");
        for (client, home) in clients.iter().zip(&homes) {
            assert_eq!(get_from(*client, address).await, *home);
        }
        stage.hall.disconnect(first.id);
        for client in &clients {
            assert_eq!(get_from(*client, address).await, "2");
        }
    });
}

#[test]
fn the_least_loaded_worker_gets_the_connection() {
    each_version(Options::new(Distribution::LeastLoaded), async |stage| {
        let (busy, address) = stage.serve(HELLO_SLOWLY, 0).await;
        let _idle = stage.serve(HELLO, 0).await;
        // Keeps its core busy, so that what it is handed stays unanswered.
        stage.hall.send(busy.id, &"work".into()).unwrap();
        stage.message(&busy).await;
        // Until it has been looked at.
        let known = async {
            while stage.hall.state.borrow().seats[&busy.id].load.busy(0) < 50 {
                tokio::time::sleep(std::time::Duration::from_millis(10)).await;
            }
        };
        within(known).await;
        let mut idle = 0;
        for _ in 0..20 {
            idle += usize::from(get(address).await == "2");
        }
        assert!(idle >= 14, "{idle} of 20");
    });
}

#[test]
fn a_worker_with_its_most_connections_is_passed_over_and_gets_more_when_one_ends() {
    let script = r#"
        const cluster = require('cluster');
        const server = require('net').createServer(socket => socket.write(String(cluster.worker.id)));
        server.maxConnections = 1;
        server.listen(Number(process.env.PORT), '127.0.0.1');
    "#;
    each_version(Options::new(Distribution::RoundRobin), async |stage| {
        if stage.node.version < 22 {
            return; // They refuse nothing: a connection beyond the most is closed by the worker.
        }
        let (_first, address) = stage.serve(script, 0).await;
        let _second = stage.serve(script, 0).await;
        let connect = async || {
            let mut client = tokio::net::TcpStream::connect(address).await.unwrap();
            let mut answer = [0];
            within(client.read_exact(&mut answer)).await.unwrap();
            (client, answer[0])
        };
        let (one, other) = (connect().await, connect().await);
        assert_ne!(one.1, other.1, "each has one");
        let third = tokio::task::spawn_local(async move {
            let mut client = tokio::net::TcpStream::connect(address).await.unwrap();
            let mut answer = [0];
            within(client.read_exact(&mut answer)).await.unwrap();
            answer[0]
        });
        let before = stage.hall.state.borrow().next_seq;
        tokio::time::sleep(std::time::Duration::from_millis(300)).await;
        let asked = stage.hall.state.borrow().next_seq.wrapping_sub(before);
        assert!(!third.is_finished());
        assert!(asked <= 40, "asked {asked} times in 300 ms");
        drop(one.0);
        assert_eq!(within(third).await.unwrap(), one.1);
    });
}
