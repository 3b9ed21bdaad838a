//! The span "task": around what a task logs, inside of the span of its caller. Last of all, for a subscriber is for ever.

use std::io::Write;
use std::sync::{Arc, LazyLock, Mutex};
use std::time::Instant;

use phalanx_task::conformance::{GIVE_UP, Harness, Report};
use phalanx_task::{Executor, Registry, Task, TaskContext, TaskError};
use serde::{Deserialize, Serialize};
use tracing_subscriber::fmt::format::FmtSpan;

/// Logs a line, and tells all that was logged in its process.
#[derive(Serialize, Deserialize)]
struct Logs;

impl Task for Logs {
    const NAME: &'static str = "spans.logs";
    type Output = String;
    fn run(self, _: &TaskContext) -> Result<String, TaskError> {
        let lines = Lines::of_this_process();
        tracing::info!("from inside");
        Ok(lines.text())
    }
}

pub(crate) fn registered(registry: Registry) -> Registry {
    registry.with::<Logs>()
}

/// What the subscriber of this process wrote.
#[derive(Clone, Default)]
struct Lines(Arc<Mutex<Vec<u8>>>);

impl Lines {
    /// Sets the subscriber the first time.
    fn of_this_process() -> Lines {
        static LINES: LazyLock<Lines> = LazyLock::new(|| {
            let lines = Lines::default();
            let writer = lines.clone();
            let subscriber = tracing_subscriber::fmt().with_ansi(false).with_span_events(FmtSpan::CLOSE);
            let subscriber = subscriber.with_writer(move || writer.clone()).finish();
            tracing::subscriber::set_global_default(subscriber).expect("the first subscriber");
            lines
        });
        LINES.clone()
    }

    fn text(&self) -> String {
        String::from_utf8(self.0.lock().unwrap().clone()).unwrap()
    }
}

impl Write for Lines {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().unwrap().write(bytes)
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

pub(crate) fn run(wanted: &str) -> Report {
    let mut report = Report::default();
    let cases: [(&str, fn()); 2] = [
        ("a_task_on_a_thread_logs_in_its_span_inside_of_its_callers", on_a_thread),
        ("a_task_in_a_process_logs_in_its_span_and_is_one_of_its_callers", in_a_process),
    ];
    for (name, case) in cases.into_iter().filter(|(name, _)| name.contains(wanted)) {
        let kept = std::panic::catch_unwind(case).is_ok();
        println!("test spans: {name} ... {}", if kept { "ok" } else { "FAILED" });
        if kept { &mut report.passed } else { &mut report.failed }.push(name);
    }
    report
}

/// What is logged here by a task that is submitted from the span of a request, what it saw, and how its span reads.
fn submitted(executor: &impl Executor) -> (String, String, String) {
    let lines = Lines::of_this_process();
    let submission = tracing::info_span!("request", number = 7).in_scope(|| executor.submit(Logs));
    let span = format!("task{{name=\"spans.logs\" id={} attempt=1}}", submission.id());
    let seen = submission.wait(GIVE_UP).unwrap();
    (lines.text(), seen, span)
}

fn on_a_thread() {
    let (here, seen, span) = submitted(&super::Threads.build(&super::Shape::servers(1)));
    assert!(seen.contains(&format!("request{{number=7}}:{span}: ")) && seen.contains("from inside"), "{seen}");
    assert!(here.contains(&format!("request{{number=7}}:{span}: ")), "{here}");
}

fn in_a_process() {
    let pool = super::Processes.build(&super::Shape::servers(1));
    // The process has no subscriber before its first task has set one.
    assert!(pool.submit(Logs).wait(GIVE_UP).is_ok());
    let (_, seen, span) = submitted(&pool);
    let inside = seen.lines().find(|line| line.contains(&span) && line.contains("from inside"));
    assert!(inside.is_some_and(|line| !line.contains("request")), "{seen}");
    // The span ends when the result is there; who is quick has that a moment earlier.
    let closed = format!("request{{number=7}}:{span}: ");
    let deadline = Instant::now() + GIVE_UP;
    while !Lines::of_this_process().text().lines().any(|line| line.contains(&closed) && line.contains("close")) {
        assert!(Instant::now() < deadline, "the span has no end: {}", Lines::of_this_process().text());
        std::thread::yield_now();
    }
}
