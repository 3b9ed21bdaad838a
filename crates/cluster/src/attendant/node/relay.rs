//! Messages of the programs: what is for other workers goes there, all else is [`Said`].
//!
//! | a program sends | what comes of it |
//! |---|---|
//! | `'ready'` | [`Said::Ready`], as PM2's users know it |
//! | `{ phalanx: 'broadcast', message }` | every other worker gets `message` |
//! | `{ phalanx: 'request', id, message }` | another worker, in turn, gets `{ phalanx: 'request', id, from, message }` |
//! | `{ phalanx: 'request', id, to, message }` | the same for worker `to` (its `cluster.worker.id`) |
//! | `{ phalanx: 'reply', id, to, message }` | worker `to` gets `{ phalanx: 'reply', id, from, message }` |
//! | anything else | [`Said::Message`] |
//!
//! Every request is answered once: if nobody can, with `{ phalanx: 'reply', id, error }`. A worker that does not read loses
//! broadcasts; it does not make the others wait.

use std::collections::{BTreeMap, VecDeque};

use phalanx_channel::node::{self, Value};

use super::hall::Hall;
use super::said::Said;
use super::seat::Stays;
use crate::WorkerId;

/// What PM2's users send when their program is ready.
const READY: &str = "ready";
/// The member that says that a message is for other workers.
const MARK: &str = "phalanx";
/// Most requests that one worker has not answered.
const OPEN_REQUESTS: usize = 1024;
/// Longest text that may be the id of a request, in bytes.
const LONGEST_ID: usize = 256;

/// Requests between workers that are not answered.
#[derive(Debug, Default)]
pub(super) struct Requests {
    /// By the worker that has to answer: who asked, and the id.
    open: BTreeMap<WorkerId, VecDeque<(WorkerId, Value)>>,
    /// Who was asked last.
    last: Option<WorkerId>,
}

impl Requests {
    /// The next of these workers, in turn.
    fn next(&mut self, workers: &[WorkerId]) -> Option<WorkerId> {
        let next = workers.iter().find(|worker| self.last.is_none_or(|last| **worker > last));
        self.last = next.or(workers.first()).copied();
        self.last
    }

    fn begin(&mut self, asked: WorkerId, from: WorkerId, id: Value) -> Result<(), String> {
        let open = self.open.entry(asked).or_default();
        if open.len() >= OPEN_REQUESTS {
            return Err(format!("worker {asked} has {OPEN_REQUESTS} requests to answer"));
        }
        open.push_back((from, id));
        Ok(())
    }

    /// True if there was such a request.
    fn end(&mut self, asked: WorkerId, from: WorkerId, id: &Value) -> bool {
        let Some(open) = self.open.get_mut(&asked) else { return false };
        let at = open.iter().position(|(who, its)| *who == from && its == id);
        at.and_then(|at| open.remove(at)).is_some()
    }
}

impl Hall {
    pub(super) async fn take_message(&self, worker: WorkerId, message: Value) {
        if message.as_str() == Some(READY) {
            return self.say(worker, Said::Ready).await;
        }
        let outcome = match message.get(MARK).and_then(Value::as_str) {
            Some("broadcast") => self.relay_broadcast(worker, &message),
            Some("request") => self.relay_request(worker, &message),
            Some("reply") => self.relay_reply(worker, &message),
            _ => return self.say(worker, Said::Message(message)).await,
        };
        for (who, why) in outcome {
            self.complain(who, why).await;
        }
    }

    /// The workers that are here, without this one.
    fn others(&self, than: WorkerId) -> Vec<WorkerId> {
        let state = self.state.borrow();
        let here = state.seats.iter().filter(|(worker, seat)| **worker != than && seat.stays == Stays::Here);
        here.map(|(worker, _)| *worker).collect()
    }

    fn relay_broadcast(&self, from: WorkerId, message: &Value) -> Vec<(WorkerId, String)> {
        let Some(message) = message.get("message") else {
            return vec![(from, "it broadcasts without a message".to_owned())];
        };
        let others = self.others(from).into_iter();
        others
            .filter_map(|to| match self.send(to, message) {
                Ok(()) | Err(node::Error::Closed) => None,
                Err(node::Error::Full) => Some((to, format!("it does not read: a broadcast of worker {from} is lost"))),
                Err(why) => Some((from, format!("its broadcast cannot be sent: {why}"))),
            })
            .collect()
    }

    fn relay_request(&self, from: WorkerId, request: &Value) -> Vec<(WorkerId, String)> {
        let id = request.get("id").cloned().unwrap_or_default();
        let asked = match self.ask(from, &id, request) {
            Ok(()) => return Vec::new(),
            Err(why) => reply(&id, [("error", why.into())]),
        };
        match self.send(from, &asked) {
            Ok(()) | Err(node::Error::Closed) => Vec::new(),
            Err(why) => vec![(from, format!("its request fails, and so does the answer: {why}"))],
        }
    }

    fn ask(&self, from: WorkerId, id: &Value, request: &Value) -> Result<(), String> {
        match id {
            Value::Number(_) => {}
            Value::String(text) if text.len() <= LONGEST_ID => {}
            _ => return Err(format!("the id of a request is a number, or a text of at most {LONGEST_ID} bytes")),
        }
        let others = self.others(from);
        let asked = match request.get("to") {
            None | Some(Value::Null | Value::Undefined) => {
                let next = self.state.borrow_mut().requests.next(&others);
                next.ok_or_else(|| "there is no other worker".to_owned())?
            }
            Some(to) => worker_of(to).filter(|to| others.contains(to)).ok_or("there is no such worker")?,
        };
        let message = request.get("message").cloned().unwrap_or_default();
        self.state.borrow_mut().requests.begin(asked, from, id.clone())?;
        let letter = [(MARK, "request".into()), ("id", id.clone()), ("from", number_of(from)), ("message", message)];
        self.send(asked, &Value::object(letter)).map_err(|why| {
            self.state.borrow_mut().requests.end(asked, from, id);
            why.to_string()
        })
    }

    fn relay_reply(&self, from: WorkerId, answer: &Value) -> Vec<(WorkerId, String)> {
        let id = answer.get("id").cloned().unwrap_or_default();
        let to = answer.get("to").and_then(worker_of);
        let Some(to) = to.filter(|to| self.state.borrow_mut().requests.end(from, *to, &id)) else {
            return vec![(from, "it replies to a request that it does not have".to_owned())];
        };
        let message = answer.get("message").cloned().unwrap_or_default();
        match self.send(to, &reply(&id, [("from", number_of(from)), ("message", message)])) {
            Ok(()) | Err(node::Error::Closed) => Vec::new(),
            Err(why) => vec![(to, format!("a reply is lost: {why}"))],
        }
    }

    /// The worker will not answer any more: who asked it hears that.
    pub(super) fn fail_requests_of(&self, worker: WorkerId) {
        let open = self.state.borrow_mut().requests.open.remove(&worker);
        for (from, id) in open.into_iter().flatten() {
            let error = format!("worker {worker} has ended");
            let _ = self.send(from, &reply(&id, [("error", error.into())])); // who does not read loses it
        }
    }
}

fn reply<const N: usize>(id: &Value, members: [(&str, Value); N]) -> Value {
    let first = [(MARK, "reply".into()), ("id", id.clone())];
    Value::object(first.into_iter().chain(members))
}

fn number_of(worker: WorkerId) -> Value {
    worker.get().into()
}

fn worker_of(value: &Value) -> Option<WorkerId> {
    let number = value.as_f64().filter(|number| *number >= 1.0 && *number <= f64::from(u32::MAX))?;
    (number.fract() == 0.0).then(|| WorkerId::new(number as u32))
}
