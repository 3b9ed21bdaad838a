//! The other ends: Node processes of several versions, and the deadline that every wait has.

use std::ffi::OsStr;
use std::future::Future;
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::OnceLock;
use std::time::Duration;

use phalanx_channel::node::{Incoming, NodeChannel, Serialization, Value, advanced, json};

/// No test waits longer for anything.
const DEADLINE: Duration = Duration::from_secs(30);

pub(crate) const BOTH: [Serialization; 2] = [Serialization::Json, Serialization::Advanced];

pub(crate) async fn within<T>(event: impl Future<Output = T>) -> T {
    tokio::time::timeout(DEADLINE, event).await.expect("not within 30 s")
}

/// Two connected ends.
pub(crate) fn pair() -> (OwnedFd, OwnedFd) {
    let (ours, theirs) = UnixStream::pair().unwrap();
    (ours.into(), theirs.into())
}

/// The bytes of a message, as they go over the wire.
pub(crate) fn encode(serialization: Serialization, message: &Value) -> Vec<u8> {
    match serialization {
        Serialization::Json => json::encode(message).unwrap(),
        Serialization::Advanced => {
            let mut bytes = Vec::new();
            advanced::frame(&advanced::encode(message).unwrap(), &mut bytes).unwrap();
            bytes
        }
    }
}

/// A Node version.
#[derive(Debug, Clone)]
pub(crate) struct Node {
    pub(crate) program: PathBuf,
    /// Its major version.
    pub(crate) version: u32,
}

/// The folder with Node versions: `PHALANX_NODES`, or where `cargo xtask test` has installed them.
fn folder_of_versions() -> Option<PathBuf> {
    std::env::var_os("PHALANX_NODES").map(PathBuf::from).or_else(|| {
        let installed = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/node/node_modules");
        installed.is_dir().then_some(installed)
    })
}

/// All versions that are here. Under `CI=true` the four of `tests/node` must be.
pub(crate) fn nodes() -> &'static [Node] {
    static NODES: OnceLock<Vec<Node>> = OnceLock::new();
    NODES.get_or_init(|| {
        let architecture = if cfg!(target_arch = "aarch64") { "arm64" } else { "x64" };
        if let Some(folder) = folder_of_versions() {
            let program = |version| folder.join(format!("node{version}-{architecture}/bin/node"));
            return [18, 20, 22, 24].map(|version| Node { program: program(version), version }).to_vec();
        }
        let in_ci = std::env::var_os("CI").is_some_and(|ci| ci == "true");
        assert!(!in_ci, "no Node versions: run `npm ci` in tests/node, nothing is skipped in CI");
        let version = Command::new("node").args(["-p", "process.versions.node.split('.')[0]"]).output();
        let version = version.ok().and_then(|output| String::from_utf8(output.stdout).ok()?.trim().parse().ok());
        match version {
            Some(version) => {
                eprintln!("skipped: Node versions other than {version} (`npm ci` in tests/node installs them)")
            }
            None => eprintln!("skipped: all that needs Node (`npm ci` in tests/node installs four versions)"),
        }
        version.into_iter().map(|version| Node { program: "node".into(), version }).collect()
    })
}

/// A Node process as our child. Killed when dropped.
pub(crate) struct Forked {
    pub(crate) channel: NodeChannel,
    process: Child,
}

impl Node {
    /// Runs a script whose channel is its standard input.
    pub(crate) fn fork(&self, serialization: Serialization, script: &str) -> Forked {
        let (ours, theirs) = pair();
        let process = self.run(serialization, script, theirs);
        Forked { channel: NodeChannel::open(ours, serialization).unwrap(), process }
    }

    /// As [`fork`](Node::fork), with the bare end of the channel.
    pub(crate) fn run(&self, serialization: Serialization, script: &str, theirs: OwnedFd) -> Child {
        self.command(script)
            .env("NODE_CHANNEL_FD", "0")
            .env("NODE_CHANNEL_SERIALIZATION_MODE", serialization.name())
            .stdin(Stdio::from(theirs))
            .spawn()
            .unwrap()
    }

    /// Runs a script that is the parent.
    pub(crate) fn parent(&self, script: &str, variables: &[(&str, &OsStr)]) -> ExitStatus {
        let mut parent = self.command(script);
        parent.envs(variables.iter().copied()).stdin(Stdio::null()).spawn().unwrap().wait().unwrap()
    }

    fn command(&self, script: &str) -> Command {
        let mut command = Command::new(&self.program);
        // A script that fails says why; one that hangs ends.
        let guard = "setTimeout(() => { console.error('the script hangs'); process.exit(99) }, 60000).unref();";
        command.args(["-e", &format!("{guard}\n{script}")]).env_remove("NODE_OPTIONS");
        command
    }
}

impl Forked {
    pub(crate) async fn send(&self, message: impl Into<Value>) {
        within(self.channel.send(&message.into())).await.unwrap();
    }

    pub(crate) async fn incoming(&self) -> Incoming {
        within(self.channel.recv()).await.unwrap().expect("a message, not the end")
    }

    pub(crate) async fn recv(&self) -> Value {
        self.incoming().await.value
    }

    /// The channel is closed from here, and the script ends by itself: nothing has broken it.
    pub(crate) async fn ends_well(mut self) {
        self.channel.clone().close(DEADLINE).await.unwrap();
        assert_eq!(self.status().await.code(), Some(0));
    }

    pub(crate) async fn status(&mut self) -> ExitStatus {
        within(async {
            loop {
                if let Some(status) = self.process.try_wait().unwrap() {
                    return status;
                }
                // An exit is no event for std; the deadline is `within`.
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        })
        .await
    }

    pub(crate) fn kill(&mut self) {
        self.process.kill().unwrap();
    }
}

impl Drop for Forked {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}
