//! What a watcher hears.

use std::sync::Arc;
use std::sync::mpsc::{Sender, channel};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use futures_util::StreamExt;

use super::{Progress, ProgressState, Watch};
use crate::{Chunk, Error, Pipeline, Sink, Source, map, pipeline};

const OFTEN: Duration = Duration::from_millis(1);
const SELDOM: Duration = Duration::from_secs(3600);

/// Of 1000 bytes, of which each piece is sent by hand; two bytes become one. "bad" ends it.
fn fed() -> (Sender<&'static str>, Pipeline) {
    let (sender, receiver) = channel();
    let source = Source::iter(receiver.into_iter().map(Chunk::from)).total(1000);
    let half = map(|mut chunk: Chunk| {
        if *chunk == *b"bad" {
            return Err("it is bad".into());
        }
        chunk.truncate(chunk.len() / 2);
        Ok(chunk)
    });
    (sender, pipeline(source).through(half).into(Sink::writer("nowhere", std::io::sink())))
}

fn run(pipeline: Pipeline) -> JoinHandle<Result<(), Error>> {
    thread::spawn(move || pipeline.run_blocking().map(drop))
}

#[track_caller]
fn wait_for(holds: impl Fn() -> bool) {
    let since = Instant::now();
    while !holds() {
        assert!(since.elapsed() < Duration::from_secs(20));
        thread::sleep(OFTEN);
    }
}

fn wait_for_written(watch: &Watch, bytes: u64) {
    wait_for(|| watch.now().written == bytes);
}

const HUNDRED: &str =
    "0123456789012345678901234567890123456789012345678901234567890123456789012345678901234567890123456789";

#[test]
fn events_come_while_it_runs_and_the_last_at_the_end() {
    let (feed, pipeline) = fed();
    let watch = pipeline.progress();
    assert_eq!(watch.now().state, ProgressState::Waiting);
    let mut events = watch.every(OFTEN);
    let running = run(pipeline);
    feed.send(HUNDRED).unwrap();
    wait_for_written(&watch, 50);
    let event = events.find(|event| event.written == 50).unwrap();
    assert_eq!((event.read, event.total, event.state), (100, Some(1000), ProgressState::Running));
    assert!(event.rate > 0.0 && event.eta.is_some() && event.fraction() == Some(0.1), "{event:?}");
    feed.send(HUNDRED).unwrap();
    drop(feed);
    running.join().unwrap().unwrap();
    let last = events.by_ref().last().unwrap();
    assert_eq!((last.read, last.written, last.eta, last.state), (200, 100, None, ProgressState::Done));
    assert_eq!(events.next(), None);
    assert_eq!(watch.now(), last, "time stands still afterwards");
}

#[test]
fn a_watcher_that_waits_hears_of_the_failure_at_once() {
    let (feed, pipeline) = fed();
    let watch = pipeline.progress();
    let waiting = thread::spawn(move || watch.every(SELDOM).collect::<Vec<_>>());
    let running = run(pipeline);
    feed.send("bad").unwrap();
    // The source waits for its next item, or has it.
    drop(feed);
    running.join().unwrap().unwrap_err();
    let events = waiting.join().unwrap();
    assert_eq!(events.len(), 1);
    assert_eq!(events[0].state, ProgressState::Failed);
}

#[tokio::test]
async fn a_pipeline_that_is_not_run_to_its_end_has_failed() {
    let (_feed, pipeline) = fed();
    let mut events = pipeline.progress().every(OFTEN);
    drop(pipeline);
    assert_eq!(events.next().unwrap().state, ProgressState::Failed);
    assert_eq!(events.next(), None);

    let endless = pipeline_without_end();
    let mut events = endless.progress().every(OFTEN);
    tokio::time::timeout(Duration::from_millis(20), endless.run()).await.unwrap_err();
    assert_eq!(events.next().unwrap().state, ProgressState::Failed);
}

fn pipeline_without_end() -> Pipeline {
    let source = Source::stream("the well", futures_util::stream::pending::<Result<Chunk, Error>>());
    pipeline(source).into(Sink::writer("nowhere", std::io::sink()))
}

#[tokio::test]
async fn a_stream_keeps_the_latest_and_never_leaves_out_the_last() {
    let (feed, pipeline) = fed();
    let watch = pipeline.progress();
    let mut events = watch.stream(OFTEN).unwrap();
    let late = watch.stream(OFTEN).unwrap();
    let running = run(pipeline);
    feed.send(HUNDRED).unwrap();
    while events.next().await.unwrap().written < 50 {}
    drop(feed);
    running.join().unwrap().unwrap();
    let rest: Vec<Progress> = events.collect().await;
    assert_eq!(rest.last().unwrap().state, ProgressState::Done);
    let all: Vec<Progress> = late.collect().await;
    assert_eq!((all.len(), all[0].state), (1, ProgressState::Done));
    let after: Vec<Progress> = watch.stream(SELDOM).unwrap().collect().await;
    assert_eq!(after, all);
}

#[test]
fn the_thread_of_a_stream_ends_with_the_stream_or_the_pipeline() {
    let (feed, pipeline) = fed();
    let watch = pipeline.progress();
    let running = run(pipeline);
    let given_up = watch.stream(SELDOM).unwrap();
    let kept = watch.stream(SELDOM).unwrap();
    let slot = Arc::downgrade(&given_up.slot());
    drop(given_up);
    wait_for(|| slot.strong_count() == 0);
    drop(feed);
    running.join().unwrap().unwrap();
    assert_eq!(Arc::strong_count(&kept.slot()), 2, "the thread has gone by when the run returns");
}
