//! [`Writer`]: a thread that writes lines where they belong and may wait there, and a bounded queue before it, whose other end never
//! waits.
//!
//! ```text
//!   push ─► queue (512 KiB) ─► thread ─► file or standard error
//!     └ full: dropped, counted        └ refused: dropped, counted; told in the log after what could be written
//! ```

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use super::Logs;
use super::file::Output;

/// Most bytes that wait; as many are being written meanwhile.
const QUEUE_BYTES: usize = 512 * 1024;
/// Stack of the thread.
const STACK_BYTES: usize = 128 * 1024;

#[derive(Debug)]
pub(super) struct Writer {
    shared: Arc<Shared>,
}

#[derive(Debug, Default)]
struct Shared {
    queue: Mutex<Queue>,
    /// Something is to be done, or all is done.
    changed: Condvar,
    dropped: AtomicU64,
}

#[derive(Debug, Default)]
struct Queue {
    lines: Vec<u8>,
    /// Lines that were dropped and not told of in the log yet, and why the last of them.
    untold: u64,
    why: String,
    reopen: bool,
    /// Whether the thread is writing what it took out.
    busy: bool,
}

impl Writer {
    /// Starts the thread.
    pub(super) fn start(settings: Logs) -> std::io::Result<Writer> {
        let shared = Arc::new(Shared::default());
        let its = Arc::clone(&shared);
        let mut output = Output::new(settings);
        std::thread::Builder::new().name("log".into()).stack_size(STACK_BYTES).spawn(move || {
            loop {
                its.turn(&mut output);
            }
        })?;
        Ok(Writer { shared })
    }

    /// Takes a line, or drops it. Never waits.
    pub(super) fn push(&self, line: &[u8]) {
        let mut queue = self.shared.lock();
        if queue.lines.len() + line.len() > QUEUE_BYTES {
            queue.untold += 1;
            queue.why.clear();
            queue.why.push_str("they came faster than they could be written");
            self.shared.dropped.fetch_add(1, Ordering::Relaxed);
            return;
        }
        queue.lines.extend_from_slice(line);
        self.shared.changed.notify_all();
    }

    /// The next line goes into the file that has the name then.
    pub(super) fn reopen(&self) {
        self.shared.lock().reopen = true;
        self.shared.changed.notify_all();
    }

    /// Lines dropped since the start.
    pub(super) fn dropped(&self) -> u64 {
        self.shared.dropped.load(Ordering::Relaxed)
    }

    /// Waits until everything is written, or the time is over.
    pub(super) fn flush(&self, within: Duration) {
        let deadline = Instant::now() + within;
        let mut queue = self.shared.lock();
        while queue.busy || !queue.lines.is_empty() {
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return;
            }
            queue = self.shared.changed.wait_timeout(queue, left).unwrap_or_else(PoisonError::into_inner).0;
        }
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, Queue> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits for lines and writes them.
    fn turn(&self, output: &mut Output) {
        let mut queue = self.lock();
        while queue.lines.is_empty() && !queue.reopen {
            queue = self.changed.wait(queue).unwrap_or_else(PoisonError::into_inner);
        }
        let mut lines = std::mem::take(&mut queue.lines);
        let untold = std::mem::take(&mut queue.untold);
        if untold > 0 {
            // They came after the lines that we have.
            lines.extend_from_slice(notice(untold, &queue.why).as_bytes());
        }
        if std::mem::take(&mut queue.reopen) {
            output.reopen();
        }
        queue.busy = true;
        drop(queue);
        let result = output.write(&lines);
        let mut queue = self.lock();
        queue.busy = false;
        if let Err((written, error)) = result {
            let ends = lines[written..].iter().filter(|byte| **byte == b'\n').count() as u64;
            // The notice is the last line, and has to be told again.
            let lost = ends - u64::from(untold > 0 && ends > 0);
            queue.untold += lost + untold;
            queue.why = error.to_string();
            self.dropped.fetch_add(lost, Ordering::Relaxed);
        }
        self.changed.notify_all();
    }
}

fn notice(lines: u64, why: &str) -> String {
    format!("phalanx | {lines} lines of the workers were dropped: {why}\n")
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::{BufRead, BufReader};
    use std::path::Path;

    /// Longest wait for the thread.
    const DEADLINE: Duration = Duration::from_secs(20);

    fn named_pipe(folder: &Path) -> std::path::PathBuf {
        let path = folder.join("pipe");
        rustix::fs::mknodat(rustix::fs::CWD, &path, rustix::fs::FileType::Fifo, rustix::fs::Mode::RWXU, 0).unwrap();
        path
    }

    #[test]
    fn who_is_not_read_costs_lines_and_neither_memory_nor_time() {
        let folder = tempfile::tempdir().unwrap();
        let path = named_pipe(folder.path());
        // Nobody reads: to open it for writing waits already.
        let writer = Writer::start(Logs::to_file(&path).rotate_at(0)).unwrap();
        let line = [b'x'; 999].into_iter().chain([b'\n']).collect::<Vec<u8>>();
        let pushed = 20_000u64;
        for _ in 0..pushed {
            writer.push(&line);
            assert!(writer.shared.lock().lines.len() <= QUEUE_BYTES);
        }
        let dropped = writer.dropped();
        assert!(dropped > pushed - 2 * QUEUE_BYTES as u64 / 1000 - 200, "{dropped}");
        // Now somebody does: what was kept comes, and how many did not; in one notice, or in two if the thread began to write
        // when lines had been dropped already.
        let (lines, arriving) = std::sync::mpsc::channel();
        std::thread::spawn(move || {
            for line in BufReader::new(std::fs::File::open(&path).unwrap()).lines() {
                let _ = lines.send(line.unwrap());
            }
        });
        let (mut kept, mut told) = (0, 0);
        while kept + told < pushed {
            let line = arriving.recv_timeout(DEADLINE).expect("every line is written or told of");
            match line.strip_prefix("phalanx | ") {
                Some(notice) => {
                    let (number, rest) = notice.split_once(' ').unwrap();
                    assert!(rest.starts_with("lines of the workers were dropped"), "{line}");
                    told += number.parse::<u64>().unwrap();
                }
                None => kept += 1,
            }
        }
        assert_eq!((kept + told, told), (pushed, dropped));
    }

    #[test]
    fn lines_that_the_disk_refused_are_told_when_it_takes_some_again() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("log");
        std::os::unix::fs::symlink("/dev/full", &path).unwrap();
        let writer = Writer::start(Logs::to_file(&path).rotate_at(0)).unwrap();
        for _ in 0..3 {
            writer.push(b"lost\n");
            writer.flush(DEADLINE);
        }
        assert_eq!(writer.dropped(), 3);
        std::fs::remove_file(&path).unwrap();
        writer.reopen();
        writer.push(b"kept\n");
        writer.flush(DEADLINE);
        let text = std::fs::read_to_string(&path).unwrap();
        // Opening the file anew may tell of them before the next line comes.
        assert!(text.contains("phalanx | 3 lines of the workers were dropped: No space left"), "{text}");
        assert!(text.contains("kept\n"), "{text}");
        assert_eq!(writer.dropped(), 3);
    }
}
