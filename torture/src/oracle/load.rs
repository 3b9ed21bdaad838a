//! [`Load`]: clients that ask until they are told to stop.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use super::client::{Client, Mode};
use super::outcome::{Answer, Failure, Outcome};
use super::tally::Tally;
use super::timeline::Timeline;
use super::wire::Target;
use crate::trouble::Trouble;

/// After a failure a client waits this long: a server that refuses everything would else be asked a million times.
const PAUSE_AFTER_FAILURE: Duration = Duration::from_millis(2);

/// Between two looks whether there was an answer.
const BETWEEN_LOOKS: Duration = Duration::from_millis(2);

/// What is asked, how, and by how many.
#[derive(Debug, Clone)]
pub(crate) struct Plan {
    pub(crate) target: Target,
    pub(crate) mode: Mode,
    pub(crate) path: String,
    pub(crate) clients: usize,
}

impl Plan {
    pub(crate) fn new(target: &Target, mode: Mode, clients: usize) -> Plan {
        Plan { target: target.clone(), mode, path: "/".into(), clients }
    }
}

/// Clients at work.
pub(crate) struct Load {
    stop: Arc<AtomicBool>,
    pub(crate) timeline: Arc<Timeline>,
    clients: Vec<JoinHandle<Tally>>,
}

impl Load {
    pub(crate) fn start(plan: &Plan) -> Load {
        let stop = Arc::new(AtomicBool::new(false));
        let timeline = Arc::new(Timeline::new());
        let clients = (0..plan.clients)
            .map(|number| {
                let client = Client::new(plan.target.clone(), plan.mode, &plan.path, number);
                let (stop, timeline) = (Arc::clone(&stop), Arc::clone(&timeline));
                std::thread::spawn(move || work(client, &stop, &timeline))
            })
            .collect();
        Load { stop, timeline, clients }
    }

    /// Waits until a request was answered.
    pub(crate) fn wait_for_an_answer(&self, within: Duration) -> Result<(), Trouble> {
        let deadline = Instant::now() + within;
        while self.timeline.total() == 0 {
            if Instant::now() >= deadline {
                return Err(Trouble::Broken(format!("no request was answered within {within:?}")));
            }
            std::thread::sleep(BETWEEN_LOOKS);
        }
        Ok(())
    }

    /// Lets every client finish its request, and adds up.
    pub(crate) fn finish(mut self) -> Tally {
        self.stop.store(true, Ordering::Relaxed);
        let mut all = Tally::default();
        for client in self.clients.drain(..) {
            // A client that panicked has counted nothing, which shows as missing answers.
            all.add(client.join().unwrap_or_default());
        }
        all
    }
}

impl Drop for Load {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
    }
}

fn work(mut client: Client, stop: &AtomicBool, timeline: &Timeline) -> Tally {
    let mut tally = Tally::default();
    while !stop.load(Ordering::Relaxed) {
        match client.request(&mut tally) {
            Ok(answer) => {
                tally.answered(&answer);
                timeline.answered();
            }
            Err(failure) => {
                tally.failure(timeline.began().elapsed(), failure);
                std::thread::sleep(PAUSE_AFTER_FAILURE);
            }
        }
    }
    tally
}

/// One request on a connection of its own.
pub(crate) fn ask(target: &Target, path: &str) -> Result<Answer, Failure> {
    // The number only has to differ from those of a load's clients.
    Client::new(target.clone(), Mode::NewConnections, path, usize::MAX).request(&mut Tally::default())
}

/// `count` requests, one after another.
pub(crate) fn ask_often(target: &Target, count: usize) -> Tally {
    let mut tally = Tally::default();
    let mut client = Client::new(target.clone(), Mode::NewConnections, "/", usize::MAX);
    let began = Instant::now();
    for _ in 0..count {
        match client.request(&mut tally) {
            Ok(answer) => tally.answered(&answer),
            Err(failure) => tally.failure(began.elapsed(), failure),
        }
    }
    debug_assert_eq!(tally.count(Outcome::Ok) + tally.failed() + tally.count(Outcome::Client), count as u64);
    tally
}
