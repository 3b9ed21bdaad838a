//! [`Runner`]: what one runner of this handle has: its consumers, what they have brought, when it asked last.
//!
//! Its consumers bring as many jobs as it has asked for at a time, counted with those that it works on, so that no job waits in
//! the hands of a busy runner while another one is idle.

use std::collections::HashMap;
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use crate::{Broker, ConsumeOptions, Consumer, Delivery, Error, QueueName, Requeue};

/// A runner that asks for nothing for so long is busy for long, or has ended: others get what it does not work on.
pub(super) const IDLE: Duration = Duration::from_secs(5);

/// Which consumer of this handle.
pub(super) type ConsumerNumber = u64;

/// A job that was brought.
pub(super) struct Brought {
    pub(super) queue: QueueName,
    pub(super) delivery: Delivery,
    pub(super) by: ConsumerNumber,
}

struct Open {
    number: ConsumerNumber,
    queue: QueueName,
    consumer: Consumer,
    /// It brings no more, and is kept until what it has brought is settled.
    is_stopped: bool,
}

/// See the module.
pub(super) struct Runner {
    consumers: Vec<Open>,
    /// For how many jobs at a time, by queue.
    credit: HashMap<QueueName, u32>,
    asked: Instant,
}

impl Runner {
    pub(super) fn new() -> Runner {
        Runner { consumers: Vec::new(), credit: HashMap::new(), asked: Instant::now() }
    }

    /// Sees to it that this queue can bring so many at a time.
    pub(super) async fn open(
        &mut self,
        broker: &dyn Broker,
        queue: &QueueName,
        wanted: u32,
        number: ConsumerNumber,
    ) -> Result<(), Error> {
        let credit = self.credit.get(queue).copied().unwrap_or(0);
        if credit < wanted {
            // A further consumer beside those that are there: what they hold would come back if they were replaced.
            let more = (wanted - credit).max(credit);
            let consumer = broker.consume(queue, ConsumeOptions::prefetch(more)).await?;
            self.consumers.push(Open { number, queue: queue.clone(), consumer, is_stopped: false });
            self.credit.insert(queue.clone(), credit + more);
        }
        Ok(())
    }

    /// The next job of these queues that was brought.
    pub(super) fn poll_next(
        &mut self,
        queues: &[QueueName],
        context: &mut Context<'_>,
    ) -> Poll<Result<Brought, Error>> {
        self.asked = Instant::now();
        for at in 0..self.consumers.len() {
            let Open { number, queue, consumer, is_stopped } = &mut self.consumers[at];
            if *is_stopped || !queues.contains(queue) {
                continue;
            }
            match poll(consumer, context) {
                Poll::Pending => {}
                Poll::Ready(Some(Ok(delivery))) => {
                    let brought = Brought { queue: queue.clone(), delivery, by: *number };
                    // The next time another one goes first.
                    self.consumers.rotate_left(at + 1);
                    return Poll::Ready(Ok(brought));
                }
                Poll::Ready(Some(Err(error))) if error.is_passing() => return Poll::Ready(Err(error)),
                Poll::Ready(end) => {
                    let queue = queue.clone();
                    self.consumers.remove(at);
                    self.credit.remove(&queue);
                    return Poll::Ready(Err(end.and_then(Result::err).unwrap_or(Error::Closed)));
                }
            }
        }
        Poll::Pending
    }

    pub(super) fn is_idle(&self) -> bool {
        self.asked.elapsed() >= IDLE && !self.credit.is_empty()
    }

    /// Takes no more, and gives back what was not given out, uncounted. What it works on stays its own.
    pub(super) async fn rest(&mut self) {
        self.credit.clear();
        let mut unused: Vec<Delivery> = Vec::new();
        for open in self.consumers.iter_mut().filter(|open| !open.is_stopped) {
            open.is_stopped = true;
            if open.consumer.stop() {
                while let Some(Ok(delivery)) = open.consumer.next().await {
                    unused.push(delivery);
                }
            }
        }
        for delivery in unused {
            let same = delivery.message.clone();
            if let Err(error) = delivery.replace(same, Requeue::Now).await {
                tracing::debug!(%error, "a job could not be handed back; the broker does that");
            }
        }
    }

    /// Lets go of the consumers that rest, and of whom nothing is worked on. Whether nothing is left.
    pub(super) fn forget(&mut self, works_on: &[ConsumerNumber]) -> bool {
        self.consumers.retain(|open| !open.is_stopped || works_on.contains(&open.number));
        self.consumers.is_empty()
    }
}

fn poll(consumer: &mut Consumer, context: &mut Context<'_>) -> Poll<Option<Result<Delivery, Error>>> {
    futures_core::Stream::poll_next(std::pin::Pin::new(consumer), context)
}
