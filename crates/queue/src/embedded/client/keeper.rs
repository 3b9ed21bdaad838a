//! The keeper: reads what the owner says, connects again, and watches the deadlines.

use std::os::fd::{AsFd, OwnedFd};
use std::sync::Arc;
use std::time::Duration;

use tokio::net::UnixStream;
use tokio::time::{Instant, sleep_until};

use super::link::Link;
use super::reach::{Reached, Urgency, reach};
use crate::embedded::frames::Frames;
use crate::embedded::words::ToClient;
use crate::{Error, Token};

/// The first wait between two tries to connect; it doubles up to [`BACKOFF_CAP`].
const BACKOFF: Duration = Duration::from_millis(50);
const BACKOFF_CAP: Duration = Duration::from_secs(2);

/// Keeps a link connected as long as its handle lives.
pub(super) async fn keep(link: Arc<Link>, first: Reached) {
    let mut reached = Some((first, Vec::new()));
    while let Some((line, holds)) = reached {
        match line.stream.as_fd().try_clone_to_owned() {
            Ok(socket) => {
                listen(&link, line, &holds, socket).await;
                link.down();
            }
            Err(error) => link.trouble(Error::unavailable(super::NAME, format_args!("no descriptor is left: {error}"))),
        }
        reached = again(&link).await;
    }
}

/// Reads until the connection ends.
async fn listen(link: &Arc<Link>, line: Reached, holds: &[Token], socket: OwnedFd) {
    let Reached { stream, mut frames, kept } = line;
    let kept = kept.iter().chain(std::iter::repeat(&false));
    let lost: Vec<Token> = holds.iter().zip(kept).filter(|(_, kept)| !**kept).map(|(token, _)| *token).collect();
    link.up(Arc::new(socket), &lost);
    if !hear(link, &mut frames) {
        return;
    }
    let expiry = sleep_until(link.expires().into());
    tokio::pin!(expiry);
    loop {
        let full = link.is_full();
        tokio::select! {
            biased;
            ready = stream.readable() => {
                if ready.is_err() || !receive(link, &stream, &mut frames) {
                    return;
                }
            }
            () = link.bell.notified() => {
                if link.is_closed() {
                    return;
                }
            }
            ready = stream.writable(), if full => {
                if ready.is_err() {
                    return;
                }
                // Tokio learns by a try that fails that it has to wait.
                if stream.try_io(tokio::io::Interest::WRITABLE, || takes_more(&stream)).is_ok() {
                    link.goes_on();
                }
            }
            () = &mut expiry => {
                link.expire();
                expiry.as_mut().reset(link.expires().into());
            }
        }
    }
}

/// Whether the socket has room, by a look that takes no time.
fn takes_more(stream: &UnixStream) -> std::io::Result<()> {
    use rustix::event::{PollFd, PollFlags, Timespec, poll};
    let mut ask = [PollFd::new(stream, PollFlags::OUT)];
    match poll(&mut ask, Some(&Timespec { tv_sec: 0, tv_nsec: 0 })) {
        Ok(1..) => Ok(()),
        _ => Err(std::io::ErrorKind::WouldBlock.into()),
    }
}

/// Reads what is there. False at the end.
fn receive(link: &Arc<Link>, stream: &UnixStream, frames: &mut Frames) -> bool {
    loop {
        let room = frames.room();
        let asked = room.len();
        match stream.try_read(room) {
            Ok(0) => return false,
            Ok(count) => {
                frames.received(count);
                if !hear(link, frames) {
                    return false;
                }
                if count < asked {
                    return true;
                }
            }
            Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => return true,
            Err(error) if error.kind() == std::io::ErrorKind::Interrupted => {}
            Err(_) => return false,
        }
    }
}

/// Passes on what was said. False if it makes no sense.
fn hear(link: &Arc<Link>, frames: &mut Frames) -> bool {
    let mut words = Vec::new();
    let sense = loop {
        match frames.next().map(|frame| frame.map(postcard::from_bytes::<ToClient>)) {
            Ok(None) => break true,
            Ok(Some(Ok(word))) => words.push(word),
            Ok(Some(Err(_))) | Err(_) => break false,
        }
    };
    link.heard(words);
    sense
}

/// Connects again as soon as that is of use. `None` when the handle is closed.
async fn again(link: &Arc<Link>) -> Option<(Reached, Vec<Token>)> {
    let mut backoff = BACKOFF;
    loop {
        while !link.is_needed() {
            if link.is_closed() {
                return None;
            }
            link.bell.notified().await;
        }
        let holds = link.holds();
        let attempt = reach(&link.folder, link.handle, holds.clone(), Urgency::AfterALook);
        match unless_closed(link, attempt).await? {
            Ok(reached) => return Some((reached, holds)),
            Err(error) if error.is_passing() => link.trouble(error),
            Err(error) => link.fail(&error),
        }
        // Between half of it and all of it, so that not all clients come at the same moment.
        let pause = backoff.mul_f64(0.5 + jitter() / 2.0);
        backoff = (backoff * 2).min(BACKOFF_CAP);
        unless_closed(link, tokio::time::sleep(pause)).await?;
    }
}

/// The outcome of this, while deadlines are watched; `None` when the handle is closed.
async fn unless_closed<T>(link: &Arc<Link>, work: impl Future<Output = T>) -> Option<T> {
    tokio::pin!(work);
    loop {
        if link.is_closed() {
            return None;
        }
        tokio::select! {
            outcome = &mut work => return Some(outcome),
            () = link.bell.notified() => {}
            () = sleep_until(Instant::from_std(link.expires())) => link.expire(),
        }
    }
}

/// A number from 0 to 1.
fn jitter() -> f64 {
    let mut byte = [0_u8];
    // Without random numbers there is no jitter.
    let _ = getrandom::fill(&mut byte);
    f64::from(byte[0]) / 255.0
}
