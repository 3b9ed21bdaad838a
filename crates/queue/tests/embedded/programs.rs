//! The programs that the tests start: clients and owners.

use std::io::BufRead;
use std::time::Duration;

use phalanx_queue::embedded::Owner;
use phalanx_queue::job::{Claim, Finish, JobStore, Lease, NewJob, Outcome, Recorded, Work};
use phalanx_queue::{JobId, Queue, QueueName};

use crate::process::block_on;

/// All jobs of these tests are of this kind.
pub(crate) const KIND: &str = "test";

pub(crate) fn run(program: &str) {
    if program == "uninitialized" {
        phalanx_process::init().unwrap();
        return block_on(async {
            println!("error {}", Queue::connect(&url()).await.unwrap_err());
        });
    }
    phalanx_queue::init().unwrap();
    match program {
        "hold" => block_on(hold()),
        "submit" => block_on(submit()),
        "claim" => block_on(claim_and_hold()),
        "work" => block_on(work()),
        "consume" => block_on(consume()),
        "owner" => own(),
        other => panic!("there is no program {other}"),
    }
}

fn url() -> String {
    std::env::var("TEST_URL").unwrap()
}

async fn connect() -> Queue {
    match Queue::connect(&url()).await {
        Ok(queue) => queue,
        Err(error) => {
            println!("error {error}");
            std::process::exit(1);
        }
    }
}

pub(crate) fn jobs() -> QueueName {
    QueueName::new("jobs").unwrap()
}

pub(crate) fn job(payload: impl Into<Vec<u8>>) -> NewJob {
    NewJob::new(jobs(), KIND, payload.into())
}

/// Asks for so many jobs, until this time is over.
pub(crate) async fn claim(store: &dyn JobStore, most: usize, wait: Duration) -> Vec<Lease> {
    let claim = Claim {
        runner: JobId::new(),
        name: format!("test:{}", std::process::id()),
        queues: vec![jobs()],
        kinds: vec![KIND.to_owned()],
        most,
        wait,
    };
    store.claim(claim).await.unwrap()
}

/// Says that it went well.
pub(crate) async fn done(store: &dyn JobStore, lease: &Lease) -> Recorded {
    let finish = Finish { token: lease.token, outcome: Outcome::Done(lease.payload.clone()) };
    store.finish(vec![finish]).await.unwrap()[0]
}

/// Waits for the end of the standard input, on a thread of its own.
async fn told() -> Option<String> {
    let line = || std::io::stdin().lock().lines().next().and_then(Result::ok);
    tokio::task::spawn_blocking(line).await.unwrap()
}

/// Is connected until it is told to end.
async fn hold() {
    let queue = connect().await;
    println!("connected");
    while told().await.is_some() {}
    drop(queue);
}

/// Submits jobs, one after the other, until it is told to end; says which were confirmed.
async fn submit() {
    let queue = connect().await;
    println!("connected");
    let stop = tokio::spawn(told());
    while !stop.is_finished() {
        let job = job(*b"x");
        let id = job.id;
        match queue.store().submit(vec![Work::Job(job)]).await {
            Ok(taken) if taken[0].is_ok() => println!("took {id}"),
            Ok(refused) => println!("error {:?}", refused[0]),
            Err(error) => println!("error {error}"),
        }
        tokio::task::yield_now().await;
    }
    println!("ended");
}

/// Takes jobs and keeps them; finishes all when told "finish", ends when told to.
async fn claim_and_hold() {
    let queue = connect().await;
    let mut held = claim(queue.store().as_ref(), 100, Duration::from_secs(20)).await;
    held.iter().for_each(|lease| println!("has {}", lease.token.job));
    println!("holds {}", held.len());
    while let Some(line) = told().await {
        if line == "finish" {
            for lease in held.drain(..) {
                println!("recorded {:?}", done(queue.store().as_ref(), &lease).await);
            }
        }
    }
}

/// Works on jobs until it is killed.
async fn work() {
    let queue = connect().await;
    println!("connected");
    loop {
        for lease in claim(queue.store().as_ref(), 4, Duration::from_secs(5)).await {
            if done(queue.store().as_ref(), &lease).await == Recorded::Yes {
                println!("did {}", lease.token.job);
            }
        }
    }
}

/// Consumes messages and keeps them, unsettled, until it is killed.
async fn consume() {
    let queue = connect().await;
    let mut consumer = queue.consume(&QueueName::new("messages").unwrap(), 10).await.unwrap();
    println!("consumes");
    let mut kept = Vec::new();
    while let Some(delivery) = consumer.next().await {
        let delivery = delivery.unwrap();
        println!("got {}", String::from_utf8_lossy(&delivery.message.body));
        kept.push(delivery);
    }
}

/// Owns the folder until SIGTERM.
fn own() {
    let folder = url().strip_prefix("embedded:").unwrap().to_owned();
    match Owner::builder(folder).run() {
        Ok(()) => println!("ended"),
        Err(error) => {
            println!("error {error}");
            std::process::exit(1);
        }
    }
}
