//! [`Incoming`]: from the socket to whole messages, answers handed to those who asked for them.

use std::collections::{HashMap, VecDeque};
use std::os::fd::{BorrowedFd, OwnedFd};

use tokio::sync::oneshot;

use crate::arena::ArenaReader;
use crate::frame::{Decoder, Header, Kind};
use crate::{DescriptorPolicy, Error, Options, socket};

/// Sets of descriptors that may be there without the frame they belong to: that frame begins in the same read.
const MOST_UNCLAIMED: usize = 2;
/// Messages that may lie here while somebody waits for an answer and nobody takes them.
const INBOX_MESSAGES: usize = 1024;
/// The same in bytes; one message may exceed it.
const INBOX_BYTES: usize = 16 << 20;

/// A message as it came: the content is `assembled` and then `inline`.
#[derive(Debug)]
pub(crate) struct Arrived<'a> {
    pub(crate) header: Header,
    pub(crate) assembled: Vec<u8>,
    pub(crate) inline: &'a [u8],
    pub(crate) descriptors: Vec<OwnedFd>,
}

/// A message that outlives the buffer it came in.
#[derive(Debug)]
pub(crate) struct Parcel {
    header: Header,
    assembled: Vec<u8>,
    inline: Vec<u8>,
    descriptors: Vec<OwnedFd>,
}

impl Parcel {
    fn keep(arrived: Arrived<'_>) -> Parcel {
        let Arrived { header, assembled, inline, descriptors } = arrived;
        Parcel { header, assembled, inline: inline.to_vec(), descriptors }
    }

    fn bytes(&self) -> usize {
        self.assembled.len() + self.inline.len()
    }

    /// Hands the message to `take` as if it had just come.
    pub(crate) fn open<R>(self, take: impl FnOnce(Arrived<'_>) -> R) -> R {
        let Parcel { header, assembled, inline, descriptors } = self;
        take(Arrived { header, assembled, inline: &inline, descriptors })
    }
}

/// What somebody who waits for a frame with his id is told.
#[derive(Debug)]
pub(crate) enum Answer {
    /// The reply.
    Reply(Parcel),
    /// The message has arrived in the peer's program.
    Ack,
    /// The peer dropped the request.
    Unanswered,
}

/// What a look at the socket brought.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Step<T> {
    /// A message.
    Arrived(T),
    /// Nothing more now.
    Empty,
    /// The peer is gone, and everything that it wrote was taken.
    Ended,
}

/// Outcome of [`Incoming::pump`].
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Pumped {
    /// Nothing more to read now.
    Dry,
    /// The inbox is full: somebody must receive first.
    InboxFull,
    /// The peer is gone.
    Ended,
}

/// The receiving side of one end.
#[derive(Debug)]
pub(crate) struct Incoming {
    decoder: Decoder,
    policy: DescriptorPolicy,
    /// Descriptors that were read and whose frame was not decoded yet.
    unclaimed: VecDeque<Vec<OwnedFd>>,
    arena: Option<ArenaReader>,
    /// Pieces of the next large content.
    assembled: Vec<u8>,
    waiting: HashMap<u32, oneshot::Sender<Answer>>,
    inbox: VecDeque<Parcel>,
    inbox_bytes: usize,
    ended: bool,
}

impl Incoming {
    pub(crate) fn new(options: &Options) -> Incoming {
        Incoming {
            decoder: Decoder::new(options.largest_message),
            policy: options.descriptors,
            unclaimed: VecDeque::new(),
            arena: None,
            assembled: Vec::new(),
            waiting: HashMap::new(),
            inbox: VecDeque::new(),
            inbox_bytes: 0,
            ended: false,
        }
    }

    /// What comes with this id goes to whoever holds the other end of the oneshot.
    pub(crate) fn expect(&mut self, id: u32) -> Result<oneshot::Receiver<Answer>, Error> {
        if self.ended {
            return Err(Error::Closed);
        }
        let (teller, answer) = oneshot::channel();
        self.waiting.insert(id, teller);
        Ok(answer)
    }

    /// Nobody waits for this id any more.
    pub(crate) fn forget(&mut self, id: u32) {
        self.waiting.remove(&id);
    }

    /// The next message, handed to `take` in place.
    pub(crate) fn step<R>(
        &mut self,
        socket: BorrowedFd<'_>,
        take: impl FnOnce(Arrived<'_>) -> R,
    ) -> Result<Step<R>, Error> {
        if let Some(parcel) = self.inbox.pop_front() {
            self.inbox_bytes -= parcel.bytes();
            return Ok(Step::Arrived(parcel.open(take)));
        }
        self.read_on(socket, take)
    }

    /// Reads on for the sake of answers; messages that come meanwhile go into the inbox.
    pub(crate) fn pump(&mut self, socket: BorrowedFd<'_>) -> Result<Pumped, Error> {
        loop {
            if self.inbox.len() >= INBOX_MESSAGES || self.inbox_bytes >= INBOX_BYTES {
                return Ok(Pumped::InboxFull);
            }
            match self.read_on(socket, Parcel::keep)? {
                Step::Arrived(parcel) => {
                    self.inbox_bytes += parcel.bytes();
                    self.inbox.push_back(parcel);
                }
                Step::Empty => return Ok(Pumped::Dry),
                Step::Ended => return Ok(Pumped::Ended),
            }
        }
    }

    /// Whether messages wait that were read for somebody else's sake.
    pub(crate) fn has_mail(&self) -> bool {
        !self.inbox.is_empty() || self.ended
    }

    /// After an error the stream cannot be understood any more: the error is told once, then it is the end.
    fn read_on<R>(&mut self, socket: BorrowedFd<'_>, take: impl FnOnce(Arrived<'_>) -> R) -> Result<Step<R>, Error> {
        let result = self.advance(socket, take);
        let over = match &result {
            // Only this message is lost; the stream itself is in order.
            Err(Error::DescriptorsRefused { .. }) => false,
            Err(_) | Ok(Step::Ended) => true,
            Ok(_) => false,
        };
        if over {
            self.ended = true;
            self.waiting.clear();
            self.unclaimed.clear();
            self.arena = None;
            self.assembled = Vec::new();
        }
        result
    }

    fn advance<R>(&mut self, socket: BorrowedFd<'_>, take: impl FnOnce(Arrived<'_>) -> R) -> Result<Step<R>, Error> {
        let limit = self.decoder.limit();
        loop {
            if self.ended {
                return Ok(Step::Ended);
            }
            while let Some((header, inline)) = self.decoder.next()? {
                let descriptors = claim(&mut self.unclaimed, header)?;
                match header.kind {
                    Kind::Arena => self.arena = Some(ArenaReader::from_descriptors(descriptors)?),
                    Kind::Piece => read_piece(&mut self.arena, &mut self.assembled, header, limit)?,
                    Kind::Ack | Kind::Unanswered => {
                        let answer = if header.kind == Kind::Ack { Answer::Ack } else { Answer::Unanswered };
                        // Nobody: the one who asked has given up.
                        let _ = self.waiting.remove(&header.id).map(|teller| teller.send(answer));
                    }
                    Kind::Message | Kind::Request | Kind::Acked | Kind::Reply => {
                        let assembled = std::mem::take(&mut self.assembled);
                        // What is not announced was left by a sender that gave up in the middle.
                        let assembled = if header.is_assembled() { assembled } else { Vec::new() };
                        let count = assembled.len() + inline.len();
                        if count > limit {
                            return Err(Error::TooLarge { bytes: count, limit });
                        }
                        if header.payload as usize > count || (header.is_assembled() && assembled.is_empty()) {
                            return Err(Error::Malformed("a message shorter than its payload".into()));
                        }
                        if !descriptors.is_empty() && self.policy == DescriptorPolicy::Refuse {
                            return Err(Error::DescriptorsRefused { count: descriptors.len() });
                        }
                        let arrived = Arrived { header, assembled, inline, descriptors };
                        if header.kind != Kind::Reply {
                            return Ok(Step::Arrived(take(arrived)));
                        }
                        if let Some(teller) = self.waiting.remove(&header.id) {
                            let _ = teller.send(Answer::Reply(Parcel::keep(arrived)));
                        }
                    }
                }
            }
            // The frame of a set of descriptors begins in the read that brought them.
            if self.unclaimed.len() >= MOST_UNCLAIMED
                || !(self.unclaimed.is_empty() || self.decoder.is_inside_a_frame())
            {
                return Err(Error::Malformed("descriptors that belong to no message".into()));
            }
            let Some(taken) = socket::take(socket, self.decoder.space())? else { return Ok(Step::Empty) };
            if taken.bytes == 0 {
                return Ok(Step::Ended);
            }
            self.decoder.filled(taken.bytes);
            if !taken.descriptors.is_empty() {
                self.unclaimed.push_back(taken.descriptors);
            }
        }
    }
}

/// The descriptors that ride on this frame.
fn claim(unclaimed: &mut VecDeque<Vec<OwnedFd>>, header: Header) -> Result<Vec<OwnedFd>, Error> {
    if header.descriptors == 0 {
        return Ok(Vec::new());
    }
    match unclaimed.pop_front() {
        Some(descriptors) if descriptors.len() == usize::from(header.descriptors) => Ok(descriptors),
        other => {
            let came = other.map_or(0, |descriptors| descriptors.len());
            Err(Error::Malformed(format!("{} descriptors were announced and {came} came", header.descriptors)))
        }
    }
}

fn read_piece(
    arena: &mut Option<ArenaReader>,
    assembled: &mut Vec<u8>,
    piece: Header,
    limit: usize,
) -> Result<(), Error> {
    let Some(arena) = arena else { return Err(Error::Malformed("a piece without an arena".into())) };
    if !piece.is_assembled() {
        *assembled = Vec::new();
        assembled.reserve_exact(piece.payload as usize + size_of::<u64>());
    }
    let bytes = assembled.len() + piece.id as usize;
    if bytes > limit {
        return Err(Error::TooLarge { bytes, limit });
    }
    arena.read(piece.id as usize, assembled)
}
