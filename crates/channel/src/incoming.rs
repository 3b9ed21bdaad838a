//! [`Incoming`]: from the socket to whole messages, answers handed to those who asked for them.

use std::collections::{HashMap, VecDeque};
use std::os::fd::{BorrowedFd, OwnedFd};
use std::sync::Arc;

use tokio::sync::oneshot;

use crate::arena::ArenaReader;
use crate::frame::{Decoder, Header, Kind};
use crate::lane::{LaneReader, Lanes};
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

/// A set of descriptors that was read.
#[derive(Debug)]
enum Came {
    Whole(Vec<OwnedFd>),
    /// This process had no room for all of them.
    Lost,
}

/// The receiving side of one end.
#[derive(Debug)]
pub(crate) struct Incoming {
    decoder: Decoder,
    /// Descriptors that were read and whose frame was not decoded yet.
    unclaimed: VecDeque<Came>,
    lane: Option<LaneReader>,
    lanes: Arc<Lanes>,
    desk: Desk,
    inbox: VecDeque<Parcel>,
    inbox_bytes: usize,
    ended: bool,
}

impl Incoming {
    pub(crate) fn new(options: &Options, lanes: Arc<Lanes>) -> Incoming {
        Incoming {
            decoder: Decoder::new(options.largest_message),
            unclaimed: VecDeque::new(),
            lane: None,
            lanes,
            desk: Desk {
                limit: options.largest_message,
                policy: options.descriptors,
                arena: None,
                assembled: Vec::new(),
                waiting: HashMap::new(),
            },
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
        self.desk.waiting.insert(id, teller);
        Ok(answer)
    }

    /// Nobody waits for this id any more.
    pub(crate) fn forget(&mut self, id: u32) {
        self.desk.waiting.remove(&id);
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
            Err(Error::DescriptorsRefused { .. } | Error::DescriptorsLost) => false,
            Err(_) | Ok(Step::Ended) => true,
            Ok(_) => false,
        };
        if over {
            self.ended = true;
            self.unclaimed.clear();
            self.lane = None;
            self.desk.clear();
        }
        result
    }

    fn advance<R>(&mut self, socket: BorrowedFd<'_>, take: impl FnOnce(Arrived<'_>) -> R) -> Result<Step<R>, Error> {
        loop {
            if self.ended {
                return Ok(Step::Ended);
            }
            if let Some(lane) = self.lane.as_mut().filter(|lane| lane.carries) {
                while let Some((header, inline)) = lane.decoder.next()? {
                    match header.kind {
                        Kind::OnSocket => {
                            lane.carries = false;
                            break;
                        }
                        Kind::LaneTaken => self.lanes.ours_is_taken(),
                        kind if header.descriptors > 0 => {
                            return Err(Error::Malformed(format!("a frame of kind {kind:?} on the lane")));
                        }
                        _ => {
                            if let Some(arrived) = self.desk.handle(header, inline, Vec::new())? {
                                return Ok(Step::Arrived(take(arrived)));
                            }
                        }
                    }
                }
                // The bell and the end come by the socket; while we look ourselves, it can wait.
                if lane.carries && !lane.fill()? {
                    if !lane.is_armed() {
                        return Ok(Step::Empty);
                    }
                    match socket::take(socket, self.decoder.space())? {
                        None => return Ok(Step::Empty),
                        Some(taken) if taken.bytes == 0 && !lane.fill()? => return Ok(Step::Ended),
                        Some(taken) => put_down(&mut self.decoder, &mut self.unclaimed, taken),
                    }
                    self.decoder.skip(Kind::Bell)?;
                    if self.decoder.is_inside_a_frame() && !lane.fill()? {
                        return Err(Error::Malformed("a frame on the socket while the lane carries the stream".into()));
                    }
                }
                continue;
            }
            while let Some((header, inline)) = self.decoder.next()? {
                let descriptors = claim(&mut self.unclaimed, header)?;
                match (header.kind, &mut self.lane) {
                    (Kind::Bell, _) => {}
                    (Kind::LaneTaken, _) => self.lanes.ours_is_taken(),
                    (Kind::Lane, None) => {
                        // Without room for its descriptor the messages go on coming by the socket.
                        if let Ok(descriptors) = descriptors {
                            self.lane = Some(LaneReader::from_descriptors(descriptors, self.desk.limit)?);
                            self.lanes.theirs_is_taken();
                        }
                    }
                    (Kind::OnLane, Some(lane)) => {
                        lane.carries = true;
                        break;
                    }
                    (Kind::Lane | Kind::OnLane | Kind::OnSocket, _) => {
                        return Err(Error::Malformed(format!("a frame of kind {:?} out of turn", header.kind)));
                    }
                    _ => {
                        if let Some(arrived) = self.desk.handle(header, inline, descriptors?)? {
                            return Ok(Step::Arrived(take(arrived)));
                        }
                    }
                }
            }
            if self.lane.as_ref().is_some_and(|lane| lane.carries) {
                continue;
            }
            // The frame of a set of descriptors begins in the read that brought them.
            if self.unclaimed.len() >= MOST_UNCLAIMED
                || !(self.unclaimed.is_empty() || self.decoder.is_inside_a_frame())
            {
                return Err(Error::Malformed("descriptors that belong to no message".into()));
            }
            match socket::take(socket, self.decoder.space())? {
                None => return Ok(Step::Empty),
                Some(taken) if taken.bytes == 0 => return Ok(Step::Ended),
                Some(taken) => put_down(&mut self.decoder, &mut self.unclaimed, taken),
            }
        }
    }

    /// Before the program sleeps until the socket can be read: the peer shall ring for what comes by the lane. True if
    /// something is there already.
    pub(crate) fn arm(&mut self) -> Result<bool, Error> {
        match &mut self.lane {
            Some(lane) if !self.ended => lane.arm(),
            _ => Ok(false),
        }
    }
}

/// Where frames are put together and handed out, whichever way they came.
#[derive(Debug)]
struct Desk {
    limit: usize,
    policy: DescriptorPolicy,
    arena: Option<ArenaReader>,
    /// Pieces of the next large content.
    assembled: Vec<u8>,
    waiting: HashMap<u32, oneshot::Sender<Answer>>,
}

impl Desk {
    fn clear(&mut self) {
        self.waiting.clear();
        self.arena = None;
        self.assembled = Vec::new();
    }

    /// A frame of the stream: gives the message, if it is one for the program.
    fn handle<'a>(
        &mut self,
        header: Header,
        inline: &'a [u8],
        descriptors: Vec<OwnedFd>,
    ) -> Result<Option<Arrived<'a>>, Error> {
        match header.kind {
            Kind::Arena => self.arena = Some(ArenaReader::from_descriptors(descriptors)?),
            Kind::Piece => read_piece(&mut self.arena, &mut self.assembled, header, self.limit)?,
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
                if count > self.limit {
                    return Err(Error::TooLarge { bytes: count, limit: self.limit });
                }
                if header.payload as usize > count || (header.is_assembled() && assembled.is_empty()) {
                    return Err(Error::Malformed("a message shorter than its payload".into()));
                }
                if !descriptors.is_empty() && self.policy == DescriptorPolicy::Refuse {
                    return Err(Error::DescriptorsRefused { count: descriptors.len() });
                }
                let arrived = Arrived { header, assembled, inline, descriptors };
                if header.kind != Kind::Reply {
                    return Ok(Some(arrived));
                }
                if let Some(teller) = self.waiting.remove(&header.id) {
                    let _ = teller.send(Answer::Reply(Parcel::keep(arrived)));
                }
            }
            Kind::Lane | Kind::OnLane | Kind::OnSocket | Kind::Bell | Kind::LaneTaken => {
                return Err(Error::Malformed(format!("a frame of kind {:?} out of turn", header.kind)));
            }
        }
        Ok(None)
    }
}

/// Where one read's bytes and descriptors go.
fn put_down(decoder: &mut Decoder, unclaimed: &mut VecDeque<Came>, taken: socket::Taken) {
    decoder.filled(taken.bytes);
    if taken.descriptors_lost {
        unclaimed.push_back(Came::Lost);
    } else if !taken.descriptors.is_empty() {
        unclaimed.push_back(Came::Whole(taken.descriptors));
    }
}

/// The descriptors that ride on this frame, or that they were lost: which concerns this frame alone.
fn claim(unclaimed: &mut VecDeque<Came>, header: Header) -> Result<Result<Vec<OwnedFd>, Error>, Error> {
    if header.descriptors == 0 {
        return Ok(Ok(Vec::new()));
    }
    match unclaimed.pop_front() {
        Some(Came::Lost) => Ok(Err(Error::DescriptorsLost)),
        Some(Came::Whole(descriptors)) if descriptors.len() == usize::from(header.descriptors) => Ok(Ok(descriptors)),
        other => {
            let came = if let Some(Came::Whole(descriptors)) = other { descriptors.len() } else { 0 };
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
