//! A program whose workers do what the settings say, so that one generation differs from the next.
//!
//! `TEST_SETTINGS` names the file. Its first word:
//!
//! | word | what the workers of that generation do |
//! |---|---|
//! | `ok…` | serve |
//! | `refuse` | nothing: the settings themselves are refused |
//! | `exit` | fail before they are ready |
//! | `hang` | never become ready |
//! | `eat` | take 100 MiB before they are ready |
//! | `die` | become ready, and die 50 ms later |
//! | `unhealthy` | answer 503 on `/readyz` |
//! | `give-up` | fail, and ask not to be started again |

use std::fs::File;
use std::io::{Read, Seek, SeekFrom, Write};
use std::path::Path;
use std::time::Duration;

use phalanx_cluster::{Affinity, Cluster, DoNotRestart, HealthGate, Worker};
use phalanx_process::Limit;

use crate::programs::{AnyError, serve_as, server};

/// The cluster of this program, which is the one with the file's name and a variant behind it.
pub(crate) fn cluster(variant: &str) -> Cluster {
    let file = std::env::var("TEST_SETTINGS").expect("a settings file");
    let cluster = server()
        .boot_deadline(Duration::from_secs(2))
        .drain_deadline(Duration::from_secs(5))
        .proof(Duration::from_millis(200))
        .settings(move || match std::fs::read_to_string(&file)? {
            text if text.starts_with("refuse") => Err("line 1: no such word: refuse".into()),
            text => Ok(text.into_bytes()),
        });
    let cluster = match version().as_str() {
        "greedy" => cluster.listen(std::env::var("TEST_TAKEN").expect("a taken address")),
        _ => cluster,
    };
    match variant {
        "hurried" => cluster.liveness(Duration::from_secs(2)).hung_grace(Duration::from_secs(2)),
        "requests" => cluster.max_requests(200),
        "lifetime" => cluster.max_lifetime(Duration::from_secs(1)),
        "soft-memory" => cluster.soft_memory(64 << 20),
        "hard-memory" => cluster.hard_memory(crate::hard_limit::BYTES),
        "companion" => crate::companions::with_helper(cluster),
        "two-companions" => crate::companions::with_helper(crate::companions::with_helper(cluster)),
        "bad-companion" => cluster.companion("helper", |_| Err("no luck today".into())),
        "pid-file" => cluster.pid_file(std::env::var_os("TEST_PID_FILE").expect("a pid file")),
        "nice" => cluster.nice(5).rlimit(Limit::OpenFiles, 300).affinity(Affinity::OnePerPlace),
        "control" => cluster.control(std::env::var_os("TEST_CONTROL").expect("a control socket")),
        "path" => cluster.health_gate(HealthGate::path("/readyz")),
        "command" => {
            let script = r#"test "$PHALANX_WORKER" -gt 0 && test -d "/proc/$PHALANX_WORKER_PID" && ! grep -q unhealthy "$TEST_SETTINGS""#;
            cluster.health_gate(HealthGate::command("sh", ["-c", script]))
        }
        _ => cluster,
    }
}

/// Stands between the executable and its version, at the end of the file.
const MARK: &str = "\nversion of this copy: ";

/// Copies this executable, as this version, in the place of whatever is there.
///
/// | version | what it does |
/// |---|---|
/// | `crashes` | dies before it does anything |
/// | `complains` | says so and exits with 3 |
/// | `bad-workers` | its workers fail before they are ready |
/// | `greedy` | listens on `TEST_TAKEN` too, which another process has |
/// | `hanging-workers` | its workers never become ready |
/// | anything else | what `TEST_SETTINGS` says |
pub(crate) fn install(file: &Path, version: &str) {
    let new = file.with_extension("new");
    std::fs::copy(std::env::current_exe().unwrap(), &new).unwrap();
    let mut copy = File::options().append(true).open(&new).unwrap();
    write!(copy, "{MARK}{version}").unwrap();
    drop(copy);
    std::fs::rename(&new, file).unwrap();
}

/// The version of this process.
pub(crate) fn version() -> String {
    let mut file = File::open("/proc/self/exe").unwrap();
    file.seek(SeekFrom::End(-100)).unwrap();
    let mut end = Vec::new();
    file.read_to_end(&mut end).unwrap();
    let end = String::from_utf8_lossy(&end).into_owned();
    end.rsplit_once(MARK).map(|(_, version)| version.to_owned()).unwrap_or_default()
}

/// What a broken version does first.
pub(crate) fn begin() {
    match version().as_str() {
        "crashes" => std::process::abort(),
        "complains" => {
            eprintln!("error: the store is of a later version");
            std::process::exit(3)
        }
        _ => {}
    }
}

/// The worker of this program.
pub(crate) async fn work(worker: Worker) -> Result<(), AnyError> {
    let settings = String::from_utf8(worker.settings().to_vec())?;
    match version().as_str() {
        "bad-workers" => return Err("this version is no good".into()),
        "hanging-workers" => std::future::pending().await,
        _ => {}
    }
    match settings.split_whitespace().next().unwrap_or_default() {
        "exit" => return Err("told to fail".into()),
        "hang" => std::future::pending().await,
        "give-up" => return Err(DoNotRestart::because("told to give up").into()),
        "eat" => std::mem::forget(std::hint::black_box(vec![1u8; 100 << 20])),
        "die" => {
            tokio::spawn(async {
                tokio::time::sleep(Duration::from_millis(50)).await;
                std::process::abort();
            });
        }
        _ => {}
    }
    serve_as(worker, settings).await
}
