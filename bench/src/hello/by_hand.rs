//! The bound: one process for each core, each with a listening socket of its own (`SO_REUSEPORT`), hyper and the same
//! router; no supervision, no counters, no limits, no clean end.

use std::net::{SocketAddr, TcpListener};
use std::process::Command;

use hyper::server::conn::http1;
use hyper_util::rt::TokioIo;
use hyper_util::service::TowerToHyperService;
use socket2::{Domain, Protocol, Socket, Type};

use super::{AnyError, router};

const BACKLOG: i32 = 4096;
const WORKER: &str = "BENCH_REUSEPORT_WORKER";

/// Starts the processes and waits for them; in such a process, serves.
pub(super) fn run(address: SocketAddr, workers: usize) -> Result<(), AnyError> {
    if std::env::var_os(WORKER).is_some() {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        return runtime.block_on(serve(listen(address)?));
    }
    // Our own executable, not `phalanx::cluster()`: nothing of ours shall be in this figure.
    let executable = std::env::current_exe()?;
    let start = |number: usize| Command::new(&executable).env(WORKER, number.to_string()).spawn();
    let children = (0..workers).map(start).collect::<Result<Vec<_>, _>>()?;
    for mut child in children {
        child.wait()?;
    }
    Ok(())
}

fn listen(address: SocketAddr) -> Result<TcpListener, AnyError> {
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, Some(Protocol::TCP))?;
    socket.set_reuse_port(true)?;
    socket.set_nonblocking(true)?;
    socket.bind(&address.into())?;
    socket.listen(BACKLOG)?;
    Ok(socket.into())
}

async fn serve(listener: TcpListener) -> Result<(), AnyError> {
    let listener = tokio::net::TcpListener::from_std(listener)?;
    let service = TowerToHyperService::new(router("by hand"));
    loop {
        let (stream, _) = listener.accept().await?;
        stream.set_nodelay(true)?;
        let service = service.clone();
        tokio::spawn(async move {
            // A client that leaves in the middle is no trouble of ours.
            let _ = http1::Builder::new().pipeline_flush(true).serve_connection(TokioIo::new(stream), service).await;
        });
    }
}
