//! `phalanx ctl`: asks a running server, over its control socket, and tells the truth with its exit code.
//!
//! ```text
//!   ctl ── HTTP + JSON over a Unix socket ──► front ──► primary
//!              ▲ connection lost (the front may be killed at any time): connect again, ask for the operation by its number
//! ```
//!
//! Exit codes: 0 done; 1 the server refused, or the operation failed; 64 a wrong command line; 69 (`EX_UNAVAILABLE`) no
//! server is there.

mod apps;
mod arguments;
mod client;
mod describe;
mod heap_profile;
mod operation;
mod processes;
mod status;
mod stream;

pub(crate) use arguments::CtlArguments;

use std::path::PathBuf;

use arguments::Command;
use client::Client;
use serde_json::Value;
use tokio::runtime::Runtime;

use crate::config;
use crate::run_command::places;
use crate::start::Failure;

/// Runs one command of `phalanx ctl`.
pub(crate) fn run(arguments: &CtlArguments) -> Result<(), Failure> {
    runtime()?.block_on(async {
        match &arguments.command {
            Command::Ls => apps::list(arguments.json).await,
            Command::Describe { name: Some(name) } => {
                perform(arguments, Client::new(places::socket_of(name)?).of_app(name)).await
            }
            _ => perform(arguments, client(arguments)?).await,
        }
    })
}

/// The status of an app.
pub(crate) fn status_of(socket: PathBuf, name: &str) -> Result<Value, Failure> {
    let client = Client::new(socket).of_app(name);
    Ok(runtime()?.block_on(async { client.get("/status").await })?)
}

fn runtime() -> Result<Runtime, Failure> {
    let built = tokio::runtime::Builder::new_current_thread().enable_all().build();
    built.map_err(|error| Failure::Other(format!("cannot start a runtime: {error}")))
}

/// Of the app or the server that was named, or of the server of this folder.
fn client(arguments: &CtlArguments) -> Result<Client, Failure> {
    match (&arguments.app, &arguments.control) {
        (Some(name), _) => Ok(Client::new(places::socket_of(name)?).of_app(name)),
        (None, Some(path)) => Ok(Client::new(path.clone())),
        (None, None) => Ok(Client::new(config::control_socket(arguments.config.as_deref())?)),
    }
}

async fn perform(arguments: &CtlArguments, client: Client) -> Result<(), Failure> {
    let json = arguments.json;
    match &arguments.command {
        Command::Ls => apps::list(json).await,
        Command::Describe { .. } => {
            let status = client.get("/status").await?;
            tell(json, &status, describe::text_of);
            Ok(())
        }
        Command::Status => {
            let status = client.get("/status").await?;
            tell(json, &status, status::table);
            Ok(())
        }
        Command::Reload(wait) => operation::perform(&client, "/reload", wait, json).await,
        Command::Upgrade(wait) => operation::perform(&client, "/upgrade", wait, json).await,
        Command::Rollback(wait) => operation::perform(&client, "/rollback", wait, json).await,
        Command::Scale { workers, wait } => {
            operation::perform(&client, &format!("/scale?workers={workers}"), wait, json).await
        }
        Command::Stop { now } => {
            let answer = client.post(if *now { "/stop?now=1" } else { "/stop" }).await?;
            tell(json, &answer, |_| "stopping".to_owned());
            Ok(())
        }
        Command::Kill { worker, signal } => {
            let answer = client.post(&format!("/workers/{worker}/kill?signal={signal}")).await?;
            tell(json, &answer, |_| format!("worker {worker} was sent {signal}"));
            Ok(())
        }
        Command::HeapProfile(arguments) => heap_profile::perform(&client, arguments, json).await,
        Command::Events => stream::events(&client, json).await,
        Command::Logs { worker, lines, follow } => stream::logs(&client, *worker, *lines, *follow).await,
    }
}

/// The answer as it came, or as a person reads it. A closed standard output is no failure of the server.
fn tell(json: bool, answer: &Value, text: impl FnOnce(&Value) -> String) {
    use std::io::Write;
    let line = if json { answer.to_string() } else { text(answer) };
    let _ = writeln!(std::io::stdout(), "{}", line.trim_end());
}
