//! Ours: typed, bounded, framed, in a current-thread tokio runtime on either side, with default options.

use std::process::Stdio;
use std::time::Duration;

use measuring::{During, Failure, Meter, Report, Schedule};
use phalanx_channel::{Attachments, Channel, End};
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::Connection;
use crate::Measure;
use crate::message::{Record, Small, UNREAD_MESSAGES, is_whole_payload, payload};
use crate::peer::{Peer, inherited};
use crate::stalled;

/// Messages between two flushes; between them the channel may write when it likes.
const FED_BETWEEN_FLUSHES: usize = 256;
/// A receiver that took nothing for so long will not take more.
const STALLED_AFTER: Duration = Duration::from_millis(500);

pub(super) fn drive(measure: Measure, schedule: Schedule, peer_core: usize) -> Result<Report, Failure> {
    match measure {
        Measure::PingPong => driven(measure, peer_core, async |channel, _| ping(channel, schedule).await),
        Measure::OneWay => driven(measure, peer_core, async |channel, _| count_records(channel, schedule).await),
        Measure::Payload => driven(measure, peer_core, async |channel, _| count_payloads(channel, schedule).await),
        Measure::Unread => driven(measure, peer_core, async |channel, peer| unread(channel, peer).await),
    }
}

pub(super) fn answer(measure: Measure) -> Result<(), Failure> {
    match measure {
        Measure::PingPong => answered(async |channel: Channel<Small, Small>| {
            while let Ok(Some(message)) = channel.recv().await {
                if channel.send(&message.value).await.is_err() {
                    break;
                }
            }
        }),
        Measure::OneWay => answered(async |channel: Channel<Record, ()>| {
            let record = Record::new();
            loop {
                for _ in 0..FED_BETWEEN_FLUSHES {
                    if channel.feed(&record).await.is_err() {
                        return;
                    }
                }
                if channel.flush().await.is_err() {
                    return;
                }
            }
        }),
        Measure::Payload => answered(async |channel: Channel<(), ()>| {
            let payload = payload();
            while channel.send_with(&(), Attachments::payload(&payload)).await.is_ok() {}
        }),
        Measure::Unread => {
            answered(async |channel: Channel<(), Record>| while let Ok(Some(_)) = channel.recv().await {})
        }
    }
}

async fn ping(channel: Channel<Small, Small>, schedule: Schedule) -> Result<Report, Failure> {
    let mut meter = Meter::start(schedule);
    let mut message = Small::new();
    loop {
        channel.send(&message).await.during("send")?;
        message = next(&channel).await?;
        if let Some(report) = meter.one_more() {
            return Ok(report);
        }
    }
}

async fn count_records(channel: Channel<(), Record>, schedule: Schedule) -> Result<Report, Failure> {
    let mut meter = Meter::start(schedule);
    loop {
        if !next(&channel).await?.is_whole() {
            return Err(Failure::new("a record came without its text"));
        }
        if let Some(report) = meter.one_more() {
            return Ok(report);
        }
    }
}

async fn count_payloads(channel: Channel<(), ()>, schedule: Schedule) -> Result<Report, Failure> {
    let mut meter = Meter::start(schedule);
    loop {
        let message = channel.recv().await.during("receive")?.ok_or_else(ended)?;
        if !is_whole_payload(&message.payload) {
            return Err(Failure::new("a payload came damaged"));
        }
        if let Some(report) = meter.one_more() {
            return Ok(report);
        }
    }
}

async fn unread(channel: Channel<Record, ()>, peer: &Peer) -> Result<Report, Failure> {
    peer.stop()?;
    let record = Record::new();
    let before = stalled::resident_mebibytes();
    let mut accepted = 0;
    while accepted < UNREAD_MESSAGES {
        match tokio::time::timeout(STALLED_AFTER, channel.feed(&record)).await {
            Ok(fed) => fed.during("feed")?,
            Err(_) => break,
        }
        accepted += 1;
    }
    Ok(Report { figure: stalled::resident_mebibytes() - before, messages: accepted })
}

async fn next<Out: Serialize, In: DeserializeOwned>(channel: &Channel<Out, In>) -> Result<In, Failure> {
    Ok(channel.recv().await.during("receive")?.ok_or_else(ended)?.value)
}

fn ended() -> Failure {
    Failure::new("the peer ended early")
}

/// Starts the peer and runs `measured` with our end of the channel to it.
fn driven<Out: Serialize, In: DeserializeOwned>(
    measure: Measure,
    peer_core: usize,
    measured: impl AsyncFnOnce(Channel<Out, In>, &Peer) -> Result<Report, Failure>,
) -> Result<Report, Failure> {
    let (ours, theirs) = End::<Out, In>::pair().during("make a channel")?;
    let peer = Peer::start(peer_core, Connection::Phalanx, measure, None, Stdio::from(theirs.into_descriptor()))?;
    runtime()?.block_on(async { measured(ours.open().during("open the channel")?, &peer).await })
}

/// Runs `answering` with the end of the channel that was inherited.
fn answered<Out: Serialize, In: DeserializeOwned>(
    answering: impl AsyncFnOnce(Channel<Out, In>),
) -> Result<(), Failure> {
    let end = End::from_descriptor(inherited()?).during("take over the channel")?;
    runtime()?.block_on(async {
        answering(end.open().during("open the channel")?).await;
        Ok(())
    })
}

fn runtime() -> Result<tokio::runtime::Runtime, Failure> {
    tokio::runtime::Builder::new_current_thread().enable_all().build().during("start the event loop")
}
