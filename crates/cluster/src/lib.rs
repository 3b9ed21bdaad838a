//! A primary process, and workers that it starts, watches and replaces.
//!
//! ```text
//!   primary ── one loop: epoll ─► Supervisor (a pure function) ─► actions
//!     │ keeps the listening sockets                        │
//!     ├── worker 1 ── event loop + threads ── accept ◄─────┤ the same sockets, so that nothing that waits in the
//!     └── worker 2 ── event loop + threads ── accept ◄─────┘ kernel's backlog is lost when a worker dies
//! ```
//!
//! ```no_run
//! # #[cfg(feature = "http")]
//! # mod example {
//! fn main() -> Result<(), Box<dyn std::error::Error>> {
//!     phalanx_process::init()?; // `phalanx::init()` for users of the facade
//!     phalanx_cluster::cluster()
//!         .listen("127.0.0.1:3000")
//!         .on_event(|event| eprintln!("{event}"))
//!         .run(|worker| async move {
//!             let hello = tower::service_fn(|_request| async {
//!                 Ok::<_, std::convert::Infallible>(http::Response::new("hello\n".to_owned()))
//!             });
//!             Ok(worker.http().serve(hello).await?)
//!         })?;
//!     Ok(())
//! }
//! # }
//! ```
//!
//! **Promises.** A worker that dies after it was ready is replaced at once; one that dies before waits longer and
//! longer, and after the fifth time in a minute its place is tried once a minute while the others serve on. A worker
//! that hangs is killed and replaced. SIGTERM and SIGINT let the workers finish (30 s at most); a second one does not.
//! A reload (SIGHUP) replaces every worker, new first, and an upgrade (SIGUSR2) the primary too, without a request that
//! fails; if what is new does not become ready and healthy, what was there serves on, and the reason is said.
//! When the primary is killed, every worker is gone within a second and nothing stays behind: no process, socket, file
//! or shared memory.
//!
//! **What it does not do.** It does not restart the primary: that is the business of systemd, a container, or whoever
//! started it. It cannot stop a stopped (SIGSTOP) worker from outliving a killed primary.

#![forbid(unsafe_code)]

#[cfg(feature = "program")]
mod attendant;
mod builder;
mod companion;
mod control;
mod dispatcher;
mod error;
mod event;
#[cfg(feature = "control")]
mod front;
#[cfg_attr(not(feature = "http"), allow(dead_code, reason = "the accept loops of the HTTP server wait at it"))]
mod gate;
mod health_gate;
#[cfg(feature = "http")]
mod http;
mod hub;
mod id;
mod lifeline;
mod listener;
mod messages;
mod metrics;
mod passed;
mod primary;
#[cfg(feature = "program")]
mod program;
mod secret;
mod siblings;
mod slim;
pub mod supervisor;
mod worker;

pub use builder::{Affinity, Cluster};
pub use companion::Companion;
pub use error::{DoNotRestart, Error};
pub use event::{Event, ExitReason};
#[cfg(feature = "control")]
pub use front::Logs;
pub use gate::Gate;
pub use health_gate::HealthGate;
#[cfg(feature = "tls")]
pub use http::Tls;
#[cfg(feature = "http")]
pub use http::{Credentials, HttpServer, Peer};
pub use hub::{Events, Primary, WorkerInfo};
pub use id::{Place, WorkerId};
pub use listener::{Distribution, Listen, ListenAddress, ListenSocket, Listener};
pub use messages::{Incoming, Member, Message, Messages, NotPassed, Passable, Reply};
pub use passed::{Connection, Connections};
#[cfg(feature = "program")]
pub use program::{HealthCheck, Node, Program, Readiness, WrongHealthCheck};
pub use worker::Worker;

/// Begins the description of a cluster.
pub fn cluster() -> Cluster {
    Cluster::new()
}

/// Whether this process is the one that somebody started, and not a worker that a primary started.
pub fn is_primary() -> bool {
    phalanx_process::role().is_none()
}

/// Whether this process is a [companion](Companion) of a cluster.
pub fn is_companion() -> bool {
    phalanx_process::role() == Some(companion::COMPANION_ROLE)
}

/// Whether this process is a worker of a cluster.
pub fn is_worker() -> bool {
    phalanx_process::role() == Some(control::WORKER_ROLE)
}
