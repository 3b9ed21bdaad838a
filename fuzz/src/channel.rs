//! A typed channel whose peer is hostile.

use std::os::fd::OwnedFd;
use std::time::Duration;

use phalanx_channel::{Channel, DescriptorPolicy, End, Error, Message, Options};
use serde::{Deserialize, Serialize};
use tokio::runtime::{Builder, Runtime};

const LARGEST_MESSAGE: usize = 1 << 20;

thread_local! {
    /// One for all inputs: to start one costs more than most inputs.
    pub static RUNTIME: Runtime =
        Builder::new_current_thread().enable_all().build().expect("the event loop starts");
}

/// What the program behind the channel does.
#[derive(Clone, Copy, Debug)]
pub struct Mode(u8);

impl Mode {
    /// Every byte is some mode.
    pub fn from_byte(byte: u8) -> Mode {
        Mode(byte)
    }

    pub fn accepts_descriptors(self) -> bool {
        self.0 & 1 != 0
    }

    /// Waits for an answer of its own meanwhile.
    pub fn asks(self) -> bool {
        self.0 & 2 != 0
    }

    /// Answers requests instead of dropping them.
    pub fn answers(self) -> bool {
        self.0 & 4 != 0
    }

    /// Whether what is seen depends on the stream alone: a message that comes while somebody waits for an answer does not.
    pub fn is_repeatable(self) -> bool {
        !self.asks()
    }
}

/// What hostile peers are to send: something of everything that serde knows.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub enum Question {
    Nothing,
    Number(u64, i32, f64),
    Text(String),
    Nested { names: Vec<String>, numbers: Vec<(u8, Option<i64>)>, inner: Option<Box<Question>> },
}

impl Question {
    pub fn new() -> Question {
        Question::Nested {
            names: vec!["job.run".into()],
            numbers: vec![(1, Some(-2)), (3, None)],
            inner: Some(Box::new(Question::Text("inner".into()))),
        }
    }
}

impl Default for Question {
    fn default() -> Question {
        Question::new()
    }
}

/// What goes back.
pub type Answer = Question;

/// What is compared between two ways to split the same stream.
#[derive(Debug, PartialEq)]
pub struct Seen {
    value: String,
    payload: Vec<u8>,
    has_ticket: bool,
}

impl Seen {
    pub fn of(message: &Message<Question>) -> Seen {
        // As text, because NaN is not equal to itself.
        let value = format!("{:?}", message.value);
        Seen { value, payload: message.payload.clone(), has_ticket: message.ticket.is_some() }
    }
}

/// The end that is attacked.
pub fn open(socket: OwnedFd, mode: Mode) -> Channel<Answer, Question> {
    let policy = if mode.accepts_descriptors() { DescriptorPolicy::Accept } else { DescriptorPolicy::Refuse };
    let options = Options::default()
        .largest_message(LARGEST_MESSAGE)
        .descriptors(policy)
        .spin(Duration::ZERO)
        .send_deadline(Duration::from_millis(100));
    End::from_descriptor(socket).and_then(|end| end.open_with(options)).expect("the socket becomes a channel")
}

/// Errors after which the next message can still be received.
pub fn goes_on_after(error: &Error) -> bool {
    matches!(error, Error::DescriptorsRefused { .. })
}

/// Gives the event loop two turns, so that what was sent is received before more is sent.
pub async fn let_the_others_run() {
    for _ in 0..2 {
        tokio::task::yield_now().await;
    }
}
