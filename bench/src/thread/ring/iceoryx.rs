//! The crate iceoryx2: a publish-subscribe service in each direction. With a core each, the sides look again and again,
//! which is its quickest way; on one core they sleep on its events.
//!
//! The library itself leaves one small file of its own in `/dev/shm` and empty folders in the temporary folder.

use iceoryx2::port::listener::Listener;
use iceoryx2::port::notifier::Notifier;
use iceoryx2::port::publisher::Publisher;
use iceoryx2::port::subscriber::Subscriber;
use iceoryx2::prelude::{LogLevel, Node, NodeBuilder, ServiceName, ipc, set_log_level};
use measuring::{During, Failure, stay_on};

use super::{MESSAGE_BYTES, Message, round_trips};
use crate::Task;
use crate::cores::Cores;
use crate::figures::Figures;
use crate::peer::{Given, Peer};

type Service = ipc::Service;

/// The first message of the peer: from now on it hears what is published.
const HERE: Message = [0; MESSAGE_BYTES];
/// Tells the peer to end by itself: killed, it would leave its files behind.
const FAREWELL: Message = [u8::MAX; MESSAGE_BYTES];

/// How a side waits for a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Waiting {
    Look,
    Sleep,
}

/// Names of the services to which a side publishes and subscribes.
struct Directions {
    out: &'static str,
    back: &'static str,
}

pub(super) fn drive(task: Task) -> Result<Figures, Failure> {
    let (waiting, word) =
        if task.cores.own == task.cores.peer { (Waiting::Sleep, "sleep") } else { (Waiting::Look, "look") };
    let name = format!("phalanx-bench-{}", std::process::id());
    let ends = Ends::open(&name, Directions { out: "ask", back: "answer" }, waiting)?;
    let peer = Peer::start(task, Given::MeetingPlace(&format!("{word}/{name}")))?;
    stay_on(task.cores.own)?;
    if ends.receive()? != HERE {
        return Err(Failure::new("the peer did not say that it is there"));
    }
    let figures = round_trips(task, |message| {
        ends.send(message)?;
        ends.receive()
    })?;
    ends.send(&FAREWELL)?;
    peer.ended()?;
    Ok(figures)
}

pub(super) fn answer(cores: Cores, meeting_place: &str) -> Result<(), Failure> {
    let (waiting, name) = match meeting_place.split_once('/') {
        Some(("look", name)) => (Waiting::Look, name),
        Some(("sleep", name)) => (Waiting::Sleep, name),
        _ => return Err(Failure::new(format!("{meeting_place} is no meeting place"))),
    };
    let ends = Ends::open(name, Directions { out: "answer", back: "ask" }, waiting)?;
    stay_on(cores.peer)?;
    ends.send(&HERE)?;
    loop {
        let message = ends.receive()?;
        if message == FAREWELL {
            return Ok(());
        }
        ends.send(&message)?;
    }
}

struct Ends {
    waiting: Waiting,
    publisher: Publisher<Service, Message, ()>,
    subscriber: Subscriber<Service, Message, ()>,
    notifier: Notifier<Service>,
    listener: Listener<Service>,
    _node: Node<Service>,
}

impl Ends {
    fn open(name: &str, directions: Directions, waiting: Waiting) -> Result<Self, Failure> {
        set_log_level(LogLevel::Error);
        let node = NodeBuilder::new().create::<Service>().during("create a node")?;
        let service = |direction| ServiceName::new(&format!("{name}/{direction}")).during("name a service");
        let (out, back) = (service(directions.out)?, service(directions.back)?);
        let messages = |name| node.service_builder(name).publish_subscribe::<Message>().open_or_create();
        let events = |name| node.service_builder(name).event().open_or_create();
        Ok(Self {
            waiting,
            subscriber: messages(&back).during("open a service")?.subscriber_builder().create().during("subscribe")?,
            publisher: messages(&out).during("open a service")?.publisher_builder().create().during("publish")?,
            listener: events(&back).during("open events")?.listener_builder().create().during("listen")?,
            notifier: events(&out).during("open events")?.notifier_builder().create().during("make a notifier")?,
            _node: node,
        })
    }

    fn send(&self, message: &Message) -> Result<(), Failure> {
        self.publisher.loan_uninit().during("borrow a message")?.write_payload(*message).send().during("send")?;
        if self.waiting == Waiting::Sleep {
            self.notifier.notify().during("notify")?;
        }
        Ok(())
    }

    fn receive(&self) -> Result<Message, Failure> {
        loop {
            if let Some(sample) = self.subscriber.receive().during("receive")? {
                return Ok(*sample);
            }
            match self.waiting {
                Waiting::Look => std::hint::spin_loop(),
                Waiting::Sleep => self.listener.blocking_wait(|_| {}).map(drop).during("wait for an event")?,
            }
        }
    }
}
