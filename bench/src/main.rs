//! Phalanx beside its peers: every case starts the servers in turn, several rounds, and prints medians as Markdown.
//!
//! ```text
//! cases ──▶ peers (start, end) ──▶ load (closed or open loop) ──▶ measure (CPU, memory of the tree)
//!   └────▶ pictures (photos, SSIMULACRA2) ──▶ table
//! ```
//!
//! Generator and servers share the machine: compare CPU per request before requests per second.

mod cases;
mod load;
mod measure;
mod peers;
mod table;

use std::process::ExitCode;

use cases::Settings;
use cases::image::ImageSettings;
use cases::ipc::IpcSettings;
use cases::memory::MemorySettings;
use cases::queue::QueueSettings;
use cases::run::RunSettings;
use cases::spawn::SpawnSettings;
use cases::stream::StreamSettings;
use cases::task::TaskSettings;
use cases::thread::ThreadSettings;
use clap::{Parser, Subcommand};

/// Phalanx beside its peers, in one run, as Markdown
#[derive(Parser)]
#[command(name = "cargo xtask bench", bin_name = "cargo xtask bench", version)]
struct CommandLine {
    #[command(subcommand)]
    case: Case,
}

#[derive(Subcommand)]
enum Case {
    /// Photos per second beside express + multer + sharp + cluster, with bytes and a quality score
    Upload(Settings),
    /// POST /process beside a new worker_thread per request and beside piscina; /livez meanwhile
    Process(Settings),
    /// CPU per request of a constant answer, beside nginx and node:cluster
    Hello(Settings),
    /// 0.9 and 3 times the capacity: what is accepted, how late, how much memory
    Overload(Settings),
    /// How evenly two workers share one listener, and what the gate costs
    Gate(Settings),
    /// Messages between two processes, beside a bare socket pair, ipc-channel and child_process.fork
    Ipc(IpcSettings),
    /// Starting a program and waiting for it, beside std, tokio and child_process.spawn; also from a large parent
    Spawn(SpawnSettings),
    /// A pool, worker threads, ports, shared words and a ring, beside tokio, rayon, bare futexes, iceoryx2 and Node
    Thread(ThreadSettings),
    /// Tasks on threads and in sandboxed processes, beside procspawn, tinypool, workerpool and piscina
    Task(TaskSettings),
    /// Durable jobs and messages, beside a bare SQLite owner, BullMQ, lapin, amqplib, rdkafka and SKIP LOCKED by hand
    Queue(QueueSettings),
    /// Files copied, compressed and encrypted, beside Node, two threads by hand, pigz, gzip, zstd, rage and age
    Stream(StreamSettings),
    /// Pictures in memory to pictures in memory, beside sharp and libjpeg-turbo: CPU time, quality, bytes, memory
    Image(ImageSettings),
    /// Allocators under uploads: throughput, peak, and what goes back; the peak beside express + multer + sharp + cluster
    Memory(MemorySettings),
    /// Programs that know nothing of us, beside node:cluster and PM2: speed, killed workers, reloads, memory, output
    Run(RunSettings),
}

fn main() -> ExitCode {
    let line = CommandLine::parse();
    let runtime = match tokio::runtime::Builder::new_current_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => {
            eprintln!("bench: cannot start the event loop: {error}");
            return ExitCode::FAILURE;
        }
    };
    runtime.block_on(async {
        tokio::select! {
            () = run(line.case) => ExitCode::SUCCESS,
            // Leaving the future ends the servers that it holds.
            _ = interrupted() => ExitCode::from(130),
        }
    })
}

async fn run(case: Case) {
    match case {
        Case::Upload(settings) => cases::upload::run(&settings).await,
        Case::Process(settings) => cases::process::run(&settings).await,
        Case::Hello(settings) => cases::hello::run(&settings).await,
        Case::Overload(settings) => cases::overload::run(&settings).await,
        Case::Gate(settings) => cases::gate::run(&settings).await,
        Case::Ipc(settings) => cases::ipc::run(&settings).await,
        Case::Spawn(settings) => cases::spawn::run(&settings).await,
        Case::Thread(settings) => cases::thread::run(&settings).await,
        Case::Task(settings) => cases::task::run(&settings).await,
        Case::Queue(settings) => cases::queue::run(&settings).await,
        Case::Stream(settings) => cases::stream::run(&settings).await,
        Case::Image(settings) => cases::image::run(&settings).await,
        Case::Memory(settings) => cases::memory::run(&settings).await,
        Case::Run(settings) => cases::run::run(&settings).await,
    }
}

async fn interrupted() -> std::io::Result<()> {
    use tokio::signal::unix::{SignalKind, signal};
    let mut terminated = signal(SignalKind::terminate())?;
    tokio::select! {
        result = tokio::signal::ctrl_c() => result,
        _ = terminated.recv() => Ok(()),
    }
}
