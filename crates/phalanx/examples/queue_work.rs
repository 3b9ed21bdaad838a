//! A message in a durable queue is worked on by whoever comes, and the result is sent back. The broker is a matter of the URL:
//! `embedded:FOLDER` (nothing to install), `amqp://…` (RabbitMQ), `kafka://…`, `postgres://…`.
//!
//! `cargo run --example queue_work -- [URL]` (with the features `amqp`, `kafka`, `postgres` for the others)

use std::error::Error;

use phalanx::queue::{Message, Queue, QueueName, QueueOptions};

async fn run(url: &str) -> Result<(), Box<dyn Error>> {
    let queue = Queue::connect(url).await?;
    let (tasks, results) = (QueueName::new("task_queue")?, QueueName::new("task_results")?);
    for name in [&tasks, &results] {
        // Made unless it is there. What it holds survives restarts.
        queue.declare(&QueueOptions::new(name.clone())?).await?;
    }

    // Consumers are started first here, so that nothing else is at work when the program ends; they could come at any time.
    // One delivery at a time: the next one is not for us before this one is done.
    let mut work = queue.consume(&tasks, 1).await?;
    let mut answers = queue.consume(&results, 1).await?;

    // When this returns, the message is on disk.
    let mut task = Message::new("Task data");
    task.correlation_id = Some(task.id.to_string());
    let wanted = task.correlation_id.clone();
    queue.send(&tasks, task).await?;

    // The worker: the result first, then the acknowledgement. If it dies in between, the message comes again.
    let worker = async {
        while let Some(delivery) = work.next().await {
            let delivery = delivery?;
            let mut result = Message::new(String::from_utf8_lossy(&delivery.message.body).to_uppercase());
            result.correlation_id = delivery.message.correlation_id.clone();
            let is_ours = result.correlation_id == wanted;
            queue.send(&results, result).await?;
            delivery.ack().await?;
            if is_ours {
                break;
            }
        }
        Ok::<_, Box<dyn Error>>(())
    };
    worker.await?;

    // Results of an earlier run may be there too.
    while let Some(delivery) = answers.next().await {
        let delivery = delivery?;
        let is_ours = delivery.message.correlation_id == wanted;
        let result = String::from_utf8_lossy(&delivery.message.body).into_owned();
        delivery.ack().await?;
        if is_ours {
            println!("received: Task data → done: {result}");
            break;
        }
    }
    queue.close().await;
    Ok(())
}

fn main() -> Result<(), Box<dyn Error>> {
    // The first line of `main`: the owner of an embedded queue is this same program, started again.
    phalanx::init()?;
    let folder = std::env::temp_dir().join(format!("phalanx-queue-work-{}", std::process::id()));
    let url = std::env::args().nth(1);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let result = runtime.block_on(run(&url.clone().unwrap_or_else(|| format!("embedded:{}", folder.display()))));
    if url.is_none() {
        // A real program keeps its folder.
        let _ = std::fs::remove_dir_all(&folder);
    }
    result
}
