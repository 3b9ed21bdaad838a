//! Paths, and what they do.

use std::rc::Rc;
use std::time::Duration;

use http::{Method, Request, StatusCode};
use hyper::body::{Body, Incoming};
use phalanx_process::Signal;

use super::answer::{self, Answer};
use super::heap_profile;
use super::json::{self, OperationJson};
use super::link::{self, Command};
use super::query::Query;
use super::state::{Front, NoAnswer};
use crate::{WorkerId, metrics};

/// Longest wait for the end of an operation in one request.
const LONGEST_WAIT: Duration = Duration::from_secs(60);
/// Log lines if nobody says how many.
const LINES: usize = 100;

/// Who asks.
#[derive(Debug, Clone, Copy)]
pub(super) enum Asker {
    /// Somebody on the control socket.
    Control { uid: u32, pid: Option<i32> },
    /// Anybody who reaches the admin address: read-only.
    Admin,
}

/// Answers one request.
pub(super) async fn answer(front: Rc<Front>, asker: Asker, request: Request<Incoming>) -> Answer {
    if !request.body().is_end_stream() {
        return answer::error(
            StatusCode::PAYLOAD_TOO_LARGE,
            "requests have no body here; arguments stand behind the ?",
        );
    }
    let mut query = Query::of(request.uri().query());
    let parts: Vec<&str> = request.uri().path().split('/').skip(1).collect();
    let get = request.method() == Method::GET || request.method() == Method::HEAD;
    match (&parts[..], asker) {
        (["metrics" | "livez" | "readyz"], _) if !get => answer::wrong_method("GET"),
        (["metrics"], _) => checked(query, || scrape(&front)),
        (["livez"], _) => checked(query, || answer::text(StatusCode::OK, TEXT, "ok\n")),
        (["readyz"], _) => checked(query, || readiness(&front)),
        (_, Asker::Admin) => answer::error(StatusCode::NOT_FOUND, "here are only /metrics, /livez and /readyz"),
        (["status" | "events" | "logs"] | ["operations", _], _) if !get => answer::wrong_method("GET"),
        (["status"], _) => checked(query, || answer::json(StatusCode::OK, &json::status(&front))),
        (["operations", number], _) => operation(&front, number, query).await,
        (["events"], _) => {
            match query.take("since", "the number of an event").and_then(|since| query.finish().map(|()| since)) {
                Ok(since) => answer::lines("application/x-ndjson", front.events(since)),
                Err(why) => answer::error(StatusCode::BAD_REQUEST, why),
            }
        }
        (["logs"], _) => logs(&front, query).unwrap_or_else(|why| answer::error(StatusCode::BAD_REQUEST, why)),
        (["heap-profile"], Asker::Control { uid, pid }) => {
            if request.method() != Method::POST {
                return answer::wrong_method("POST");
            }
            match heap_profile::Wanted::of(query) {
                Ok(wanted) => {
                    let (answer, what) = heap_profile::answer(&front, wanted).await;
                    front.audit(format!("{} asked for {what}", name_of(uid, pid)));
                    answer
                }
                Err(why) => answer::error(StatusCode::BAD_REQUEST, why),
            }
        }
        (
            ["reload" | "upgrade" | "rollback" | "stop" | "scale"] | ["workers", _, "kill"],
            Asker::Control { uid, pid },
        ) => {
            if request.method() != Method::POST {
                return answer::wrong_method("POST");
            }
            match command(&parts, &mut query).and_then(|command| query.finish().map(|()| command)) {
                Ok(command) => perform(&front, (uid, pid), command).await,
                Err(why) => answer::error(StatusCode::BAD_REQUEST, why),
            }
        }
        _ => answer::error(StatusCode::NOT_FOUND, format!("nothing is at {}; see GET /status", request.uri().path())),
    }
}

const TEXT: &str = "text/plain; charset=utf-8";

/// For paths without arguments.
fn checked(query: Query<'_>, answer: impl FnOnce() -> Answer) -> Answer {
    match query.finish() {
        Ok(()) => answer(),
        Err(why) => answer::error(StatusCode::BAD_REQUEST, why),
    }
}

fn scrape(front: &Front) -> Answer {
    answer::text(StatusCode::OK, metrics::CONTENT_TYPE, metrics::render(&front.cluster, &front.pages()))
}

fn readiness(front: &Front) -> Answer {
    match front.cluster.is_ready() {
        true => answer::text(StatusCode::OK, TEXT, "ready\n"),
        false => {
            answer::text(StatusCode::SERVICE_UNAVAILABLE, TEXT, "not ready: no worker serves, or the cluster stops\n")
        }
    }
}

async fn operation(front: &Front, number: &str, mut query: Query<'_>) -> Answer {
    let arguments =
        query.take("wait", "a number of seconds").and_then(|wait: Option<u64>| query.finish().map(|()| wait));
    let (Ok(number), Ok(wait)) = (number.parse::<u64>(), &arguments) else {
        let why = arguments.err().unwrap_or_else(|| format!("{number} is no number of an operation"));
        return answer::error(StatusCode::BAD_REQUEST, why);
    };
    let wait = Duration::from_secs(wait.unwrap_or(0)).min(LONGEST_WAIT);
    match front.operation(number, wait).await {
        Some(operation) => answer::json(StatusCode::OK, &OperationJson::from(operation)),
        None => answer::error(StatusCode::NOT_FOUND, format!("operation {number} is not known (any more)")),
    }
}

fn logs(front: &Front, mut query: Query<'_>) -> Result<Answer, String> {
    let worker = query.take("worker", "the number of a worker")?.map(WorkerId::new);
    let lines = query.take("lines", "a number of lines")?.unwrap_or(LINES);
    let follow = query.flag("follow")?;
    query.finish()?;
    if follow {
        return Ok(answer::lines(TEXT, front.log.subscribe(lines, worker)));
    }
    Ok(answer::text(StatusCode::OK, TEXT, front.log.last(lines, worker).concat()))
}

fn command(parts: &[&str], query: &mut Query<'_>) -> Result<Command, String> {
    match parts {
        ["reload"] => Ok(Command::Reload),
        ["upgrade"] => Ok(Command::Upgrade),
        ["rollback"] => Ok(Command::Rollback),
        ["stop"] => Ok(if query.flag("now")? { Command::StopNow } else { Command::Stop }),
        ["scale"] => match query.take("workers", "a number of workers, at least 1")? {
            Some(0) => Err("workers=0: workers is a number of workers, at least 1".into()),
            Some(workers) => Ok(Command::Scale(workers)),
            None => Err("how many? say ?workers=N".into()),
        },
        ["workers", worker, "kill"] => {
            let worker = worker.parse().map_err(|_| format!("{worker} is no number of a worker"))?;
            let name: String = query.take("signal", "the name of a signal")?.unwrap_or_else(|| "TERM".into());
            let signal = signal_of(&name).ok_or_else(|| format!("signal={name}: no such signal"))?;
            Ok(Command::Kill { worker: WorkerId::new(worker), signal: signal.number() })
        }
        _ => Err("no such command".into()),
    }
}

/// `TERM`, `term`, `SIGTERM`, `15`.
fn signal_of(name: &str) -> Option<Signal> {
    let name = name.to_ascii_uppercase();
    match name.parse() {
        Ok(number) => Signal::from_number(number),
        Err(_) if name.starts_with("SIG") => Signal::from_name(&name),
        Err(_) => Signal::from_name(&format!("SIG{name}")),
    }
}

async fn perform(front: &Front, (uid, pid): (u32, Option<i32>), command: Command) -> Answer {
    let what = describe(front, &command);
    let result = front.command(command).await;
    let (answer, outcome) = match result {
        Ok(link::Answer::Began(number)) => began(front, number).await,
        Ok(link::Answer::Done | link::Answer::HeapProfiled(_)) => {
            (answer::json(StatusCode::OK, &serde_json::json!({ "done": true })), "done".into())
        }
        Ok(link::Answer::Refused(why)) => (answer::error(StatusCode::CONFLICT, &why), format!("refused: {why}")),
        Ok(link::Answer::NoSuchWorker) => {
            let why = "there is no such worker (any more)";
            (answer::error(StatusCode::NOT_FOUND, why), why.to_owned())
        }
        Err(NoAnswer::Unreachable) => {
            let why = "the primary takes no command now; try again";
            (answer::error(StatusCode::SERVICE_UNAVAILABLE, why), why.to_owned())
        }
        Err(NoAnswer::Silent) => {
            let why = "the primary did not answer in time; see GET /status whether it does what was asked";
            (answer::error(StatusCode::GATEWAY_TIMEOUT, why), why.to_owned())
        }
    };
    front.audit(format!("{} asked for {what}: {outcome}", name_of(uid, pid)));
    answer
}

fn name_of(uid: u32, pid: Option<i32>) -> String {
    match pid {
        Some(pid) => format!("uid {uid} (pid {pid})"),
        None => format!("uid {uid} (pid ?)"),
    }
}

async fn began(front: &Front, number: u64) -> (Answer, String) {
    let outcome = format!("operation {number}");
    match front.operation(number, Duration::ZERO).await {
        Some(operation) => (answer::json(StatusCode::ACCEPTED, &OperationJson::from(operation)), outcome),
        None => {
            let began = serde_json::json!({ "operation": number, "state": "running" });
            (answer::json(StatusCode::ACCEPTED, &began), outcome)
        }
    }
}

fn describe(front: &Front, command: &Command) -> String {
    match command {
        Command::Reload => "a reload".into(),
        Command::Upgrade => "an upgrade".into(),
        Command::Rollback => "a rollback".into(),
        Command::Scale(workers) => format!("{workers} workers"),
        Command::Stop => "a stop".into(),
        Command::StopNow => "a stop at once".into(),
        Command::Kill { worker, signal } => {
            let name = Signal::name_of(*signal).unwrap_or("a signal");
            let known = front.status().workers.iter().any(|its| its.worker == *worker);
            format!("{name} to worker {worker}{}", if known { "" } else { " (unknown)" })
        }
        Command::HeapProfile { worker, .. } => format!("the heap of worker {worker}"),
    }
}
