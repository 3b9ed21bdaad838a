//! How many full cycles (submit, claim, finish, result) go through the owner of an embedded queue, and how long they take.
//!
//! `cargo run --release -p phalanx-queue --example embedded_cycles -- [PROCESSES] [THREADS] [SECONDS] [FOLDER]`

use std::io::{BufRead, BufReader, Read};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use phalanx_queue::job::{Claim, Finish, NewJob, Outcome, Work};
use phalanx_queue::{JobId, Queue, QueueName};

/// Names the folder for a child.
const FOLDER: &str = "CYCLES_FOLDER";
/// Linux counts processor time in hundredths of a second, whatever its clock does.
const MICROSECONDS_OF_A_TICK: f64 = 10_000.0;
/// Bytes of a job.
const PAYLOAD: usize = 256;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    phalanx_queue::init()?;
    let number =
        |at: usize, default: u32| std::env::args().nth(at).and_then(|text| text.parse().ok()).unwrap_or(default);
    let (processes, threads, seconds) = (number(1, 4), number(2, 8), number(3, 4));
    if let Ok(folder) = std::env::var(FOLDER) {
        return child(&folder, threads, Duration::from_secs(seconds.into()));
    }
    let temporary = std::env::temp_dir().join(format!("cycles-{}", std::process::id()));
    let folder = std::env::args().nth(4).map_or(temporary, Into::into);
    let children = (0..processes).map(|_| {
        let arguments = [processes, threads, seconds].map(|number| number.to_string());
        let own = std::env::current_exe()?;
        Command::new(own).args(arguments).env(FOLDER, &folder).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn()
    });
    let mut children = children.collect::<Result<Vec<_>, std::io::Error>>()?;
    let mut answers: Vec<_> = children.iter_mut().filter_map(|child| child.stdout.take()).map(BufReader::new).collect();
    // All are connected before anybody begins.
    for answer in &mut answers {
        answer.read_line(&mut String::new())?;
    }
    let before = owner_ticks(&folder);
    children.iter_mut().for_each(|child| drop(child.stdin.take()));
    let mut times = Vec::new();
    for mut answer in answers {
        let mut text = String::new();
        answer.read_to_string(&mut text)?;
        times.extend(text.split_whitespace().filter_map(|number| number.parse::<u64>().ok()));
    }
    let ticks = owner_ticks(&folder).saturating_sub(before);
    for mut child in children {
        child.wait()?;
    }
    times.sort_unstable();
    let at = |part: f64| times.get((times.len() as f64 * part) as usize).copied().unwrap_or_default();
    println!(
        "{processes} processes x {threads} threads: {} cycles/s, p50 {} us, p99 {} us, owner {:.1} us of processor time each",
        times.len() as u64 / u64::from(seconds),
        at(0.5),
        at(0.99),
        ticks as f64 * MICROSECONDS_OF_A_TICK / times.len().max(1) as f64
    );
    let _ = std::fs::remove_dir_all(&folder);
    Ok(())
}

/// Processor time of the owner so far, in ticks.
fn owner_ticks(folder: &std::path::Path) -> u64 {
    let read = || {
        let pid = std::fs::read_to_string(folder.join("lock")).ok()?;
        let stat = std::fs::read_to_string(format!("/proc/{}/stat", pid.trim())).ok()?;
        // After the name in parentheses: state is field 3, utime and stime are 14 and 15.
        let fields = stat.rsplit(')').next()?.split_whitespace().skip(11).take(2);
        Some(fields.filter_map(|ticks| ticks.parse::<u64>().ok()).sum())
    };
    read().unwrap_or_default()
}

/// Cycles on so many threads; then says how many microseconds each took.
fn child(folder: &str, threads: u32, time: Duration) -> Result<(), Box<dyn std::error::Error>> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let queue = runtime.block_on(Queue::connect(&format!("embedded:{folder}")))?;
    println!("ready");
    std::io::stdin().read_to_end(&mut Vec::new())?;
    let end = Instant::now() + time;
    let works: Vec<_> = (0..threads)
        .map(|_| {
            let queue = queue.clone();
            std::thread::spawn(move || cycles(&queue, end).map_err(|error| eprintln!("{error}")).unwrap_or_default())
        })
        .collect();
    for work in works {
        for time in work.join().unwrap_or_default() {
            println!("{}", time.as_micros());
        }
    }
    Ok(())
}

fn cycles(queue: &Queue, end: Instant) -> Result<Vec<Duration>, Box<dyn std::error::Error>> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let (store, name, runner) = (queue.store(), QueueName::new("cycles")?, JobId::new());
    let mut times = Vec::new();
    runtime.block_on(async {
        while Instant::now() < end {
            let begun = Instant::now();
            let job = NewJob::new(name.clone(), "cycle", vec![7; PAYLOAD]);
            let id = job.id;
            store.submit(vec![Work::Job(job)]).await?;
            let (queues, kinds) = (vec![name.clone()], vec!["cycle".to_owned()]);
            let claim = Claim { runner, name: String::new(), queues, kinds, most: 1, wait: Duration::from_secs(1) };
            for lease in store.claim(claim).await? {
                let finish = Finish { token: lease.token, outcome: Outcome::Done(Vec::new()) };
                store.finish(vec![finish]).await?;
            }
            store.ended(id, Duration::from_secs(1)).await?;
            times.push(begun.elapsed());
        }
        Ok::<(), phalanx_queue::Error>(())
    })?;
    Ok(times)
}
