//! Clients of the bare queue: threads, each with a connection, each with one job at a time.

use std::os::unix::net::UnixStream;
use std::path::Path;
use std::time::Instant;

use measuring::{During, Failure};

use super::wire::{Kind, Record, socket};
use crate::Client;
use crate::tally::Tally;

pub(crate) fn run(client: &Client) -> Result<(), Failure> {
    let path = socket(Path::new(&client.url));
    let connections: Result<Vec<UnixStream>, Failure> =
        (0..client.clients).map(|_| UnixStream::connect(&path).during("connect to the owner")).collect();
    let connections = connections?;
    let tally = client.tally()?;
    let outcome = std::thread::scope(|scope| {
        let threads: Vec<_> =
            connections.iter().map(|connection| scope.spawn(|| again_and_again(connection, &tally))).collect();
        threads.into_iter().try_for_each(|thread| {
            thread.join().unwrap_or_else(|_| Err(std::io::Error::other("a client panicked"))).during("ask the owner")
        })
    });
    outcome.map(|()| tally.print())
}

/// The job that is claimed may be another client's.
fn again_and_again(connection: &UnixStream, tally: &Tally) -> std::io::Result<()> {
    while tally.goes_on() {
        let start = Instant::now();
        ask(connection, &Record::of(Kind::Enqueue, 0))?;
        tally.enqueued(start);
        let job = ask(connection, &Record::of(Kind::Claim, 0))?.job;
        ask(connection, &Record::of(Kind::Finish, job))?;
        tally.done(start);
    }
    Ok(())
}

fn ask(connection: &UnixStream, request: &Record) -> std::io::Result<Record> {
    request.write(connection)?;
    let answer = Record::read(connection)?;
    match answer.kind {
        Kind::Confirmed => Ok(answer),
        kind => Err(std::io::Error::other(format!("{kind:?} is no answer"))),
    }
}
