//! [`Post`]: a worker's end of the messages.

use std::collections::HashMap;
use std::os::fd::OwnedFd;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use serde::Serialize;
use tokio::sync::{Semaphore, mpsc, watch};

use super::{Body, Desk, Entry, Failure, Inbox, Kind, Letter, Line, Member, Posted};
use crate::Error;
use crate::lifeline::Life;
use crate::passed::Passed;

/// Broadcasts of one worker under way at once.
pub(crate) const BROADCASTS_AT_ONCE: usize = 16;

/// Where letters go.
#[derive(Debug)]
enum Way {
    Open(Arc<Line>),
    /// They wait for another line, or for the word that none comes. The windows bound them.
    Held {
        line: Option<Arc<Line>>,
        letters: Vec<Letter>,
    },
}

#[derive(Debug)]
struct CurrentWay(Mutex<Way>);

impl CurrentWay {
    fn post(&self, letter: Letter) -> Posted {
        match &mut *self.way() {
            Way::Open(line) => Posted(Some((Arc::clone(line), line.post(letter)))),
            Way::Held { letters, .. } => {
                letters.push(letter);
                Posted::default()
            }
        }
    }

    /// Holds back what is posted from now on.
    fn hold(&self) {
        let mut way = self.way();
        if let Way::Open(line) = &*way {
            line.post(Letter::bare(Member::Primary, Kind::Paused));
            *way = Way::Held { line: Some(Arc::clone(line)), letters: Vec::new() };
        }
    }

    /// The line has ended. Whether that was announced.
    fn break_off(&self) -> bool {
        let mut way = self.way();
        match &mut *way {
            Way::Open(_) => {
                *way = Way::Held { line: None, letters: Vec::new() };
                false
            }
            Way::Held { line, .. } => line.take().is_some(),
        }
    }

    /// Goes on with this line, or with the one before; what was held back goes first.
    fn go_on(&self, with: Option<Arc<Line>>) {
        let mut way = self.way();
        if let Way::Held { line, letters } = &mut *way
            && let Some(line) = with.or(line.take())
        {
            for letter in letters.drain(..) {
                line.post(letter);
            }
            *way = Way::Open(line);
        }
    }

    fn way(&self) -> MutexGuard<'_, Way> {
        lock(&self.0)
    }
}

#[derive(Debug)]
pub(crate) struct Post {
    pub(crate) desk: Arc<Desk>,
    pub(crate) inbox: Arc<Inbox>,
    broadcasts: Semaphore,
}

impl Post {
    /// Begins to use the line. `further` brings another one when the primary was replaced. Must be called inside the
    /// worker's runtime.
    pub(crate) fn open(
        socket: OwnedFd,
        further: mpsc::Receiver<OwnedFd>,
        life: watch::Receiver<Life>,
        passed: Arc<Passed>,
    ) -> Result<Post, Error> {
        let line = Line::open(socket)?;
        let way = Arc::new(CurrentWay(Mutex::new(Way::Open(Arc::clone(&line)))));
        let desk = Desk::new({
            let way = Arc::clone(&way);
            move |letter| way.post(letter)
        });
        let inbox = Arc::<Inbox>::default();
        let server = ForServer { passed, desk: Arc::clone(&desk), waiting: Arc::default() };
        tokio::spawn(take_in(line, further, way, server, Arc::clone(&desk), Arc::clone(&inbox)));
        tokio::spawn(end_with(life, Arc::clone(&inbox)));
        Ok(Post { desk, inbox, broadcasts: Semaphore::new(BROADCASTS_AT_ONCE) })
    }

    /// The number of workers that a broadcast has reached.
    pub(crate) async fn broadcast<T: Serialize + ?Sized>(&self, message: &T) -> Result<usize, Error> {
        let body = super::encode(message)?;
        let _turn = self.broadcasts.acquire().await;
        let answer = self.ask_hub(|id| Kind::Broadcast { id }, body).await?;
        super::Message::new(answer).decode()
    }

    pub(crate) async fn others(&self) -> Result<Vec<crate::WorkerId>, Error> {
        let answer = self.ask_hub(|id| Kind::Who { id }, Body::default()).await?;
        super::Message::new(answer).decode()
    }

    async fn ask_hub(&self, kind: impl FnOnce(u64) -> Kind, body: Body) -> Result<Body, Error> {
        self.desk.ask_hub(|id| Letter::new(Member::Primary, kind(id), body)).await
    }
}

/// Connections on their way to the HTTP server.
struct ForServer {
    passed: Arc<Passed>,
    desk: Arc<Desk>,
    /// Those that wait for room and can be taken back.
    waiting: Arc<Mutex<HashMap<(Member, u64), OwnedFd>>>,
}

impl ForServer {
    fn offer(&self, from: Member, id: u64, socket: Option<OwnedFd>) {
        let entry = (from, id);
        let Some(socket) = socket else {
            self.desk.post(Letter::bare(from, Kind::Withdrawn { id }));
            return;
        };
        lock(&self.waiting).insert(entry, socket);
        let (passed, waiting, desk) = (Arc::clone(&self.passed), Arc::clone(&self.waiting), Arc::clone(&self.desk));
        tokio::spawn(async move {
            let sender = passed.sender().await;
            let room = match &sender {
                Some(sender) => sender.room().await,
                None => None,
            };
            // Nothing: it was taken back.
            let Some(socket) = lock(&waiting).remove(&entry) else { return };
            let kind = match room {
                Some(room) => {
                    room.fill(socket);
                    Kind::Accepted { id }
                }
                None => Kind::Failed { id, why: Failure::NoServer },
            };
            desk.post(Letter::bare(from, kind));
        });
    }

    fn withdraw(&self, from: Member, id: u64) {
        lock(&self.waiting).remove(&(from, id));
    }
}

fn lock<T>(shared: &Mutex<T>) -> MutexGuard<'_, T> {
    shared.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Takes in what comes, on this line and on those after it.
async fn take_in(
    mut line: Arc<Line>,
    mut further: mpsc::Receiver<OwnedFd>,
    way: Arc<CurrentWay>,
    server: ForServer,
    desk: Arc<Desk>,
    inbox: Arc<Inbox>,
) {
    loop {
        while let Some(letter) = line.next().await {
            match (letter.kind, letter.member) {
                (Kind::ForServer { id }, from) => server.offer(from, id, letter.descriptor),
                (Kind::Withdraw { id }, from) => {
                    server.withdraw(from, id);
                    inbox.withdraw(from, id);
                    desk.post(Letter::bare(from, Kind::Withdrawn { id }));
                }
                (Kind::Pause, _) => way.hold(),
                (Kind::Resume, _) => way.go_on(None),
                (Kind::Gone, from) => {
                    desk.forget(from);
                    desk.hear(letter);
                }
                _ => match Entry::of(&desk, letter) {
                    Ok(entry) => inbox.push(entry),
                    Err(letter) => desk.hear(letter),
                },
            }
        }
        line.close();
        let announced = way.break_off();
        desk.cut_off();
        let Some(socket) = further.recv().await else { return };
        match Line::open(socket) {
            Ok(opened) => line = opened,
            Err(error) => return tracing::error!("no messages after the primary was replaced: {error}"),
        }
        way.go_on(Some(Arc::clone(&line)));
        desk.knock_again();
        if !announced {
            desk.take_back_connections();
        }
    }
}

/// Whoever waits for messages in a worker that has to leave waits no longer.
async fn end_with(mut life: watch::Receiver<Life>, inbox: Arc<Inbox>) {
    let _ = life.wait_for(|life| *life != Life::Serving).await;
    inbox.close();
}
