//! A Node.js parent forks this Rust program as if it were a script: `child_process.fork(…, { execPath })`. Needs `node`.
//!
//! `cargo run --release --example node_parent`

use std::error::Error;
use std::time::Duration;

use phalanx::process::{Command, Error as ProcessError, Stdio, parent};
use serde_json::{Value, json};

/// The parent, an ordinary Node program. `execArgv` is empty because flags of Node are nothing for us.
const SCRIPT: &str = "
const { fork } = require('node:child_process');
const child = fork('part', [], { execPath: process.argv[1], execArgv: [] });
child.on('message', (answer) => { console.log(JSON.stringify(answer)); child.disconnect(); });
child.send({ task: 'process-data', payload: [1, 2, 3] });
";

#[tokio::main(flavor = "current_thread")]
async fn run() -> Result<(), Box<dyn Error>> {
    match parent::<Value, Value>() {
        Ok(parent) => {
            while let Some(message) = parent.recv().await? {
                let doubled: Vec<i64> = message["payload"]
                    .as_array()
                    .into_iter()
                    .flatten()
                    .filter_map(Value::as_i64)
                    .map(|n| n * 2)
                    .collect();
                parent.send(&json!({"result": doubled})).await?;
            }
            Ok(parent.close(Duration::from_secs(5)).await?)
        }
        // Nobody forked us: we were started by hand, and start Node.
        Err(ProcessError::NoParent) => {
            let node = Command::new("node").args(["-e", SCRIPT]).arg(std::env::current_exe()?);
            let child = node.stdin(Stdio::Null).stdout(Stdio::Inherit).stderr(Stdio::Inherit).spawn().await?;
            child.exited().await?;
            Ok(())
        }
        Err(other) => Err(other.into()),
    }
}

fn main() -> Result<(), Box<dyn Error>> {
    phalanx::init()?;
    run()
}
