//! The front: a process of its own for everything that is not supervision and not requests.
//!
//! ```text
//!                    ┌── control socket ◄── phalanx ctl, curl --unix-socket       HTTP/1.1 + JSON, 0600, peer's uid checked
//!   primary ◄─link─► front ── admin address ◄── Prometheus, probes                GET /metrics, /livez, /readyz only
//!     │              └── log ── file or standard error ◄── pipes ── workers       numbered, rotated, never blocks
//!     └─ scoreboard ──► read by the front without asking anybody
//! ```
//!
//! It may be killed at any time: the primary starts it again, tells it everything anew ([`feed`]), and all that is lost are
//! open connections and log lines that it had read and not yet written. What waits in the pipes waits for the next front.
//! It ignores SIGTERM and its like: the primary tells it when to go, and it goes within a second when the primary is gone.
//!
//! # What it answers
//!
//! One request a connection, arguments behind the `?`, no bodies; an unknown argument is an error that names it. Errors are
//! `{"error":"…"}` with a status of 400 and above. At most 32 clients at once (others wait), 16 of whom may follow.
//!
//! | request | answer |
//! |---|---|
//! | `GET /status` | below |
//! | `GET /metrics` | figures of the whole cluster as Prometheus reads them |
//! | `GET /livez`, `GET /readyz` | 200; `readyz` 503 while no worker serves or the cluster stops |
//! | `POST /reload`, `/upgrade`, `/rollback`, `/scale?workers=N` | 202 and the operation; 409 if it cannot begin |
//! | `GET /operations/N?wait=30` | the operation, when it is over or after so many seconds (60 at most); 404 |
//! | `POST /stop`, `/stop?now=1`, `/workers/N/kill?signal=TERM` | 200 `{"done":true}`; 404 without such a worker |
//! | `GET /events?since=N` | events as they come, one JSON object a line, after those above number `N` that are remembered |
//! | `GET /logs?worker=N&lines=100&follow=1` | the last lines of the log (of the last MiB), and those that follow |
//!
//! Each command is written into the log with the uid and pid of who asked, and is an event of kind `control`.
//!
//! `GET /status` (`api` is the version of these shapes: members are added, never changed, while it stays the same):
//!
//! ```json
//! {"api":1,"version":"0.1.0","pid":4100,"ready":true,"about":{},
//!  "cluster":{"wanted":2,"serving":2,"booting":0,"draining":0,"broken":0,"given_up":0,"generation":3,
//!             "started_at":1763722000,"uptime_seconds":86400,"stopping":false,"listeners":["127.0.0.1:3000"],
//!             "active":{"gate":"on"},"starts":9,"crashes":1,"reloads_done":3,"reloads_failed":0,"requests":123456,
//!             "log_lines_dropped":0,
//!             "memory":{"limit_bytes":268435456,"limit_source":"cgroup","used_bytes":71303168,"pressure_some":0.0,
//!                       "pressure_full":0.0,"primary_resident_bytes":5033164,"out_of_memory_kills":0}},
//!  "operation":{"operation":3,"kind":"reload","state":"done","error":null,"began_at":1763725600.5,"ended_at":1763725601.1},
//!  "places":[{"place":0,"state":"serving","restarts":4,"failures":0,"next_try_seconds":null,"error":null}],
//!  "workers":[{"worker":8,"place":0,"pid":4242,"state":"serving","generation":3,"uptime_seconds":600,"restarts":4,
//!              "accepting":true,"connections":12,"in_flight":1,"requests":4000,"busy_threads":1,"queue_depth":0,
//!              "job_processes":2,"job_crashes":0,"jobs_poisoned":0,"sandbox":"landlock 7, seccomp",
//!              "resident_bytes":7340032,"proportional_bytes":4194304,"unique_bytes":3145728,"anonymous_bytes":2621440,
//!              "file_bytes":4194304,"shared_bytes":12288,"allocated_bytes":2097152,"active_bytes":2359296,"retained_bytes":0,
//!              "budget_bytes":105267200,"reserved_bytes":0,"peak_reserved_bytes":28286049,"descriptors":58,"leaks":0}],
//!  "companions":[{"name":"queue","pid":4102,"restarts":0,"uptime_seconds":86400,"last_end":null}],
//!  "front":{"pid":4101,"restarts":0,"events_dropped":0}}
//! ```
//!
//! An operation, here one that failed (`state` is `running`, `done` or `failed`):
//!
//! ```json
//! {"operation":4,"kind":"reload","state":"failed","error":"worker 9 was not ready within 60 s; the old workers serve on",
//!  "began_at":1763725700.0,"ended_at":1763725760.2}
//! ```
//!
//! A line of `/events`, and what a client gets that read too slowly:
//!
//! ```json
//! {"event":17,"at":1763725601.1,"kind":"ready","text":"worker 8 is ready after 14 ms","worker":8}
//! {"kind":"lost","lost":12,"text":"12 events are missing here: this client read too slowly"}
//! ```

mod answer;
pub(crate) mod feed;
mod heap_profile;
mod json;
pub(crate) mod link;
mod logs;
mod outbox;
mod query;
mod routes;
mod server;
pub(crate) mod socket;
mod state;

use std::rc::Rc;
use std::time::Duration;

use phalanx_channel::Packets;
use phalanx_process::{Signal, Signals, TakenRole};
use phalanx_shared::ClusterPage;

pub use logs::Logs;
pub(crate) use logs::log_pipe;

use crate::Error;
use crate::slim::keep_slim;
use link::descriptor;
use socket::Name;
use state::{End, Front};

/// Signals that are for the primary: the front outlives a terminal's ^C and a service manager's SIGTERM to all processes, to
/// carry the workers' last words.
const IGNORED: &[Signal] =
    &[Signal::Terminate, Signal::Interrupt, Signal::Quit, Signal::Hangup, Signal::User1, Signal::User2];

/// How long the front hears the workers when the primary is gone: as long as these may live.
const ORPHAN_DEADLINE: Duration = Duration::from_millis(900);

/// How long a front that is dismissed has for answers under way.
const LAST_ANSWERS: Duration = Duration::from_millis(50);

/// From one look at who our parent is to the next, while the link is broken.
const PARENT_POLL: Duration = Duration::from_millis(5);

/// Plays the role of the front. Does not return: the process exits.
pub(crate) fn run(role: TakenRole) -> ! {
    match play(role) {
        Ok(()) => std::process::exit(0),
        Err(error) => {
            eprintln!("phalanx | the front process fails: {error}");
            std::process::exit(1)
        }
    }
}

fn play(mut role: TakenRole) -> Result<(), Error> {
    let _ignored = Signals::take(IGNORED)?;
    let parent = std::os::unix::process::parent_id();
    let link = Packets::from_descriptor(role.take(descriptor::LINK)?)?;
    let cluster = ClusterPage::open(role.take(descriptor::CLUSTER)?).map_err(Error::system("open the cluster page"))?;
    let (control, admin) = (role.take_all(descriptor::CONTROL).pop(), role.take_all(descriptor::ADMIN).pop());
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(Error::system("start the front's runtime"))?;
    tokio::task::LocalSet::new().block_on(&runtime, async {
        let front = Rc::new(Front::new(link, cluster).await?);
        let name = front.control_path().map(|path| Name::of(path));
        tokio::task::spawn_local(keep_slim());
        let serving = async {
            front.settled().await;
            let serve_control = async {
                match control {
                    Some(control) => server::control(Rc::clone(&front), control).await,
                    None => std::future::pending().await,
                }
            };
            let serve_admin = async {
                match admin {
                    Some(admin) => server::admin(Rc::clone(&front), admin).await,
                    None => std::future::pending().await,
                }
            };
            tokio::try_join!(serve_control, serve_admin).map(|_| End::Dismissed)
        };
        let end = tokio::select! {
            end = front.hear() => end?,
            failure = serving => failure?,
        };
        match end {
            // Answers that are known are still written.
            End::Dismissed => tokio::time::sleep(LAST_ANSWERS).await,
            End::Orphaned => {
                let orphaned = async {
                    // The link of a killed process ends before its children have another parent.
                    while std::os::unix::process::parent_id() == parent {
                        tokio::time::sleep(PARENT_POLL).await;
                    }
                    // A primary that replaces itself in place is still our parent: the socket is still its own.
                    name.iter().for_each(Name::remove);
                    front.log.all_ended().await;
                };
                let _ = tokio::time::timeout(ORPHAN_DEADLINE, orphaned).await;
            }
        }
        front.log.finish();
        Ok(())
    })
}
