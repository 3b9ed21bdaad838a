//! Promises about a whole process: which thread is the main one, and what workers write to the process's own output.
//! Without the test harness, which runs no test on the main thread.

// It is all a test.
#![allow(clippy::unwrap_used)]

#[cfg(loom)]
fn main() {}

#[cfg(not(loom))]
fn main() {
    match std::env::args().nth(1).as_deref() {
        Some("--child") => child::run(&std::env::args().nth(2).unwrap_or_default()),
        // The harness's own question; there is nothing to list.
        Some("--list") => {}
        _ => parent::run(),
    }
}

#[cfg(not(loom))]
mod parent {
    use std::process::{Command, Output};

    use phalanx_thread::{Worker, is_main_thread, thread_id};

    pub(crate) fn run() {
        the_main_thread_is_number_0_and_no_other_is_it();
        lines_of_workers_reach_the_output_of_the_process_whole_while_main_blocks_and_before_it_exits();
        an_error_that_nobody_asked_for_is_written_when_the_handle_is_gone_and_once();
        an_error_that_somebody_saw_is_not_written();
        a_thread_that_the_system_refuses_is_an_error_and_gives_nothing_away();
        an_idle_worker_takes_less_than_200_kib();
        println!("6 promises kept");
    }

    fn the_main_thread_is_number_0_and_no_other_is_it() {
        assert!(is_main_thread());
        assert_eq!(thread_id(), 0);
        let worker = Worker::<(), bool>::spawn((), async |scope| scope.post(is_main_thread()).await).unwrap();
        assert_eq!(worker.recv_blocking(std::time::Duration::from_secs(30)), Ok(Some(false)));
        assert!(!std::thread::spawn(|| is_main_thread() || thread_id() == 0).join().unwrap());
    }

    fn child(what: &str) -> Output {
        Command::new(std::env::current_exe().unwrap()).args(["--child", what]).output().unwrap()
    }

    fn lines_of_workers_reach_the_output_of_the_process_whole_while_main_blocks_and_before_it_exits() {
        let output = child("lines");
        let text = String::from_utf8(output.stdout).unwrap();
        // What has no end of its own may stand before a line of another worker.
        assert_eq!(text.matches("no end").count(), 1);
        let text = text.replace("no end", "");
        let mut counts = [0; 4];
        for line in text.lines() {
            let (worker, rest) = line.split_once(' ').unwrap();
            let worker: usize = worker.parse().unwrap();
            assert_eq!(rest, format!("{} {}", counts[worker], "x".repeat(200)), "in order and whole");
            counts[worker] += 1;
        }
        assert_eq!(counts, [500; 4]);
        assert_eq!(output.stderr, b"to the other one\n");
    }

    fn an_idle_worker_takes_less_than_200_kib() {
        let give_up = std::time::Duration::from_secs(30);
        let resident = || phalanx_memory::resident().unwrap();
        let before = resident();
        let workers: Vec<_> = (0..100)
            .map(|number| {
                let worker = Worker::<u64, u64>::spawn((), async |scope| {
                    while let Some(number) = scope.recv().await {
                        scope.post(number).await.unwrap();
                    }
                });
                let worker = worker.unwrap();
                worker.post_blocking(number, give_up).unwrap();
                assert_eq!(worker.recv_blocking(give_up), Ok(Some(number)));
                worker
            })
            .collect();
        let each = resident().saturating_sub(before) / workers.len() as u64;
        assert!(each < 200 << 10, "{each} bytes each");
    }

    fn an_error_that_nobody_asked_for_is_written_when_the_handle_is_gone_and_once() {
        for what in ["panic-unseen", "panic-detached"] {
            let said = String::from_utf8(child(what).stderr).unwrap();
            assert_eq!(said.matches("a planted panic").count(), 1, "{what}: {said}");
            assert!(said.contains("worker_process.rs:") && said.contains("the-culprit"), "{said}");
        }
    }

    fn a_thread_that_the_system_refuses_is_an_error_and_gives_nothing_away() {
        assert_eq!(String::from_utf8(child("no-thread").stdout).unwrap(), "refused, data dropped\n");
    }

    fn an_error_that_somebody_saw_is_not_written() {
        assert_eq!(String::from_utf8(child("panic-seen").stderr).unwrap(), "");
    }
}

#[cfg(not(loom))]
mod child {
    use std::fs;
    use std::io::Write;
    use std::sync::Arc;
    use std::time::{Duration, Instant};

    use phalanx_thread::{SpawnError, Worker, message_channel};
    use rustix::process::{Resource, Rlimit, setrlimit};

    const GIVE_UP: Duration = Duration::from_secs(30);

    pub(crate) fn run(what: &str) {
        match what {
            "lines" => lines(),
            "panic-unseen" => {
                let worker = panics();
                while !worker.has_exited() {
                    std::thread::yield_now();
                }
            }
            "panic-seen" => assert!(panics().exited_blocking(GIVE_UP).unwrap().is_err()),
            "panic-detached" => {
                let (held, ours) = message_channel::<(), ()>();
                let worker = Worker::<(), ()>::builder().name("the-culprit").spawn(held, async |scope| {
                    let (held, _scope) = scope.into_worker_data();
                    held.post(()).await.unwrap();
                    // Until the parent has let go.
                    held.recv().await;
                    panic!("a planted panic");
                });
                let worker: Worker<(), ()> = worker.unwrap();
                assert_eq!(ours.recv_blocking(GIVE_UP), Ok(Some(())));
                worker.detach();
                drop(ours);
                wait_for_the_end_of_its_thread();
            }
            "no-thread" => no_thread(),
            other => panic!("unknown: {other}"),
        }
    }

    /// A stack for which there is no address space.
    fn no_thread() {
        let limit = Rlimit { current: Some(256 << 20), maximum: Some(256 << 20) };
        setrlimit(Resource::As, limit).unwrap();
        let data = Arc::new(());
        let moved = Arc::clone(&data);
        let refused = Worker::<(), ()>::builder().stack_size(1 << 30).spawn(moved, async |_| ());
        assert!(matches!(&refused, Err(SpawnError::Thread { source, .. }) if source.raw_os_error().is_some()));
        drop(refused);
        if Arc::strong_count(&data) == 1 {
            println!("refused, data dropped");
        }
    }

    /// Nothing else tells of the end of a worker that was let go.
    fn wait_for_the_end_of_its_thread() {
        let start = Instant::now();
        let lives = || {
            let mut tasks = fs::read_dir("/proc/self/task").unwrap().map(|task| task.unwrap().path().join("comm"));
            tasks.any(|comm| fs::read_to_string(comm).is_ok_and(|name| name.trim_end() == "the-culprit"))
        };
        while lives() {
            assert!(start.elapsed() < GIVE_UP, "it hangs");
            std::thread::yield_now();
        }
    }

    fn panics() -> Worker<(), ()> {
        Worker::builder().name("the-culprit").spawn((), async |_| panic!("a planted panic")).unwrap()
    }

    /// The main thread does nothing but wait until all have ended, and exits without flushing anything.
    fn lines() {
        let workers: Vec<Worker<(), ()>> = (0..4)
            .map(|number| {
                Worker::spawn(number, async |scope| {
                    let mut stdout = scope.stdout();
                    for line in 0..500 {
                        // Several writes a line: the parts are `write!`s of their own.
                        write!(stdout, "{} ", scope.worker_data()).unwrap();
                        writeln!(stdout, "{line} {}", "x".repeat(200)).unwrap();
                    }
                    if *scope.worker_data() == 3 {
                        writeln!(scope.stderr(), "to the other one").unwrap();
                        write!(stdout, "no end").unwrap();
                        scope.exit(1);
                    }
                })
                .unwrap()
            })
            .collect();
        for worker in &workers {
            worker.exited_blocking(GIVE_UP).unwrap().unwrap();
        }
        // SIGKILL rather than exit: whatever is still in a buffer of ours is lost.
        rustix::process::kill_process(rustix::process::getpid(), rustix::process::Signal::KILL).unwrap();
    }
}
