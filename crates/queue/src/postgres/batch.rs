//! [`Batches`]: what many callers ask for at the same time goes to the server in one statement, and is durable by one commit.
//!
//! ```text
//!   caller ─┐            ┌─ lane: takes what waits ─► statement ─► answers
//!   caller ─┼─► bounded ─┤
//!   caller ─┘   channel  └─ lane: the next ones, while the first waits for its commit
//! ```
//!
//! What one caller asks for is done in its order: lanes overtake each other, so it never is in two of them at once.

use std::sync::Arc;

use tokio::runtime::Handle as Runtime;
use tokio::sync::{Mutex, mpsc, oneshot};

use crate::{BoxFuture, Error};

/// Statements of one sort under way at the same time.
const LANES: usize = 2;
/// Items in one statement: enough to share a commit, few enough to be done in some milliseconds.
pub(super) const MOST: usize = 256;
/// Bytes in one statement, unless a single item has more.
const MOST_BYTES: usize = 4 << 20;
/// Callers who wait for a lane; more wait outside.
const WAITING: usize = 1024;

type Work<I, O> = Arc<dyn Fn(Vec<I>) -> BoxFuture<'static, Result<Vec<O>, Error>> + Send + Sync>;

/// What a caller has in one statement, never in two.
struct Group<I, O> {
    bytes: usize,
    items: Vec<I>,
    answer: oneshot::Sender<Result<Vec<O>, Error>>,
}

/// One sort of statement.
pub(super) struct Batches<I, O> {
    groups: mpsc::Sender<Group<I, O>>,
}

impl<I: Send + 'static, O: Send + 'static> Batches<I, O> {
    /// Starts its lanes. `work` answers for all items, in their order.
    pub(super) fn start(runtime: &Runtime, work: Work<I, O>) -> Batches<I, O> {
        let (groups, waiting) = mpsc::channel(WAITING);
        let waiting = Arc::new(Mutex::new(Waiting { groups: waiting, next: None }));
        for _ in 0..LANES {
            runtime.spawn(lane(waiting.clone(), work.clone()));
        }
        Batches { groups }
    }

    /// Does all of these, which have so many bytes each, one after the other, and answers in their order.
    pub(super) async fn run(&self, items: Vec<(usize, I)>) -> Vec<Result<O, Error>> {
        let mut all = Vec::with_capacity(items.len());
        let mut items = items.into_iter().peekable();
        while let Some((mut bytes, first)) = items.next() {
            let mut group = vec![first];
            while group.len() < MOST
                && let Some((more, item)) = items.next_if(|(more, _)| bytes + more <= MOST_BYTES)
            {
                bytes += more;
                group.push(item);
            }
            let asked = group.len();
            match self.group(bytes, group).await {
                Ok(outcomes) => all.extend(outcomes.into_iter().map(Ok)),
                Err(error) => all.extend((0..asked).map(|_| Err(error.clone()))),
            }
        }
        all
    }

    async fn group(&self, bytes: usize, items: Vec<I>) -> Result<Vec<O>, Error> {
        let (answer, answered) = oneshot::channel();
        self.groups.send(Group { bytes, items, answer }).await.map_err(|_| Error::Closed)?;
        answered.await.unwrap_or(Err(Error::Closed))
    }
}

struct Waiting<I, O> {
    groups: mpsc::Receiver<Group<I, O>>,
    /// What did not fit into the last statement.
    next: Option<Group<I, O>>,
}

impl<I, O> Waiting<I, O> {
    /// The groups of the next statement.
    async fn take(&mut self) -> Option<Vec<Group<I, O>>> {
        let first = match self.next.take() {
            Some(next) => next,
            None => self.groups.recv().await?,
        };
        let (mut bytes, mut items) = (first.bytes, first.items.len());
        let mut groups = vec![first];
        while items < MOST
            && let Ok(group) = self.groups.try_recv()
        {
            bytes += group.bytes;
            items += group.items.len();
            if bytes > MOST_BYTES || items > MOST {
                self.next = Some(group);
                break;
            }
            groups.push(group);
        }
        Some(groups)
    }
}

async fn lane<I: Send + 'static, O: Send + 'static>(waiting: Arc<Mutex<Waiting<I, O>>>, work: Work<I, O>) {
    loop {
        let Some(groups) = waiting.lock().await.take().await else { return };
        let mut statement = Vec::new();
        let mut asked = Vec::with_capacity(groups.len());
        for Group { items, answer, .. } in groups {
            asked.push((items.len(), answer));
            statement.extend(items);
        }
        match work(statement).await {
            Ok(outcomes) => {
                let mut outcomes = outcomes.into_iter();
                for (items, answer) in asked {
                    let _ = answer.send(Ok(outcomes.by_ref().take(items).collect()));
                }
            }
            Err(error) => {
                for (_, answer) in asked {
                    let _ = answer.send(Err(error.clone()));
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;
    use std::time::Duration;

    use super::*;

    /// Statements that end the sooner the later they came, so that a later one overtakes if it can.
    fn overtaking(runtime: &Runtime, done: &Arc<Mutex<Vec<usize>>>) -> Batches<usize, usize> {
        let done = done.clone();
        let work = move |items: Vec<usize>| -> BoxFuture<'static, _> {
            let done = done.clone();
            Box::pin(async move {
                let wait = 20_u64.saturating_sub(items[0] as u64 / 64);
                tokio::time::sleep(Duration::from_millis(wait)).await;
                done.lock().unwrap().extend(&items);
                Ok(items)
            })
        };
        Batches::start(runtime, Arc::new(work))
    }

    #[tokio::test]
    async fn what_one_caller_asks_for_is_done_in_its_order() {
        let done = Arc::default();
        let batches = overtaking(&Runtime::current(), &done);
        let answers = batches.run((0..1000).map(|number| (1, number)).collect()).await;
        let answers: Vec<usize> = answers.into_iter().map(Result::unwrap).collect();
        let expected: Vec<usize> = (0..1000).collect();
        assert_eq!(answers, expected);
        assert_eq!(*done.lock().unwrap(), expected);
    }

    #[tokio::test]
    async fn what_is_too_large_for_one_statement_goes_in_several() {
        let done = Arc::default();
        let batches = overtaking(&Runtime::current(), &done);
        let answers = batches.run((0..5).map(|number| (MOST_BYTES * 2 / 3, number)).collect()).await;
        assert_eq!(answers.into_iter().map(Result::unwrap).collect::<Vec<_>>(), [0, 1, 2, 3, 4]);
    }

    #[tokio::test]
    async fn many_callers_get_their_own_answers() {
        let done = Arc::default();
        let batches = Arc::new(overtaking(&Runtime::current(), &done));
        let callers: Vec<_> = (0..50_usize)
            .map(|caller| {
                let batches = batches.clone();
                tokio::spawn(async move {
                    let mine: Vec<usize> = (caller * 10..caller * 10 + 7).collect();
                    let answers = batches.run(mine.iter().map(|number| (1, *number)).collect()).await;
                    assert_eq!(answers.into_iter().map(Result::unwrap).collect::<Vec<_>>(), mine);
                })
            })
            .collect();
        for caller in callers {
            caller.await.unwrap();
        }
    }
}
