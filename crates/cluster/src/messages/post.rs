//! [`Post`]: a worker's end of the messages.

use std::os::fd::OwnedFd;
use std::sync::{Arc, Mutex, PoisonError};

use serde::Serialize;
use tokio::sync::{Semaphore, mpsc, watch};

use super::{Body, Desk, Entry, Inbox, Kind, Letter, Line, Posted};
use crate::Error;
use crate::lifeline::Life;

/// Broadcasts of one worker under way at once.
pub(crate) const BROADCASTS_AT_ONCE: usize = 16;

/// The current line; another one after the primary was replaced.
type CurrentLine = Arc<Mutex<Option<Arc<Line>>>>;

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
    ) -> Result<Post, Error> {
        let line = Line::open(socket)?;
        let current: CurrentLine = Arc::new(Mutex::new(Some(Arc::clone(&line))));
        let desk = Desk::new({
            let current = Arc::clone(&current);
            move |letter| {
                let line = current.lock().unwrap_or_else(PoisonError::into_inner).clone();
                Posted(line.map(|line| {
                    let number = line.post(letter);
                    (line, number)
                }))
            }
        });
        let inbox = Arc::<Inbox>::default();
        tokio::spawn(take_in(line, further, current, Arc::clone(&desk), Arc::clone(&inbox)));
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
        self.desk.ask_hub(|id| Letter::new(super::Member::Primary, kind(id), body)).await
    }
}

/// Takes in what comes, on this line and on those after it.
async fn take_in(
    mut line: Arc<Line>,
    mut further: mpsc::Receiver<OwnedFd>,
    current: CurrentLine,
    desk: Arc<Desk>,
    inbox: Arc<Inbox>,
) {
    let set = |line: Option<Arc<Line>>| *current.lock().unwrap_or_else(PoisonError::into_inner) = line;
    loop {
        while let Some(letter) = line.next().await {
            match (letter.kind, letter.member) {
                (Kind::Withdraw { id }, from) => {
                    inbox.withdraw(from, id);
                    desk.post(Letter::bare(from, Kind::Withdrawn { id }));
                }
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
        set(None);
        desk.cut_off();
        let Some(socket) = further.recv().await else { return };
        match Line::open(socket) {
            Ok(opened) => line = opened,
            Err(error) => return tracing::error!("no messages after the primary was replaced: {error}"),
        }
        set(Some(Arc::clone(&line)));
        desk.connected_again();
    }
}

/// Whoever waits for messages in a worker that has to leave waits no longer.
async fn end_with(mut life: watch::Receiver<Life>, inbox: Arc<Inbox>) {
    let _ = life.wait_for(|life| *life != Life::Serving).await;
    inbox.close();
}
