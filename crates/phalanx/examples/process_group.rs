//! Three children managed together: the first failure ends the others.
//!
//! `cargo run --release --example process_group`

use std::error::Error;

use phalanx::process::{Command, Group};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn Error>> {
    let mut group = Group::new();
    for program in ["sleep 100", "sleep 0.1; exit 3", "sleep 100"] {
        group.spawn(Command::shell(program)).await?;
    }
    let outcome = group.wait_all().await?;
    for (number, status) in (1..).zip(&outcome.statuses) {
        println!("child {number} ended with {status}");
    }
    let failed = outcome.first_failure.map_or("none".into(), |index| format!("child {}", index + 1));
    println!("{} ended, first failure was {failed}", outcome.statuses.len());
    Ok(())
}
