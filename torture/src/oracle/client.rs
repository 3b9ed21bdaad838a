//! [`Client`]: one client after another request, in one of several manners.

use std::fmt;
use std::time::Duration;

use super::http2::{self, Http2};
use super::outcome::{Answer, Failure, Outcome};
use super::tally::Tally;
use super::websocket::{self, WebSocket};
use super::wire::{Idle, Response, Target, Wire};

/// A slow upload: so many pieces of so many bytes, with a pause after each.
const UPLOAD_PIECES: usize = 8;
const UPLOAD_PIECE: [u8; 1024] = [b'u'; 1024];
const UPLOAD_PAUSE: Duration = Duration::from_millis(10);

/// A request that a leaving server did not begin is sent again so often: while all leave, one after the other.
const ATTEMPTS: usize = 4;

/// How a client uses connections.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Mode {
    /// A connection for each request.
    NewConnections,
    /// One connection as long as the server lets it live, and no pause between its requests.
    KeepAlive,
    /// The same with this pause before each request.
    Lazy(Duration),
    /// A connection for each request, whose body comes slowly.
    SlowUpload,
    /// HTTP/2 without TLS, one connection as long as it lives, one request after another.
    Http2,
    /// A WebSocket as long as it lives, one message after another.
    WebSocket,
}

impl fmt::Display for Mode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Mode::NewConnections => write!(f, "new connections"),
            Mode::KeepAlive => write!(f, "keep-alive"),
            Mode::Lazy(pause) => write!(f, "keep-alive, {} ms apart", pause.as_millis()),
            Mode::SlowUpload => write!(f, "slow upload"),
            Mode::Http2 => write!(f, "HTTP/2"),
            Mode::WebSocket => write!(f, "WebSocket"),
        }
    }
}

/// One client.
pub(crate) struct Client {
    target: Target,
    mode: Mode,
    path: String,
    number: usize,
    requests: u64,
    wire: Option<Wire>,
    http2: Option<Http2>,
    websocket: Option<WebSocket>,
}

impl Client {
    /// The client of this number; `path` may have a query.
    pub(crate) fn new(target: Target, mode: Mode, path: &str, number: usize) -> Client {
        Client { target, mode, path: path.to_owned(), number, requests: 0, wire: None, http2: None, websocket: None }
    }

    /// One request. Clean ends of connections go to `tally`; what became of the request is returned.
    pub(crate) fn request(&mut self, tally: &mut Tally) -> Result<Answer, Failure> {
        self.requests += 1;
        let id = self.id(self.requests);
        match self.mode {
            Mode::NewConnections => self.on_new_connection(&id),
            Mode::KeepAlive => self.on_kept_connection(&id, tally),
            Mode::Lazy(pause) => {
                std::thread::sleep(pause);
                self.on_kept_connection(&id, tally)
            }
            Mode::SlowUpload => self.upload(&id),
            Mode::Http2 => self.on_http2(&id, tally),
            Mode::WebSocket => self.on_websocket(&id, tally),
        }
    }

    fn id(&self, request: u64) -> String {
        format!("{:x}-{request:x}", self.number)
    }

    fn on_new_connection(&mut self, id: &str) -> Result<Answer, Failure> {
        let mut wire = Wire::connect(&self.target)?;
        wire.send(self.head("GET", &self.path, id, "connection: close\r\n").as_bytes(), Outcome::ResetBeforeSend)?;
        let answer = self.understand(id, &wire.answer()?)?;
        wire.end()?;
        Ok(answer)
    }

    fn on_kept_connection(&mut self, id: &str, tally: &mut Tally) -> Result<Answer, Failure> {
        let mut wire = match self.wire.take() {
            Some(wire) => match wire.look() {
                Idle::Open => wire,
                Idle::ClosedCleanly => {
                    tally.note(Outcome::CleanClose);
                    Wire::connect(&self.target)?
                }
                Idle::Broken(failure) => return Err(failure),
            },
            None => Wire::connect(&self.target)?,
        };
        wire.send(self.head("GET", &self.path, id, "").as_bytes(), Outcome::ResetBeforeSend)?;
        let answer = self.understand(id, &wire.answer()?)?;
        if answer.closes {
            tally.note(Outcome::CleanClose);
        } else {
            self.wire = Some(wire);
        }
        Ok(answer)
    }

    fn on_http2(&mut self, id: &str, tally: &mut Tally) -> Result<Answer, Failure> {
        let path = self.with_id(&self.path, id);
        for _ in 0..ATTEMPTS {
            let mut connection = match self.http2.take() {
                Some(mut connection) => match connection.look() {
                    Idle::Open => connection,
                    Idle::ClosedCleanly => {
                        tally.note(Outcome::CleanClose);
                        Http2::connect(&self.target)?
                    }
                    Idle::Broken(failure) => return Err(failure),
                },
                None => Http2::connect(&self.target)?,
            };
            match connection.get(&path, id)? {
                http2::Reply::Answer(response) => {
                    let answer = self.understand(id, &response)?;
                    self.http2 = Some(connection);
                    return Ok(answer);
                }
                http2::Reply::NotBegun => tally.note(Outcome::CleanClose),
            }
        }
        Err(Failure::new(Outcome::ResetAfterSend, "refused by one connection after another"))
    }

    fn on_websocket(&mut self, id: &str, tally: &mut Tally) -> Result<Answer, Failure> {
        for _ in 0..ATTEMPTS {
            let mut connection = match self.websocket.take() {
                Some(mut connection) => match connection.look() {
                    Idle::Open => connection,
                    Idle::ClosedCleanly => {
                        tally.note(Outcome::CleanClose);
                        WebSocket::connect(&self.target)?
                    }
                    Idle::Broken(failure) => return Err(failure),
                },
                None => WebSocket::connect(&self.target)?,
            };
            match connection.ask(id)? {
                websocket::Reply::Answer(response) => {
                    let answer = self.understand(id, &response)?;
                    self.websocket = Some(connection);
                    return Ok(answer);
                }
                websocket::Reply::GoodBye => tally.note(Outcome::CleanClose),
            }
        }
        Err(Failure::new(Outcome::ResetAfterSend, "good-bye from one connection after another"))
    }

    fn upload(&mut self, id: &str) -> Result<Answer, Failure> {
        let mut wire = Wire::connect(&self.target)?;
        let length = UPLOAD_PIECES * UPLOAD_PIECE.len();
        let headers = format!("connection: close\r\ncontent-length: {length}\r\n");
        wire.send(self.head("POST", "/upload", id, &headers).as_bytes(), Outcome::ResetBeforeSend)?;
        for _ in 0..UPLOAD_PIECES {
            std::thread::sleep(UPLOAD_PAUSE);
            wire.send(&UPLOAD_PIECE, Outcome::ResetAfterSend)?;
        }
        let response = wire.answer()?;
        let answer = self.understand(id, &response)?;
        let arrived = response.body.split_whitespace().nth(3).and_then(|word| word.parse().ok());
        if arrived != Some(length) {
            return Err(Failure::new(Outcome::WrongAnswer, format!("of {length} bytes arrived: {:?}", response.body)));
        }
        wire.end()?;
        Ok(answer)
    }

    fn head(&self, method: &str, path: &str, id: &str, headers: &str) -> String {
        let path = self.with_id(path, id);
        format!("{method} {path} HTTP/1.1\r\nhost: torture\r\nx-id: {id}\r\n{headers}\r\n")
    }

    fn with_id(&self, path: &str, id: &str) -> String {
        let joint = if path.contains('?') { '&' } else { '?' };
        format!("{path}{joint}id={id}")
    }

    /// An answer is `ID PID GENERATION`; rivals have no generation.
    fn understand(&self, id: &str, response: &Response) -> Result<Answer, Failure> {
        let mut words = response.body.split_whitespace();
        let (of, pid) = (words.next().unwrap_or_default(), words.next().and_then(|word| word.parse().ok()));
        let (200, Some(pid)) = (response.status, pid) else {
            return Err(Failure::new(Outcome::WrongAnswer, format!("status {}: {:?}", response.status, response.body)));
        };
        if of == id {
            let generation = words.next().and_then(|word| word.parse().ok()).unwrap_or(0);
            return Ok(Answer { pid, generation, closes: response.closes });
        }
        let given_before = (1..self.requests).rev().any(|request| of == self.id(request));
        let outcome = if given_before { Outcome::Duplicate } else { Outcome::WrongAnswer };
        Err(Failure::new(outcome, format!("asked {id}, answered {of}")))
    }
}
