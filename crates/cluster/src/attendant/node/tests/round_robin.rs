//! Connections that the hall accepts and hands out.

use phalanx_process::{ExitStatus, Signal};

use super::HELLO;
use super::stage::{each, each_version, get, round_robin, try_get, within};
use crate::attendant::node::hall::Counts;

#[test]
fn workers_of_one_port_get_connections_in_turn() {
    each(round_robin(), async |stage| {
        let (first, address) = stage.serve(HELLO, 0).await;
        let (second, same) = stage.serve(HELLO, 0).await;
        assert_eq!(address, same, "the second worker shares the port of the first");
        let mut answers = Vec::new();
        for _ in 0..10 {
            answers.push(get(address).await);
        }
        for pair in answers.chunks(2) {
            assert!(pair.contains(&"1".to_owned()) && pair.contains(&"2".to_owned()), "{answers:?}");
        }
        for worker in [&first, &second] {
            stage.counts(worker.id, Counts { taken: 5, unanswered: 0, oldest: None }).await;
        }
        assert!(stage.complaints().is_empty(), "{:?}", stage.complaints());
    });
}

#[test]
fn a_stopped_worker_that_is_killed_costs_nobody_a_connection() {
    each_version(round_robin(), async |stage| {
        let (stopped, address) = stage.serve(HELLO, 0).await;
        let _other = stage.serve(HELLO, 0).await;
        stopped.kill(Signal::Stop);
        let clients: Vec<_> = (0..40).map(|_| tokio::task::spawn_local(get(address))).collect();
        // Some wait at the stopped one, the others are served.
        within(async {
            while clients.iter().filter(|client| client.is_finished()).count() < 20 {
                tokio::task::yield_now().await;
            }
        })
        .await;
        stopped.kill(Signal::Kill);
        for client in clients {
            assert_eq!(within(client).await.unwrap(), "2");
        }
    });
}

#[test]
fn a_worker_that_comes_after_the_last_one_died_finds_the_port_and_what_waits() {
    each_version(round_robin(), async |stage| {
        let (first, address) = stage.serve(HELLO, 0).await;
        first.kill(Signal::Kill);
        assert!(!stage.disconnected(first.id).await, "a crash is not voluntary");
        let waiting = tokio::task::spawn_local(get(address));
        let (_second, same) = stage.serve(HELLO, 0).await;
        assert_eq!(address, same);
        assert_eq!(within(waiting).await.unwrap(), "2");
    });
}

#[test]
fn a_worker_that_is_disconnected_finishes_and_exits() {
    each(round_robin(), async |stage| {
        let (first, address) = stage.serve(HELLO, 0).await;
        let (second, _) = stage.serve(HELLO, 0).await;
        stage.hall.disconnect(first.id);
        for _ in 0..4 {
            assert_eq!(get(address).await, "2");
        }
        assert!(stage.disconnected(first.id).await, "it was told to go");
        assert_eq!(first.exited().await, ExitStatus::Code(0));
        // After the last one the port is closed.
        stage.hall.disconnect(second.id);
        assert!(stage.disconnected(second.id).await);
        assert!(try_get(address).await.is_err());
        assert_eq!(second.exited().await, ExitStatus::Code(0));
        assert!(stage.complaints().is_empty(), "{:?}", stage.complaints());
    });
}
