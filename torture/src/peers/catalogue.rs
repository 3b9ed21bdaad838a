//! [`Peer`]: the servers beside ours, and how each is started and reloaded.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::Command;

use super::install::{self, Installed};

/// Workers of every server.
const WORKERS: &str = "2";

/// A server that is tortured.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Peer {
    Phalanx,
    NodeCluster,
    Pm2,
    Gunicorn,
    Uvicorn,
    Granian,
    Nginx,
}

/// In the order of the table.
pub(super) const ALL: [Peer; 7] =
    [Peer::Phalanx, Peer::Nginx, Peer::Gunicorn, Peer::Uvicorn, Peer::Granian, Peer::NodeCluster, Peer::Pm2];

/// Everything that starting one needs.
#[derive(Debug, Clone)]
pub(super) struct Place {
    pub(super) address: SocketAddr,
    /// For its files.
    pub(super) folder: PathBuf,
    pub(super) installed: Installed,
    pub(super) victim: PathBuf,
}

impl Peer {
    pub(super) fn name(self) -> &'static str {
        match self {
            Peer::Phalanx => "phalanx",
            Peer::NodeCluster => "node:cluster",
            Peer::Pm2 => "PM2",
            Peer::Gunicorn => "gunicorn",
            Peer::Uvicorn => "uvicorn",
            Peer::Granian => "granian",
            Peer::Nginx => "nginx",
        }
    }

    /// What it is made of.
    pub(super) fn versions(self) -> String {
        let python = || install::first_line(Command::new("python3").arg("--version")).unwrap_or_default();
        let node = || install::first_line(Command::new("node").arg("--version")).unwrap_or_default();
        match self {
            Peer::Phalanx => format!("phalanx {}", env!("CARGO_PKG_VERSION")),
            Peer::NodeCluster => format!("node {}, a careful script", node().trim_start_matches('v')),
            Peer::Pm2 => format!("{}, node {}", install::version("pm2"), node().trim_start_matches('v')),
            Peer::Gunicorn => format!("{} (gthread), {}", install::version("gunicorn"), python()),
            Peer::Uvicorn => format!("{}, {}", install::version("uvicorn"), python()),
            Peer::Granian => format!("{}, {}", install::version("granian"), python()),
            Peer::Nginx => install::first_line(Command::new(nginx()).arg("-v")).map_or_else(
                || "nginx is not installed".into(),
                |line| line.replace("nginx version: nginx/", "nginx "),
            ),
        }
    }

    /// How to start it; what is missing is installed.
    pub(super) fn command(self, place: &Place) -> Result<Command, String> {
        let address = place.address.to_string();
        let mut command = match self {
            Peer::Phalanx => {
                let mut command = Command::new(&place.victim);
                command
                    .env("TORTURE_LISTEN", &address)
                    .env("TORTURE_WORKERS", WORKERS)
                    .env("TORTURE_DRAIN_MS", "10000");
                command
            }
            Peer::NodeCluster => {
                let mut command = Command::new("node");
                command.arg(script("node-cluster.js"));
                command
            }
            Peer::Pm2 => {
                let mut command = Command::new(place.installed.pm2()?);
                command.arg("start").arg(script("pm2.config.js"));
                command
            }
            Peer::Gunicorn => {
                let mut command = Command::new(place.installed.python("gunicorn")?);
                command.args([
                    "--workers",
                    WORKERS,
                    "--worker-class",
                    "gthread",
                    "--threads",
                    "16",
                    "--log-level",
                    "error",
                ]);
                command.args(["--graceful-timeout", "10", "--keep-alive", "15", "--bind", &address, "app_wsgi:app"]);
                command
            }
            Peer::Uvicorn => {
                let mut command = Command::new(place.installed.python("uvicorn")?);
                command.args(["--workers", WORKERS, "--no-access-log", "--log-level", "error", "--host", "127.0.0.1"]);
                command.args(["--timeout-graceful-shutdown", "10", "--port", &place.address.port().to_string()]);
                command.arg("app_asgi:app");
                command
            }
            Peer::Granian => {
                let mut command = Command::new(place.installed.python("granian")?);
                command.args([
                    "--workers",
                    WORKERS,
                    "--interface",
                    "asgi",
                    "--log-level",
                    "error",
                    "--host",
                    "127.0.0.1",
                ]);
                command.args(["--respawn-failed-workers", "--workers-kill-timeout", "10"]);
                command.args(["--port", &place.address.port().to_string(), "app_asgi:app"]);
                command
            }
            Peer::Nginx => nginx_command(place)?,
        };
        command
            .env("PORT", place.address.port().to_string())
            .env("PYTHONPATH", scripts())
            .env("NODE_ENV", "production");
        command.env("PM2_HOME", place.folder.join("pm2")).current_dir(&place.folder);
        Ok(command)
    }

    /// How it is told to reload, if not by SIGHUP to its first process.
    pub(super) fn reload_command(self, place: &Place) -> Option<Command> {
        self.pm2_command(place, &["reload", "all"])
    }

    /// How it is told to end, if its first process is not our child.
    pub(super) fn end_command(self, place: &Place) -> Option<Command> {
        self.pm2_command(place, &["kill"])
    }

    /// The file with the pid of its first process, if that is not our child.
    pub(super) fn pid_file(self, place: &Place) -> Option<PathBuf> {
        (self == Peer::Pm2).then(|| place.folder.join("pm2/pm2.pid"))
    }

    fn pm2_command(self, place: &Place, arguments: &[&str]) -> Option<Command> {
        if self != Peer::Pm2 {
            return None;
        }
        let mut command = Command::new(place.installed.pm2().ok()?);
        command.args(arguments).env("PM2_HOME", place.folder.join("pm2")).current_dir(&place.folder);
        Some(command)
    }
}

fn nginx_command(place: &Place) -> Result<Command, String> {
    let (here, address) = (place.folder.display(), place.address);
    let configuration = format!(
        "daemon off;
worker_processes {WORKERS};
worker_shutdown_timeout 10s;
pid {here}/nginx.pid;
error_log stderr error;
events {{ worker_connections 1024; }}
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
        listen {address};
        location / {{ return 200 \"$arg_id $pid 0\"; }}
    }}
}}
"
    );
    let file = place.folder.join("nginx.conf");
    std::fs::write(&file, configuration).map_err(|error| format!("cannot write {}: {error}", file.display()))?;
    let mut command = Command::new(nginx());
    command.arg("-p").arg(&place.folder).args(["-e", "stderr", "-c"]).arg(file);
    Ok(command)
}

/// Distributions install it where users do not look.
fn nginx() -> PathBuf {
    let usual = Path::new("/usr/sbin/nginx");
    if usual.is_file() { usual.into() } else { "nginx".into() }
}

fn scripts() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("peers")
}

fn script(name: &str) -> PathBuf {
    scripts().join(name)
}
