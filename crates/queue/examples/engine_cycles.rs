//! How many durable job cycles (submit → claim → finish → result) the engine of the embedded queue makes by itself, without sockets,
//! beside a bare SQLite loop that inserts and deletes rows with the same commits. Per batch: one commit for all that came.
//!
//! `cargo run --release -p phalanx-queue --example engine_cycles [FOLDER [SECONDS [BATCH]]]`
//!
//! On two cores of a cloud machine: `bare` and `engine` in cycles per second, and the processor time of one cycle.

use std::collections::VecDeque;
use std::error::Error;
use std::io::Write;
use std::path::Path;
use std::sync::mpsc::RecvTimeoutError;
use std::time::{Duration, Instant};

use phalanx_queue::embedded::engine::{Checkpointer, ClientId, Engine, Now, Settings};
use phalanx_queue::embedded::words::{Reply, Request, ToClient};
use phalanx_queue::job::{Claim, Finish, NewJob, Outcome, Work};
use phalanx_queue::{JobId, QueueName, UnixMillis};

const PAYLOAD: usize = 256;
const RESULT: usize = 32;

/// What a loop did.
struct Measured {
    cycles: usize,
    time: Duration,
    processor: Duration,
    /// How long 99 of 100 batches took at most.
    p99: Duration,
}

fn p99(mut batches: Vec<Duration>) -> Duration {
    batches.sort_unstable();
    batches.get(batches.len() * 99 / 100).copied().unwrap_or_default()
}

fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let temporary = tempfile::tempdir()?;
    let folder = arguments.first().map_or(temporary.path(), Path::new);
    let time = Duration::from_secs(arguments.get(1).map_or(Ok(3), |seconds| seconds.parse())?);
    let batch: usize = arguments.get(2).map_or(Ok(32), |batch| batch.parse())?;
    println!("appends of 4 KiB with fdatasync: {:.0}/s", appends(folder, Duration::from_secs(1))?);
    for round in 1..=2 {
        let each = folder.join(round.to_string());
        std::fs::create_dir_all(&each)?;
        print("bare", round, &bare(&each, time, batch)?);
        print("engine", round, &engine(&each, time, batch)?);
    }
    Ok(())
}

fn print(what: &str, round: usize, measured: &Measured) {
    let cycles = measured.cycles as f64;
    let rate = cycles / measured.time.as_secs_f64();
    let each = measured.processor.as_secs_f64() * 1e6 / cycles;
    let p99 = measured.p99.as_secs_f64() * 1e3;
    println!(
        "{what} {round}: {rate:.0} cycles/s, {each:.1} µs of processor time each, 99 % of batches within {p99:.1} ms"
    );
}

fn processor_time() -> Duration {
    let time = rustix::time::clock_gettime(rustix::time::ClockId::ProcessCPUTime);
    Duration::new(u64::try_from(time.tv_sec).unwrap_or(0), u32::try_from(time.tv_nsec).unwrap_or(0))
}

fn appends(folder: &Path, time: Duration) -> Result<f64, Box<dyn Error>> {
    let mut file = std::fs::File::create(folder.join("appends"))?;
    let (begin, mut count) = (Instant::now(), 0);
    while begin.elapsed() < time {
        file.write_all(&[7; 4096])?;
        file.sync_data()?;
        count += 1;
    }
    Ok(f64::from(count) / begin.elapsed().as_secs_f64())
}

/// Insert, commit, take from memory, delete with the next commit.
fn bare(folder: &Path, time: Duration, batch: usize) -> Result<Measured, Box<dyn Error>> {
    let connection = rusqlite::Connection::open(folder.join("bare.db"))?;
    connection.execute_batch(
        "PRAGMA locking_mode = EXCLUSIVE; PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL; \
         CREATE TABLE job (id BLOB PRIMARY KEY, payload BLOB NOT NULL) WITHOUT ROWID;",
    )?;
    let payload = [7_u8; PAYLOAD];
    let mut leased: VecDeque<JobId> = VecDeque::new();
    let (begin, processor, mut cycles) = (Instant::now(), processor_time(), 0);
    let mut batches = Vec::new();
    while begin.elapsed() < time {
        let batch_begins = Instant::now();
        connection.execute_batch("BEGIN IMMEDIATE")?;
        for id in leased.drain(..) {
            connection.prepare_cached("DELETE FROM job WHERE id = ?1")?.execute([id.as_bytes()])?;
            cycles += 1;
        }
        for _ in 0..batch {
            let id = JobId::new();
            let mut insert = connection.prepare_cached("INSERT INTO job (id, payload) VALUES (?1, ?2)")?;
            insert.execute(rusqlite::params![id.as_bytes(), payload])?;
            leased.push_back(id);
        }
        connection.execute_batch("COMMIT")?;
        batches.push(batch_begins.elapsed());
    }
    Ok(Measured { cycles, time: begin.elapsed(), processor: processor_time() - processor, p99: p99(batches) })
}

/// Clients that each submit a job, wait for its end, claim one and finish it, all in step.
fn engine(folder: &Path, time: Duration, batch: usize) -> Result<Measured, Box<dyn Error>> {
    let (begin, processor) = (Instant::now(), processor_time());
    let now = || Now { wall: UnixMillis::now(), since_start: begin.elapsed() };
    let mut engine = Engine::open(folder, &Settings::default(), now())?;
    let clients: Vec<(ClientId, JobId)> = (0..batch).map(|client| (ClientId(client as u64), JobId::new())).collect();
    for (client, handle) in &clients {
        engine.connected(*client, *handle, &[], now());
    }
    let queue = QueueName::new("default")?;
    let mut checkpointer = engine.checkpointer()?;
    let (stop, stopped) = std::sync::mpsc::channel::<()>();
    let beside = std::thread::spawn(move || {
        while stopped.recv_timeout(Checkpointer::EVERY) == Err(RecvTimeoutError::Timeout) {
            let _ = checkpointer.run();
        }
    });
    let (mut leased, mut cycles, mut ask, mut batches) = (Vec::new(), 0, 0, Vec::new());
    while begin.elapsed() < time {
        let batch_begins = Instant::now();
        let at = now();
        let mut apply = |client: ClientId, request: Request| {
            ask += 1;
            engine.apply(client, ask, request, at);
        };
        for (client, token) in leased.drain(..) {
            let outcome = Outcome::Done(vec![7; RESULT]);
            apply(client, Request::Finish(vec![Finish { token, outcome }]));
        }
        for (client, handle) in &clients {
            let mut job = NewJob::new(queue.clone(), "nothing", vec![7; PAYLOAD]);
            job.awaited = true;
            let id = job.id;
            apply(*client, Request::Submit(vec![Work::Job(job)]));
            apply(*client, Request::Ended { job: id, wait: Duration::from_secs(30) });
            let (queues, kinds) = (vec![queue.clone()], vec!["nothing".to_owned()]);
            let wait = Duration::from_secs(30);
            apply(
                *client,
                Request::Claim(Claim { runner: *handle, name: String::new(), queues, kinds, most: 1, wait }),
            );
        }
        for (client, said) in engine.commit(now()) {
            match said {
                ToClient::Answer { reply: Ok(Reply::Leases(leases)), .. } => {
                    leased.extend(leases.into_iter().map(|lease| (client, lease.token)));
                }
                ToClient::Answer { reply: Ok(Reply::End(Some(_))), .. } => cycles += 1,
                ToClient::Answer { reply: Err(error), .. } => return Err(error.into()),
                _ => {}
            }
        }
        batches.push(batch_begins.elapsed());
    }
    let (time, processor) = (begin.elapsed(), processor_time() - processor);
    let measured = Measured { cycles, time, processor, p99: p99(batches) };
    drop(stop);
    let _ = beside.join();
    engine.close(now())?;
    Ok(measured)
}
