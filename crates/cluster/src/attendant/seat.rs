//! [`Seat`]: one program, as the attendant looks after it.

use std::cell::Cell;
use std::os::fd::OwnedFd;
use std::rc::Rc;
use std::time::Duration;

use phalanx_channel::{Packets, Received, Watched};
use phalanx_shared::{Blob, Field, Slot};
use tokio::time::{Instant, MissedTickBehavior};

use super::health;
use super::link::SeatCard;
use super::nodes::NodeSeat;
use super::notify::{Notifications, Said};
use crate::control::{ToPrimary, ToWorker};
use crate::program::{Program, Readiness};
use crate::{Error, WorkerId};

/// Most words of a program that are passed on in a second; the rest is counted.
const WORDS_A_SECOND: u32 = 20;
/// From one heartbeat to the next.
const BEAT: Duration = Duration::from_secs(1);
/// From one question to the next, until the program is healthy.
const FIRST_QUESTIONS: Duration = Duration::from_millis(100);
/// A worker of Node that does not answer for a connection for this long stands still, or computes.
const SILENCE: Duration = Duration::from_secs(2);
/// Most bytes of a description; the primary made it (64 MiB).
const MAX_DESCRIPTION: usize = 64 << 20;

/// One program.
pub(super) struct Seat {
    pub(super) card: SeatCard,
    pub(super) program: Program,
    control: Packets,
    readiness: Watched,
    page: Slot,
    notifications: Notifications,
    ready: Cell<bool>,
    /// It was told to leave.
    leaving: Cell<bool>,
    /// What it has said since the last beat.
    words: Cell<u32>,
    born: Instant,
}

impl Seat {
    /// The seat, from the descriptors that came with its card.
    pub(super) fn take(card: SeatCard, descriptors: Vec<OwnedFd>) -> Result<(Rc<Seat>, Option<OwnedFd>), Error> {
        let mut descriptors = descriptors.into_iter();
        let mut next = || descriptors.next().ok_or(Error::NoPeer);
        let (control, page, program, notify) = (next()?, next()?, next()?, next()?);
        let look = Error::system;
        let program = Blob::from_descriptor(program, MAX_DESCRIPTION)
            .map_err(|source| look("read the description of a program")(std::io::Error::other(source)))?;
        let program: Program = postcard::from_bytes(&program)
            .map_err(|source| look("understand the description of a program")(std::io::Error::other(source)))?;
        let readiness =
            control.try_clone().and_then(Watched::for_reading).map_err(look("watch a control connection"))?;
        let seat = Seat {
            card,
            program,
            control: Packets::from_descriptor(control)?,
            readiness,
            page: Slot::open(page).map_err(look("open the scoreboard"))?,
            notifications: Notifications::open(notify).map_err(look("watch the notifications of a program"))?,
            ready: Cell::new(card.ready),
            leaving: Cell::new(false),
            words: Cell::new(0),
            born: Instant::now().checked_sub(card.age).unwrap_or_else(Instant::now),
        };
        seat.write_page();
        Ok((Rc::new(seat), descriptors.next()))
    }

    pub(super) fn worker(&self) -> WorkerId {
        self.card.worker
    }

    /// The value of `NOTIFY_SOCKET` in its environment.
    pub(super) fn mark(&self) -> Option<String> {
        self.notifications.name().ok()
    }

    fn write_page(&self) {
        if self.card.taken_over {
            return;
        }
        let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).map_or(0, |since| since.as_secs());
        self.page.set(Field::Worker, self.card.worker.get().into());
        self.page.set(Field::Place, u64::from(self.card.place.0) + 1);
        self.page.set(Field::StartedAt, now);
        self.page.set(Field::Pid, self.card.pid.into());
    }

    /// A primary that does not read will find out by its clocks.
    pub(super) fn tell(&self, word: &ToPrimary) {
        let _ = self.control.send(word, &[]);
    }

    /// Passes a word of the program on, unless it says too many: the log is for people.
    pub(super) fn say(&self, text: String) {
        let words = self.words.get().saturating_add(1);
        self.words.set(words);
        if words <= WORDS_A_SECOND {
            self.tell(&ToPrimary::Said(cut(text)));
        }
    }

    /// Another second: what was not passed on is told as a number.
    fn count_words(&self) {
        let unsaid = self.words.replace(0).saturating_sub(WORDS_A_SECOND);
        if unsaid > 0 {
            self.tell(&ToPrimary::Said(format!("({unsaid} more messages in this second)")));
        }
    }

    /// It can serve.
    pub(super) fn is_ready(&self) {
        if !self.ready.replace(true) {
            self.page.set(Field::Accepting, 1);
            self.tell(&ToPrimary::Ready);
        }
    }

    /// Looks after the program until the task is dropped.
    pub(super) async fn attend(self: Rc<Self>, node: Option<NodeSeat>) {
        if node.is_none() && !self.card.taken_over {
            self.tell(&ToPrimary::Online);
        }
        let node = node.as_ref();
        tokio::join!(self.hear(node), self.listen_to_notifications(), self.await_readiness(), self.beat(node));
    }

    async fn hear(&self, node: Option<&NodeSeat>) {
        loop {
            let Ok(mut ready) = self.readiness.readable().await else { return };
            match self.control.receive::<ToWorker>() {
                Ok(Received::Message(ToWorker::Leave { within, .. }, _)) => {
                    drop(ready);
                    if !self.leaving.replace(true) {
                        self.leave(within, node).await;
                    }
                }
                Ok(Received::Message(ToWorker::Probe { .. }, _)) => {
                    drop(ready);
                    let answer = match &self.program.health {
                        Some(check) => health::ask(check).await,
                        None => Ok(()),
                    };
                    self.tell(&ToPrimary::Probed(answer));
                }
                // The rest is for workers with code of ours.
                Ok(Received::Message(..)) => {}
                Ok(Received::Nothing) => ready.clear_ready(),
                Ok(Received::Closed) | Err(_) => return,
            }
        }
    }

    /// The ladder: Node is asked over its channel to finish what it has, then comes the signal; the primary has SIGKILL.
    async fn leave(&self, within: Duration, node: Option<&NodeSeat>) {
        self.page.set(Field::Accepting, 0);
        if let Some(node) = node {
            node.disconnect();
            tokio::time::sleep(within * 2 / 3).await;
        }
        self.tell(&ToPrimary::Signal(self.program.its_stop_signal().number()));
    }

    /// Whether it was told to leave.
    pub(super) fn is_leaving(&self) -> bool {
        self.leaving.get()
    }

    async fn listen_to_notifications(&self) {
        while let Ok(all) = self.notifications.next(None).await {
            for said in all {
                match said {
                    Said::Ready => self.is_ready(),
                    Said::Stopping => self.tell(&ToPrimary::Leaves),
                    Said::Alive => {}
                    Said::Status(status) => self.say(status),
                }
            }
        }
    }

    async fn await_readiness(&self) {
        match self.program.readiness() {
            Readiness::After(time) => {
                tokio::time::sleep_until(self.born + time).await;
                self.is_ready();
            }
            Readiness::Healthy => {
                if let Some(check) = &self.program.health {
                    while health::ask(check).await.is_err() {
                        tokio::time::sleep(FIRST_QUESTIONS).await;
                    }
                    self.is_ready();
                }
            }
            // Said by the program, by the front that reads its lines, or by Node's channel.
            Readiness::Notify | Readiness::Line(_) | Readiness::Listening | Readiness::Message => {}
        }
    }

    /// The heart of a program beats as long as nothing says that it stands still: a health check that fails, or a connection that
    /// Node does not answer for. Without either it beats as long as it lives.
    async fn beat(&self, node: Option<&NodeSeat>) {
        let mut seconds = tokio::time::interval(BEAT);
        seconds.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            seconds.tick().await;
            self.count_words();
            let answers = node.is_none_or(|node| {
                let counts = node.connections();
                self.page.set(Field::Connections, counts.unanswered as u64);
                self.page.set(Field::Requests, counts.taken);
                counts.oldest.is_none_or(|oldest| oldest < SILENCE)
            });
            let healthy = match &self.program.health {
                Some(check) if self.ready.get() => health::ask(check).await.is_ok(),
                _ => true,
            };
            if answers && healthy {
                self.page.add(Field::Heartbeat, 1);
            }
        }
    }
}

/// Longest word of a program that is passed on, in bytes.
const LONGEST_WORD: usize = 4096;

/// A text of bounded length.
fn cut(mut text: String) -> String {
    if text.len() > LONGEST_WORD {
        let end = (0..=LONGEST_WORD).rev().find(|end| text.is_char_boundary(*end)).unwrap_or(0);
        text.truncate(end);
        text.push('…');
    }
    text
}
