//! A greeting to a worker thread and its answer; then a list, which comes back squared.
//!
//! `cargo run --release --example thread_message`

use std::error::Error;

use phalanx::thread::{Worker, WorkerScope};

enum Order {
    Greeting(String),
    Square(Vec<u64>),
}

enum Answer {
    Greeting(String),
    Squares(Vec<u64>),
}

async fn serve(scope: WorkerScope<Order, Answer>) {
    // Moved, never copied: what was posted belongs to the receiver.
    while let Some(order) = scope.recv().await {
        let answer = match order {
            Order::Greeting(text) => Answer::Greeting(format!("the worker heard {text:?}")),
            Order::Square(mut numbers) => {
                numbers.iter_mut().for_each(|number| *number *= *number);
                Answer::Squares(numbers)
            }
        };
        if scope.post(answer).await.is_err() {
            break; // nobody listens any more
        }
    }
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn Error>> {
    let worker = Worker::spawn((), serve)?;
    for order in [Order::Greeting("Hello, worker!".into()), Order::Square(vec![1, 2, 3, 4, 5])] {
        worker.post(order).await?;
        match worker.recv().await.ok_or("the worker ended without an answer")? {
            Answer::Greeting(text) => println!("{text}"),
            Answer::Squares(squares) => println!("{}", serde_json::to_string(&squares)?),
        }
    }
    Ok(())
}
