//! kill -9 of the primary, at rest and in the middle of things.

use std::time::{Duration, Instant};

use rustix::process::Signal;

use super::{Context, Scenario};
use crate::oracle::{Load, Mode, Plan, Target, ask};
use crate::report::{Report, Row};
use crate::subject::{Address, LOOK, PATIENCE, Replacement, Settings, Subject};
use crate::system;
use crate::trouble::Trouble;

pub(super) const SCENARIO: Scenario = Scenario {
    name: "kill -9 primary",
    promise: "everything is gone within a second, nothing stays behind, and a restart has the port at once",
    run,
};

/// The promise is one second; on a machine that others use, twice that is a broken promise all the same.
const ALL_GONE: Duration = Duration::from_secs(2);

/// What goes on when the primary is killed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Moment {
    AtRest,
    UnderLoad,
    InAReload,
    InAnUpgrade,
    WithAStoppedWorker,
    WhileItStarts,
}

const MOMENTS: [(Moment, &str); 6] = [
    (Moment::AtRest, "at rest"),
    (Moment::UnderLoad, "under load"),
    (Moment::InAReload, "in a reload"),
    (Moment::InAnUpgrade, "in an upgrade"),
    (Moment::WithAStoppedWorker, "with a hung worker"),
    (Moment::WhileItStarts, "while it starts"),
];

/// A moment within an operation is random: the kill comes this long after its begin at the latest.
const WITHIN: Duration = Duration::from_millis(60);

fn run(context: &mut Context, report: &mut Report) {
    let times = context.either(2, 10);
    for (moment, name) in MOMENTS {
        report.row(&format!("{name}, ×{times}"), |row| {
            let mut slowest = Duration::ZERO;
            let mut slowest_restart = Duration::ZERO;
            for _ in 0..times {
                let (gone, restarted) = once(context, row, moment)?;
                slowest = slowest.max(gone);
                slowest_restart = slowest_restart.max(restarted);
            }
            row.figure(format!("all gone after {} ms", slowest.as_millis()));
            row.figure(format!("restarted and answering after {} ms", slowest_restart.as_millis()));
            Ok(())
        });
    }
}

/// Kills once; how long it took until all were gone, and how long until a restart answered on the same port.
fn once(context: &mut Context, row: &mut Row, moment: Moment) -> Result<(Duration, Duration), Trouble> {
    let named_before = system::named_shared_memory();
    let settings = Settings { workers: 3, ..Settings::default() };
    let mut subject = Subject::launch(&context.victim, &settings)?;
    if moment == Moment::WhileItStarts {
        // Its address is needed for the restart; some of the workers are not ready yet.
        subject.wait(PATIENCE, "the first worker", |log| log.address())?;
    } else {
        subject.all_ready()?;
    }
    let address = subject.log().address().ok_or_else(|| Trouble::Broken("no address was told".into()))?;
    let load = prepare(context, &mut subject, moment)?;
    subject.signal(Signal::KILL);
    let killed = Instant::now();
    let mut left = subject.processes();
    while !left.is_empty() && killed.elapsed() < PATIENCE {
        std::thread::sleep(LOOK);
        left = subject.processes();
        // A process that is stopped from outside cannot even end itself; it must not hold the port, no more.
        if moment == Moment::WithAStoppedWorker {
            left.retain(|pid| system::state(*pid) != Some('T'));
        }
    }
    let gone = killed.elapsed();
    drop(load);
    row.require(gone < ALL_GONE, || format!("{left:?} lived on for {} ms", gone.as_millis()));
    let again = Settings { address: Address::Port(address), ..settings };
    let begun = Instant::now();
    let mut second = subject.launch_again(&again)?;
    second.all_ready().map_err(|trouble| Trouble::Broken(format!("the restart on {address}: {trouble}")))?;
    ask(&Target::Tcp(address), "/")
        .map_err(|failure| Trouble::Broken(format!("after the restart: {}", failure.seen)))?;
    let restarted = begun.elapsed();
    second.stop()?;
    let named: Vec<String> = system::named_shared_memory().difference(&named_before).cloned().collect();
    row.require(!named.iter().any(|name| name.contains("phalanx")), || format!("left in /dev/shm: {named:?}"));
    Ok((gone, restarted))
}

fn prepare(context: &mut Context, subject: &mut Subject, moment: Moment) -> Result<Option<Load>, Trouble> {
    let newest = subject.log().newest();
    match moment {
        Moment::AtRest | Moment::WhileItStarts => {}
        Moment::UnderLoad => {
            let load = Load::start(&Plan::new(&subject.target(), Mode::KeepAlive, 8));
            let deadline = Instant::now() + PATIENCE;
            while load.timeline.total() < 100 && Instant::now() < deadline {
                std::thread::sleep(LOOK);
            }
            return Ok(Some(load));
        }
        Moment::InAReload => {
            subject.signal(Signal::HUP);
            subject.begins(newest, Replacement::Reload)?;
            std::thread::sleep(context.random.duration(WITHIN));
        }
        Moment::InAnUpgrade => {
            // Once the whole of it: the second begins where the first has ended.
            subject.upgrade()?;
            subject.renew_executable()?;
            subject.signal(Signal::USR2);
            std::thread::sleep(context.random.duration(WITHIN));
        }
        Moment::WithAStoppedWorker => {
            let workers = subject.log().serving();
            let Some(worker) = context.random.one_of(&workers) else {
                return Err(Trouble::Broken("no worker serves".into()));
            };
            system::send(worker.pid, Signal::STOP);
        }
    }
    Ok(None)
}
