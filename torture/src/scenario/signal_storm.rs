//! Every signal that means something, again and again, in any order; and SIGTERM in every state.

use std::time::{Duration, Instant};

use rustix::process::Signal;

use super::{Context, Scenario};
use crate::oracle::{Load, Mode, Plan};
use crate::report::{Report, Row};
use crate::subject::{PATIENCE, Replacement, Settings, Subject};
use crate::system;
use crate::trouble::Trouble;

pub(super) const SCENARIO: Scenario = Scenario {
    name: "signal storm",
    promise: "any sequence of signals fails no request, and SIGTERM ends the cluster from every state",
    run,
};

const SIGNALS: [Signal; 7] =
    [Signal::HUP, Signal::USR1, Signal::USR2, Signal::TTIN, Signal::TTOU, Signal::CHILD, Signal::WINCH];

/// Longest pause between two signals (PHP-FPM's test of concurrent reloads uses the same).
const LONGEST_PAUSE: Duration = Duration::from_millis(25);

/// An idle server takes a request within this.
const TAKEN_WITHIN: Duration = Duration::from_millis(300);

/// What the cluster is doing when SIGTERM comes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    Starting,
    Serving,
    BackOff,
    BreakerOpen,
    Draining,
    AllHung,
    OneStopped,
    Reloading,
    Upgrading,
}

const STATES: [(State, &str); 9] = [
    (State::Starting, "starting"),
    (State::Serving, "serving"),
    (State::BackOff, "a place waits"),
    (State::BreakerOpen, "a breaker is open"),
    (State::Draining, "draining"),
    (State::AllHung, "all event loops hang"),
    (State::OneStopped, "a worker is stopped"),
    (State::Reloading, "in a reload"),
    (State::Upgrading, "in an upgrade"),
];

fn run(context: &mut Context, report: &mut Report) {
    let count = context.either(200, 1000);
    report.row(&format!("{count} signals"), |row| storm(context, row, count));
    for (state, name) in STATES {
        report.row(&format!("SIGTERM: {name}"), |row| terminate(context, row, state));
    }
}

fn storm(context: &mut Context, row: &mut Row, count: usize) -> Result<(), Trouble> {
    let mut subject = Subject::start(&context.victim, &Settings::default())?;
    let load = Load::start(&Plan::new(&subject.target(), Mode::NewConnections, 8));
    let mut outcome = Ok(());
    for sent in 0..count {
        let signal = *context.random.one_of(&SIGNALS).unwrap_or(&Signal::HUP);
        subject.signal(signal);
        std::thread::sleep(context.random.duration(LONGEST_PAUSE));
        if let Some(status) = subject.ended() {
            outcome =
                Err(Trouble::NotAvailable(format!("{signal:?} ended the primary ({status}) after {sent} signals")));
            break;
        }
    }
    // It comes to rest by itself: no operation is under way, and nobody leaves.
    let rests = match outcome {
        Ok(()) => subject.wait(PATIENCE * 3, "the cluster to come to rest", |log| {
            let all = log.workers();
            let alive = all.iter().filter(|worker| worker.ended.is_none());
            let at_rest = ["reload", "upgrade"]
                .iter()
                .all(|kind| log.last_operation(kind).is_none_or(|operation| operation.result.is_some()));
            (at_rest && !log.serving().is_empty() && alive.count() == log.serving().len()).then_some(all.len())
        }),
        Err(trouble) => Err(trouble),
    };
    row.tally(load.finish());
    row.figure(format!("{} workers were started", rests?));
    row.require_no_failure();
    row.require(system::zombies(subject.pid()) == 0, || "there are zombies".into());
    subject.stop()
}

fn terminate(context: &mut Context, row: &mut Row, state: State) -> Result<(), Trouble> {
    let settings = Settings { drain_deadline: Duration::from_secs(1), ..Settings::default() };
    let mut subject = Subject::launch(&context.victim, &settings)?;
    let load = bring_into(context, &mut subject, state)?;
    let told = Instant::now();
    subject.stop()?;
    drop(load);
    row.figure(format!("ended after {} ms", told.elapsed().as_millis()));
    // The drain, its grace, and what a busy machine needs.
    let most = settings.drain_deadline + Duration::from_secs(1) + PATIENCE / 4;
    row.require(told.elapsed() <= most, || format!("it took {} ms", told.elapsed().as_millis()));
    Ok(())
}

/// Clients that keep it there are given back.
fn bring_into(context: &mut Context, subject: &mut Subject, state: State) -> Result<Option<Load>, Trouble> {
    if state == State::Starting {
        subject.wait(PATIENCE, "the first process", |log| (log.newest() > 0).then_some(()))?;
        return Ok(None);
    }
    subject.all_ready()?;
    let newest = subject.log().newest();
    let workers = subject.log().serving();
    match state {
        State::Starting | State::Serving => {}
        State::BackOff | State::BreakerOpen => {
            subject.set_fault(Some("exit-1 place=0"))?;
            workers.iter().filter(|worker| worker.place == 0).for_each(|worker| system::send(worker.pid, Signal::KILL));
            let event = if state == State::BackOff { "back-off" } else { "breaker-open" };
            subject.wait(PATIENCE, event, |log| (log.count(event) > 0).then_some(()))?;
        }
        State::Draining => {
            // A request that outlives the drain deadline.
            let load = requests_without_end(subject, "/slow?ms=60000");
            subject.signal(Signal::TERM);
            subject.wait(PATIENCE, "the drain", |log| (log.count("stopping") > 0).then_some(()))?;
            return Ok(Some(load));
        }
        State::AllHung => return Ok(Some(requests_without_end(subject, "/hang"))),
        State::OneStopped => {
            if let Some(worker) = context.random.one_of(&workers) {
                system::send(worker.pid, Signal::STOP);
            }
        }
        State::Reloading => {
            subject.signal(Signal::HUP);
            subject.begins(newest, Replacement::Reload)?;
        }
        State::Upgrading => {
            subject.upgrade()?;
            subject.renew_executable()?;
            subject.signal(Signal::USR2);
            std::thread::sleep(context.random.duration(LONGEST_PAUSE));
        }
    }
    Ok(None)
}

/// Clients whose requests are not answered; each was sent a while ago.
fn requests_without_end(subject: &Subject, path: &str) -> Load {
    let plan = Plan { path: path.to_owned(), ..Plan::new(&subject.target(), Mode::NewConnections, 8) };
    let load = Load::start(&plan);
    std::thread::sleep(TAKEN_WITHIN);
    load
}
