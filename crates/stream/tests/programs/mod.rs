//! The programs that everybody has: `gzip`, `pigz`, `zstd`.

use std::io::Write;
use std::process::{Command, Stdio};

/// What the program makes of `input`; `None` if it is not installed, which under `CI=true` is a failure.
pub(crate) fn run(program: &str, arguments: &[&str], input: &[u8]) -> Option<Vec<u8>> {
    let mut command = Command::new(program);
    command.args(arguments).stdin(Stdio::piped()).stdout(Stdio::piped());
    let mut child = match command.spawn() {
        Ok(child) => child,
        Err(error) => {
            assert!(std::env::var("CI").as_deref() != Ok("true"), "{program}: {error}");
            println!("skipped: {program} is not installed ({error})");
            return None;
        }
    };
    let mut stdin = child.stdin.take().expect("a pipe");
    let output = std::thread::scope(|scope| {
        scope.spawn(move || stdin.write_all(input).expect("the program reads"));
        child.wait_with_output().expect("the program ends")
    });
    assert!(output.status.success(), "{program} {arguments:?}: {}", output.status);
    Some(output.stdout)
}
