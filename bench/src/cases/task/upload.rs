//! Photos by HTTP: the whole server, decoding on threads or in processes.

use super::Sample;
use super::contender::Contender;
use super::plan::Schedule;
use crate::cases::closed_loop;
use crate::load::closed::Clients;
use crate::load::{Outcome, Request, Reuse};
use crate::peers::{self, Absent, Running};
use pictures::photos::Photo;

const WORKERS: usize = 2;
const CLIENTS: Clients = Clients { count: 4, reuse: Reuse::KeepAlive };

pub(super) async fn one(contender: Contender, photo: &Photo, schedule: Schedule) -> Result<Sample, Absent> {
    let server = match contender {
        Contender::Processes => peers::Contender::PhalanxProcesses,
        _ => peers::Contender::PhalanxThreads,
    };
    let server = Running::start(server, WORKERS)?;
    let request = Request::upload("/upload", &photo.jpeg, Reuse::KeepAlive);
    let sample = closed_loop(&server, &request, CLIENTS, schedule.warm_up, schedule.photo_counted).await;
    if sample.tally.count(Outcome::Accepted) == 0 {
        return Err(Absent(format!("no upload was accepted {}", sample.tally.trouble())));
    }
    let microseconds = |milliseconds: Option<f64>| milliseconds.map(|milliseconds| milliseconds * 1e3);
    Ok(Sample {
        figure: sample.per_second(),
        p50: microseconds(sample.p50()),
        p99: microseconds(sample.p99()),
        cpu: sample.cpu_milliseconds(),
    })
}
