//! Messages between workers.

use phalanx_channel::node::Value;
use phalanx_process::Signal;

use super::stage::{each, each_version, round_robin};

/// Tells us what it gets, and sends what we want.
const TALKER: &str = r#"
    process.on('message', message => {
        if (message && message.say) process.send(message.say);
        else if (message && message.phalanx === 'request' && message.message === 'double me')
            process.send({ phalanx: 'reply', id: message.id, to: message.from, message: 'me me' });
        else process.send({ got: message });
    });
    process.send('up');
"#;

fn say(message: Value) -> Value {
    Value::object([("say", message)])
}

fn letter<const N: usize>(kind: &str, members: [(&str, Value); N]) -> Value {
    Value::object([("phalanx", Value::from(kind))].into_iter().chain(members))
}

#[test]
fn a_broadcast_reaches_all_others() {
    each(round_robin(), async |stage| {
        let workers = [stage.start(TALKER).await, stage.start(TALKER).await, stage.start(TALKER).await];
        for worker in &workers {
            assert_eq!(stage.message(worker).await, "up".into());
        }
        let broadcast = letter("broadcast", [("message", Value::object([("news", 1)]))]);
        stage.hall.send(workers[0].id, &say(broadcast)).unwrap();
        for worker in &workers[1..] {
            let got = stage.message(worker).await;
            assert_eq!(got.get("got").and_then(|got| got.get("news")), Some(&1.into()), "{got:?}");
        }
    });
}

#[test]
fn a_request_is_answered_by_another_worker_in_turn() {
    each(round_robin(), async |stage| {
        let workers = [stage.start(TALKER).await, stage.start(TALKER).await, stage.start(TALKER).await];
        for worker in &workers {
            stage.message(worker).await;
        }
        let mut answered_by = Vec::new();
        for id in 0..4 {
            let request = letter("request", [("id", id.into()), ("message", "double me".into())]);
            stage.hall.send(workers[0].id, &say(request)).unwrap();
            let got = stage.message(&workers[0]).await;
            let reply = got.get("got").unwrap();
            assert_eq!(reply.get("message"), Some(&"me me".into()));
            assert_eq!(reply.get("id"), Some(&id.into()));
            answered_by.push(reply.get("from").and_then(Value::as_f64).unwrap() as u32);
        }
        assert_eq!(answered_by, [2, 3, 2, 3]);
        let request = letter("request", [("id", "x".into()), ("to", 3.into()), ("message", "double me".into())]);
        stage.hall.send(workers[0].id, &say(request)).unwrap();
        assert_eq!(stage.message(&workers[0]).await.get("got").and_then(|reply| reply.get("from")), Some(&3.into()));
    });
}

#[test]
fn a_request_that_nobody_can_answer_is_answered_with_an_error() {
    each_version(round_robin(), async |stage| {
        let asking = stage.start(TALKER).await;
        stage.message(&asking).await;
        let ask = async |members: Vec<(&str, Value)>| {
            let request = Value::object([("phalanx", Value::from("request"))].into_iter().chain(members));
            stage.hall.send(asking.id, &say(request)).unwrap();
        };
        let error = async || {
            let got = stage.message(&asking).await;
            got.get("got").and_then(|reply| reply.get("error")).and_then(Value::as_str).unwrap_or_default().to_owned()
        };
        ask(vec![("id", 1.into())]).await;
        assert_eq!(error().await, "there is no other worker");
        ask(vec![("id", 1.into()), ("to", 9.into())]).await;
        assert_eq!(error().await, "there is no such worker");
        ask(vec![("message", "x".into())]).await;
        assert!(error().await.contains("the id of a request"));
        // One that ends before it answers.
        let asked = stage.start(TALKER).await;
        stage.message(&asked).await;
        ask(vec![("id", 2.into()), ("message", "not answered".into())]).await;
        stage.message(&asked).await;
        asked.kill(Signal::Kill);
        assert_eq!(error().await, "worker 2 has ended");
    });
}
