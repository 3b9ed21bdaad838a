//! Workers that do what no Node process does, and clients that meet them.

use std::net::SocketAddr;
use std::time::Duration;

use phalanx_channel::node::Value;

use super::HELLO;
use super::pretender::{ACK, NACK};
use super::stage::{each_version, get, round_robin, try_get, within};
use crate::attendant::node::Options;
use crate::attendant::node::options::Unanswered;

fn address_in(answer: &Value) -> SocketAddr {
    let port = answer.get("sockname").and_then(|name| name.get("port")).and_then(Value::as_f64).unwrap();
    SocketAddr::from(([127, 0, 0, 1], port as u16))
}

#[test]
fn a_connection_that_a_dying_worker_never_got_is_served_by_another() {
    each_version(round_robin(), async |stage| {
        let mut dying = stage.pretend();
        let address = address_in(&dying.listen(0).await);
        let client = tokio::task::spawn_local(get(address));
        let (_, connection) = dying.connection().await;
        // Our copy of the descriptor says nothing about its channel: it was never confirmed.
        drop((connection, dying));
        stage.serve(HELLO, 0).await;
        assert_eq!(within(client).await.unwrap(), "1");
    });
}

#[test]
fn a_connection_that_a_dying_worker_may_have_touched_is_closed_or_served_as_the_option_says() {
    for unanswered in [Unanswered::Close, Unanswered::Redispatch] {
        let options = Options { unanswered, ..round_robin() };
        each_version(options, async |stage| {
            let mut dying = stage.pretend();
            let address = address_in(&dying.listen(0).await);
            let client = tokio::task::spawn_local(try_get(address));
            let (_, connection) = dying.connection().await;
            dying.say(ACK).await;
            drop((connection, dying));
            stage.serve(HELLO, 0).await;
            let answer = within(client).await.unwrap();
            match unanswered {
                Unanswered::Close => assert!(answer.is_err(), "{answer:?}"),
                Unanswered::Redispatch => assert_eq!(answer.unwrap(), "1"),
            }
        });
    }
}

#[test]
fn a_worker_without_room_for_descriptors_gives_its_connections_to_others() {
    each_version(round_robin(), async |stage| {
        let mut full = stage.pretend();
        let address = address_in(&full.listen(0).await);
        let client = tokio::task::spawn_local(get(address));
        for _ in 0..4 {
            full.connection().await;
            full.say(NACK).await;
        }
        stage.serve(HELLO, 0).await;
        // It tries again after a pause, and is served then, or by the other one before.
        let refusing = tokio::task::spawn_local(async move {
            loop {
                full.connection().await;
                full.say(NACK).await;
            }
        });
        assert_eq!(within(client).await.unwrap(), "1");
        refusing.abort();
        assert!(stage.complaints().iter().any(|why| why.contains("too many open files")), "{:?}", stage.complaints());
    });
}

#[test]
fn what_is_refused_goes_to_the_next_and_nobody_is_asked_without_pause() {
    each_version(round_robin(), async |stage| {
        let mut refusing = stage.pretend();
        let address = address_in(&refusing.listen(0).await);
        let client = tokio::task::spawn_local(get(address));
        let asked = async {
            let mut count = 0;
            let end = tokio::time::Instant::now() + Duration::from_millis(500);
            while let Ok((seq, _)) = tokio::time::timeout_at(end, refusing.connection()).await {
                refusing.say(ACK).await;
                refusing.answer(seq, false).await;
                count += 1;
            }
            count
        }
        .await;
        // Pauses of 5, 10, 20, … ms: 8 times; without them it would be tens of thousands.
        assert!((2..=20).contains(&asked), "asked {asked} times in half a second");
        drop(refusing);
        stage.serve(HELLO, 0).await;
        assert_eq!(within(client).await.unwrap(), "1");
    });
}

#[test]
fn nonsense_is_told_and_changes_nothing() {
    each_version(round_robin(), async |stage| {
        let mut hostile = stage.pretend();
        let address = address_in(&hostile.listen(0).await);
        let nonsense = [
            ("", "a blank line"),
            ("{\"cmd\":", "no JSON"),
            (r#"{"cmd":"NODE_CLUSTER","act":"queryServer","seq":2}"#, "unknown kind"),
            (r#"{"cmd":"NODE_CLUSTER","act":"queryServer","addressType":4,"port":80}"#, "without a number"),
            (r#"{"cmd":"NODE_CLUSTER","ack":77,"accepted":true,"seq":3}"#, "answers message 77"),
            (r#"{"cmd":"NODE_CLUSTER","ack":-3,"accepted":true,"seq":3}"#, "message -3"),
            (r#"{"cmd":"NODE_CLUSTER","act":"close","seq":3}"#, "no key"),
            (r#"{"phalanx":"reply","id":1,"to":1}"#, "does not have"),
        ];
        for (line, _) in nonsense {
            hostile.say(line).await;
        }
        // What means nothing is no offence.
        for line in [ACK, NACK, r#"{"cmd":"NODE_CLUSTER","act":"close","key":"another"}"#, r#"{"cmd":"NODE_X"}"#] {
            hostile.say(line).await;
        }
        // A regular file as a handle, in both levels of words.
        let file = std::fs::File::open("/dev/null").unwrap();
        hostile.say_with(r#"{"cmd":"NODE_HANDLE","type":"net.Socket","msg":"x"}"#, &file).await;
        hostile
            .say_with(
                r#"{"cmd":"NODE_HANDLE","type":"net.Native","msg":{"cmd":"NODE_CLUSTER","act":"online","seq":4}}"#,
                &file,
            )
            .await;
        hostile.say("\"the end\"").await;
        let said = |said: &crate::attendant::node::Said| match said {
            crate::attendant::node::Said::Message(message) => (message.as_str() == Some("the end")).then_some(()),
            _ => None,
        };
        stage.hears(hostile.id, said).await;
        let complaints = stage.complaints();
        for (line, complaint) in nonsense {
            assert!(complaints.iter().any(|why| why.contains(complaint)), "{line}: {complaints:?}");
        }
        assert_eq!(complaints.iter().filter(|why| why.contains("socket to the primary")).count(), 2, "{complaints:?}");
        // It still serves, and so do others.
        let client = tokio::task::spawn_local(get(address));
        while let Some((message, descriptor)) = hostile.hear().await {
            if descriptor.is_none() {
                continue; // answers to what it asked
            }
            let seq = message.get("msg").and_then(|inner| inner.get("seq")).and_then(Value::as_f64).unwrap() as u32;
            hostile.say(ACK).await;
            hostile.answer(seq, false).await;
            break;
        }
        drop(hostile);
        stage.serve(HELLO, 0).await;
        assert_eq!(within(client).await.unwrap(), "1");
    });
}

#[test]
fn a_flood_of_messages_makes_its_sender_wait_and_nobody_else() {
    let script = format!(
        "{HELLO}\nprocess.on('message', () => {{
        for (let i = 0; i < 20000; i += 1) process.send('x'.repeat(1000));
    }});"
    );
    each_version(round_robin(), async |stage| {
        let (flooding, address) = stage.serve(&script, 0).await;
        let (other, _) = stage.serve(HELLO, 0).await;
        stage.hall.send(flooding.id, &"flood".into()).unwrap();
        // Nobody hears what is said, and still the other one serves.
        let mut served = 0;
        while served < 20 {
            if within(get(address)).await == "2" {
                served += 1;
            }
        }
        for _ in 0..20_000 {
            stage.message(&flooding).await;
        }
        assert!(stage.hall.connections(other.id).taken >= 20);
    });
}

#[test]
fn a_message_beyond_the_limit_ends_the_channel_and_says_why() {
    each_version(round_robin(), async |stage| {
        let mut hostile = stage.pretend();
        hostile.listen(0).await;
        hostile.say(&"x".repeat(17 * 1024 * 1024)).await;
        assert!(!stage.disconnected(hostile.id).await);
        assert!(stage.complaints().iter().any(|why| why.contains("cannot go on")), "{:?}", stage.complaints());
    });
}
