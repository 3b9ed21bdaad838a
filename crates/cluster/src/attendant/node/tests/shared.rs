//! Sockets from which the workers accept by themselves.

use phalanx_process::ExitStatus;

use super::HELLO;
use super::stage::{each, get, shared};

#[test]
fn workers_share_a_socket_that_they_accept_from() {
    each(shared(), async |stage| {
        let (first, address) = stage.serve(HELLO, 0).await;
        assert_eq!(get(address).await, "1");
        let (second, same) = stage.serve(HELLO, 0).await;
        assert_eq!(address, same);
        stage.hall.disconnect(first.id);
        assert!(stage.disconnected(first.id).await);
        assert_eq!(first.exited().await, ExitStatus::Code(0));
        assert_eq!(get(address).await, "2");
        assert_eq!(stage.hall.connections(second.id).taken, 0, "nobody counts what it accepts by itself");
        assert!(stage.complaints().is_empty(), "{:?}", stage.complaints());
    });
}
