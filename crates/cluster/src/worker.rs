//! [`Worker`]: a process of the cluster, as its own code sees it.

mod birth;
pub(crate) mod heap_profile;
mod memory_watch;

use std::sync::{Arc, Mutex};

use phalanx_channel::Packets;
use phalanx_shared::{Blob, ClusterPage, Field, Owner, Permits, Slot, SlotIndex};
use serde::Serialize;
use serde::de::DeserializeOwned;
use tokio::sync::{mpsc, watch};

use crate::control::ToPrimary;
use crate::lifeline::Life;
use crate::listener::Listener;
use crate::messages::{Member, Message, Messages, NotPassed, Passable, Post, Taker, encode, pass};
use crate::passed::{Connections, Passed};
use crate::secret::ClusterSecret;
use crate::siblings::Siblings;
use crate::{Error, Gate, ListenAddress, Place, WorkerId};

pub(crate) use birth::run;

/// A worker process of a cluster. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Worker {
    inner: Arc<Inner>,
}

#[derive(Debug)]
pub(crate) struct Inner {
    id: WorkerId,
    place: Place,
    page: SlotIndex,
    generation: u32,
    pub(crate) slot: Arc<Slot>,
    cluster: ClusterPage,
    pub(crate) siblings: Arc<Siblings>,
    pub(crate) listeners: Vec<Listener>,
    /// Where a dispatcher accepts for us.
    dispatched: Vec<ListenAddress>,
    /// Connections that others have accepted for us.
    pub(crate) passed: Arc<Passed>,
    pub(crate) gate: Gate,
    #[cfg_attr(not(feature = "tls"), allow(dead_code, reason = "only TLS derives keys from it"))]
    pub(crate) secret: ClusterSecret,
    permits: Permits,
    settings: Option<Blob>,
    control: Arc<Packets>,
    post: Option<Post>,
    pub(crate) life: watch::Receiver<Life>,
    /// Whether connections may be accepted: a held worker waits until this is true.
    pub(crate) admitted: watch::Receiver<bool>,
    /// Paths that the primary wants probed; the HTTP server takes them, once.
    pub(crate) probes: Mutex<Option<mpsc::Receiver<String>>>,
}

/// A primary that does not take our word is gone or broken; the life-line deals with that.
fn tell(control: &Packets, message: &ToPrimary) {
    let _ = control.send(message, &[]);
}

impl Worker {
    /// Its number in the cluster.
    pub fn id(&self) -> WorkerId {
        self.inner.id
    }

    /// Its place in the cluster, which a replacement takes over.
    pub fn place(&self) -> Place {
        self.inner.place
    }

    /// The generation of its settings: 0 at first, and one more with every reload and upgrade.
    pub fn generation(&self) -> u32 {
        self.inner.generation
    }

    /// The settings of its generation, as [`Cluster::settings`](crate::Cluster::settings) read them; empty without.
    pub fn settings(&self) -> &[u8] {
        self.inner.settings.as_deref().unwrap_or_default()
    }

    /// Its process id.
    pub fn pid(&self) -> u32 {
        std::process::id()
    }

    /// The listening sockets from which this worker accepts, in the order in which they were asked for; those that were
    /// given to the cluster come last. Not among them: those from which a dispatcher accepts ([`Distribution::RoundRobin`](crate::Distribution::RoundRobin) and the like).
    pub fn listeners(&self) -> &[Listener] {
        &self.inner.listeners
    }

    /// The connections that somebody else has accepted for this worker: a dispatcher
    /// ([`Distribution::RoundRobin`](crate::Distribution::RoundRobin) and the like), or this worker itself from the socket of a
    /// place that has no worker at the moment ([`Distribution::ReusePort`](crate::Distribution::ReusePort)). For code that
    /// does not speak HTTP; the HTTP server takes them by itself. Only the first who asks gets them.
    pub fn connections(&self) -> Connections {
        let taken = self.inner.passed.take();
        if taken.is_some() {
            self.inner.slot.set(Field::Accepting, 1);
        }
        Connections::new(taken)
    }

    /// The rights to use a core, counted over the whole cluster, and the name under which this worker takes them.
    pub fn permits(&self) -> (Permits, Owner) {
        (self.inner.permits.clone(), crate::primary::owner(self.inner.page, self.inner.id))
    }

    /// This worker's page of the scoreboard.
    pub fn scoreboard(&self) -> &Slot {
        &self.inner.slot
    }

    /// What the other workers that live say in `field` of their pages, added up. A worker of any generation counts; one that
    /// is gone does not, as soon as the primary has seen its end.
    pub fn sum_of_others(&self, field: Field) -> u64 {
        self.inner.siblings.slots().iter().fold(0, |sum: u64, slot| sum.saturating_add(slot.get(field)))
    }

    /// The figures of the whole cluster, of all its workers and the primary, as Prometheus reads them (text format 0.0.4, content
    /// type `text/plain; version=0.0.4`). Nobody is asked for them: they are read from the scoreboard. Which there are, and
    /// what they tell, stands in the text itself.
    pub fn metrics(&self) -> String {
        let mut slots = self.inner.siblings.slots();
        slots.push(Arc::clone(&self.inner.slot));
        crate::metrics::render(&self.inner.cluster, &slots)
    }

    /// Whether any worker of the cluster serves and the cluster does not stop: what a readiness probe wants to know.
    pub fn cluster_is_ready(&self) -> bool {
        self.inner.cluster.is_ready()
    }

    /// Says that this worker can serve. Serving HTTP says it by itself; code that does not, must say it within the
    /// boot deadline, else the worker is killed.
    pub fn ready(&self) {
        self.inner.ready();
    }

    /// Resolves when this worker has to leave: it takes no new work, finishes what it has, and returns.
    pub async fn shutdown(&self) {
        let mut life = self.inner.life.clone();
        // An error means that the life-line thread is gone, which only happens when the process ends.
        let _ = life.wait_for(|life| *life != Life::Serving).await;
    }

    /// Sends `message` to the code in the primary, as an [`Event::Message`](crate::Event::Message). When it returns, the
    /// message is in the kernel's hands and arrives even if this worker dies now. Waits while 128 messages, or 512 KiB of
    /// them, were not taken by that code, for at most 5 s.
    ///
    /// Errors: [`Error::NoPeer`] if the primary runs no code of its own, [`Error::NotReading`] after the 5 s,
    /// [`Error::Message`] if it cannot be encoded or is larger than 64 MiB.
    pub async fn send<T: Serialize + ?Sized>(&self, message: &T) -> Result<(), Error> {
        self.post()?.desk.send(Member::Primary, encode(message)?).await
    }

    /// Sends `message` to another worker, through the primary, whose code does not see it. Waits as [`send`](Self::send)
    /// does; other workers are not held up by one that does not take its messages.
    ///
    /// Errors: [`Error::NoSuchWorker`], at once; [`Error::NotReading`]; [`Error::NoPeer`] if the cluster has neither
    /// [`primary`](crate::Cluster::primary) code nor [`messages`](crate::Cluster::messages). A message to a worker that
    /// dies is lost.
    pub async fn send_to<T: Serialize + ?Sized>(&self, worker: WorkerId, message: &T) -> Result<(), Error> {
        self.post()?.desk.send(Member::Worker(worker), encode(message)?).await
    }

    /// Sends `message` to all other workers, and says how many of them it has reached. A worker that does not take its
    /// messages is waited for once, for 5 s, and then left out until it takes something.
    pub async fn broadcast<T: Serialize + ?Sized>(&self, message: &T) -> Result<usize, Error> {
        self.post()?.broadcast(message).await
    }

    /// Asks the code in the primary, which gets an [`Event::Request`](crate::Event::Request), and waits for its answer
    /// for at most 30 s. At most 64 requests are under way; further ones wait as [`send`](Self::send) does.
    ///
    /// Errors: those of `send`, [`Error::NoAnswer`], [`Error::Unanswered`] if the request was dropped, and
    /// [`Error::Replaced`] if the primary was upgraded meanwhile.
    pub async fn request<Q, A>(&self, question: &Q) -> Result<A, Error>
    where
        Q: Serialize + ?Sized,
        A: DeserializeOwned,
    {
        self.ask(Member::Primary, question).await
    }

    /// Asks another worker, which gets an [`Incoming::Request`](crate::Incoming::Request); as
    /// [`request`](Self::request). If it ends meanwhile, that is an [`Error::NoSuchWorker`].
    pub async fn request_of<Q, A>(&self, worker: WorkerId, question: &Q) -> Result<A, Error>
    where
        Q: Serialize + ?Sized,
        A: DeserializeOwned,
    {
        self.ask(Member::Worker(worker), question).await
    }

    /// Passes a connection to another worker, which gets it as
    /// [`Incoming::Connection`](crate::Incoming::Connection) together with `head`. Returns when the other's code has taken
    /// it; until then it is kept here. Not taken for 5 s, it is asked back.
    ///
    /// What was already read from the connection does not travel: put it into `head`.
    ///
    /// Errors: those of [`send_to`](Self::send_to), with the connection, which is still ours.
    ///
    /// ```no_run
    /// # async fn example(worker: phalanx_cluster::Worker, other: phalanx_cluster::WorkerId, stream: std::net::TcpStream) {
    /// if let Err(not) = worker.pass(stream, other, "for you").await {
    ///     eprintln!("{not}");
    ///     let mine = not.socket.map(std::net::TcpStream::from);
    /// }
    /// # }
    /// ```
    pub async fn pass<T: Serialize + ?Sized>(
        &self,
        connection: impl Passable,
        to: WorkerId,
        head: &T,
    ) -> Result<(), NotPassed> {
        match self.post() {
            Ok(post) => pass(&post.desk, connection, Member::Worker(to), Taker::Code, encode(head)).await,
            Err(error) => Err(NotPassed { error, socket: connection.into_descriptor().ok() }),
        }
    }

    /// Passes a connection to the HTTP server of another worker, which serves it as if it had accepted it (or to whoever
    /// else takes [`connections`](Self::connections) there).
    ///
    /// Nothing may have been read from it, and no TLS begun on it. Errors: as [`pass`](Self::pass), and
    /// [`Error::NotServing`] if the other leaves.
    pub async fn pass_to_server(&self, connection: impl Passable, to: WorkerId) -> Result<(), NotPassed> {
        match self.post() {
            Ok(post) => pass(&post.desk, connection, Member::Worker(to), Taker::Server, encode(&())).await,
            Err(error) => Err(NotPassed { error, socket: connection.into_descriptor().ok() }),
        }
    }

    /// The next message, of the primary's code or of another worker; `None` when this worker has to leave and all
    /// messages were taken. Requests and connections are left for [`messages`](Self::messages), which also says who sent
    /// what.
    ///
    /// Errors: [`Error::Message`] if it is no `T`; receive again for the next one. [`Error::NoPeer`] as above.
    pub async fn recv<T: DeserializeOwned>(&self) -> Result<Option<T>, Error> {
        let post = self.post()?;
        // A flood must not keep the other tasks of this thread waiting.
        tokio::task::coop::consume_budget().await;
        post.inbox.message().await.map(|message| message.decode()).transpose()
    }

    /// A stream of all that comes for this worker: messages, requests, connections. Several streams, and
    /// [`recv`](Self::recv), share what comes.
    pub fn messages(&self) -> Result<Messages, Error> {
        Ok(Messages { inbox: Arc::clone(&self.post()?.inbox) })
    }

    /// The other workers that live now, as the primary knows them.
    pub async fn others(&self) -> Result<Vec<WorkerId>, Error> {
        self.post()?.others().await
    }

    /// An HTTP server on the cluster's listeners.
    #[cfg(feature = "http")]
    pub fn http(&self) -> crate::HttpServer {
        crate::HttpServer::new(Arc::clone(&self.inner))
    }

    async fn ask<Q, A>(&self, member: Member, question: &Q) -> Result<A, Error>
    where
        Q: Serialize + ?Sized,
        A: DeserializeOwned,
    {
        let answer = self.post()?.desk.request(member, encode(question)?).await?;
        Message::new(answer).decode()
    }

    fn post(&self) -> Result<&Post, Error> {
        self.inner.post.as_ref().ok_or(Error::NoPeer)
    }
}

impl Inner {
    /// The paths that the primary wants probed; only the first HTTP server of a worker gets them.
    #[cfg(feature = "http")]
    pub(crate) fn take_probes(&self) -> Option<mpsc::Receiver<String>> {
        self.probes.lock().unwrap_or_else(std::sync::PoisonError::into_inner).take()
    }

    /// Tells the primary how a probe went.
    #[cfg(feature = "http")]
    pub(crate) fn probed(&self, outcome: Result<(), String>) {
        tell(&self.control, &ToPrimary::Probed(outcome));
    }

    /// Tells the primary that connections are accepted, and where.
    #[cfg(feature = "http")]
    pub(crate) fn listening(&self) {
        for listener in &self.listeners {
            tell(&self.control, &ToPrimary::Listening(listener.address().clone()));
        }
        for address in &self.dispatched {
            tell(&self.control, &ToPrimary::Listening(address.clone()));
        }
    }

    /// Tells the primary that this worker can serve.
    pub(crate) fn ready(&self) {
        tell(&self.control, &ToPrimary::Ready);
    }
}
