//! The crate ipc-channel: blocking threads, as its interface is.

use std::process::Stdio;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use ipc_channel::ipc::{self, IpcBytesReceiver, IpcBytesSender, IpcOneShotServer, IpcReceiver, IpcSender};
use measuring::{During, Failure, Meter, Report, Schedule};
use serde::{Deserialize, Serialize};

use super::Connection;
use crate::Measure;
use crate::message::{Record, Small, UNREAD_MESSAGES, is_whole_payload, payload};
use crate::peer::Peer;
use crate::stalled;

/// The ends that the peer makes for the driver.
#[derive(Serialize, Deserialize)]
enum Ends {
    PingPong(IpcSender<Small>, IpcReceiver<Small>),
    OneWay(IpcReceiver<Record>),
    Payload(IpcBytesReceiver),
    Unread(IpcSender<Record>),
}

pub(super) fn drive(measure: Measure, schedule: Schedule, peer_core: usize) -> Result<Report, Failure> {
    let (server, name) = IpcOneShotServer::<Ends>::new().during("open a meeting place")?;
    let peer = Peer::start(peer_core, Connection::IpcChannel, measure, Some(&name), Stdio::null())?;
    let (_bootstrap, ends) = server.accept().during("meet the peer")?;
    let mut meter = Meter::start(schedule);
    match ends {
        Ends::PingPong(sender, receiver) => {
            let mut message = Small::new();
            loop {
                sender.send(message).during("send")?;
                message = receiver.recv().during("receive")?;
                if let Some(report) = meter.one_more() {
                    return Ok(report);
                }
            }
        }
        Ends::OneWay(receiver) => loop {
            let record = receiver.recv().during("receive")?;
            if !record.is_whole() {
                return Err(Failure::new("a record came without its text"));
            }
            if let Some(report) = meter.one_more() {
                return Ok(report);
            }
        },
        Ends::Payload(receiver) => loop {
            if !is_whole_payload(&receiver.recv().during("receive")?) {
                return Err(Failure::new("a payload came damaged"));
            }
            if let Some(report) = meter.one_more() {
                return Ok(report);
            }
        },
        Ends::Unread(sender) => {
            peer.stop()?;
            Ok(unread(sender))
        }
    }
}

pub(super) fn answer(measure: Measure, meeting_place: Option<String>) -> Result<(), Failure> {
    let name = meeting_place.ok_or_else(|| Failure::new("the peer was not told where to meet the driver"))?;
    let bootstrap = IpcSender::<Ends>::connect(name).during("meet the driver")?;
    match measure {
        Measure::PingPong => {
            let (to_us, requests) = ipc::channel().during("make a channel")?;
            let (answers, to_driver) = ipc::channel().during("make a channel")?;
            bootstrap.send(Ends::PingPong(to_us, to_driver)).during("hand over the ends")?;
            while let Ok(message) = requests.recv() {
                if answers.send(message).is_err() {
                    break;
                }
            }
        }
        Measure::OneWay => {
            let (records, to_driver) = ipc::channel().during("make a channel")?;
            bootstrap.send(Ends::OneWay(to_driver)).during("hand over the end")?;
            let record = Record::new();
            // It takes messages by value: a sender that keeps its own copies.
            while records.send(record.clone()).is_ok() {}
        }
        Measure::Payload => {
            let (payloads, to_driver): (IpcBytesSender, _) = ipc::bytes_channel().during("make a channel")?;
            bootstrap.send(Ends::Payload(to_driver)).during("hand over the end")?;
            let payload = payload();
            while payloads.send(&payload).is_ok() {}
        }
        Measure::Unread => {
            let (to_us, records) = ipc::channel().during("make a channel")?;
            bootstrap.send(Ends::Unread(to_us)).during("hand over the end")?;
            while records.recv().is_ok() {}
        }
    }
    Ok(())
}

/// A send to a full socket never returns, so a thread of its own sends until it stalls.
fn unread(sender: IpcSender<Record>) -> Report {
    let record = Record::new();
    let before = stalled::resident_mebibytes();
    let accepted = Arc::new(AtomicU64::new(0));
    let counted = Arc::clone(&accepted);
    std::thread::spawn(move || {
        while counted.load(Ordering::Relaxed) < UNREAD_MESSAGES && sender.send(record.clone()).is_ok() {
            counted.fetch_add(1, Ordering::Relaxed);
        }
    });
    stalled::wait(|| accepted.load(Ordering::Relaxed), UNREAD_MESSAGES);
    Report { figure: stalled::resident_mebibytes() - before, messages: accepted.load(Ordering::Relaxed) }
}
