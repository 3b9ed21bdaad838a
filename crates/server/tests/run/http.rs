//! One request on a connection of its own.

use std::collections::BTreeSet;
use std::collections::hash_map::RandomState;
use std::hash::BuildHasher;
use std::io::{Read, Result, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::ops::Range;
use std::sync::{Mutex, PoisonError};

use crate::app::PATIENCE;

/// A port that nobody listens on and no other test is given. The kernel gives none of these to an outgoing connection, unless
/// the machine is set up otherwise.
pub(crate) fn free_port() -> u16 {
    const RANGE: Range<u16> = 20_001..32_768;
    static GIVEN: Mutex<BTreeSet<u16>> = Mutex::new(BTreeSet::new());
    let mut given = GIVEN.lock().unwrap_or_else(PoisonError::into_inner);
    let random = RandomState::new();
    let picks = (0..1000).map(|attempt| RANGE.start + (random.hash_one(attempt) % RANGE.len() as u64) as u16);
    let mut free = picks.filter(|port| TcpListener::bind((Ipv4Addr::LOCALHOST, *port)).is_ok());
    free.find(|port| given.insert(*port)).expect("a free port")
}

/// The whole answer to `GET /`.
pub(crate) fn ask(port: u16) -> Result<String> {
    let mut stream = TcpStream::connect_timeout(&SocketAddr::from((Ipv4Addr::LOCALHOST, port)), PATIENCE)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    stream.write_all(b"GET / HTTP/1.1\r\nhost: test\r\nconnection: close\r\n\r\n")?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer)?;
    Ok(answer)
}

/// Whether `answer` is a success.
pub(crate) fn is_ok(answer: &str) -> bool {
    answer.starts_with("HTTP/1.1 200") || answer.starts_with("HTTP/1.0 200")
}
