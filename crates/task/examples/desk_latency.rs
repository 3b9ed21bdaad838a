//! How fast a desk is by itself, without a pool around it: the floor under every figure of `ProcessPool`.
//!
//! `cargo run --release -p phalanx-task --example desk_latency`

use std::time::{Duration, Instant};

use phalanx_process::{Process, Signal};
use phalanx_task::desk::{Answer, Desk, DeskLimits, Offer, Offered, Told};
use phalanx_task::{Blob, Packed, Task, TaskContext, TaskError, init_with, tasks};
use serde::{Deserialize, Serialize};

#[derive(Serialize, Deserialize)]
struct Same(u64);

impl Task for Same {
    const NAME: &'static str = "same";
    type Output = u64;

    fn run(self, _: &TaskContext) -> Result<u64, TaskError> {
        Ok(self.0)
    }
}

/// Looks at every byte of a blob.
#[derive(Serialize, Deserialize)]
struct Sum(Blob);

impl Task for Sum {
    const NAME: &'static str = "sum";
    type Output = u64;

    fn run(self, _: &TaskContext) -> Result<u64, TaskError> {
        Ok(self.0.iter().map(|byte| u64::from(*byte)).sum())
    }
}

#[derive(Serialize, Deserialize)]
struct Echo(Blob);

impl Task for Echo {
    const NAME: &'static str = "echo";
    type Output = Blob;

    fn run(self, _: &TaskContext) -> Result<Blob, TaskError> {
        Ok(self.0)
    }
}

struct Seated {
    desk: Desk,
    process: Process,
}

type AnyResult<T> = Result<T, Box<dyn std::error::Error>>;

fn main() -> AnyResult<()> {
    init_with(tasks![Same, Sum, Echo])?;
    for _ in 0..3 {
        let begun = Instant::now();
        let mut seated = start()?;
        run(&mut seated, &Same(1))?;
        println!("fresh process to its first result: {:?}", begun.elapsed());
        stop(&seated);
    }
    let mut seated = start()?;
    one_at_a_time(&mut seated)?;
    one_at_a_time(&mut seated)?;
    for bytes in [4096, 65_536, 1 << 20, 8 << 20] {
        blobs(&mut seated, bytes)?;
    }
    let second = start()?;
    let mut both = [seated, second];
    for ahead in [1, 8, 32] {
        many(&mut both[..1], ahead)?;
        many(&mut both, ahead)?;
    }
    both.iter().for_each(stop);
    Ok(())
}

fn start() -> AnyResult<Seated> {
    let (mut desk, ends) = Desk::create(&DeskLimits::default())?;
    let process = ends.role().parent_death(Signal::Kill).spawn()?;
    let deadline = Instant::now() + Duration::from_secs(10);
    while !matches!(desk.next_answer()?, Some(Answer::Hello(_))) {
        assert!(Instant::now() < deadline, "no hello");
        std::hint::spin_loop();
    }
    Ok(Seated { desk, process })
}

fn stop(seated: &Seated) {
    let _ = seated.process.kill(Signal::Kill);
}

fn offer<T: Task>(desk: &mut Desk, task: &T) -> AnyResult<bool> {
    let input = Packed::of(task)?;
    let offer = Offer { job: 7, task: T::NAME, told: Told::first(7), deadline: None, input: &input };
    Ok(matches!(desk.offer(&offer)?, Offered::Placed(_)))
}

fn ended<O: serde::de::DeserializeOwned>(desk: &mut Desk) -> AnyResult<Option<O>> {
    match desk.next_answer()? {
        Some(Answer::Ended { result, .. }) => Ok(Some(result?.read()?.unpack()?)),
        _ => Ok(None),
    }
}

fn run<T: Task>(seated: &mut Seated, task: &T) -> AnyResult<T::Output> {
    assert!(offer(&mut seated.desk, task)?);
    loop {
        if let Some(output) = ended(&mut seated.desk)? {
            return Ok(output);
        }
        std::hint::spin_loop();
    }
}

fn one_at_a_time(seated: &mut Seated) -> AnyResult<()> {
    let mut times: Vec<Duration> = Vec::new();
    for value in 0..50_000 {
        let begun = Instant::now();
        assert_eq!(run(seated, &Same(value))?, value);
        times.push(begun.elapsed());
    }
    times.sort();
    println!("empty task: p50 {:?}, p90 {:?}, p99 {:?}", times[25_000], times[45_000], times[49_500]);
    Ok(())
}

fn blobs(seated: &mut Seated, bytes: usize) -> AnyResult<()> {
    let blob = Blob::from(vec![1; bytes]);
    let rounds = (256 << 20) / bytes.max(262_144);
    for (what, is_echo) in [("in", false), ("in and out", true)] {
        let mut best = Duration::MAX;
        for _ in 0..rounds {
            let begun = Instant::now();
            if is_echo {
                assert_eq!(run(seated, &Echo(blob.clone()))?.len(), bytes);
            } else {
                assert_eq!(run(seated, &Sum(blob.clone()))?, bytes as u64);
            }
            best = best.min(begun.elapsed());
        }
        println!("{bytes} bytes {what}: best {best:?}, {:.0} MB/s", bytes as f64 / best.as_secs_f64() / 1e6);
    }
    Ok(())
}

fn many(seated: &mut [Seated], ahead: usize) -> AnyResult<()> {
    const TASKS: usize = 500_000;
    let begun = Instant::now();
    let (mut offered, mut done) = (0, 0);
    while done < TASKS {
        for Seated { desk, .. } in seated.iter_mut() {
            while offered < TASKS && desk.len() < ahead && offer(desk, &Same(offered as u64))? {
                offered += 1;
            }
            while let Some(_output) = ended::<u64>(desk)? {
                done += 1;
            }
        }
    }
    let rate = TASKS as f64 / begun.elapsed().as_secs_f64();
    println!("{} processes, {ahead} on each desk: {rate:.0} tasks/s", seated.len());
    Ok(())
}
