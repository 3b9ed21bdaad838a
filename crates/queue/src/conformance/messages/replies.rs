//! Answers find whoever asked.

use super::fixture::{expect_silence, next};
use super::{Harness, cases};
use crate::Message;
use crate::conformance::wait;

cases![
    an_answer_comes_to_its_address[Can(Reply)],
    addresses_are_apart[Can(Reply)],
    an_answer_to_an_address_that_is_gone_is_no_error[Can(Reply)],
];

fn an_answer_comes_to_its_address<H: Harness>(harness: &H) {
    let (asker, worker) = (harness.connect(), harness.connect());
    let (address, mut answers) = wait(asker.broker().open_replies()).unwrap();
    for number in 0..20_u32 {
        let mut answer = Message::from("42").header("number", number.to_string());
        answer.correlation_id = Some(number.to_string());
        wait(worker.broker().reply(&address, answer)).unwrap();
    }
    for number in 0..20_u32 {
        let answer = next(&mut answers);
        assert_eq!(answer.message.correlation_id, Some(number.to_string()));
        assert_eq!(answer.message.body, b"42");
        wait(answer.ack()).unwrap();
    }
}

fn addresses_are_apart<H: Harness>(harness: &H) {
    let queue = harness.connect();
    let (one, mut to_one) = wait(queue.broker().open_replies()).unwrap();
    let (other, mut to_other) = wait(queue.broker().open_replies()).unwrap();
    assert_ne!(one, other);
    wait(queue.broker().reply(&other, Message::from("for the other"))).unwrap();
    wait(next(&mut to_other).ack()).unwrap();
    expect_silence(&mut to_one);
}

fn an_answer_to_an_address_that_is_gone_is_no_error<H: Harness>(harness: &H) {
    let (asker, worker) = (harness.connect(), harness.connect());
    let (address, answers) = wait(asker.broker().open_replies()).unwrap();
    drop(answers);
    wait(asker.close());
    assert_eq!(wait(worker.broker().reply(&address, Message::from("late"))), Ok(()));
}
