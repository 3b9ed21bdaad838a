//! The task that reads one worker's channel and does what it says.

use std::rc::Rc;

use phalanx_channel::node::{self, Handle, Incoming, NodeChannel, Value};

use super::door::Way;
use super::doors::Manner;
use super::hall::Hall;
use super::query::{Kind, Query};
use super::said::{Address, Said};
use super::seat::Stays;
use super::words::{self, Word};
use crate::WorkerId;

/// So many complaints about one worker are told; after that only each that doubles their number.
const COMPLAINTS_TOLD: u64 = 16;

/// What a message has as its consequence, beyond what it changes in the hall.
pub(super) enum Reply {
    Nothing,
    /// An answer to the worker, perhaps with a socket that it shall share.
    Send(Value, Option<Handle>),
}

impl Hall {
    /// Reads until the channel ends.
    pub(super) async fn listen_to(self: Rc<Hall>, worker: WorkerId, channel: NodeChannel) {
        loop {
            match channel.recv().await {
                Ok(Some(incoming)) => self.hear(worker, &channel, incoming).await,
                Ok(None) => break,
                Err(node::Error::HandleLost { .. }) => {
                    self.complain(worker, "it has too many open files: a connection did not arrive".to_owned()).await;
                    self.take_back_lost(worker);
                }
                Err(why @ (node::Error::Malformed(_) | node::Error::Unexpected(_))) => {
                    self.complain(worker, why.to_string()).await;
                }
                Err(why) => {
                    self.complain(worker, format!("its channel cannot go on: {why}")).await;
                    break;
                }
            }
        }
        let voluntary = self.channel_has_ended(worker);
        self.say(worker, Said::Disconnected { voluntary }).await;
    }

    async fn hear(&self, worker: WorkerId, channel: &NodeChannel, incoming: Incoming) {
        if incoming.handle.is_some() {
            self.complain(worker, "it has sent a socket to the primary, which takes none: it is closed".to_owned())
                .await;
        }
        match Word::of(&incoming.value) {
            Some(Ok(word)) => self.obey(worker, channel, word).await,
            Some(Err(why)) => self.complain(worker, format!("of node:cluster it says: {why}")).await,
            // Any other message of Node's own means nothing to us, as in Node.
            None if is_internal(&incoming.value) => {}
            None => self.take_message(worker, incoming.value).await,
        }
    }

    async fn obey(&self, worker: WorkerId, channel: &NodeChannel, word: Word) {
        match word {
            Word::Answer { ack, accepted } => {
                if !self.answered(worker, ack, accepted) {
                    self.complain(worker, format!("it answers message {ack}, which has no answer")).await;
                }
            }
            Word::Online => self.say(worker, Said::Online).await,
            Word::Query { seq, query } => {
                let (reply, door) = match query {
                    Ok(query) => self.query(worker, seq, query),
                    Err(why) => {
                        self.complain(worker, format!("it wants to listen: {why}")).await;
                        (self.refusal(seq, rustix::io::Errno::INVAL), None)
                    }
                };
                self.reply(worker, channel, reply).await;
                if let Some(door) = door {
                    self.admit(worker, door);
                }
            }
            Word::Listening(query) => {
                if let Some(address) = self.address_of(worker, &query) {
                    self.say(worker, Said::Listening(address)).await;
                }
            }
            Word::Close { key } => self.leave_door(worker, &key),
            Word::Leaves { seq } => {
                let reply = self.leaves(worker, seq);
                self.say(worker, Said::Leaves).await;
                self.reply(worker, channel, reply).await;
            }
        }
    }

    async fn reply(&self, worker: WorkerId, channel: &NodeChannel, reply: Reply) {
        let Reply::Send(message, handle) = reply else { return };
        match channel.send_internal(&message, handle).await {
            Ok(()) | Err(node::Error::Closed) => {}
            Err(why) => self.complain(worker, format!("it did not get an answer: {why}")).await,
        }
    }

    /// It goes by itself. It waits for an answer before it closes its channel.
    fn leaves(&self, worker: WorkerId, seq: f64) -> Reply {
        let number = {
            let mut state = self.state.borrow_mut();
            let number = state.seq();
            if let Some(seat) = state.seats.get_mut(&worker) {
                seat.stays = Stays::Leaves;
            }
            number
        };
        self.leave_all_doors(worker, Manner::Wanted);
        Reply::Send(words::message([("ack", seq.into())], number), None)
    }

    /// Where the server that this is about listens: as the worker says it, or if it does not say it, as its door does.
    fn address_of(&self, worker: WorkerId, listening: &Query) -> Option<Address> {
        let target = &listening.target;
        let said = || Some(std::net::SocketAddr::new(target.address.as_deref()?.parse().ok()?, target.port));
        match target.kind {
            Kind::Pipe => return Some(Address::Unix(target.address.as_deref()?.replace('\0', "@"))),
            Kind::Tcp if said().is_some() => return said().map(Address::Tcp),
            Kind::Udp4 | Kind::Udp6 if said().is_some() => return said().map(Address::Udp),
            _ => {}
        }
        let state = self.state.borrow();
        let mut doors = state.doors.values().filter(|door| door.members.contains(&worker));
        doors.find_map(|door| {
            let address = door.address()?;
            let same = match (&address, target.kind) {
                (Address::Tcp(known), Kind::Tcp) | (Address::Udp(known), Kind::Udp4 | Kind::Udp6) => {
                    known.port() == target.port
                }
                (_, Kind::Given) => door.target.descriptor == target.descriptor,
                _ => false,
            };
            same.then_some(address)
        })
    }

    /// Its channel is closed. True if it was to be expected.
    fn channel_has_ended(&self, worker: WorkerId) -> bool {
        let voluntary = {
            let mut state = self.state.borrow_mut();
            let Some(seat) = state.seats.get_mut(&worker) else { return true };
            std::mem::replace(&mut seat.stays, Stays::Gone) == Stays::Leaves
        };
        self.take_back_all(worker);
        self.leave_all_doors(worker, if voluntary { Manner::Wanted } else { Manner::Died });
        self.pump_all();
        self.fail_requests_of(worker);
        self.state.borrow_mut().seats.remove(&worker);
        voluntary
    }

    /// Says that a worker misbehaves, unless that was said often.
    pub(super) async fn complain(&self, worker: WorkerId, why: String) {
        let count = {
            let mut state = self.state.borrow_mut();
            let Some(seat) = state.seats.get_mut(&worker) else { return };
            seat.complaints += 1;
            seat.complaints
        };
        if count <= COMPLAINTS_TOLD {
            self.say(worker, Said::Misbehaves(why)).await;
        } else if count.is_power_of_two() {
            self.say(worker, Said::Misbehaves(format!("{why} (complaint number {count})"))).await;
        }
    }
}

/// Whether Node would keep this message from its program.
fn is_internal(message: &Value) -> bool {
    let command = message.get("cmd").and_then(Value::as_str);
    command.is_some_and(|command| command.len() > "NODE_".len() && command.starts_with("NODE_"))
}

/// The way of a door, as the answer to a query needs it.
pub(super) fn handle_of(way: &Way) -> Option<std::io::Result<Handle>> {
    match way {
        Way::Shared(socket) => Some(socket.try_clone().map(Handle::Native)),
        Way::Dispatched(_) => None,
    }
}
