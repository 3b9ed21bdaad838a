//! The programs that the tests of faults start and kill.

use std::io::Write;
use std::time::Duration;

use phalanx_queue::conformance::wait;
use phalanx_queue::job::{Claim, Finish, NewJob, Outcome, Work};
use phalanx_queue::{JobId, Queue, QueueName};

/// Runs the one of this name.
pub(crate) fn run(program: &str) {
    match program {
        "hold" => hold(),
        "measure" => measure(),
        _ => panic!("there is no program {program}"),
    }
}

/// Claims whatever there is in `TEST_QUEUE` at `TEST_URL`, says how many that were, and holds them until it is killed.
fn hold() {
    let queue = wait(Queue::connect(&std::env::var("TEST_URL").unwrap())).unwrap();
    let claim = Claim {
        runner: JobId::new(),
        name: "hold".to_owned(),
        queues: vec![QueueName::new(std::env::var("TEST_QUEUE").unwrap()).unwrap()],
        kinds: vec!["fault".to_owned()],
        most: 100,
        wait: Duration::from_secs(30),
    };
    let leases = wait(queue.store().claim(claim)).unwrap();
    println!("{}", leases.len());
    std::io::stdout().flush().unwrap();
    // Until the test is done with us, or is itself gone.
    let _ = std::io::stdin().read_line(&mut String::new());
}

/// Prints how many whole cycles a second `TEST_URL` does, each job submitted and finished on its own: for a look by hand.
fn measure() {
    const JOBS: usize = 20_000;
    const SUBMITTERS: usize = 64;
    let queue = wait(Queue::connect(&std::env::var("TEST_URL").unwrap())).unwrap();
    let name = QueueName::new(format!("measure-{}", JobId::new())).unwrap();
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
    let begun = std::time::Instant::now();
    runtime.block_on(async {
        let mut tasks = Vec::new();
        for _ in 0..SUBMITTERS {
            let (queue, name) = (queue.clone(), name.clone());
            tasks.push(tokio::spawn(async move {
                for _ in 0..JOBS / SUBMITTERS {
                    let job = NewJob::new(name.clone(), "fault", vec![7; 256]);
                    queue.store().submit(vec![Work::Job(job)]).await.unwrap().remove(0).unwrap();
                }
            }));
        }
        let claim = Claim {
            runner: JobId::new(),
            name: "measure".to_owned(),
            queues: vec![name.clone()],
            kinds: vec!["fault".to_owned()],
            most: 128,
            wait: Duration::from_secs(5),
        };
        let mut done = 0;
        while done < JOBS / SUBMITTERS * SUBMITTERS {
            let leases = queue.store().claim(claim.clone()).await.unwrap();
            done += leases.len();
            for lease in leases {
                let queue = queue.clone();
                tasks.push(tokio::spawn(async move {
                    let finish = Finish { token: lease.token, outcome: Outcome::Done(vec![1]) };
                    queue.store().finish(vec![finish]).await.unwrap();
                }));
            }
        }
        for task in tasks {
            task.await.unwrap();
        }
    });
    println!("{:.0} cycles/s", JOBS as f64 / begun.elapsed().as_secs_f64());
    wait(queue.close());
}
