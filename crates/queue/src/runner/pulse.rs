//! [`Pulse`]: what the store is told of attempts that run, and what it says of them.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::sync::mpsc;
use tokio::time::MissedTickBehavior;

use super::Shared;
use super::attempt::Stop;
use crate::job::{Heartbeat, Lease, Standing};
use crate::{Error, Token};

/// Between two looks for what tasks keep.
const BETWEEN_LOOKS: Duration = Duration::from_millis(250);
/// Between two words that we live.
const BETWEEN_BEATS: Duration = Duration::from_secs(Lease::LASTS.as_secs() / 3);
/// How long one question waits for its answer.
const LONGEST_QUESTION: Duration = Duration::from_secs(30);
/// The pause after a question that was not answered.
const PAUSE: Duration = Duration::from_millis(500);
/// Words that are taken at once.
const MOST_WORDS: usize = 256;

pub(super) struct Pulse(mpsc::UnboundedSender<Heartbeat>);

pub(super) type Beats = mpsc::UnboundedReceiver<Heartbeat>;

impl Pulse {
    pub(super) fn new() -> (Pulse, Beats) {
        let (words, heard) = mpsc::unbounded_channel();
        (Pulse(words), heard)
    }

    /// Tells it soon.
    pub(super) fn say(&self, word: Heartbeat) {
        // Without whom to tell, the runner is over.
        let _ = self.0.send(word);
    }
}

/// Tells the store what is new: progress at once, what tasks keep every [`BETWEEN_LOOKS`], and of all of them every [`BETWEEN_BEATS`].
pub(super) async fn beat(shared: Arc<Shared>, mut beats: Beats) {
    let mut tick = tokio::time::interval(BETWEEN_LOOKS);
    tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut all_told = Instant::now();
    let mut words = Vec::new();
    loop {
        if shared.running().is_empty() {
            // Nothing to look for; a late word is told by the report.
            shared.begun.notified().await;
            all_told = Instant::now();
            tick.reset();
        }
        tokio::select! {
            heard = beats.recv_many(&mut words, MOST_WORDS) => if heard == 0 { return },
            _ = tick.tick() => {}
        }
        let is_time = all_told.elapsed() >= BETWEEN_BEATS;
        if is_time {
            all_told = Instant::now();
        }
        let heartbeats = gather(&shared, &mut words, is_time);
        if !heartbeats.is_empty() {
            tell(&shared, heartbeats).await;
        }
    }
}

/// The latest of each attempt that still runs.
fn gather(shared: &Shared, words: &mut Vec<Heartbeat>, all: bool) -> Vec<Heartbeat> {
    let mut latest: HashMap<Token, Heartbeat> = HashMap::new();
    let running = shared.running();
    for word in words.drain(..).filter(|word| running.contains_key(&word.token)) {
        latest.insert(word.token, word);
    }
    for (token, running) in running.iter() {
        let details = running.attempt.take_details();
        if details.is_some() || all {
            let silent = Heartbeat { token: *token, progress: None, details: None };
            latest.entry(*token).or_insert(silent).details = details;
        }
    }
    latest.into_values().collect()
}

async fn tell(shared: &Shared, heartbeats: Vec<Heartbeat>) {
    let tokens: Vec<Token> = heartbeats.iter().map(|heartbeat| heartbeat.token).collect();
    match shared.store.renew(shared.id, heartbeats).await {
        Ok(standings) => {
            tokens.into_iter().zip(standings).for_each(|(token, standing)| stands(shared, token, standing))
        }
        // A broker that keeps no leases sees by itself who is gone.
        Err(Error::Unsupported { .. }) => {}
        Err(error) => shared.counters.was_not_answered(&error),
    }
}

fn stands(shared: &Shared, token: Token, standing: Standing) {
    match standing {
        Standing::Kept => {}
        Standing::Cancelled => shared.tell(token, Stop::Cancelled),
        Standing::Lost => shared.tell(token, Stop::Lost),
    }
}

/// Hears which leases shall end.
pub(super) async fn listen(shared: Arc<Shared>) {
    loop {
        match shared.store.revoked(shared.id, LONGEST_QUESTION).await {
            Ok(revoked) => revoked.into_iter().for_each(|revoked| stands(&shared, revoked.token, revoked.why)),
            Err(Error::Unsupported { .. } | Error::Closed) => return,
            Err(error) => {
                shared.counters.was_not_answered(&error);
                tokio::time::sleep(PAUSE).await;
            }
        }
    }
}
