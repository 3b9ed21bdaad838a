//! All servers that a bench may run.

use std::ffi::OsString;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::Command;

use super::{Absent, Launch, Ready, nginx, programs};

/// More connections from one address than any bench opens: all of them come from this machine.
const CONNECTIONS_FROM_HERE: &str = "4096";

/// Whether a server is ours.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Side {
    Ours,
    Rival,
}

/// A server of ours or of others.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, clap::ValueEnum)]
pub(crate) enum Contender {
    /// `phalanx serve`
    Phalanx,
    /// `phalanx serve --isolate thread`
    PhalanxThreads,
    /// `phalanx serve --isolate process`
    PhalanxProcesses,
    /// The public cluster() API with an axum router, in its default listener mode
    PhalanxHello,
    /// The same, ungated
    PhalanxUngated,
    /// hyper and the same axum router without phalanx: a process and a listening socket for each core
    ByHand,
    /// express + multer + sharp + cluster
    NodeUpload,
    /// express + cluster + a new worker_thread for each request
    NodeThread,
    /// express + cluster + piscina
    NodePiscina,
    /// node:cluster + node:http; the primary accepts (Node's default)
    NodeHello,
    /// node:cluster + node:http; the workers accept
    NodeHelloNone,
    /// nginx `return 200`, reuseport
    Nginx,
    /// A plain node:http server under `phalanx run`, as it comes: the connections are dealt out in turn
    Run,
    /// The same; the workers accept
    RunShared,
    /// The same server under node:cluster: in turn, ended workers are replaced
    RunCluster,
    /// The same server in PM2's cluster mode
    RunPm2,
    /// The same with what PM2's documentation asks of a program
    RunPm2Asked,
}

impl Contender {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Phalanx => "phalanx",
            Self::PhalanxThreads => "phalanx, isolate thread",
            Self::PhalanxProcesses => "phalanx, isolate process",
            Self::PhalanxHello => "phalanx cluster() + axum",
            Self::PhalanxUngated => "phalanx, gate off",
            Self::ByHand => "hyper + axum by hand, reuseport",
            Self::NodeUpload => "express + multer + sharp + cluster",
            Self::NodeThread => "express + cluster + new worker_thread",
            Self::NodePiscina => "express + cluster + piscina",
            Self::NodeHello => "node:cluster (round robin)",
            Self::NodeHelloNone => "node:cluster (SCHED_NONE)",
            Self::Nginx => "nginx",
            Self::Run => "phalanx run",
            Self::RunShared => "phalanx run, shared",
            Self::RunCluster => "node:cluster",
            Self::RunPm2 => "PM2",
            Self::RunPm2Asked => "PM2, program as it asks",
        }
    }

    pub(crate) fn side(self) -> Side {
        match self {
            Self::Phalanx
            | Self::PhalanxThreads
            | Self::PhalanxProcesses
            | Self::PhalanxHello
            | Self::PhalanxUngated
            | Self::Run
            | Self::RunShared => Side::Ours,
            _ => Side::Rival,
        }
    }

    /// How to start it with `workers` workers at `address`, or why that cannot be done here.
    pub(crate) fn launch(self, address: SocketAddr, workers: usize) -> Result<Launch, Absent> {
        match self {
            Self::Phalanx => phalanx_serve(address, workers, &[]),
            Self::PhalanxThreads => phalanx_serve(address, workers, &["--isolate", "thread"]),
            Self::PhalanxProcesses => phalanx_serve(address, workers, &["--isolate", "process"]),
            Self::PhalanxHello => phalanx_hello(address, workers, &[]),
            Self::PhalanxUngated => phalanx_hello(address, workers, &[("BENCH_GATE", "off")]),
            Self::ByHand => phalanx_hello(address, workers, &[("BENCH_LISTENER", "reuseport")]),
            Self::NodeUpload => node("upload.js", "/livez", address, workers, &[]),
            Self::NodeThread => node("process-thread.js", "/livez", address, workers, &[]),
            Self::NodePiscina => node("process-piscina.js", "/livez", address, workers, &[]),
            Self::NodeHello => node("hello.js", "/", address, workers, &[("NODE_CLUSTER_SCHED_POLICY", "rr")]),
            Self::NodeHelloNone => node("hello.js", "/", address, workers, &[("NODE_CLUSTER_SCHED_POLICY", "none")]),
            Self::Nginx => nginx::launch(address, workers),
            Self::Run => programs::phalanx_run(address, workers, &[]),
            Self::RunShared => programs::phalanx_run(address, workers, &["--distribution", "shared"]),
            Self::RunCluster => node("run/cluster.js", "/", address, workers, &[]),
            Self::RunPm2 => programs::pm2(address, workers, &["run/app.js", "--instances", &workers.to_string()]),
            Self::RunPm2Asked => programs::pm2(address, workers, &["run/pm2.config.js"]),
        }
    }

    /// Names and versions of what it is made of.
    pub(crate) fn versions(self) -> String {
        let packages: &[&str] = match self {
            Self::NodeUpload => &["express", "multer", "sharp"],
            Self::NodeThread => &["express"],
            Self::NodePiscina => &["express", "piscina"],
            Self::NodeHello | Self::NodeHelloNone | Self::RunCluster => &[],
            Self::RunPm2 | Self::RunPm2Asked => &["pm2"],
            Self::Run | Self::RunShared => {
                return format!("{}, {}", phalanx_version(), node_version());
            }
            Self::Nginx => return nginx::version(),
            Self::ByHand => return "hyper 1, axum 0.8".into(),
            _ => return phalanx_version(),
        };
        let mut versions = node_version();
        for package in packages {
            versions.push_str(&format!(", {package} {}", package_version(package).unwrap_or_default()));
        }
        versions
    }
}

fn phalanx_serve(address: SocketAddr, workers: usize, options: &[&str]) -> Result<Launch, Absent> {
    phalanx_serve_of(built_beside_us("phalanx")?, address, workers, options)
}

/// `phalanx serve` of another build.
pub(crate) fn phalanx_serve_of(
    program: PathBuf,
    address: SocketAddr,
    workers: usize,
    options: &[&str],
) -> Result<Launch, Absent> {
    let folder = folder()?;
    let mut arguments: Vec<OsString> = ["serve", "--listen", &address.to_string()].map(OsString::from).into();
    arguments.extend([
        "--workers".into(),
        workers.to_string().into(),
        "--store".into(),
        folder.path().join("store").into(),
    ]);
    arguments.extend(options.iter().map(OsString::from));
    let environment = ["PHALANX_MAX_CONNECTIONS_PER_IP", "PHALANX_MAX_CONNECTIONS"];
    let environment = environment.map(|name| (name, CONNECTIONS_FROM_HERE.into())).into();
    Ok(Launch::new(program, arguments, environment, Ready::Answers("/livez"), folder))
}

fn phalanx_hello(
    address: SocketAddr,
    workers: usize,
    options: &[(&'static str, &'static str)],
) -> Result<Launch, Absent> {
    let mut environment =
        vec![("BENCH_LISTEN", address.to_string().into()), ("BENCH_WORKERS", workers.to_string().into())];
    environment.extend(options.iter().map(|(name, value)| (*name, OsString::from(value))));
    let program = built_beside_us("phalanx-bench-hello")?;
    Ok(Launch::new(program, Vec::new(), environment, Ready::Answers("/"), folder()?))
}

fn node(
    script: &str,
    ready_path: &'static str,
    address: SocketAddr,
    workers: usize,
    options: &[(&'static str, &'static str)],
) -> Result<Launch, Absent> {
    let program = node_program()?;
    let script = node_script_with_packages(script)?;
    let folder = folder()?;
    let mut environment = vec![
        ("PORT", address.port().to_string().into()),
        ("WORKERS", workers.to_string().into()),
        ("UPLOAD_DIR", folder.path().into()),
        ("NODE_ENV", "production".into()),
    ];
    environment.extend(options.iter().map(|(name, value)| (*name, OsString::from(value))));
    Ok(Launch::new(program, vec![script.into()], environment, Ready::Answers(ready_path), folder))
}

pub(super) fn folder() -> Result<tempfile::TempDir, Absent> {
    tempfile::Builder::new()
        .prefix("phalanx-bench-")
        .tempdir()
        .map_err(|error| Absent(format!("no temporary folder for it: {error}")))
}

pub(crate) fn find_program(name: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH")?;
    let candidates = std::env::split_paths(&path).chain([PathBuf::from("/usr/sbin")]);
    candidates.map(|folder| folder.join(name)).find(|candidate| candidate.is_file())
}

pub(crate) fn first_line(command: &mut Command) -> Option<String> {
    let output = command.output().ok()?;
    let text = if output.stdout.is_empty() { output.stderr } else { output.stdout };
    String::from_utf8_lossy(&text).lines().next().map(str::to_owned)
}

pub(crate) fn node_program() -> Result<PathBuf, Absent> {
    find_program("node").ok_or_else(|| Absent("node is not installed".into()))
}

/// A script that needs no packages.
pub(crate) fn node_script(name: &str) -> PathBuf {
    node_folder().join(name)
}

/// A script that needs the packages of `package.json`.
pub(crate) fn node_script_with_packages(name: &str) -> Result<PathBuf, Absent> {
    if node_folder().join("node_modules").is_dir() {
        Ok(node_script(name))
    } else {
        Err(Absent("its packages are not installed: run `npm ci` in bench/peers/node".into()))
    }
}

pub(crate) fn node_version() -> String {
    let version = first_line(Command::new("node").arg("--version")).unwrap_or_default();
    format!("node {}", version.trim_start_matches('v'))
}

pub(crate) fn phalanx_version() -> String {
    format!("phalanx {}{}", env!("CARGO_PKG_VERSION"), commit())
}

pub(crate) fn rustc_version() -> String {
    first_line(Command::new("rustc").arg("--version")).unwrap_or_else(|| "rustc".into())
}

fn node_folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("peers/node")
}

/// Of a Node package that is installed.
pub(crate) fn package_version(package: &str) -> Option<String> {
    let file = node_folder().join("node_modules").join(package).join("package.json");
    let manifest: serde_json::Value = serde_json::from_str(&std::fs::read_to_string(file).ok()?).ok()?;
    Some(manifest.get("version")?.as_str()?.to_owned())
}

/// Of a crate that this program is built with.
pub(crate) fn crate_version(name: &str) -> Option<String> {
    let lock = std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("../Cargo.lock")).ok()?;
    locked_version(&lock, name)
}

fn locked_version(lock: &str, name: &str) -> Option<String> {
    let (_, after) = lock.split_once(&format!("name = \"{name}\"\nversion = \""))?;
    Some(after.split_once('"')?.0.to_owned())
}

/// Our own programs are built into the folder in which this one stands.
pub(crate) fn built_beside_us(name: &str) -> Result<PathBuf, Absent> {
    let own = std::env::current_exe().map_err(|error| Absent(format!("cannot find own folder: {error}")))?;
    let program = own.with_file_name(name);
    if program.is_file() {
        Ok(program)
    } else {
        Err(Absent(format!("{name} is not built; `cargo xtask bench` builds it")))
    }
}

fn commit() -> String {
    let mut git = Command::new("git");
    git.arg("-C").arg(env!("CARGO_MANIFEST_DIR")).args(["describe", "--always", "--dirty"]);
    match git.output() {
        Ok(output) if output.status.success() => format!(" ({})", String::from_utf8_lossy(&output.stdout).trim()),
        _ => String::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_crate_has_the_version_that_is_locked() {
        let lock = "[[package]]\nname = \"kanal-sys\"\nversion = \"9.0.0\"\n\n[[package]]\nname = \"kanal\"\nversion = \"0.1.1\"\n";
        assert_eq!(locked_version(lock, "kanal").as_deref(), Some("0.1.1"));
        assert_eq!(locked_version(lock, "rayon"), None);
    }
}
