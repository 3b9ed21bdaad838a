//! One burst of uploads on one server: what it did meanwhile, and what it gave back afterwards.

use std::time::Duration;

use super::group::Group;
use crate::cases::Sample;
use crate::load::Request;
use crate::load::closed::{self, Clients};
use crate::measure::{Window, level};
use crate::peers::{Absent, Launch, Running};
use crate::table::mebibytes;

/// What is kept for no longer than a moment has gone back by then.
const SETTLING: Duration = Duration::from_secs(5);
const SHORTLY_AFTER: Duration = Duration::from_secs(3);

/// What a burst is made of.
#[derive(Clone)]
pub(super) struct Load {
    pub(super) requests: Vec<Request>,
    pub(super) clients: Clients,
    pub(super) warm_up: Duration,
    pub(super) duration: Duration,
    /// From the end of the burst to the last look.
    pub(super) rest: Duration,
}

/// A burst, and the levels around it in bytes.
pub(super) struct Burst {
    pub(super) sample: Sample,
    group_peak: Option<u64>,
    resting: u64,
    shortly_after: u64,
    rested: u64,
}

/// A server that had its burst, and the group that it runs in. The server goes first: fields are dropped in their order.
pub(super) struct Burnt {
    server: Running,
    group: Option<Group>,
    sample: Sample,
    resting: u64,
    rest: Duration,
}

/// Starts the server, warms it up, looks at its resting level, and lets the burst loose.
pub(super) async fn burst(
    load: &Load,
    launch: impl FnOnce(std::net::SocketAddr) -> Result<Launch, Absent>,
) -> Result<Burnt, Absent> {
    let group = Group::new();
    let server = Running::launch(|address| {
        let launch = launch(address)?;
        Ok(match &group {
            Some(group) => group.around(launch),
            None => launch,
        })
    })?;
    closed::run_in_turn(server.address, &load.requests, load.clients, load.warm_up).await;
    tokio::time::sleep(SETTLING.min(load.rest)).await;
    let resting = proportional(&server);
    let window = Window::open(server.root());
    let tally = closed::run_in_turn(server.address, &load.requests, load.clients, load.duration).await;
    let sample = Sample { tally, usage: window.close() };
    Ok(Burnt { server, group, sample, resting, rest: load.rest })
}

impl Burnt {
    /// Waits beside whatever else goes on: a server at rest costs the next one nothing.
    pub(super) async fn rest(self) -> Burst {
        let shortly = SHORTLY_AFTER.min(self.rest);
        tokio::time::sleep(shortly).await;
        let shortly_after = proportional(&self.server);
        tokio::time::sleep(self.rest.saturating_sub(shortly)).await;
        let rested = proportional(&self.server);
        let group_peak = self.group.as_ref().and_then(Group::peak_bytes);
        Burst { sample: self.sample, group_peak, resting: self.resting, shortly_after, rested }
    }
}

fn proportional(server: &Running) -> u64 {
    level(server.root()).proportional
}

impl Burst {
    /// As the kernel charged it, in MiB.
    pub(super) fn group_peak_mebibytes(&self) -> Option<f64> {
        self.group_peak.map(|bytes| mebibytes(bytes as f64))
    }

    pub(super) fn resting_mebibytes(&self) -> Option<f64> {
        Some(mebibytes(self.resting as f64))
    }

    pub(super) fn shortly_after_mebibytes(&self) -> Option<f64> {
        Some(mebibytes(self.shortly_after as f64))
    }

    pub(super) fn rested_mebibytes(&self) -> Option<f64> {
        Some(mebibytes(self.rested as f64))
    }

    /// The level after the rest over the level before the burst.
    pub(super) fn returned(&self) -> Option<f64> {
        (self.resting > 0).then(|| self.rested as f64 / self.resting as f64)
    }
}
