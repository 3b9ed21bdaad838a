//! What a newcomer meets: how long the first build takes, what it pulls in, how soon and how small the server answers.
//!
//! Times depend on the machine and are only printed. The number of crates and the size of the binary do not, and must hold.

use std::collections::BTreeSet;
use std::io::{Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use crate::step::{self, Failure};

const BUILD_SECONDS_LIMIT: f64 = 240.0;
/// The age format brings a third of them: its texts are translated.
const CRATES_LIMIT: usize = 280;
/// With zstd, age and their assembly; function names are a fifth of it.
const BINARY_MEGABYTES_LIMIT: f64 = 28.0;
const START_MILLISECONDS_LIMIT: f64 = 50.0;
const WORKER_MEBIBYTES_LIMIT: f64 = 8.0;

const STARTS: usize = 5;
const START_DEADLINE: Duration = Duration::from_secs(30);
const STOP_DEADLINE: Duration = Duration::from_secs(10);
const REST_BEFORE_MEASURING: Duration = Duration::from_secs(1);

/// Measures, prints the table, and fails on a figure that does not depend on the machine.
pub(crate) fn run() -> Result<(), Failure> {
    let crates = count_crates()?;
    let build = ColdBuild::run()?;
    let binary_megabytes = megabytes(&build.binary)?;
    let mut starts = (0..STARTS).map(|_| start_milliseconds(&build.binary)).collect::<Result<Vec<f64>, Failure>>()?;
    starts.sort_by(f64::total_cmp);
    let worker = resting_worker(&build.binary)?;

    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    println!("\n==> the first minutes, on {cores} cores");
    println!("| figure | measured | limit |\n|---|---|---|");
    println!(
        "| cold `cargo build --release`, sources already fetched | {:.0} s | {BUILD_SECONDS_LIMIT} s |",
        build.seconds
    );
    println!("| crates compiled | {crates} | {CRATES_LIMIT} |");
    println!("| size of the binary | {binary_megabytes:.1} MB | {BINARY_MEGABYTES_LIMIT} MB |");
    println!(
        "| start to first answer, median of {STARTS} | {:.1} ms | {START_MILLISECONDS_LIMIT} ms |",
        starts[STARTS / 2]
    );
    println!(
        "| a resting worker, resident (its fair share of shared pages) | {:.1} MiB ({:.1} MiB) | {WORKER_MEBIBYTES_LIMIT} MiB |",
        worker.resident, worker.proportional
    );

    if crates > CRATES_LIMIT {
        return Err(Failure::new(format!(
            "{crates} crates are compiled, the limit is {CRATES_LIMIT}: see `cargo tree -p phalanx-server`"
        )));
    }
    if binary_megabytes > BINARY_MEGABYTES_LIMIT {
        return Err(Failure::new(format!(
            "the binary has {binary_megabytes:.1} MB, the limit is {BINARY_MEGABYTES_LIMIT} MB"
        )));
    }
    Ok(())
}

/// The crates that `cargo run --release` compiles, our own included.
fn count_crates() -> Result<usize, Failure> {
    let arguments =
        ["tree", "--package", "phalanx-server", "--edges", "normal,build", "--prefix", "none", "--format", "{p}"];
    let tree = step::output(step::cargo().args(arguments))?;
    Ok(distinct_crates(&tree))
}

fn distinct_crates(tree: &str) -> usize {
    let name_and_version = |line: &str| {
        let mut words = line.split_whitespace();
        Some((words.next()?.to_owned(), words.next()?.to_owned()))
    };
    tree.lines().filter_map(name_and_version).collect::<BTreeSet<_>>().len()
}

/// A build into a folder of its own, which goes when this does.
struct ColdBuild {
    folder: PathBuf,
    binary: PathBuf,
    seconds: f64,
}

impl ColdBuild {
    fn run() -> Result<Self, Failure> {
        step::run(step::cargo().args(["fetch", "--locked"]))?;
        let folder = step::repository().join("target").join("first-minutes");
        remove(&folder)?;
        let started = Instant::now();
        // Held from here on, so that a failed build leaves no folder behind either.
        let mut build = Self { binary: folder.join("release/phalanx"), folder, seconds: 0.0 };
        step::run(
            step::cargo()
                .args(["build", "--release", "--locked", "--bin", "phalanx", "--target-dir"])
                .arg(&build.folder),
        )?;
        build.seconds = started.elapsed().as_secs_f64();
        Ok(build)
    }
}

impl Drop for ColdBuild {
    fn drop(&mut self) {
        if let Err(failure) = remove(&self.folder) {
            eprintln!("xtask: {failure}");
        }
    }
}

fn remove(folder: &Path) -> Result<(), Failure> {
    match std::fs::remove_dir_all(folder) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
            Err(Failure::new(format!("cannot remove {}: {error}", folder.display())))
        }
        _ => Ok(()),
    }
}

fn megabytes(file: &Path) -> Result<f64, Failure> {
    let metadata =
        file.metadata().map_err(|error| Failure::new(format!("the build left no {}: {error}", file.display())))?;
    Ok(metadata.len() as f64 / 1e6)
}

fn start_milliseconds(binary: &Path) -> Result<f64, Failure> {
    let server = Server::start(binary)?;
    Ok(server.first_answer.as_secs_f64() * 1e3)
}

struct Memory {
    resident: f64,
    proportional: f64,
}

fn resting_worker(binary: &Path) -> Result<Memory, Failure> {
    let server = Server::start(binary)?;
    std::thread::sleep(REST_BEFORE_MEASURING);
    let whoami = ask(server.address, "/whoami")
        .map_err(|error| Failure::new(format!("GET /whoami at {} failed: {error}", server.address)))?;
    let worker = number_after(&whoami, "\"pid\":")
        .ok_or_else(|| Failure::new(format!("GET /whoami named no pid; it answered {whoami:?}")))?;
    let read = |file: &str| {
        let path = format!("/proc/{worker}/{file}");
        std::fs::read_to_string(&path).map_err(|error| Failure::new(format!("cannot read {path}: {error}")))
    };
    let pages: usize = read("statm")?.split_whitespace().nth(1).and_then(|pages| pages.parse().ok()).unwrap_or(0);
    let kibibytes = number_after(&read("smaps_rollup")?, "\nPss:").unwrap_or(0);
    Ok(Memory {
        resident: (pages * rustix::param::page_size()) as f64 / 1048576.0,
        proportional: kibibytes as f64 / 1024.0,
    })
}

fn number_after(text: &str, label: &str) -> Option<u64> {
    let rest = text.get(text.find(label)? + label.len()..)?.trim_start();
    let digits = rest.find(|letter: char| !letter.is_ascii_digit()).unwrap_or(rest.len());
    rest[..digits].parse().ok()
}

/// A server of two workers that is stopped when this goes.
struct Server {
    process: Child,
    address: SocketAddr,
    first_answer: Duration,
    store: PathBuf,
}

impl Server {
    fn start(binary: &Path) -> Result<Self, Failure> {
        let address = free_address()?;
        let store = binary.with_file_name("store-of-a-measured-start");
        let started = Instant::now();
        let process = Command::new(binary)
            .args(["serve", "--workers", "2", "--listen", &address.to_string(), "--store"])
            .arg(&store)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .map_err(|error| Failure::new(format!("cannot start {}: {error}", binary.display())))?;
        let mut server = Self { process, address, first_answer: Duration::ZERO, store };
        while !ask(address, "/livez").is_ok_and(|answer| answer.starts_with("HTTP/1.1 200")) {
            if let Ok(Some(status)) = server.process.try_wait() {
                return Err(Failure::new(format!("`phalanx serve` ended with {status} before its first answer")));
            }
            if started.elapsed() > START_DEADLINE {
                return Err(Failure::new(format!(
                    "`phalanx serve` gave no answer at {address}/livez within {START_DEADLINE:?}"
                )));
            }
            std::thread::sleep(Duration::from_micros(500));
        }
        server.first_answer = started.elapsed();
        Ok(server)
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        if let Some(pid) = i32::try_from(self.process.id()).ok().and_then(rustix::process::Pid::from_raw) {
            let _ = rustix::process::kill_process(pid, rustix::process::Signal::TERM);
        }
        let asked = Instant::now();
        while matches!(self.process.try_wait(), Ok(None)) {
            if asked.elapsed() > STOP_DEADLINE {
                let _ = self.process.kill();
                let _ = self.process.wait();
                break;
            }
            std::thread::sleep(Duration::from_millis(5));
        }
        let _ = std::fs::remove_dir_all(&self.store);
    }
}

fn free_address() -> Result<SocketAddr, Failure> {
    TcpListener::bind((Ipv4Addr::LOCALHOST, 0))
        .and_then(|listener| listener.local_addr())
        .map_err(|error| Failure::new(format!("cannot find a free port on the loopback interface: {error}")))
}

/// One request on a connection of its own; the whole answer as text.
fn ask(address: SocketAddr, path: &str) -> std::io::Result<String> {
    let mut stream = TcpStream::connect_timeout(&address, Duration::from_secs(1))?;
    stream.set_read_timeout(Some(Duration::from_secs(5)))?;
    stream.write_all(format!("GET {path} HTTP/1.1\r\nhost: {address}\r\nconnection: close\r\n\r\n").as_bytes())?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer)?;
    Ok(answer)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_crate_that_two_others_use_counts_once() {
        let tree = "phalanx-server v0.1.0 (/here)\nbytes v1.12.1\nserde v1.0.1\nserde_derive v1.0.1 (proc-macro)\nbytes v1.12.1 (*)\n\n";
        assert_eq!(distinct_crates(tree), 4);
    }

    #[test]
    fn numbers_are_found_behind_their_label() {
        assert_eq!(number_after("{\"pid\":4123,\"worker\":1}", "\"pid\":"), Some(4123));
        assert_eq!(number_after("Rss: 9 kB\nPss:      2048 kB\n", "\nPss:"), Some(2048));
        assert_eq!(number_after("{}", "\"pid\":"), None);
    }
}
