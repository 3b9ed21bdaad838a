//! One and the same work, again and again: how long it takes on a core, and how often it is done on several.

use std::sync::Barrier;
use std::time::{Duration, Instant};

use rustix::time::{ClockId, clock_gettime};

use crate::counting;

/// What is measured: made once for each thread, then called until the time is over.
pub(crate) trait Work {
    /// Does it once.
    fn once(&mut self) -> Result<(), String>;

    /// What the last call made.
    fn output(&self) -> &[u8] {
        &[]
    }

    /// Bytes that were announced before the first call.
    fn announced(&self) -> Option<u64> {
        None
    }
}

/// Makes it.
pub(crate) type Make<'a> = dyn Fn() -> Result<Box<dyn Work + 'a>, String> + Sync + 'a;

/// How much of it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Amount {
    pub(crate) threads: usize,
    pub(crate) counted: Duration,
}

/// Once to warm up is enough for memory; caches and branch predictors want more.
const WARM_UP: Duration = Duration::from_millis(60);
const FEWEST: usize = 3;

/// Measures what `make` makes, prints a line of JSON, and gives the output.
pub(crate) fn run(make: &Make<'_>, amount: Amount) -> Result<Vec<u8>, String> {
    let (heap, first) = counting::peak_of(|| {
        let mut work = make()?;
        work.once()?;
        Ok::<_, String>(work)
    });
    let first = first?;
    let (output, announced) = (first.output().to_vec(), first.announced());
    drop(first);
    let start = Barrier::new(amount.threads);
    let threads: Vec<Result<Thread, String>> = std::thread::scope(|scope| {
        let handles: Vec<_> = (0..amount.threads).map(|_| scope.spawn(|| repeat(make, amount, &start))).collect();
        handles.into_iter().map(|handle| handle.join().unwrap_or_else(|_| Err("a thread panicked".into()))).collect()
    });
    let threads: Vec<Thread> = threads.into_iter().collect::<Result<_, _>>()?;
    let per_second: f64 = threads.iter().map(|thread| thread.wall.len() as f64 / thread.elapsed.as_secs_f64()).sum();
    let all =
        |times: fn(&Thread) -> &[Duration]| threads.iter().flat_map(|thread| times(thread).iter().copied()).collect();
    println!(
        "{}",
        serde_json::json!({
            "cpu": median_milliseconds(all(|thread| &thread.cpu)),
            "wall": median_milliseconds(all(|thread| &thread.wall)),
            "per_second": per_second,
            "bytes": output.len(),
            "peak": peak_resident().unwrap_or_default(),
            "heap": heap,
            "announced": announced,
        })
    );
    Ok(output)
}

/// What one thread took, for each time.
struct Thread {
    cpu: Vec<Duration>,
    wall: Vec<Duration>,
    elapsed: Duration,
}

fn repeat(make: &Make<'_>, amount: Amount, start: &Barrier) -> Result<Thread, String> {
    let mut work = make();
    let warm = Instant::now();
    // Whoever fails waits for the others too, or they would wait for ever.
    let mut warmed = Ok(());
    while let (Ok(work), Ok(())) = (&mut work, &warmed) {
        if warm.elapsed() > WARM_UP {
            break;
        }
        warmed = work.once();
    }
    start.wait();
    warmed?;
    let mut work = work?;
    let (mut cpu, mut wall) = (Vec::new(), Vec::new());
    let began = Instant::now();
    while began.elapsed() < amount.counted || wall.len() < FEWEST {
        let (before, cpu_before) = (Instant::now(), thread_cpu());
        work.once()?;
        wall.push(before.elapsed());
        cpu.push(thread_cpu().saturating_sub(cpu_before));
    }
    Ok(Thread { cpu, wall, elapsed: began.elapsed() })
}

fn thread_cpu() -> Duration {
    let time = clock_gettime(ClockId::ThreadCPUTime);
    Duration::new(time.tv_sec.cast_unsigned(), time.tv_nsec as u32)
}

fn median_milliseconds(mut times: Vec<Duration>) -> f64 {
    times.sort_unstable();
    times.get(times.len() / 2).map_or(f64::NAN, |time| time.as_secs_f64() * 1e3)
}

/// Bytes.
fn peak_resident() -> Option<u64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
    Some(line.trim().strip_suffix(" kB")?.parse::<u64>().ok()? * 1024)
}
