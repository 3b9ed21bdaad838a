//! One call, one worker: it gets its input as worker data, its message is the result of the call, and an exit code
//! other than 0 becomes an error with the code in it.
//!
//! `cargo run --release --example thread_service`

use std::error::Error;

use phalanx::thread::{Worker, WorkerEvent};

/// What the worker is to do.
#[derive(Clone, Copy)]
enum Input {
    Greet(&'static str),
    GiveUp,
}

async fn run_service(input: Input) -> Result<String, Box<dyn Error>> {
    let worker = Worker::<(), String>::spawn(input, async |scope| match *scope.worker_data() {
        Input::Greet(name) => {
            let _ = scope.post(format!("hello {name}")).await;
        }
        // Ends this thread and nothing else.
        Input::GiveUp => scope.exit(3),
    })?;
    let mut result = Err("the worker ended without a result".into());
    while let Some(event) = worker.event().await {
        match event {
            WorkerEvent::Online => {}
            WorkerEvent::Message(text) => result = Ok(text),
            WorkerEvent::Error(error) => result = Err(error.into()),
            WorkerEvent::Exit(0) => {}
            WorkerEvent::Exit(code) => result = Err(format!("the worker stopped with exit code {code}").into()),
        }
    }
    result
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn Error>> {
    if let Err(error) = run_service(Input::GiveUp).await {
        println!("error: {error}");
    }
    println!("{}", run_service(Input::Greet("worker")).await?);
    Ok(())
}
