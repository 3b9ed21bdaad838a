//! Three workers hear what is said on one broadcast channel, and the one who speaks does not hear itself.
//!
//! `cargo run --release --example thread_broadcast`

use std::error::Error;

use phalanx::thread::{BroadcastChannel, Worker};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn Error>> {
    let news = BroadcastChannel::<String>::new("news")?;
    let mut workers = Vec::new();
    for number in 1..=3 {
        let worker = Worker::<(), String>::spawn(number, async |scope| {
            let news = BroadcastChannel::<String>::new("news")?;
            scope.post("ready".into()).await?;
            let heard = news.recv().await?;
            scope.post(format!("worker {} heard {heard:?}", scope.worker_data())).await?;
            Ok::<_, Box<dyn Error>>(())
        })?;
        // Only who has joined hears what is said.
        worker.recv().await.ok_or("a worker ended early")?;
        workers.push(worker);
    }
    news.post("the cache is stale".into())?;
    for worker in &workers {
        println!("{}", worker.recv().await.ok_or("a worker ended early")?);
    }
    println!("{} heard it, the speaker heard {}", workers.len(), news.try_recv()?.map_or("nothing".into(), |s| s));
    Ok(())
}
