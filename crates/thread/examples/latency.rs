//! What a job costs: a lone empty job from submit to result, and the rate with 64 in flight: bare, and with both
//! deadlines, a priority and a cancellation, beside `tokio::task::spawn_blocking` in the same run.
//!
//! `cargo run --release -p phalanx-thread --example latency [threads] [rounds]`

use std::future::Future;
use std::time::{Duration, Instant};

use phalanx_thread::{Cancellation, Priority, ThreadPool};

const ROUNDS: usize = 5;
const LONE_JOBS: usize = 20_000;
const CROWD_JOBS: usize = 200_000;
const IN_FLIGHT: usize = 64;
const DEADLINE: Duration = Duration::from_secs(10);

fn main() {
    let mut arguments = std::env::args().skip(1).filter_map(|argument| argument.parse().ok());
    let threads = arguments.next().unwrap_or(1);
    let rounds = arguments.next().unwrap_or(ROUNDS);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().max_blocking_threads(threads).build();
    let runtime = runtime.expect("a runtime");
    let pool = ThreadPool::builder().threads(threads).build().expect("a pool");
    let cancellation = Cancellation::new();
    println!("{threads} thread(s), current-thread runtime; rounds alternate");
    println!("{:<16}{:>12}{:>12}{:>14}{:>16}", "", "p50", "p99", "lone jobs/s", "64 at once/s");
    runtime.block_on(async {
        for _ in 0..rounds {
            row("bare", || async { pool.spawn(|_| ()).await.is_ok() }).await;
            let full = || {
                let job = pool.job().priority(Priority::new(6)).cancelled_by(&cancellation);
                job.deadline_from_submit(DEADLINE).deadline_from_start(DEADLINE)
            };
            row("full", || async { full().spawn(|_| ()).await.is_ok() }).await;
            row("spawn_blocking", || async { tokio::task::spawn_blocking(|| ()).await.is_ok() }).await;
        }
        let metrics = pool.metrics();
        println!("wait {:?}\nrun  {:?}", metrics.wait, metrics.run);
    });
}

async fn row<J: Future<Output = bool>>(name: &str, job: impl Fn() -> J) {
    let began = Instant::now();
    let mut times = Vec::with_capacity(LONE_JOBS);
    for _ in 0..LONE_JOBS {
        let submitted = Instant::now();
        assert!(job().await);
        times.push(submitted.elapsed());
    }
    let lone = LONE_JOBS as f64 / began.elapsed().as_secs_f64();
    times.sort_unstable();
    let at = |share: f64| times[(times.len() as f64 * share) as usize];

    let began = Instant::now();
    let crowd: Vec<_> = (0..IN_FLIGHT).map(|_| many(CROWD_JOBS / IN_FLIGHT, &job)).collect();
    all(crowd).await;
    let crowd = CROWD_JOBS as f64 / began.elapsed().as_secs_f64();
    println!("{name:<16}{:>12}{:>12}{lone:>14.0}{crowd:>16.0}", micros(at(0.5)), micros(at(0.99)));
}

async fn many<J: Future<Output = bool>>(jobs: usize, job: &impl Fn() -> J) {
    for _ in 0..jobs {
        assert!(job().await);
    }
}

/// Runs all futures side by side on this thread, each polled only when it was woken.
async fn all(futures: Vec<impl Future<Output = ()>>) {
    use std::pin::pin;
    use std::sync::Arc;
    use std::sync::atomic::{AtomicBool, Ordering};
    use std::task::{Context, Poll, Wake, Waker};

    struct Flag(AtomicBool, Waker);
    impl Wake for Flag {
        fn wake(self: Arc<Self>) {
            self.wake_by_ref();
        }
        fn wake_by_ref(self: &Arc<Self>) {
            self.0.store(true, Ordering::Release);
            self.1.wake_by_ref();
        }
    }

    let outer = std::future::poll_fn(|context| Poll::Ready(context.waker().clone())).await;
    let mut futures: Vec<_> = futures
        .into_iter()
        .map(|future| (Box::pin(future), Arc::new(Flag(AtomicBool::new(true), outer.clone()))))
        .collect();
    let mut left = pin!(std::future::poll_fn(move |_| {
        futures.retain_mut(|(future, flag)| {
            let woken = flag.0.swap(false, Ordering::Acquire);
            !woken || future.as_mut().poll(&mut Context::from_waker(&Waker::from(flag.clone()))).is_pending()
        });
        if futures.is_empty() { Poll::Ready(()) } else { Poll::Pending }
    }));
    left.as_mut().await;
}

fn micros(time: Duration) -> String {
    format!("{:.1} us", time.as_secs_f64() * 1e6)
}
