//! `POST /heap-profile`: the profile of a worker's heap, or whether the workers sample.
//!
//! ```text
//!   client ── ?worker=3 ──► front ── command, memfd ──► primary ── memfd ──► worker: writes
//!   client ◄── the bytes ── front ◄──── figures ─────── primary ◄─ figures ─ worker
//! ```

use std::fs::File;
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::fs::FileExt;
use std::time::Duration;

use http::{HeaderValue, StatusCode};
use phalanx_shared::Field;
use rustix::fs::{MemfdFlags, memfd_create};

use super::answer::{self, Answer};
use super::link::{self, Command};
use super::query::Query;
use super::state::{Front, NoAnswer};
use crate::WorkerId;
use crate::control::{HeapFigures, HeapProfile, MOST_PROFILE_BYTES};

/// For a worker's answer; a little more than the primary gives it.
const DEADLINE: Duration = Duration::from_secs(60);

/// What is asked for.
pub(super) struct Wanted {
    /// `None`: all of them to switch, or the one with the most live bytes to look at.
    worker: Option<WorkerId>,
    wish: HeapProfile,
}

impl Wanted {
    pub(super) fn of(mut query: Query<'_>) -> Result<Wanted, String> {
        let worker = query.take("worker", "the number of a worker")?.map(WorkerId::new);
        let wish: Option<String> = query.take("as", "one of pprof, flame-graph, on, off")?;
        let wish = match wish.as_deref() {
            None | Some("pprof") => HeapProfile::Pprof,
            Some("flame-graph") => HeapProfile::FlameGraph,
            Some("on") => HeapProfile::On,
            Some("off") => HeapProfile::Off,
            Some(other) => return Err(format!("as={other}: it is one of pprof, flame-graph, on, off")),
        };
        query.finish()?;
        Ok(Wanted { worker, wish })
    }
}

/// Why not, and how that is said in HTTP.
type Refusal = (StatusCode, String);

/// Answers, and says what is to be written down about it.
pub(super) async fn answer(front: &Front, wanted: Wanted) -> (Answer, String) {
    let wish = wanted.wish;
    let outcome = match wish.is_switch() {
        true => switch(front, wanted).await,
        false => take(front, wanted).await,
    };
    let what = match wish {
        HeapProfile::On => "heap samples on",
        HeapProfile::Off => "heap samples off",
        HeapProfile::Pprof => "a heap profile",
        HeapProfile::FlameGraph => "a flame graph of a heap",
    };
    match outcome {
        Ok((answer, worker)) => (answer, format!("{what} of {worker}: done")),
        Err((status, why)) => (answer::error(status, &why), format!("{what}: refused: {why}")),
    }
}

/// Switches sampling on or off; all workers that were asked have done it, or it says which has not.
async fn switch(front: &Front, wanted: Wanted) -> Result<(Answer, String), Refusal> {
    let workers = match wanted.worker {
        Some(worker) => vec![worker],
        None => front.status().workers.iter().map(|its| its.worker).collect(),
    };
    let mut switched = Vec::new();
    for worker in workers {
        match ask(front, worker, wanted.wish, &[]).await {
            Ok(_) => switched.push(worker.get()),
            // Of all, one may have ended meanwhile.
            Err((StatusCode::NOT_FOUND, _)) if wanted.worker.is_none() => {}
            Err((status, why)) => return Err((status, why)),
        }
    }
    let names: Vec<String> = switched.iter().map(ToString::to_string).collect();
    let on = wanted.wish == HeapProfile::On;
    let answer = answer::json(StatusCode::OK, &serde_json::json!({ "sampling": on, "workers": switched }));
    Ok((answer, format!("workers {}", names.join(", "))))
}

async fn take(front: &Front, wanted: Wanted) -> Result<(Answer, String), Refusal> {
    let worker = wanted.worker.or_else(|| fullest(front)).ok_or_else(|| {
        (StatusCode::SERVICE_UNAVAILABLE, "there is no worker now whose heap could be looked at; try again".to_owned())
    })?;
    let failed = |what: &str, error: std::io::Error| {
        (StatusCode::INTERNAL_SERVER_ERROR, format!("the profile of worker {worker} is lost: cannot {what}: {error}"))
    };
    let file = memfd_create("phalanx-heap-profile", MemfdFlags::CLOEXEC);
    let file = File::from(file.map_err(|errno| failed("create a file for it", errno.into()))?);
    let figures = ask(front, worker, wanted.wish, &[file.as_fd()]).await?;
    let mut bytes = vec![0; figures.length.min(MOST_PROFILE_BYTES) as usize];
    file.read_exact_at(&mut bytes, 0).map_err(|error| failed("read it", error))?;
    let kind = if wanted.wish == HeapProfile::Pprof { "application/gzip" } else { "image/svg+xml" };
    let mut answer = answer::text(StatusCode::OK, kind, bytes);
    let told = [
        ("phalanx-worker", u64::from(worker.get())),
        ("phalanx-live-bytes", figures.live_bytes),
        ("phalanx-samples", figures.samples),
    ];
    answer
        .headers_mut()
        .extend(told.map(|(name, number)| (http::HeaderName::from_static(name), HeaderValue::from(number))));
    Ok((answer, format!("worker {worker}")))
}

/// The worker with the most live bytes; one that does not know them counts with what is resident.
fn fullest(front: &Front) -> Option<WorkerId> {
    let live = |page: u16| {
        let page = front.page(page)?;
        Some(match page.get(Field::AllocatedBytes) {
            0 => page.get(Field::ResidentBytes),
            bytes => bytes,
        })
    };
    front.status().workers.iter().max_by_key(|its| live(its.page)).map(|its| its.worker)
}

async fn ask(
    front: &Front,
    worker: WorkerId,
    wish: HeapProfile,
    file: &[BorrowedFd<'_>],
) -> Result<HeapFigures, Refusal> {
    match front.command_within(Command::HeapProfile { worker, wish }, file, DEADLINE).await {
        Ok(link::Answer::HeapProfiled(figures)) => Ok(figures),
        Ok(link::Answer::NoSuchWorker) => {
            Err((StatusCode::NOT_FOUND, format!("there is no worker {worker} (any more)")))
        }
        Ok(link::Answer::Refused(why)) => Err((StatusCode::CONFLICT, format!("worker {worker}: {why}"))),
        Ok(other) => Err((StatusCode::INTERNAL_SERVER_ERROR, format!("the primary said something else: {other:?}"))),
        Err(NoAnswer::Unreachable) => {
            Err((StatusCode::SERVICE_UNAVAILABLE, "the primary takes no command now; try again".into()))
        }
        Err(NoAnswer::Silent) => {
            let within = DEADLINE.as_secs();
            Err((StatusCode::GATEWAY_TIMEOUT, format!("worker {worker} gave no profile within {within} s; try again")))
        }
    }
}
