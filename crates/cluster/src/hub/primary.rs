//! [`Primary`]: the cluster, as code in the primary sees it.

use std::os::fd::OwnedFd;
use std::sync::Arc;

use serde::Serialize;
use serde::de::DeserializeOwned;
use tokio::sync::{oneshot, watch};

use super::events::{Streams, Wanted};
use super::relay::Relay;
use super::{Command, Events};
use crate::messages::{Member, Message, NotPassed, Passable, Taker, encode, pass};
use crate::primary::Wish;
use crate::{Error, ListenAddress, WorkerId};

/// The way of commands to the supervisor.
#[derive(Debug)]
pub(crate) struct Bell {
    pub(crate) commands: std::sync::mpsc::SyncSender<Command>,
    pub(crate) bell: Arc<OwnedFd>,
}

/// The cluster, as code in the primary sees it. Cheap to clone.
///
/// The code shares its thread with the hub that relays messages between workers: while it computes without an `await`,
/// they wait. An upgrade in place runs the code from its beginning; messages that it had not taken are lost then.
#[derive(Debug, Clone)]
pub struct Primary {
    pub(super) commands: Arc<Bell>,
    pub(super) relay: Arc<Relay>,
    pub(super) streams: Arc<Streams>,
    pub(super) addresses: watch::Receiver<Vec<ListenAddress>>,
    /// What [`recv`](Primary::recv) reads from, once it was called.
    pub(super) messages: Arc<tokio::sync::Mutex<Option<Events>>>,
}

/// A worker, as the primary knows it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WorkerInfo {
    /// Its number.
    pub id: WorkerId,
    /// Its process.
    pub pid: u32,
}

impl Primary {
    /// Starts one more worker, in a new place, with additions to its environment; replacements in that place get the
    /// same.
    pub async fn fork<N, V>(&self, environment: impl IntoIterator<Item = (N, V)>) -> Result<WorkerId, Error>
    where
        N: Into<String>,
        V: Into<String>,
    {
        let environment = environment.into_iter().map(|(name, value)| (name.into(), value.into())).collect();
        let (reply, answer) = oneshot::channel();
        self.command(Command::Fork { environment, reply })?;
        answer.await.ok().flatten().ok_or(Error::NoPeer)
    }

    /// The workers that live now.
    pub fn workers(&self) -> Vec<WorkerInfo> {
        self.relay.workers().into_iter().map(|(id, pid)| WorkerInfo { id, pid }).collect()
    }

    /// Tells a worker to stop accepting, to finish what it has and to exit; it is not replaced.
    pub fn disconnect(&self, worker: WorkerId) -> Result<(), Error> {
        self.command(Command::Disconnect(worker))
    }

    /// Tells all workers so. When the last has left, the cluster ends.
    pub fn disconnect_all(&self) -> Result<(), Error> {
        self.command(Command::DisconnectAll)
    }

    /// Stops the cluster as SIGTERM does.
    pub fn stop(&self) -> Result<(), Error> {
        self.command(Command::Stop)
    }

    /// Replaces every worker, one place at a time, new first, with newly read settings; as SIGHUP does. Resolves when it is
    /// done, or has failed and the workers that were there serve on.
    ///
    /// Errors: [`Error::Operation`] with the reason, also while another operation is under way.
    pub async fn reload(&self) -> Result<(), Error> {
        self.operate(Wish::Reload).await
    }

    /// Goes on with the program file as it is on disk now, in this same process; as SIGUSR2 does. The new program is first
    /// asked whether it can take over. If it can, this never resolves: the process becomes the other program, in which the
    /// primary's code begins anew, and the operation ends there with a reload.
    ///
    /// Errors: [`Error::Operation`] with the reason; nothing has changed.
    pub async fn upgrade(&self) -> Result<(), Error> {
        self.operate(crate::primary::Wish::Upgrade).await
    }

    /// Goes back to the program before the last upgrade, as [`upgrade`](Self::upgrade) goes forth.
    ///
    /// Errors: [`Error::Operation`] with the reason, also if there was no upgrade.
    pub async fn rollback(&self) -> Result<(), Error> {
        self.operate(crate::primary::Wish::Rollback).await
    }

    /// Has this many places (at least 1) from now on. Resolves when the new workers are ready, or when those that are too
    /// many were told to leave.
    ///
    /// Errors: as [`reload`](Self::reload).
    pub async fn scale(&self, workers: usize) -> Result<(), Error> {
        self.operate(Wish::Scale(workers)).await
    }

    async fn operate(&self, wish: Wish) -> Result<(), Error> {
        let (reply, over) = oneshot::channel();
        self.command(Command::Operate { wish, reply })?;
        over.await.map_err(|_| Error::NoPeer)?
    }

    /// Sends `message` to a worker. Waits while 128 messages, or 512 KiB of them, were not taken by the worker's code,
    /// for at most 5 s.
    ///
    /// Errors: [`Error::NoSuchWorker`], at once; [`Error::NotReading`] after the 5 s; [`Error::Message`] if it cannot
    /// be encoded or is larger than 64 MiB. A message to a worker that dies is lost.
    pub async fn send<T: Serialize + ?Sized>(&self, worker: WorkerId, message: &T) -> Result<(), Error> {
        self.relay.desk().send(Member::Worker(worker), encode(message)?).await
    }

    /// Asks a worker, whose code gets an [`Incoming::Request`](crate::Incoming::Request), and waits for its answer for at
    /// most 30 s. At most 64 requests to one worker are under way; further ones wait as [`send`](Self::send) does.
    ///
    /// Errors: those of `send`, [`Error::NoAnswer`], [`Error::Unanswered`] if the worker dropped the request, and
    /// [`Error::NoSuchWorker`] if it ended meanwhile.
    pub async fn request<Q, A>(&self, worker: WorkerId, question: &Q) -> Result<A, Error>
    where
        Q: Serialize + ?Sized,
        A: DeserializeOwned,
    {
        let answer = self.relay.desk().request(Member::Worker(worker), encode(question)?).await?;
        Message::new(answer).decode()
    }

    /// Sends `message` to all workers, and says how many of them it has reached. A worker that does not take its messages
    /// is waited for once, for 5 s, and then left out until it takes something.
    pub async fn broadcast<T: Serialize + ?Sized>(&self, message: &T) -> Result<usize, Error> {
        Ok(self.relay.broadcast(Member::Primary, encode(message)?).await)
    }

    /// Passes a connection to a worker; see [`Worker::pass`](crate::Worker::pass).
    pub async fn pass<T: Serialize + ?Sized>(
        &self,
        connection: impl Passable,
        worker: WorkerId,
        head: &T,
    ) -> Result<(), NotPassed> {
        pass(self.relay.desk(), connection, Member::Worker(worker), Taker::Code, encode(head)).await
    }

    /// The next message of any worker, and whose it is; `None` when the cluster has ended.
    ///
    /// For code that wants nothing but messages: all else is in [`events`](Self::events). Who begins with it must go
    /// on with it: messages that are not taken hold up the events behind them.
    ///
    /// Errors: [`Error::Message`] if it is no `T`; receive again for the next one.
    pub async fn recv<T: DeserializeOwned>(&self) -> Result<Option<(WorkerId, T)>, Error> {
        let mut messages = self.messages.lock().await;
        let messages = messages.get_or_insert_with(|| self.streams.subscribe(Wanted::Messages));
        loop {
            match messages.next().await {
                Some(crate::Event::Message { worker, message }) => return Ok(Some((worker, message.decode()?))),
                Some(_) => {}
                None => return Ok(None),
            }
        }
    }

    /// A stream of all events and messages from now on; the first stream begins with the first event.
    pub fn events(&self) -> Events {
        self.streams.subscribe(Wanted::All)
    }

    /// The addresses on which the cluster listens, with the ports that are really used.
    pub async fn addresses(&self) -> Vec<ListenAddress> {
        let mut addresses = self.addresses.clone();
        let known = addresses.wait_for(|addresses| !addresses.is_empty()).await;
        known.map(|addresses| addresses.clone()).unwrap_or_default()
    }

    pub(super) fn command(&self, command: Command) -> Result<(), Error> {
        self.commands.commands.try_send(command).map_err(|_| Error::NoPeer)?;
        let _ = rustix::io::write(&*self.commands.bell, &1u64.to_ne_bytes());
        Ok(())
    }
}
