//! One measurement of one server, and medians over several.

use std::time::Duration;

use crate::load::closed::{self, Clients};
use crate::load::{Outcome, Request, Tally};
use crate::measure::{Usage, Window};
use crate::peers::Running;
use crate::table::{mebibytes, median};

/// What the clients saw and what the server used meanwhile.
pub(crate) struct Sample {
    pub(crate) tally: Tally,
    pub(crate) usage: Usage,
}

/// Warms `server` up, then measures it under a closed loop.
pub(crate) async fn closed_loop(
    server: &Running,
    request: &Request,
    clients: Clients,
    warm_up: Duration,
    duration: Duration,
) -> Sample {
    closed::run(server.address, request, clients, warm_up).await;
    let window = Window::open(server.root());
    let tally = closed::run(server.address, request, clients, duration).await;
    Sample { tally, usage: window.close() }
}

impl Sample {
    pub(crate) fn per_second(&self) -> Option<f64> {
        Some(self.tally.per_second())
    }

    /// CPU milliseconds per accepted request.
    pub(crate) fn cpu_milliseconds(&self) -> Option<f64> {
        self.per_accepted(self.usage.cpu.total())
    }

    pub(crate) fn user_microseconds(&self) -> Option<f64> {
        Some(self.per_accepted(self.usage.cpu.user)? * 1e3)
    }

    pub(crate) fn system_microseconds(&self) -> Option<f64> {
        Some(self.per_accepted(self.usage.cpu.system)? * 1e3)
    }

    pub(crate) fn p50(&self) -> Option<f64> {
        self.tally.milliseconds_at(0.5)
    }

    pub(crate) fn p99(&self) -> Option<f64> {
        self.tally.milliseconds_at(0.99)
    }

    pub(crate) fn peak_mebibytes(&self) -> Option<f64> {
        Some(mebibytes(self.usage.peak.proportional as f64))
    }

    pub(crate) fn peak_resident_mebibytes(&self) -> Option<f64> {
        Some(mebibytes(self.usage.peak.resident as f64))
    }

    fn per_accepted(&self, cpu: Duration) -> Option<f64> {
        let accepted = self.tally.count(Outcome::Accepted);
        (accepted > 0).then(|| cpu.as_secs_f64() * 1e3 / accepted as f64)
    }
}

/// The median of one figure over the rounds; none if no round has it.
pub(crate) fn of_samples<S>(samples: &[S], figure: impl Fn(&S) -> Option<f64>) -> Option<f64> {
    median(&samples.iter().filter_map(figure).collect::<Vec<f64>>())
}
