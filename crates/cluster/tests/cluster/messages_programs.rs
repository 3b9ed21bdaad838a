//! Clusters whose members write to each other. The code in the primary plays a scene and says how it went; the workers do
//! what it asks of them.

use std::fmt::Debug;
use std::time::Duration;

use phalanx_cluster::{Cluster, Error, Event, Incoming, Primary, Worker, WorkerId, cluster};
use rustix::process::{Pid, Signal};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use crate::messages_workers::{Bytes, Order, obey};

pub(crate) type AnyError = Box<dyn std::error::Error + Send + Sync>;
pub(crate) type Outcome = Result<(), AnyError>;

/// How often each scene's primary may wait for something.
pub(crate) const DEADLINE: Duration = Duration::from_secs(45);

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
