//! Clusters whose members write to each other. The code in the primary plays a scene and says how it went; the workers do
//! what it asks of them.

use std::collections::VecDeque;
use std::fmt::Debug;
use std::io::{Read, Write};
use std::os::unix::net::UnixStream;
use std::time::Duration;

use phalanx_cluster::{Cluster, Error, Event, Incoming, Member, Primary, Reply, Worker, WorkerId, cluster};
use rustix::process::{Pid, Signal};
use serde::{Deserialize, Serialize};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

type AnyError = Box<dyn std::error::Error + Send + Sync>;
type Outcome = Result<(), AnyError>;

/// Bytes that are encoded in one piece; a `Vec<u8>` is encoded byte by byte.
#[derive(Debug, Clone, PartialEq)]
struct Bytes(Vec<u8>);

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
enum Order {
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
struct Numbered {
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

/// How often each scene's primary may wait for something.
const DEADLINE: Duration = Duration::from_secs(15);

pub(crate) fn run(name: &str) -> Result<(), Error> {
    match name {
        "messages-relay" => scene(2, relay),
        "messages-slow" => scene(4, slow),
        "messages-broadcast" => scene(8, broadcast),
        "messages-killed" => scene(3, killed),
        "messages-requests" => scene(2, requests),
        "messages-large" => scene(2, large),
        "messages-types" => cluster().workers(1).primary(types).run(reads_pairs),
        "messages-server" => scene_of(events(cluster().listen("127.0.0.1:0")), 2, to_server, serve_or_pass),
        "messages-upgrade" => events(cluster()).workers(2).messages().run(counts),
        "messages-pass" => scene(3, pass),
        "messages-last-words" => cluster().workers(1).primary(last_words).run(speaks_and_ends),
        "messages-without-code" => events(cluster().workers(2).messages()).run(relay_only),
        "messages-nowhere" => events(cluster().workers(1)).run(nowhere),
        other => panic!("unknown program {other}"),
    }
}

fn events(cluster: Cluster) -> Cluster {
    cluster.on_event(|event| println!("{event}"))
}

/// Waits for all workers, plays, and ends the cluster.
fn scene<F>(workers: usize, play: impl FnOnce(Primary, Vec<WorkerId>) -> F + Send + 'static) -> Result<(), Error>
where
    F: Future<Output = Outcome> + Send + 'static,
{
    scene_of(cluster(), workers, play, obey)
}

fn scene_of<F, W>(
    cluster: Cluster,
    workers: usize,
    play: impl FnOnce(Primary, Vec<WorkerId>) -> F + Send + 'static,
    code: impl FnOnce(Worker) -> W,
) -> Result<(), Error>
where
    F: Future<Output = Outcome> + Send + 'static,
    W: Future<Output = Outcome>,
{
    cluster
        .workers(workers)
        .primary(move |primary| async move {
            let mut events = primary.events();
            let mut ready = Vec::new();
            while ready.len() < workers {
                if let Some(Event::Ready { worker, .. }) = events.next().await {
                    ready.push(worker);
                }
            }
            drop(events);
            ready.sort();
            play(primary.clone(), ready).await?;
            println!("done");
            primary.stop()?;
            Ok(())
        })
        .run(code)
}

fn same<T: PartialEq + Debug>(what: &str, found: T, expected: T) -> Outcome {
    if found == expected { Ok(()) } else { Err(format!("{what}: {found:?}, expected {expected:?}").into()) }
}

fn has(what: &str, text: &str, part: &str) -> Outcome {
    if text.contains(part) { Ok(()) } else { Err(format!("{what}: \"{text}\" has no \"{part}\"").into()) }
}

fn signal(primary: &Primary, worker: WorkerId, signal: Signal) -> Outcome {
    let pid = primary.workers().iter().find(|info| info.id == worker).ok_or("no such worker")?.pid;
    let pid = Pid::from_raw(i32::try_from(pid)?).ok_or("no pid")?;
    Ok(rustix::process::kill_process(pid, signal)?)
}

// ---- the workers ----

/// Does what it is asked, each order in a task of its own.
async fn obey(worker: Worker) -> Outcome {
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

// ---- the scenes ----

async fn heard(primary: &Primary, worker: WorkerId, count: usize) -> Outcome {
    let waiting = async {
        loop {
            let heard: usize = primary.request(worker, &Order::Heard).await?;
            if heard == count {
                return Ok(());
            }
        }
    };
    tokio::time::timeout(DEADLINE, waiting).await?
}

async fn relay(primary: Primary, workers: Vec<WorkerId>) -> Outcome {
    let order = Order::Send { to: workers[1], count: 20_000, bytes: 16 };
    let sent: (u32, String) = primary.request(workers[0], &order).await?;
    same("sent", sent, (20_000, String::new()))?;
    heard(&primary, workers[1], 20_000).await?;
    let others: Vec<WorkerId> = primary.request(workers[0], &Order::Others).await?;
    same("others", others, vec![workers[1]])
}

/// Worker 2 sleeps, and the primary's code reads no messages. Worker 4 is served all the same.
async fn slow(primary: Primary, workers: Vec<WorkerId>) -> Outcome {
    let unread = primary.events();
    let () = primary.request(workers[1], &Order::Sleep).await?;
    let [order, flood, pass] = [
        Order::Send { to: workers[1], count: u32::MAX, bytes: 16 },
        Order::SendToPrimary { count: u32::MAX },
        Order::PassOne { to: workers[1] },
    ];
    let to_sleeper = primary.request::<_, (u32, String)>(workers[0], &order);
    let to_primary = primary.request::<_, (u32, String)>(workers[2], &flood);
    let passed = primary.request::<_, String>(workers[0], &pass);
    let others = async {
        for _ in 0..500 {
            let order = Order::Ask { to: workers[3], bytes: 100 };
            let answer: Result<bool, String> = primary.request(workers[0], &order).await?;
            same("the answer of one who reads", answer, Ok(true))?;
        }
        println!("the others were served");
        Ok::<(), AnyError>(())
    };
    let (to_sleeper, to_primary, passed, others) = tokio::join!(to_sleeper, to_primary, passed, others);
    others?;
    let ((sent, error), (flooded, other_error)) = (to_sleeper?, to_primary?);
    has("to the sleeper", &error, &format!("worker {} has not taken its messages for 5", workers[1]))?;
    has("to the primary", &other_error, "the primary's code has not taken its messages for 5")?;
    // A stream of the primary holds some more than the window.
    if sent > 128 || flooded > 1024 {
        return Err(format!("{sent} and {flooded} messages wait: that is no bound").into());
    }
    has("the connection", &passed?, "; it works")?;
    drop(unread);
    Ok(())
}

async fn broadcast(primary: Primary, workers: Vec<WorkerId>) -> Outcome {
    same("of the primary", primary.broadcast(&()).await?, 8)?;
    let order = Order::Broadcast { bytes: 60_000 };
    same("of a worker", primary.request::<_, usize>(workers[0], &order).await?, 7)?;
    signal(&primary, workers[7], Signal::STOP)?;
    let mut reached = 7;
    for _ in 0..20 {
        // A worker hears its numbered messages in order: they are all number 0, so each has one sender.
        reached = primary.broadcast(&vec![0u8; 60_000]).await?;
        if reached == 7 {
            break;
        }
    }
    same("once the stopped one is full", reached, 7)?;
    for _ in 0..100 {
        same("and it is not waited for again", primary.broadcast(&vec![0u8; 60_000]).await?, 7)?;
    }
    signal(&primary, workers[7], Signal::CONT)?;
    let all = async {
        while primary.broadcast(&()).await? < 8 {}
        Ok::<(), AnyError>(())
    };
    tokio::time::timeout(DEADLINE, all).await?
}

async fn killed(primary: Primary, workers: Vec<WorkerId>) -> Outcome {
    // The receiver dies while messages flow.
    let order = Order::Send { to: workers[1], count: u32::MAX, bytes: 10_000 };
    let sending = primary.request::<_, (u32, String)>(workers[0], &order);
    let killing = async {
        while primary.request::<_, usize>(workers[1], &Order::Heard).await? < 100 {}
        signal(&primary, workers[1], Signal::KILL)
    };
    let (sent, killed) = tokio::join!(sending, killing);
    killed?;
    has("to a killed one", &sent?.1, &format!("there is no worker {}", workers[1]))?;
    // The sender dies: what came is whole and in order, else the receiver would have failed.
    let order = Order::Send { to: workers[2], count: u32::MAX, bytes: 10_000 };
    let sending = primary.request::<_, (u32, String)>(workers[0], &order);
    let killing = async {
        while primary.request::<_, usize>(workers[2], &Order::Heard).await? < 100 {}
        signal(&primary, workers[0], Signal::KILL)
    };
    let (sent, killed) = tokio::join!(sending, killing);
    killed?;
    has("of a killed one", &sent.err().map(|error| error.to_string()).unwrap_or_default(), "there is no worker")?;
    let echo: Bytes = primary.request(workers[2], &Order::Echo(Bytes(vec![1, 2, 3]))).await?;
    same("the receiver lives", echo.0, vec![1, 2, 3])
}

async fn requests(primary: Primary, workers: Vec<WorkerId>) -> Outcome {
    let text = |result: Result<(), Error>| result.err().map(|error| error.to_string()).unwrap_or_default();
    let gone: WorkerId = postcard::from_bytes(&postcard::to_stdvec(&99u32)?)?;
    has("of nobody", &text(primary.request(gone, &Order::Heard).await), "there is no worker 99")?;
    has("to nobody", &text(primary.send(gone, &1).await), "there is no worker 99")?;
    let order = Order::Ask { to: gone, bytes: 1 };
    let answer: Result<bool, String> = primary.request(workers[0], &order).await?;
    has("of a worker to nobody", &answer.err().unwrap_or_default(), "there is no worker 99")?;
    has("dropped", &text(primary.request(workers[0], &Order::Drop).await), "dropped the request without an answer")?;
    // Many at once, answered in any order.
    let orders: Vec<Order> = (0..200u8).map(|n| Order::Echo(Bytes(vec![n; 10]))).collect();
    let all = orders.iter().map(|order| primary.request::<_, Bytes>(workers[0], order));
    for (n, answer) in futures_util::future::join_all(all).await.into_iter().enumerate() {
        same("one of many", answer?.0, vec![n as u8; 10])?;
    }
    // Worker 2 holds a request of worker 1, and is killed.
    let order = Order::Ask { to: workers[1], bytes: 0 };
    let asking = primary.request::<_, Result<bool, String>>(workers[0], &order);
    let killing = async {
        // An answer to a later question of the same worker: the first one is there.
        let order = Order::Ask { to: workers[1], bytes: 10 };
        let _: Result<bool, String> = primary.request(workers[0], &order).await?;
        signal(&primary, workers[1], Signal::KILL)
    };
    let (answer, killed) = tokio::join!(asking, killing);
    killed?;
    has("of one that dies", &answer?.err().unwrap_or_default(), &format!("there is no worker {}", workers[1]))
}

async fn large(primary: Primary, workers: Vec<WorkerId>) -> Outcome {
    let bytes = Bytes((0..10_000_000u32).map(|n| (n % 251) as u8).collect());
    let echo: Bytes = primary.request(workers[0], &Order::Echo(bytes.clone())).await?;
    same("10 MB there and back", echo == bytes, true)?;
    let order = Order::Ask { to: workers[1], bytes: 10_000_000 };
    let answer: Result<bool, String> = primary.request(workers[0], &order).await?;
    same("10 MB from worker to worker and back", answer, Ok(true))?;
    let error = primary.send(workers[0], &Bytes(vec![0; 65 << 20])).await.err().ok_or("65 MiB were sent")?;
    has("too large", &error.to_string(), "a message may have 67108864")
}

async fn types(primary: Primary) -> Outcome {
    let mut events = primary.events();
    while let Some(event) = events.next().await {
        match event {
            Event::Ready { worker, .. } => {
                primary.send(worker, &(1u64, "one")).await?;
                primary.send(worker, "two").await?;
                primary.send(worker, &(3u64, "three")).await?;
            }
            Event::Request { message, reply, .. } => {
                let text: String = message.decode()?;
                reply.send(&(text.len() as u64, text)).await?;
            }
            Event::Message { message, .. } => {
                println!("{}", message.decode::<String>()?);
                primary.stop()?;
            }
            _ => {}
        }
    }
    Ok(())
}

/// Reads pairs, of which the second message is none; asks for a pair as if it were a list.
async fn reads_pairs(worker: Worker) -> Outcome {
    worker.ready();
    let mut heard = Vec::new();
    for _ in 0..3 {
        heard.push(match worker.recv::<(u64, String)>().await {
            Ok(pair) => format!("{pair:?}"),
            Err(error) => error.to_string(),
        });
    }
    match worker.request::<_, Vec<String>>("four").await {
        Ok(list) => heard.push(format!("{list:?}")),
        Err(error) => heard.push(error.to_string()),
    }
    worker.send(&heard.join("; ")).await?;
    worker.shutdown().await;
    Ok(())
}

async fn pass(primary: Primary, workers: Vec<WorkerId>) -> Outcome {
    let order = Order::Pass { first: workers[1], second: workers[2], count: 500 };
    let passing = primary.request::<_, (usize, usize, usize, usize)>(workers[0], &order);
    let killing = async {
        // Half-way: no clock, but what worker 2 holds.
        let pid = primary.workers().iter().find(|info| info.id == workers[1]).ok_or("no such worker")?.pid;
        let folder = format!("/proc/{pid}/fd");
        while std::fs::read_dir(&folder)?.count() < 250 {
            tokio::task::yield_now().await;
        }
        signal(&primary, workers[1], Signal::KILL)
    };
    let (passed, killed) = tokio::join!(passing, killing);
    killed?;
    let (to_first, handed_back, answered, ended) = passed?;
    println!("{to_first} to the first, {handed_back} handed back, {answered} answered, {ended} ended");
    same("all", (to_first + handed_back, to_first > 100, handed_back > 100), (500, true, true))?;
    same(
        "none that came back is lost, only those that the killed one had taken",
        (answered, ended),
        (handed_back, to_first),
    )
}

/// Worker 1 serves HTTP; worker 2 passes it connections that it made itself.
async fn to_server(primary: Primary, workers: Vec<WorkerId>) -> Outcome {
    let order = |to| Order::PassOne { to };
    let answer: String = primary.request(workers[1], &order(workers[0])).await?;
    has("by the server", &answer, "HTTP/1.1 200 OK")?;
    has("of the other process", &answer, &format!("worker {}", workers[0]))?;
    let answer: String = primary.request(workers[0], &order(workers[1])).await?;
    has("where none serves", &answer, &format!("worker {} has not taken", workers[1]))
}

async fn serve_or_pass(worker: Worker) -> Outcome {
    let name = format!("worker {}", worker.id());
    let passing = {
        let worker = worker.clone();
        tokio::spawn(async move {
            let mut messages = worker.messages()?;
            while let Some(incoming) = messages.next().await {
                let Incoming::Request { message, reply, .. } = incoming else { continue };
                let Order::PassOne { to } = message.decode()? else { continue };
                let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await?;
                let mut client = tokio::net::TcpStream::connect(listener.local_addr()?).await?;
                let (accepted, _) = listener.accept().await?;
                let answer = match worker.pass_to_server(accepted, to).await {
                    Err(not) => not.to_string(),
                    Ok(()) => {
                        let mut answer = String::new();
                        client.write_all(b"GET / HTTP/1.1\r\nhost: test\r\nconnection: close\r\n\r\n").await?;
                        client.read_to_string(&mut answer).await?;
                        answer
                    }
                };
                reply.send(&answer).await?;
            }
            Ok::<(), AnyError>(())
        })
    };
    if worker.id().get() == 1 {
        let service = tower::service_fn(move |_| {
            std::future::ready(Ok::<_, std::convert::Infallible>(http::Response::new(name.clone())))
        });
        worker.http().serve(service).await?;
    } else {
        worker.ready();
        worker.shutdown().await;
    }
    passing.abort();
    Ok(())
}

/// Worker 1 writes to worker 2 until it has to leave; neither is told what the primary does meanwhile.
async fn counts(worker: Worker) -> Outcome {
    worker.ready();
    match worker.id().get() {
        1 => {
            let other = loop {
                if let Some(other) = worker.others().await?.first() {
                    break *other;
                }
            };
            let mut sent = 0u32;
            let mut leave = std::pin::pin!(worker.shutdown());
            while futures_util::FutureExt::now_or_never(leave.as_mut()).is_none() {
                worker.send_to(other, &sent).await?;
                sent += 1;
            }
            worker.send_to(other, &u32::MAX).await?;
            println!("sent {sent}");
        }
        2 => {
            let mut expected = 0u32;
            let mut messages = worker.messages()?;
            loop {
                // The streams end when this worker has to leave; what was sent before is still to come.
                let Some(Incoming::Message { message, .. }) = messages.next().await else {
                    tokio::task::yield_now().await;
                    continue;
                };
                match message.decode::<u32>()? {
                    u32::MAX => break,
                    number if number == expected => expected += 1,
                    number => return Err(format!("message {number} came, {expected} was due").into()),
                }
                if expected == 1000 {
                    println!("messages flow");
                }
            }
            println!("heard {expected}");
        }
        _ => worker.shutdown().await,
    }
    Ok(())
}

async fn last_words(primary: Primary) -> Outcome {
    let mut events = primary.events();
    let mut next = 0u32;
    while let Some(event) = events.next().await {
        match event {
            Event::Message { message, .. } => {
                same("the next one", message.decode()?, next)?;
                next += 1;
            }
            Event::Exit { .. } => {
                println!("{next} before the exit");
                return Ok(());
            }
            _ => {}
        }
    }
    Ok(())
}

async fn speaks_and_ends(worker: Worker) -> Outcome {
    worker.ready();
    for number in 0..1000u32 {
        worker.send(&number).await?;
    }
    Ok(())
}

async fn relay_only(worker: Worker) -> Outcome {
    worker.ready();
    println!("to the primary: {}", worker.send(&1).await.err().ok_or("somebody was there")?);
    if worker.id().get() == 1 {
        let other = loop {
            if let Some(other) = worker.others().await?.first() {
                break *other;
            }
        };
        worker.send_to(other, "hello").await?;
        worker.shutdown().await;
    } else {
        println!("got {:?}", worker.recv::<String>().await?);
    }
    Ok(())
}

async fn nowhere(worker: Worker) -> Outcome {
    worker.ready();
    println!("nowhere: {}", worker.send(&1).await.err().ok_or("somebody was there")?);
    println!("nowhere: {}", worker.messages().err().ok_or("somebody was there")?);
    Ok(())
}
