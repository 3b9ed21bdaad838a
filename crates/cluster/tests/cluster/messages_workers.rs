//! What the workers of the scenes in `messages_programs` do: each order of the primary.

use std::collections::VecDeque;
use std::io::{Read, Write};
use std::os::unix::net::UnixStream;

use phalanx_cluster::{Error, Incoming, Member, Reply, Worker, WorkerId};
use serde::{Deserialize, Serialize};

use crate::messages_programs::{DEADLINE, Outcome};

/// Bytes that are encoded in one piece; a `Vec<u8>` is encoded byte by byte.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Bytes(pub(crate) Vec<u8>);

impl Serialize for Bytes {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_bytes(&self.0)
    }
}

impl<'de> Deserialize<'de> for Bytes {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Bytes, D::Error> {
        Ok(Bytes(<&[u8]>::deserialize(deserializer)?.to_vec()))
    }
}

/// What the primary asks of a worker.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) enum Order {
    /// Answer with the same bytes.
    Echo(Bytes),
    /// Send `count` numbered messages of this many bytes to another; answer how many were sent, and the error that ended it.
    Send { to: WorkerId, count: u32, bytes: usize },
    /// Ask another to echo.
    Ask { to: WorkerId, bytes: usize },
    /// Keep this request for ever.
    Keep,
    /// Drop this request.
    Drop,
    /// Send so many messages to the primary.
    SendToPrimary { count: u32 },
    /// Answer how many whole messages came of another, in order.
    Heard,
    /// Take nothing any more.
    Sleep,
    /// A broadcast to the other workers.
    Broadcast { bytes: usize },
    /// Pass connections to `first` until that fails, and then to `second`.
    Pass { first: WorkerId, second: WorkerId, count: usize },
    /// Pass one connection, and use it if it comes back.
    PassOne { to: WorkerId },
    /// Which others are there?
    Others,
}

/// A numbered message that shows whether it is whole.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Numbered {
    number: u32,
    filling: Bytes,
}

impl Numbered {
    fn new(number: u32, bytes: usize) -> Numbered {
        Numbered { number, filling: Bytes(vec![number as u8; bytes]) }
    }

    fn is_whole(&self) -> bool {
        self.filling.0.iter().all(|byte| *byte == self.number as u8)
    }
}

/// Does what it is asked, each order in a task of its own.
pub(crate) async fn obey(worker: Worker) -> Outcome {
    let mut messages = worker.messages()?;
    let mut heard: Vec<u32> = Vec::new();
    let mut kept = VecDeque::new();
    worker.ready();
    while let Some(incoming) = messages.next().await {
        match incoming {
            Incoming::Message { from: Member::Worker(_), message } => {
                let numbered: Numbered = message.decode()?;
                if !numbered.is_whole() || heard.last().is_some_and(|last| *last + 1 != numbered.number) {
                    return Err(format!("message {} is torn or out of order", numbered.number).into());
                }
                heard.push(numbered.number);
            }
            Incoming::Message { .. } => {}
            Incoming::Connection { socket, head, .. } => {
                // What it keeps unanswered shows, when it is killed, as an end without an answer.
                if head.decode::<bool>()? {
                    UnixStream::from(socket).write_all(b"mine")?;
                } else {
                    kept.push_back(socket);
                }
            }
            Incoming::Request { message, reply, .. } => match message.decode()? {
                Order::Heard => reply.send(&heard.len()).await?,
                Order::Keep => std::mem::forget(reply),
                Order::Drop => drop(reply),
                Order::Sleep => {
                    reply.send(&()).await?;
                    worker.shutdown().await;
                    return Ok(());
                }
                order => {
                    let worker = worker.clone();
                    tokio::spawn(async move {
                        if let Err(error) = carry_out(worker, order, reply).await {
                            println!("error: {error}");
                        }
                    });
                }
            },
            _ => {}
        }
    }
    Ok(())
}

async fn carry_out(worker: Worker, order: Order, reply: Reply) -> Outcome {
    match order {
        Order::Echo(bytes) => reply.send(&bytes).await?,
        Order::Send { to, count, bytes } => {
            let (mut sent, mut error) = (0u32, String::new());
            for number in 0..count {
                match worker.send_to(to, &Numbered::new(number, bytes)).await {
                    Ok(()) => sent += 1,
                    Err(why) => {
                        error = why.to_string();
                        break;
                    }
                }
            }
            reply.send(&(sent, error)).await?;
        }
        Order::SendToPrimary { count } => {
            let (mut sent, mut error) = (0u32, String::new());
            for number in 0..count {
                match worker.send(&Numbered::new(number, 100)).await {
                    Ok(()) => sent += 1,
                    Err(why) => {
                        error = why.to_string();
                        break;
                    }
                }
            }
            reply.send(&(sent, error)).await?;
        }
        Order::Ask { to, bytes } => {
            let question = Bytes((0..bytes).map(|n| n as u8).collect());
            let order = if bytes == 0 { Order::Keep } else { Order::Echo(question.clone()) };
            let answer: Result<Bytes, Error> = worker.request_of(to, &order).await;
            let answer = answer.map(|answer| answer == question).map_err(|error| error.to_string());
            reply.send(&answer).await?;
        }
        Order::Broadcast { bytes } => reply.send(&worker.broadcast(&Numbered::new(0, bytes)).await?).await?,
        Order::Others => reply.send(&worker.others().await?).await?,
        Order::Pass { first, second, count } => {
            let (mut ours, mut to_first, mut handed_back) = (Vec::new(), 0usize, 0usize);
            for _ in 0..count {
                let (here, there) = UnixStream::pair()?;
                ours.push(here);
                match worker.pass(there, first, &false).await {
                    Ok(()) => to_first += 1,
                    Err(not) => {
                        handed_back += 1;
                        worker.pass(not.socket.ok_or("no socket came back")?, second, &true).await?;
                    }
                }
            }
            let (mut answered, mut ended) = (0usize, 0usize);
            for mut here in ours {
                here.set_read_timeout(Some(DEADLINE))?;
                let mut answer = String::new();
                here.read_to_string(&mut answer)?;
                if answer == "mine" { answered += 1 } else { ended += 1 }
            }
            reply.send(&(to_first, handed_back, answered, ended)).await?;
        }
        Order::PassOne { to } => {
            let (mut here, there) = UnixStream::pair()?;
            let outcome = match worker.pass(there, to, &true).await {
                Ok(()) => "passed".to_owned(),
                Err(not) => {
                    UnixStream::from(not.socket.ok_or("no socket came back")?).write_all(b"it works")?;
                    let mut text = String::new();
                    here.read_to_string(&mut text)?;
                    format!("{}; {text}", not.error)
                }
            };
            reply.send(&outcome).await?;
        }
        other => return Err(format!("{other:?} is no task").into()),
    }
    Ok(())
}
