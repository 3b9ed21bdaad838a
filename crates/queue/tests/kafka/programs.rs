//! The programs that the tests start, and kill.

use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc;
use std::time::{Duration, Instant};

use phalanx_queue::conformance::{GIVE_UP, wait};
use phalanx_queue::{Consumer, Delivery, Queue, QueueName, QueueOptions};

pub(crate) const PROGRAM: &str = "KAFKA_TEST_PROGRAM";
const URL: &str = "KAFKA_TEST_URL";
const QUEUE: &str = "KAFKA_TEST_QUEUE";
/// A dead consumer is noticed after this.
const SESSION: &str = "session_ms=1500";

/// The URL with a short session.
pub(crate) fn hasty(url: &str) -> String {
    format!("{url}?{SESSION}")
}

pub(crate) fn connect(url: &str) -> Queue {
    wait(Queue::connect(&hasty(url))).unwrap()
}

/// Options of a queue that nobody else has.
pub(crate) fn fresh(what: &str) -> QueueOptions {
    QueueOptions::new(format!("{what}-{}", phalanx_queue::JobId::new())).unwrap()
}

pub(crate) fn text(delivery: &Delivery) -> String {
    String::from_utf8_lossy(&delivery.message.body).into_owned()
}

/// Another process of this program.
pub(crate) struct Program {
    child: Child,
    lines: mpsc::Receiver<String>,
}

impl Program {
    pub(crate) fn start(program: &str, url: &str, queue: &QueueName) -> Program {
        let mut child = Command::new(std::env::current_exe().unwrap())
            .env(PROGRAM, program)
            .env(URL, hasty(url))
            .env(QUEUE, queue.as_str())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let output = BufReader::new(child.stdout.take().unwrap());
        let (tell, lines) = mpsc::channel();
        std::thread::spawn(move || {
            for line in output.lines().map_while(Result::ok) {
                if tell.send(line).is_err() {
                    return;
                }
            }
        });
        Program { child, lines }
    }

    /// The next line; `None` when it has ended.
    pub(crate) fn line(&self) -> Option<String> {
        match self.lines.recv_timeout(GIVE_UP) {
            Ok(line) => Some(line),
            Err(mpsc::RecvTimeoutError::Disconnected) => None,
            Err(mpsc::RecvTimeoutError::Timeout) => panic!("the program says nothing"),
        }
    }

    /// SIGKILL; then the lines that were not read before.
    pub(crate) fn kill(mut self) -> Vec<String> {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
        self.lines.iter().collect()
    }

    /// Waits for its own end.
    pub(crate) fn ended(mut self) -> Vec<String> {
        let lines = self.lines.iter().collect();
        self.child.wait().unwrap();
        lines
    }
}

/// All that comes, acked, until nothing has come for so long.
pub(crate) fn drain(consumer: &mut Consumer, silence: Duration) -> Vec<String> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
    let mut came = Vec::new();
    runtime.block_on(async {
        while let Ok(next) = tokio::time::timeout(silence, consumer.next()).await {
            let delivery = next.expect("the consumer ended").unwrap();
            came.push(text(&delivery));
            tokio::spawn(delivery.ack());
        }
    });
    came
}

/// What this process is, when it was started by [`Program`].
pub(crate) fn run(program: &str) {
    let queue = wait(Queue::connect(&std::env::var(URL).unwrap())).unwrap();
    let name = QueueName::new(std::env::var(QUEUE).unwrap()).unwrap();
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
    runtime.block_on(async {
        match program {
            "two of three" => two_of_three(&queue, &name).await,
            "work" => work(&queue, &name).await,
            "fragile" => fragile(&queue, &name).await,
            other => panic!("there is no program {other}"),
        }
    });
}

/// Acks two messages of three, from the last to the first of each hundred, and says so when that is on record.
async fn two_of_three(queue: &Queue, name: &QueueName) {
    let mut consumer = queue.consume(name, 200).await.unwrap();
    let (mut held, mut hundred) = (Vec::new(), Vec::new());
    while let Some(delivery) = consumer.next().await {
        let delivery = delivery.unwrap();
        hundred.push(delivery);
        if hundred.len() < 100 {
            continue;
        }
        let mut acks = Vec::new();
        for (index, delivery) in hundred.drain(..).enumerate().rev() {
            if index % 3 == 0 {
                held.push(delivery);
                continue;
            }
            let body = text(&delivery);
            println!("{TRIED}{body}");
            acks.push(tokio::spawn(async move {
                delivery.ack().await.unwrap();
                println!("{body}");
            }));
        }
        for ack in acks {
            ack.await.unwrap();
        }
    }
}

/// Said before a message is acked: whether that is on record, nobody knows if the program is killed then.
pub(crate) const TRIED: &str = "tried ";

/// Acks all, and says so when that is on record.
async fn work(queue: &Queue, name: &QueueName) {
    let mut consumer = queue.consume(name, 50).await.unwrap();
    println!("consuming");
    while let Some(delivery) = consumer.next().await {
        let delivery = delivery.unwrap();
        tokio::spawn(async move {
            let body = text(&delivery);
            println!("{TRIED}{body}");
            if delivery.ack().await.is_ok() {
                println!("{body}");
            }
        });
    }
}

/// Works, until it meets poison: that kills it at once. Ends by itself when nothing comes.
async fn fragile(queue: &Queue, name: &QueueName) {
    let mut consumer = queue.consume(name, 10).await.unwrap();
    let patience = Duration::from_secs(6);
    let mut quiet_since = Instant::now();
    while quiet_since.elapsed() < patience {
        let Ok(Some(delivery)) = tokio::time::timeout(Duration::from_millis(200), consumer.next()).await else {
            continue;
        };
        let delivery = delivery.unwrap();
        quiet_since = Instant::now();
        if delivery.message.body == b"poison" {
            println!("poison {}", delivery.attempt);
            std::process::abort();
        }
        let body = text(&delivery);
        delivery.ack().await.unwrap();
        println!("{body}");
    }
    println!("quiet");
}
