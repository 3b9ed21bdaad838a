//! Redis, for the benches: with an `fsync` for each command, or with no file at all.

use std::path::Path;
use std::process::Command;

use crate::port::Port;
use crate::probe;
use crate::programs::{on_path, run};
use crate::running::{Kind, Running, broker};

/// A Redis that is there for you alone.
pub struct Redis(Running<Server>);

/// What Redis has done when it answers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Durability {
    /// `appendonly yes`, `appendfsync always`: what it confirmed is on the disk.
    EachCommand,
    /// No file: what it confirmed is in its memory.
    Memory,
}

struct Server {
    port: Port,
    durability: Durability,
}

impl Redis {
    /// Starts one and waits until it answers; `None` if Redis is not installed.
    ///
    /// # Errors
    ///
    /// It ends, or does not answer within two minutes; the message holds its last words.
    pub fn start(durability: Durability) -> Result<Option<Self>, String> {
        if on_path("redis-server", &[]).is_none() {
            return Ok(None);
        }
        Running::start(Server { port: Port::free()?, durability }).map(|running| Some(Self(running)))
    }

    /// `redis://127.0.0.1:PORT`.
    pub fn url(&self) -> String {
        format!("redis://{}", self.0.kind.port.address())
    }

    /// The version that is installed, if it says so.
    pub fn version(&self) -> Option<String> {
        let said = run(Command::new("redis-server").arg("--version")).ok()?;
        Some(said.split_whitespace().find_map(|word| word.strip_prefix("v="))?.to_owned())
    }
}

broker!(Redis);

impl Kind for Server {
    const NAME: &'static str = "redis";

    fn prepare(&self, _: &Path) -> Result<(), String> {
        Ok(())
    }

    fn programs(&self, folder: &Path) -> Vec<Command> {
        let mut server = Command::new("redis-server");
        server.args(["--bind", "127.0.0.1", "--port", &self.port.number().to_string(), "--save", ""]);
        server.arg("--dir").arg(folder).current_dir(folder);
        match self.durability {
            Durability::EachCommand => server.args(["--appendonly", "yes", "--appendfsync", "always"]),
            Durability::Memory => server.args(["--appendonly", "no"]),
        };
        vec![server]
    }

    fn answers(&self) -> bool {
        probe::answers(self.port.address(), b"PING\r\n", |answer: &[u8; 5]| answer == b"+PONG")
    }
}
