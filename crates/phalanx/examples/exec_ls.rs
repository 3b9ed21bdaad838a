//! A line for the shell, its output collected; then one that fails, with its code.
//!
//! `cargo run --release --example exec_ls`

use std::error::Error;

use phalanx::process::exec;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn Error>> {
    let listing = exec("ls -la").await?;
    let lines = String::from_utf8_lossy(&listing.stdout).lines().count();

    let failure = exec("echo that went wrong >&2; exit 1").await.expect_err("the line fails");
    println!("{failure}");
    let code = failure.code().unwrap_or(-1);

    println!("ls printed {lines} lines; false exited with {code}");
    Ok(())
}
