//! nginx with a configuration of our own: a constant answer, one socket for each worker.

use std::net::SocketAddr;
use std::process::Command;

use super::catalogue::{find_program, first_line, folder};
use super::{Absent, Launch, Ready};

pub(super) fn launch(address: SocketAddr, workers: usize) -> Result<Launch, Absent> {
    let program = find_program("nginx").ok_or_else(|| Absent("nginx is not installed".into()))?;
    let folder = folder()?;
    let here = folder.path().display();
    let configuration = format!(
        "daemon off;
worker_processes {workers};
pid {here}/nginx.pid;
error_log stderr error;
events {{ worker_connections 4096; }}
http {{
    access_log off;
    keepalive_requests 1000000000;
    client_body_temp_path {here}/body;
    proxy_temp_path {here}/proxy;
    fastcgi_temp_path {here}/fastcgi;
    uwsgi_temp_path {here}/uwsgi;
    scgi_temp_path {here}/scgi;
    default_type text/plain;
    server {{
        listen {address} reuseport;
        location / {{ return 200 \"Hello, world!\"; }}
    }}
}}
"
    );
    let file = folder.path().join("nginx.conf");
    std::fs::write(&file, configuration).map_err(|error| Absent(format!("cannot write its configuration: {error}")))?;
    let arguments = vec!["-p".into(), folder.path().into(), "-e".into(), "stderr".into(), "-c".into(), file.into()];
    Ok(Launch::new(program, arguments, Vec::new(), Ready::Answers("/"), folder))
}

pub(super) fn version() -> String {
    let line = find_program("nginx").and_then(|nginx| first_line(Command::new(nginx).arg("-v")));
    line.map_or_else(|| "nginx not installed".into(), |line| line.replace("nginx version: nginx/", "nginx "))
}
