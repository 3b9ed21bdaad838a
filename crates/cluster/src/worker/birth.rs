//! The birth of a worker process: what it was given, its life-line, its runtime, and the user's code.

use std::cell::RefCell;
use std::future::Future;
use std::rc::Rc;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use phalanx_channel::{Packets, Received};
use phalanx_process::{Signal, Signals, TakenRole, stack_dump};
use phalanx_shared::{Blob, ClusterPage, Field, Permits, Slot, SlotIndex};

use super::{Inner, Worker, memory_watch, tell};
use crate::builder::AnyError;
use crate::control::{MAX_FAILURE_TEXT, ToPrimary, ToWorker, descriptor};
use crate::dispatcher::{self, Intake};
use crate::lifeline;
use crate::listener::{Listener, Origin};
use crate::messages::Post;
use crate::passed::Passed;
use crate::secret::ClusterSecret;
use crate::siblings::Siblings;
use crate::{Error, Gate, ListenAddress, Place, WorkerId};

/// From one heartbeat to the next.
const BEAT: Duration = Duration::from_secs(1);

/// Most bytes of settings; the primary made them, so this only keeps a mistake small (64 MiB).
const MAX_SETTINGS: usize = 64 * 1024 * 1024;

/// Plays the role of a worker. Does not return: the process exits.
pub(crate) fn run<F, Fut>(role: TakenRole, code: F) -> Result<(), Error>
where
    F: FnOnce(Worker) -> Fut,
    Fut: Future<Output = Result<(), AnyError>>,
{
    let control = Rc::new(RefCell::new(None));
    let result = play(role, code, &control);
    let exit_code = match &result {
        Ok(()) => 0,
        Err(error) => {
            if let Some(control) = control.borrow().as_deref() {
                tell(control, &ToPrimary::Failed(cut(error.to_string(), MAX_FAILURE_TEXT)));
            }
            error.exit_code().into()
        }
    };
    std::process::exit(exit_code)
}

fn play<F, Fut>(mut role: TakenRole, code: F, control_out: &RefCell<Option<Arc<Packets>>>) -> Result<(), Error>
where
    F: FnOnce(Worker) -> Fut,
    Fut: Future<Output = Result<(), AnyError>>,
{
    let signals = Signals::take(&[Signal::Terminate, Signal::Interrupt])?;
    let control = Arc::new(Packets::from_descriptor(role.take(descriptor::CONTROL)?)?);
    control_out.replace(Some(Arc::clone(&control)));
    let Welcome { id, place, page, generation, held, drain_deadline, gate, secret, dispatched } =
        Welcome::receive(&control)?;
    let slot = Slot::open(role.take(descriptor::SLOT)?).map_err(Error::system("open the scoreboard"))?;
    let cluster =
        ClusterPage::open(role.take(descriptor::CLUSTER)?).map_err(Error::system("open the page of the cluster"))?;
    let permits =
        Permits::from_descriptor(role.take(descriptor::PERMITS)?).map_err(Error::system("open the permits"))?;
    let line = role.take_all(descriptor::MESSAGES).pop();
    if let Some(stacks) = role.take_all(descriptor::STACKS).pop() {
        stack_dump::install(stacks)?;
    }
    let listeners = take_listeners(&mut role)?;
    let desk = role.take_all(dispatcher::descriptor::DESK).pop();
    let claims = role.take_all(dispatcher::descriptor::CLAIMS).pop();
    let settings = match role.take_all(descriptor::SETTINGS).pop() {
        Some(file) => Some(Blob::from_descriptor(file, MAX_SETTINGS).map_err(settings_error)?),
        None => None,
    };
    slot.set(Field::Worker, id.get().into());
    slot.set(Field::Place, u64::from(place.0) + 1);
    slot.set(Field::SettingsGeneration, generation.into());
    slot.set(Field::StartedAt, unix_seconds());
    slot.set(Field::Pid, std::process::id().into());

    let siblings = Arc::new(Siblings::default());
    let word = lifeline::start(Arc::clone(&control), signals, Arc::clone(&siblings), drain_deadline, !held)?;
    tell(&control, &ToPrimary::Online);

    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(Error::system("start the worker's runtime"))?;
    runtime.block_on(async move {
        let slot = Arc::new(slot);
        tokio::spawn(beat(Arc::clone(&slot)));
        memory_watch::start(Arc::clone(&slot), Arc::clone(&control))?;
        let passed = Passed::new(word.life.clone(), Arc::clone(&slot));
        let post = line.map(|line| Post::open(line, word.lines, word.life.clone(), Arc::clone(&passed))).transpose()?;
        tokio::spawn(word.borrowed.run(Arc::clone(&passed), word.life.clone()));
        if let (Some(desk), Some(claims)) = (desk, claims) {
            let intake = Intake::new(desk, claims, word.life.clone())?;
            tokio::spawn(intake.run(Arc::clone(&passed), word.admitted.clone()));
        }
        let worker = Worker {
            inner: Arc::new(Inner {
                id,
                place,
                page,
                generation,
                admitted: word.admitted,
                probes: Mutex::new(Some(word.probes)),
                slot,
                cluster,
                siblings,
                listeners,
                dispatched,
                passed,
                gate,
                secret,
                permits,
                settings,
                control,
                post,
                life: word.life,
            }),
        };
        code(worker).await.map_err(Error::Worker)
    })
}

/// The listening sockets that this worker inherited.
fn take_listeners(role: &mut TakenRole) -> Result<Vec<Listener>, Error> {
    let ours = role.take_all(descriptor::LISTENER).into_iter().map(|socket| (socket, Origin::Ours));
    let given = role.take_all(descriptor::GIVEN_LISTENER).into_iter().map(|socket| (socket, Origin::Given));
    ours.chain(given)
        .map(|(socket, origin)| Listener::new(socket, origin).map_err(Error::system("look at a listener")))
        .collect()
}

/// Who this worker is.
struct Welcome {
    id: WorkerId,
    place: Place,
    page: SlotIndex,
    generation: u32,
    held: bool,
    drain_deadline: Duration,
    gate: Gate,
    secret: ClusterSecret,
    dispatched: Vec<ListenAddress>,
}

impl Welcome {
    /// The primary put it into the socket before it started us.
    fn receive(control: &Packets) -> Result<Welcome, Error> {
        match control.receive::<ToWorker>()? {
            Received::Message(
                ToWorker::Welcome { worker, place, page, generation, held, drain_deadline, gate, secret, dispatched },
                _,
            ) => {
                let page = SlotIndex(page);
                Ok(Welcome { id: worker, place, page, generation, held, drain_deadline, gate, secret, dispatched })
            }
            _ => Err(phalanx_channel::Error::Malformed("the first control message is no welcome".into()).into()),
        }
    }
}

fn unix_seconds() -> u64 {
    std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).map_or(0, |since| since.as_secs())
}

async fn beat(slot: Arc<Slot>) {
    let mut seconds = tokio::time::interval(BEAT);
    seconds.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        seconds.tick().await;
        slot.add(Field::Heartbeat, 1);
    }
}

fn settings_error(source: phalanx_shared::Error) -> Error {
    Error::System { attempt: "open the settings of this generation", source: std::io::Error::other(source) }
}

fn cut(mut text: String, most: usize) -> String {
    if text.len() > most {
        let end = (0..=most).rev().find(|end| text.is_char_boundary(*end)).unwrap_or(0);
        text.truncate(end);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::cut;

    #[test]
    fn a_long_failure_is_cut_between_characters() {
        assert_eq!(cut("ä".repeat(10), 7), "äää");
        assert_eq!(cut("short".into(), 7), "short");
    }
}
