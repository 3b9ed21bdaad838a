//! Fresh connections a second, beside `node:cluster` on the same cores. Run by hand:
//! `cargo test --release -p phalanx-cluster --features program --lib -- --ignored --nocapture fresh_connections`

use std::net::SocketAddr;
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, mpsc};
use std::time::{Duration, Instant};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use super::stage::{each_version, round_robin};

const WORKERS: u32 = 2;
const CLIENTS: usize = 64;
const ROUNDS: usize = 3;
const ROUND: Duration = Duration::from_secs(3);

const SERVER: &str = r#"
    require('http').createServer((request, response) => response.end('Hello, world!'))
        .listen(Number(process.env.PORT), '127.0.0.1');
"#;

/// CPU time of a process so far, in seconds.
fn cpu(pid: u32) -> f64 {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    let fields: Vec<&str> = stat.rsplit(')').next().unwrap_or_default().split_whitespace().collect();
    let ticks = |at: usize| fields.get(at).and_then(|ticks| ticks.parse::<f64>().ok()).unwrap_or(0.0);
    (ticks(11) + ticks(12)) / 100.0
}

struct Figures {
    per_second: f64,
    failed: u64,
    primary: f64,
    workers: f64,
    load: f64,
}

/// Connects, asks once, reads to the end, again and again.
fn load(address: SocketAddr, primary: u32, workers: &[u32]) -> Figures {
    let (done, failed, stop) = (AtomicU64::new(0), AtomicU64::new(0), AtomicBool::new(false));
    let (done, failed, stop) = (Arc::new(done), Arc::new(failed), Arc::new(stop));
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let all = |pids: &[u32]| pids.iter().map(|pid| cpu(*pid)).sum::<f64>();
    let own = || cpu_of_thread();
    let (before, started) = ((cpu(primary), all(workers), own()), Instant::now());
    runtime.block_on(async {
        let clients: Vec<_> = (0..CLIENTS)
            .map(|_| {
                let (done, failed, stop) = (Arc::clone(&done), Arc::clone(&failed), Arc::clone(&stop));
                tokio::spawn(async move {
                    let mut answer = Vec::with_capacity(1024);
                    while !stop.load(Ordering::Relaxed) {
                        answer.clear();
                        let request = async {
                            let mut stream = TcpStream::connect(address).await?;
                            stream.write_all(b"GET / HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n").await?;
                            stream.read_to_end(&mut answer).await
                        };
                        let counter = if request.await.is_ok() && !answer.is_empty() { &done } else { &failed };
                        counter.fetch_add(1, Ordering::Relaxed);
                    }
                })
            })
            .collect();
        tokio::time::sleep(ROUND).await;
        stop.store(true, Ordering::Relaxed);
        for client in clients {
            client.await.unwrap();
        }
    });
    let count = done.load(Ordering::Relaxed) as f64;
    let micros = |seconds: f64| seconds * 1e6 / count;
    let load = own() - before.2;
    let same = primary == std::process::id();
    Figures {
        per_second: count / started.elapsed().as_secs_f64(),
        failed: failed.load(Ordering::Relaxed),
        primary: micros(cpu(primary) - before.0 - if same { load } else { 0.0 }),
        workers: micros(all(workers) - before.1),
        load: micros(load),
    }
}

fn cpu_of_thread() -> f64 {
    let time = rustix::time::clock_gettime(rustix::time::ClockId::ThreadCPUTime);
    time.tv_sec as f64 + time.tv_nsec as f64 / 1e9
}

/// `node:cluster` itself.
struct Rival {
    primary: Child,
    address: SocketAddr,
    workers: Vec<u32>,
}

impl Rival {
    fn start(node: &std::path::Path) -> Rival {
        let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let script = format!(
            "const cluster = require('cluster');
             if (cluster.isPrimary) {{
                 let left = {WORKERS};
                 for (let i = 0; i < {WORKERS}; i += 1) cluster.fork();
                 cluster.on('listening', () => {{
                     if (--left === 0) console.log(Object.values(cluster.workers).map(w => w.process.pid).join(' '));
                 }});
             }} else {{ {SERVER} }}"
        );
        let file = std::env::temp_dir().join(format!("phalanx-rival-{port}.js"));
        std::fs::write(&file, script).unwrap();
        let mut primary =
            Command::new(node).arg(&file).env("PORT", port.to_string()).stdout(Stdio::piped()).spawn().unwrap();
        let mut line = String::new();
        let mut output = std::io::BufReader::new(primary.stdout.take().unwrap());
        std::io::BufRead::read_line(&mut output, &mut line).unwrap();
        std::fs::remove_file(&file).unwrap();
        let workers = line.split_whitespace().map(|pid| pid.parse().unwrap()).collect();
        Rival { primary, address: SocketAddr::from(([127, 0, 0, 1], port)), workers }
    }
}

impl Drop for Rival {
    fn drop(&mut self) {
        for worker in &self.workers {
            let pid = rustix::process::Pid::from_raw(*worker as i32).unwrap();
            let _ = rustix::process::kill_process(pid, rustix::process::Signal::KILL);
        }
        let _ = self.primary.kill();
        let _ = self.primary.wait();
    }
}

#[test]
#[ignore = "a measurement"]
fn fresh_connections() {
    each_version(round_robin(), async |stage| {
        let mut workers = Vec::new();
        let mut address = None;
        for _ in 0..WORKERS {
            let (worker, at) = stage.serve(SERVER, 0).await;
            workers.push(worker);
            address = Some(at);
        }
        let pids: Vec<u32> = workers.iter().map(|worker| worker.child.pid()).collect();
        let (program, address) = (stage.node.program.clone(), address.unwrap());
        let (finished, wait) = mpsc::channel();
        let measuring = std::thread::spawn(move || {
            let rival = Rival::start(&program);
            let mut ratios = Vec::new();
            for _ in 0..ROUNDS {
                let ours = load(address, std::process::id(), &pids);
                let theirs = load(rival.address, rival.primary.id(), &rival.workers);
                ratios.push(ours.per_second / theirs.per_second);
                for (name, figures) in [("ours", ours), ("node", theirs)] {
                    let Figures { per_second, failed, primary, workers, load } = figures;
                    eprintln!(
                        "  {name} {per_second:8.0}/s  primary {primary:5.1} µs  workers {workers:5.1} µs  load {load:5.1} µs  failed {failed}"
                    );
                }
            }
            ratios.sort_by(f64::total_cmp);
            eprintln!("  median ratio {:.2}", ratios[ratios.len() / 2]);
            finished.send(()).unwrap();
        });
        while wait.try_recv().is_err() {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        measuring.join().unwrap();
    });
}
