//! Which doors there are: they open with the first worker that wants to listen there, and close after the last.

use std::os::fd::OwnedFd;
use std::rc::Rc;

use phalanx_channel::Watched;
use phalanx_channel::node::{Form, Value};
use rustix::io::Errno;
use tokio::sync::Notify;

use super::door::{AbortOnDrop, Accepting, Door, DoorNumber, Way};
use super::hall::{Hall, State};
use super::hearing::Reply;
use super::keep::News;
use super::open::{self, Listens, Opened};
use super::query::{Kind, Query};
use super::seat::Stays;
use super::words;
use crate::{Distribution, WorkerId};

/// Why a worker does not listen any more.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Manner {
    /// It, or we, wanted it so: what nobody listens on is closed at once.
    Wanted,
    /// It died: what it leaves behind stays open for its successor.
    Died,
}

impl State {
    pub(super) fn add_door(&mut self, door: Door) {
        self.next_door = self.next_door.max(door.number + 1);
        // A second socket of one worker for the same target is its own business.
        self.targets.entry(door.target.clone()).or_insert(door.number);
        self.doors.insert(door.number, door);
    }
}

impl Hall {
    /// A worker wants to listen.
    pub(super) fn query(&self, worker: WorkerId, seq: f64, query: Query) -> (Reply, Option<DoorNumber>) {
        let here = |state: &State| state.seats.get(&worker).is_some_and(|seat| seat.stays == Stays::Here);
        // As in Node: who has said that it leaves gets no answer.
        if !here(&self.state.borrow()) {
            return (Reply::Nothing, None);
        }
        let known = {
            let state = self.state.borrow();
            let number = state.targets.get(&query.target).copied();
            // A worker that asks twice wants a second socket; the kernel says whether it may have one.
            number.filter(|number| state.doors.get(number).is_some_and(|door| !door.members.contains(&worker)))
        };
        let number = match known.map_or_else(|| self.open_door(&query), Ok) {
            Ok(number) => number,
            Err(why) => return (self.refusal(seq, why), None),
        };
        match self.enter(worker, seq, number, query.data) {
            Ok(reply) => {
                self.keep(number, if known.is_some() { News::Changed } else { News::Opened });
                (reply, Some(number))
            }
            Err(why) => {
                self.close_door_if_empty(number);
                (self.refusal(seq, why), None)
            }
        }
    }

    /// The answer to a worker that wants to listen where it cannot.
    pub(super) fn refusal(&self, seq: f64, why: Errno) -> Reply {
        let number = self.state.borrow_mut().seq();
        let members = [("ack", seq.into()), ("errno", words::errno(why)), ("key", Value::Null), ("data", Value::Null)];
        Reply::Send(words::message(members, number), None)
    }

    /// The worker becomes a member. Connections come to it when it has the answer ([`admit`](Hall::admit)).
    fn enter(&self, worker: WorkerId, seq: f64, number: DoorNumber, data: Option<Value>) -> Result<Reply, Errno> {
        let mut state = self.state.borrow_mut();
        let own_seq = state.seq();
        let door = state.doors.get_mut(&number).ok_or(Errno::BADF)?;
        let handle = super::hearing::handle_of(&door.way).transpose().map_err(open::errno)?;
        // The first one's is everybody's.
        door.data = door.data.take().or(data);
        let errno = if handle.is_some() { 0.into() } else { Value::Null };
        let members = [
            ("ack", Some(seq.into())),
            ("errno", Some(errno)),
            ("key", Some(door.key.as_str().into())),
            ("data", Some(door.data.clone().unwrap_or(Value::Null))),
            ("sockname", if handle.is_none() { door.socket_name() } else { None }),
        ];
        door.members.insert(worker);
        door.lingers = None;
        let members = members.into_iter().filter_map(|(name, value)| Some((name, value?)));
        Ok(Reply::Send(words::message(members, own_seq), handle))
    }

    /// The worker knows that it listens: it may get connections.
    pub(super) fn admit(&self, worker: WorkerId, number: DoorNumber) {
        {
            let mut state = self.state.borrow_mut();
            let State { doors, seats, .. } = &mut *state;
            let (Some(door), Some(seat)) = (doors.get(&number), seats.get_mut(&worker)) else { return };
            let member = door.members.contains(&worker) && matches!(door.way, Way::Dispatched(_));
            if !member {
                return;
            }
            match Form::new(seat.channel.serialization(), &words::new_connection(&door.key), "seq") {
                Ok(form) => seat.forms.insert(number, Rc::new(form)),
                Err(why) => return tracing::error!("connections through {} have no form: {why}", door.target),
            };
        }
        self.pump(number);
    }

    fn open_door(&self, query: &Query) -> Result<DoorNumber, Errno> {
        let shared = query.target.kind.is_udp()
            || matches!(self.options.distribution, Distribution::Shared | Distribution::ReusePort);
        let opened = match self.inherited(query) {
            Some(socket) => Opened { socket: socket?, file: None },
            None => open::open(query, if shared { Listens::InWorkers } else { Listens::Here })?,
        };
        let number = self.state.borrow().next_door;
        let way = self.way(number, opened.socket, shared)?;
        let key = format!("{}#{number}", query.target);
        let door = Door::new(number, query.target.clone(), key, way, opened.file);
        self.state.borrow_mut().add_door(door);
        Ok(number)
    }

    /// What is done with a socket.
    pub(super) fn way(&self, number: DoorNumber, socket: OwnedFd, shared: bool) -> Result<Way, Errno> {
        if shared {
            return Ok(Way::Shared(socket));
        }
        let socket = Rc::new(Watched::for_reading(socket).map_err(open::errno)?);
        let room = Rc::new(Notify::new());
        let hall = self.me.upgrade().ok_or(Errno::CANCELED)?;
        let task = tokio::task::spawn_local(hall.accept_all(number, Rc::clone(&socket), Rc::clone(&room)));
        Ok(Way::Dispatched(Accepting { socket, room, _task: AbortOnDrop(task.abort_handle()) }))
    }

    /// The socket that was given to us for this wish, if there is one.
    fn inherited(&self, query: &Query) -> Option<Result<OwnedFd, Errno>> {
        let state = self.state.borrow();
        let inherited = state.inherited.iter().find(|inherited| inherited.is_for(&query.target));
        match inherited {
            Some(inherited) => Some(inherited.socket.try_clone().map_err(open::errno)),
            None if query.target.kind == Kind::Given => Some(Err(Errno::BADF)),
            None => None,
        }
    }

    /// One of the worker's servers has closed.
    pub(super) fn leave_door(&self, worker: WorkerId, key: &str) {
        let number = {
            let state = self.state.borrow();
            // A key that is not its own, or not any more, means nothing.
            state.doors.values().find(|door| door.key == key && door.members.contains(&worker)).map(|door| door.number)
        };
        if let Some(number) = number {
            self.leave(worker, number, Manner::Wanted);
        }
    }

    pub(super) fn leave_all_doors(&self, worker: WorkerId, manner: Manner) {
        let numbers: Vec<DoorNumber> = {
            let state = self.state.borrow();
            state.doors.values().filter(|door| door.members.contains(&worker)).map(|door| door.number).collect()
        };
        numbers.into_iter().for_each(|number| self.leave(worker, number, manner));
    }

    fn leave(&self, worker: WorkerId, number: DoorNumber, manner: Manner) {
        {
            let mut state = self.state.borrow_mut();
            let State { doors, seats, .. } = &mut *state;
            if let Some(seat) = seats.get_mut(&worker) {
                seat.forms.remove(&number);
                seat.rests.remove(&number);
            }
            let Some(door) = doors.get_mut(&number) else { return };
            door.members.remove(&worker);
            if door.members.is_empty() && manner == Manner::Died {
                let (hall, linger) = (self.me.clone(), self.options.linger);
                let closing = async move {
                    tokio::time::sleep(linger).await;
                    if let Some(hall) = hall.upgrade() {
                        hall.close_door_if_empty(number);
                    }
                };
                door.lingers = Some(AbortOnDrop(tokio::task::spawn_local(closing).abort_handle()));
            }
        }
        self.keep(number, News::Changed);
        if manner == Manner::Wanted {
            self.close_door_if_empty(number);
        }
        self.pump(number);
    }

    /// Closes the socket, and with it what waits there.
    fn close_door_if_empty(&self, number: DoorNumber) {
        let closed = {
            let mut state = self.state.borrow_mut();
            if state.doors.get(&number).is_none_or(|door| !door.members.is_empty()) {
                return;
            }
            state.targets.retain(|_, known| *known != number);
            state.doors.remove(&number)
        };
        drop(closed);
        self.keep(number, News::Closed);
    }
}
