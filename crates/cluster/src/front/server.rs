//! Clients: who may connect, how many at once, and for how long.
//!
//! One request a connection: then a client can lose nothing but that one request when the front is killed, and a deadline is
//! simply that of its connection.

use std::cell::Cell;
use std::convert::Infallible;
use std::os::fd::OwnedFd;
use std::os::unix::fs::MetadataExt;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use http::{Request, StatusCode};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, UnixListener, UnixStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::answer::{self, Answer, Content};
use super::routes::{self, Asker};
use super::state::Front;
use crate::Error;

/// Clients of one listener at once; further ones wait to be accepted.
const CLIENTS: usize = 32;
/// Clients that may follow events or logs; so there is always room for a command.
const FOLLOWERS: usize = 16;
/// Longest head of a request, in bytes.
const HEAD_BYTES: usize = 64 * 1024;
/// For the head of a request.
const HEAD_DEADLINE: Duration = Duration::from_secs(5);
/// For a whole connection that follows nothing: longer than the longest wait for an operation.
const CONNECTION_DEADLINE: Duration = Duration::from_secs(90);
/// After a connection that could not be accepted (no descriptor is left).
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// Serves the control socket, for ever.
pub(super) async fn control(front: Rc<Front>, listener: OwnedFd) -> Result<(), Error> {
    let listener = UnixListener::from_std(listener.into()).map_err(Error::system("serve the control socket"))?;
    let ours = our_uid().map_err(Error::system("look at /proc/self"))?;
    let (clients, followers) = (Arc::new(Semaphore::new(CLIENTS)), Arc::new(Semaphore::new(FOLLOWERS)));
    loop {
        let Ok(place) = Arc::clone(&clients).acquire_owned().await else { return Ok(()) };
        match listener.accept().await {
            Ok((stream, _)) => {
                let client = asker(&stream, ours);
                tokio::task::spawn_local(serve(Rc::clone(&front), client, stream, Arc::clone(&followers), place));
            }
            Err(_) => tokio::time::sleep(ACCEPT_PAUSE).await,
        }
    }
}

/// Serves the admin address, for ever.
pub(super) async fn admin(front: Rc<Front>, listener: OwnedFd) -> Result<(), Error> {
    let listener = TcpListener::from_std(listener.into()).map_err(Error::system("serve the admin address"))?;
    let (clients, followers) = (Arc::new(Semaphore::new(CLIENTS)), Arc::new(Semaphore::new(0)));
    loop {
        let Ok(place) = Arc::clone(&clients).acquire_owned().await else { return Ok(()) };
        match listener.accept().await {
            Ok((stream, _)) => {
                let client = Ok(Asker::Admin);
                tokio::task::spawn_local(serve(Rc::clone(&front), client, stream, Arc::clone(&followers), place));
            }
            Err(_) => tokio::time::sleep(ACCEPT_PAUSE).await,
        }
    }
}

/// Who is at the other end; in words if he may not ask.
fn asker(stream: &UnixStream, ours: u32) -> Result<Asker, String> {
    let peer = stream.peer_cred().map_err(|error| format!("who asks cannot be told: {error}"))?;
    match peer.uid() {
        uid if may_ask(uid, ours) => Ok(Asker::Control { uid, pid: peer.pid() }),
        uid => Err(format!("uid {uid} may not ask here; only uid {ours} and root may")),
    }
}

fn may_ask(uid: u32, ours: u32) -> bool {
    uid == 0 || uid == ours
}

fn our_uid() -> std::io::Result<u32> {
    Ok(std::fs::metadata("/proc/self")?.uid())
}

/// One connection, one request.
async fn serve<S>(
    front: Rc<Front>,
    asker: Result<Asker, String>,
    stream: S,
    followers: Arc<Semaphore>,
    _place: OwnedSemaphorePermit,
) where
    S: AsyncRead + AsyncWrite + Unpin,
{
    let follows: Rc<Cell<Option<OwnedSemaphorePermit>>> = Rc::default();
    let service = service_fn(|request: Request<Incoming>| {
        let (front, asker, followers, follows) =
            (Rc::clone(&front), asker.clone(), Arc::clone(&followers), Rc::clone(&follows));
        async move {
            let answer = match asker {
                Ok(asker) => routes::answer(front, asker, request).await,
                Err(why) => {
                    front.audit(why.clone());
                    answer::error(StatusCode::FORBIDDEN, why)
                }
            };
            Ok::<Answer, Infallible>(with_a_seat(answer, &followers, &follows))
        }
    });
    let mut http = http1::Builder::new();
    http.keep_alive(false).timer(TokioTimer::new()).header_read_timeout(HEAD_DEADLINE).max_buf_size(HEAD_BYTES);
    let connection = http.serve_connection(TokioIo::new(stream), service);
    let mut connection = std::pin::pin!(connection);
    loop {
        tokio::select! {
            // How it ended is the client's affair.
            _ = &mut connection => return,
            () = tokio::time::sleep(CONNECTION_DEADLINE) => {
                let seat = follows.take();
                if seat.is_none() {
                    return;
                }
                follows.set(seat);
            }
        }
    }
}

/// Lets an answer without an end through, if there is a seat for one who follows.
fn with_a_seat(answer: Answer, followers: &Arc<Semaphore>, follows: &Cell<Option<OwnedSemaphorePermit>>) -> Answer {
    if !matches!(answer.body(), Content::Lines(_)) {
        return answer;
    }
    match Arc::clone(followers).try_acquire_owned() {
        Ok(seat) => {
            follows.set(Some(seat));
            answer
        }
        Err(_) => answer::error(StatusCode::SERVICE_UNAVAILABLE, format!("{FOLLOWERS} clients follow already")),
    }
}

#[cfg(test)]
mod tests {
    use super::may_ask;

    #[test]
    fn only_the_owner_and_root_may_ask() {
        assert!(may_ask(0, 1000) && may_ask(1000, 1000) && may_ask(0, 0));
        assert!(!may_ask(1001, 1000) && !may_ask(1000, 0));
    }
}
