//! Consumers share a queue; what one loses, the other gets.

use super::fixture::{consume, next, send, usual};
use super::{Harness, cases};
use crate::conformance::wait;
use crate::{Error, Message};

cases![
    two_consumers_never_hold_the_same_message [Has(Shares)],
    what_a_closed_connection_held_goes_to_another_consumer [],
];

fn two_consumers_never_hold_the_same_message<H: Harness>(harness: &H) {
    let (here, there) = (harness.connect(), harness.connect());
    let name = usual(&here);
    let (mut first, mut second) = (consume(&here, &name, 1), consume(&there, &name, 1));
    for _ in 0..20 {
        wait(here.send_batch(&name, vec![Message::from("a"), Message::from("b")])).unwrap();
        let (one, other) = (next(&mut first), next(&mut second));
        assert_ne!(one.message.id, other.message.id);
        wait(one.ack()).unwrap();
        wait(other.ack()).unwrap();
    }
}

fn what_a_closed_connection_held_goes_to_another_consumer<H: Harness>(harness: &H) {
    let (here, there) = (harness.connect(), harness.connect());
    let name = usual(&here);
    send(&here, &name, "inherited");
    let mut first = consume(&there, &name, 10);
    let held = next(&mut first);
    let mut second = consume(&here, &name, 10);
    wait(there.close());
    let inherited = next(&mut second);
    assert_eq!(inherited.message.id, held.message.id);
    wait(inherited.ack()).unwrap();
    assert!(matches!(wait(held.ack()), Err(Error::Stale | Error::Closed)));
}
