//! The hall with real Node processes, of each version that is here.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod faults;
mod listening;
mod peers;
mod round_robin;
mod shared;
mod stage;

/// A server that says which worker answers.
const HELLO: &str = r#"
    const cluster = require('cluster');
    require('http').createServer((request, response) => response.end(String(cluster.worker.id)))
        .listen(Number(process.env.PORT), '127.0.0.1');
"#;
