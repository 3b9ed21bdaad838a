//! [`Desk`]: what one member keeps of its correspondence: the windows to the others, the questions under way, and what
//! it took and has not returned yet. It is the same for a worker and for the primary's code.

use std::collections::HashMap;
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::Duration;

use tokio::sync::{Notify, oneshot};
use tokio::time::Instant;

use super::{
    ANSWER_DEADLINE, Body, Failure, Kind, Letter, Line, Member, SEND_DEADLINE, WINDOW_BYTES, WINDOW_CONNECTIONS,
    WINDOW_MESSAGES, WINDOW_REQUESTS,
};
use crate::Error;

/// What was taken is returned when it is this part of a window: rarely enough to cost little, often enough to keep a sender
/// going.
const RETURNED_AT_PART: u32 = 4;

/// Where letters of this desk are posted.
type Out = Box<dyn Fn(Letter) -> Posted + Send + Sync>;

/// A letter on its way.
#[derive(Debug, Default)]
pub(crate) struct Posted(pub(crate) Option<(Arc<Line>, u64)>);

impl Posted {
    /// Waits until the kernel has it.
    pub(crate) async fn written(self, deadline: Duration) -> Result<(), Error> {
        let Some((line, number)) = self.0 else { return Ok(()) };
        match tokio::time::timeout(deadline, line.written(number)).await {
            Ok(true) => Ok(()),
            Ok(false) => Err(Error::NoPeer),
            Err(_) => Err(Error::NotReading { member: Member::Primary, waited: deadline }),
        }
    }
}

/// What a letter takes of a window.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Cost {
    Message { bytes: u64 },
    Request,
    Connection,
}

/// What was asked, and so what ends it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Asked {
    /// A member; its end ends it.
    Request,
    /// A member was given a connection.
    Connection,
    /// The hub.
    Hub,
}

/// A window to one member.
#[derive(Debug, Default)]
struct Window {
    /// The hub has said that the member is there.
    open: bool,
    messages: u32,
    bytes: u64,
    requests: u32,
    connections: u32,
}

impl Window {
    fn take(&mut self, cost: Cost) -> bool {
        let (count, most) = match cost {
            Cost::Message { .. } => (&mut self.messages, WINDOW_MESSAGES),
            Cost::Request => (&mut self.requests, WINDOW_REQUESTS),
            Cost::Connection => (&mut self.connections, WINDOW_CONNECTIONS),
        };
        let bytes = if let Cost::Message { bytes } = cost { bytes } else { 0 };
        let room = self.open && *count < most && (bytes == 0 || self.bytes < WINDOW_BYTES);
        if room {
            *count += 1;
            self.bytes += bytes;
        }
        room
    }
}

struct Question {
    to: Member,
    asked: Asked,
    teller: oneshot::Sender<Result<Body, Failure>>,
}

/// What was taken and not returned yet.
#[derive(Debug, Default, Clone, Copy)]
pub(crate) struct Owed {
    messages: u32,
    bytes: u64,
}

/// Whose window a message counts against: news are counted by the hub alone.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Account {
    Of(Member),
    News,
}

#[derive(Default)]
struct Books {
    windows: HashMap<Member, Window>,
    questions: HashMap<u64, Question>,
    owed: HashMap<Account, Owed>,
    last_id: u64,
}

pub(crate) struct Desk {
    books: Mutex<Books>,
    /// A window has changed.
    changed: Notify,
    out: Out,
}

impl fmt::Debug for Desk {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Desk").finish_non_exhaustive()
    }
}

impl Desk {
    pub(crate) fn new(out: impl Fn(Letter) -> Posted + Send + Sync + 'static) -> Arc<Desk> {
        Arc::new(Desk { books: Mutex::default(), changed: Notify::new(), out: Box::new(out) })
    }

    pub(crate) fn post(&self, letter: Letter) -> Posted {
        (self.out)(letter)
    }

    /// Sends a message, when there is room for it.
    pub(crate) async fn send(&self, to: Member, body: Body) -> Result<(), Error> {
        let until = Instant::now() + SEND_DEADLINE;
        self.enter(to, Cost::Message { bytes: body.len() as u64 }, until).await?;
        self.post(Letter::new(to, Kind::Message, body)).written(SEND_DEADLINE).await
    }

    /// Asks a member, and waits for its answer.
    pub(crate) async fn request(&self, to: Member, body: Body) -> Result<Body, Error> {
        let started = Instant::now();
        self.enter(to, Cost::Request, started + SEND_DEADLINE).await?;
        let (_, answer) = self.ask(to, Asked::Request, |id| Letter::new(to, Kind::Request { id }, body));
        match tokio::time::timeout_at(started + ANSWER_DEADLINE, answer).await {
            Ok(answer) => answer.unwrap_or(Err(Failure::Replaced)).map_err(|why| failed(to, why)),
            Err(_) => Err(Error::NoAnswer { member: to, waited: ANSWER_DEADLINE }),
        }
    }

    /// Asks the hub itself.
    pub(crate) async fn ask_hub(&self, letter: impl FnOnce(u64) -> Letter) -> Result<Body, Error> {
        let (_, answer) = self.ask(Member::Primary, Asked::Hub, letter);
        match tokio::time::timeout(ANSWER_DEADLINE, answer).await {
            Ok(answer) => answer.unwrap_or(Err(Failure::Replaced)).map_err(|why| failed(Member::Primary, why)),
            Err(_) => Err(Error::NoAnswer { member: Member::Primary, waited: ANSWER_DEADLINE }),
        }
    }

    /// Notes a question and posts it. Its entry stays until it is answered, also if nobody waits any more: the window
    /// counts what is under way.
    pub(crate) fn ask(
        &self,
        to: Member,
        asked: Asked,
        letter: impl FnOnce(u64) -> Letter,
    ) -> (u64, oneshot::Receiver<Result<Body, Failure>>) {
        let (teller, answer) = oneshot::channel();
        let id = {
            let mut books = self.books();
            books.last_id += 1;
            let id = books.last_id;
            books.questions.insert(id, Question { to, asked, teller });
            id
        };
        self.post(letter(id));
        (id, answer)
    }

    /// Waits for room in the window to a member; the first time also for the hub's word that it exists.
    pub(crate) async fn enter(&self, to: Member, cost: Cost, until: Instant) -> Result<(), Error> {
        let mut known = false;
        let began = Instant::now();
        loop {
            let changed = self.changed.notified();
            let mut changed = std::pin::pin!(changed);
            changed.as_mut().enable();
            let knock = {
                let mut books = self.books();
                match books.windows.get_mut(&to) {
                    Some(window) => {
                        if window.take(cost) {
                            return Ok(());
                        }
                        false
                    }
                    None if known => return Err(failed(to, Failure::Gone)),
                    None => {
                        books.windows.insert(to, Window::default());
                        true
                    }
                }
            };
            known = true;
            if knock {
                self.post(Letter::bare(to, Kind::Knock));
                continue;
            }
            if tokio::time::timeout_at(until, changed).await.is_err() {
                return Err(Error::NotReading { member: to, waited: began.elapsed() });
            }
        }
    }

    /// A letter that concerns our own letters.
    pub(crate) fn hear(&self, letter: Letter) {
        let member = letter.member;
        let mut books = self.books();
        match letter.kind {
            Kind::Open => books.windows.entry(member).or_default().open = true,
            Kind::Gone => {
                books.windows.remove(&member);
                books.fail(Failure::Gone, |question| question.to == member && question.asked != Asked::Hub);
            }
            Kind::Taken { messages, bytes } => {
                if let Some(window) = books.windows.get_mut(&member) {
                    window.messages = window.messages.saturating_sub(messages);
                    window.bytes = window.bytes.saturating_sub(bytes);
                }
            }
            Kind::Answer { id } => books.answer(member, id, Ok(letter.body)),
            Kind::Accepted { id } => books.answer(member, id, Ok(Body::default())),
            Kind::Failed { id, why } => books.answer(member, id, Err(why)),
            Kind::Withdrawn { id } => books.answer(member, id, Err(Failure::Withdrawn)),
            _ => return,
        }
        drop(books);
        self.changed.notify_waiters();
    }

    /// The line has ended: what only the hub or the primary's code could have answered is over.
    pub(crate) fn cut_off(&self) {
        let mut books = self.books();
        books.fail(Failure::Replaced, |question| question.to == Member::Primary);
        books.windows.values_mut().for_each(|window| *window = Window::default());
        books.owed.clear();
        drop(books);
        self.changed.notify_waiters();
    }

    /// There is a new hub, which knows nothing: it is asked for all whom we write to, and will say when they end.
    pub(crate) fn knock_again(&self) {
        let members: Vec<Member> = {
            let mut books = self.books();
            let asked: Vec<Member> = books.questions.values().map(|question| question.to).collect();
            for member in asked {
                books.windows.entry(member).or_default();
            }
            books.windows.keys().copied().collect()
        };
        for member in members {
            self.post(Letter::bare(member, Kind::Knock));
        }
    }

    /// Nobody can say whether they came through.
    pub(crate) fn take_back_connections(&self) {
        let passed: Vec<(u64, Member)> = {
            let books = self.books();
            let passed = books.questions.iter().filter(|(_, question)| question.asked == Asked::Connection);
            passed.map(|(id, question)| (*id, question.to)).collect()
        };
        for (id, to) in passed {
            self.post(Letter::bare(to, Kind::Withdraw { id }));
        }
    }

    fn took(&self, account: Account, bytes: u64) {
        let owed = {
            let mut books = self.books();
            let owed = books.owed.entry(account).or_default();
            owed.messages += 1;
            owed.bytes += bytes;
            let enough = owed.messages >= WINDOW_MESSAGES / RETURNED_AT_PART
                || owed.bytes >= WINDOW_BYTES / u64::from(RETURNED_AT_PART);
            if !enough {
                return;
            }
            std::mem::take(owed)
        };
        let Owed { messages, bytes } = owed;
        self.post(match account {
            Account::Of(member) => Letter::bare(member, Kind::Taken { messages, bytes }),
            Account::News => Letter::bare(Member::Primary, Kind::NewsTaken { messages, bytes }),
        });
    }

    /// A member is gone: nothing is owed to it.
    pub(crate) fn forget(&self, member: Member) {
        self.books().owed.remove(&Account::Of(member));
    }

    fn books(&self) -> MutexGuard<'_, Books> {
        self.books.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Books {
    fn answer(&mut self, from: Member, id: u64, answer: Result<Body, Failure>) {
        // Only whoever was asked may answer.
        if self.questions.get(&id).is_none_or(|question| question.to != from) {
            return;
        }
        let Some(question) = self.questions.remove(&id) else { return };
        if let Some(window) = self.windows.get_mut(&question.to) {
            match question.asked {
                Asked::Request => window.requests = window.requests.saturating_sub(1),
                Asked::Connection => window.connections = window.connections.saturating_sub(1),
                Asked::Hub => {}
            }
        }
        // Nobody: the asker has given up.
        let _ = question.teller.send(answer);
    }

    fn fail(&mut self, why: Failure, over: impl Fn(&Question) -> bool) {
        for (_, question) in self.questions.extract_if(|_, question| over(question)) {
            let _ = question.teller.send(Err(why));
        }
    }
}

/// The error of a letter to `to`.
pub(crate) fn failed(to: Member, why: Failure) -> Error {
    match (why, to) {
        (Failure::Gone, Member::Worker(worker)) => Error::NoSuchWorker { worker: worker.get() },
        (Failure::Gone, Member::Primary) => Error::NoPeer,
        (Failure::Unanswered, member) => Error::Unanswered { member },
        (Failure::TooMuch, member) => {
            Error::Message { why: format!("too much waits for this process; the answer of {member} was dropped") }
        }
        (Failure::Replaced, _) => Error::Replaced,
        (Failure::NoServer, member) => Error::NotServing { member },
        (Failure::Withdrawn, member) => Error::NotReading { member, waited: SEND_DEADLINE },
    }
}

/// The right of a sender to send more: given back when this is dropped.
#[derive(Debug)]
pub(crate) struct Receipt {
    desk: Weak<Desk>,
    account: Account,
    bytes: u64,
}

impl Receipt {
    /// For a message that has come to this desk.
    pub(crate) fn of(desk: &Arc<Desk>, letter: &Letter) -> Receipt {
        let account = if letter.kind == Kind::News { Account::News } else { Account::Of(letter.member) };
        Receipt { desk: Arc::downgrade(desk), account, bytes: letter.body.len() as u64 }
    }
}

impl Drop for Receipt {
    fn drop(&mut self) {
        if let Some(desk) = self.desk.upgrade() {
            desk.took(self.account, self.bytes);
        }
    }
}
