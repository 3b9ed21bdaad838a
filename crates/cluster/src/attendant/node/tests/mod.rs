//! The hall with real Node processes, of each version that is here.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod choosing;
mod faults;
mod keeping;
mod leaving;
mod listening;
mod peers;
mod pretender;
mod relaying;
mod round_robin;
mod shared;
mod speed;
mod stage;

/// A server that says which worker answers.
const HELLO: &str = r#"
    const cluster = require('cluster');
    require('http').createServer((request, response) => response.end(String(cluster.worker.id)))
        .listen(Number(process.env.PORT), '127.0.0.1');
"#;

/// The same, but it can be made to work for a while.
const HELLO_SLOWLY: &str = r#"
    const cluster = require('cluster');
    require('http').createServer((request, response) => response.end(String(cluster.worker.id)))
        .listen(Number(process.env.PORT), '127.0.0.1');
    const work = () => {
        const end = Date.now() + 50;
        while (Date.now() < end);
        setImmediate(work);
    };
    process.on('message', () => { process.send('working'); work(); });
"#;
