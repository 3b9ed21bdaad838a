//! PostgreSQL: `initdb` and `postgres`, as an unprivileged user if we are root, as which it refuses to run.

use std::fs;
use std::os::unix::fs::{PermissionsExt, chown};
use std::path::{Path, PathBuf};
use std::process::Command;

use rustix::process::Signal;

use crate::port::Port;
use crate::probe;
use crate::programs::{is_executable, on_path, run};
use crate::running::{Kind, Running, broker};

/// Debian keeps each version's programs apart, and not on the PATH.
const DEBIAN: &str = "/usr/lib/postgresql";
/// `nobody` and `nogroup`, in Debian's numbers (base-passwd).
const UNPRIVILEGED: u32 = 65_534;
const MAX_CONNECTIONS: u32 = 200;
/// The version of the protocol in a startup message: 3.0.
const PROTOCOL: [u8; 4] = [0, 3, 0, 0];
/// The first byte of an answer that is not an error: what authentication it wants.
const AUTHENTICATION: u8 = b'R';

/// A PostgreSQL that is there for you alone.
pub struct PostgreSql(Running<Server>);

/// How a [`PostgreSql`] shall be.
#[derive(Debug, Clone, Default)]
pub struct PostgreSqlBuilder {
    user: Option<(String, String)>,
}

struct Server {
    programs: PathBuf,
    port: Port,
    user: Option<(String, String)>,
}

impl PostgreSql {
    /// Starts one and waits until it answers; `None` if PostgreSQL is not installed.
    ///
    /// # Errors
    ///
    /// It ends, or does not answer within two minutes; the message holds its last words.
    pub fn start() -> Result<Option<Self>, String> {
        Self::builder().start()
    }

    /// One that asks for a password.
    pub fn builder() -> PostgreSqlBuilder {
        PostgreSqlBuilder::default()
    }

    /// `postgres://USER@127.0.0.1:PORT/postgres`, the user being its superuser.
    pub fn url(&self) -> String {
        let Server { port, user, .. } = &self.0.kind;
        let who = user.as_ref().map_or_else(|| "postgres".to_owned(), |(user, password)| format!("{user}:{password}"));
        format!("postgres://{who}@{}/postgres", port.address())
    }

    /// The version that is installed, if it says so.
    pub fn version(&self) -> Option<String> {
        let said = run(Command::new(self.0.kind.programs.join("postgres")).arg("--version")).ok()?;
        Some(said.split_whitespace().nth(2)?.to_owned())
    }
}

broker!(PostgreSql);

impl PostgreSqlBuilder {
    /// Its superuser, who must give this password (SCRAM-SHA-256), instead of `postgres`, who needs none. Both may have the
    /// characters that a URL takes as they are.
    #[must_use]
    pub fn password(mut self, user: &str, password: &str) -> Self {
        self.user = Some((user.to_owned(), password.to_owned()));
        self
    }

    /// Starts it and waits until it answers; `None` if PostgreSQL is not installed.
    ///
    /// # Errors
    ///
    /// It ends, or does not answer within two minutes; the message holds its last words.
    pub fn start(self) -> Result<Option<PostgreSql>, String> {
        let Some(programs) = installed() else { return Ok(None) };
        let server = Server { programs, port: Port::free()?, user: self.user };
        Running::start(server).map(|running| Some(PostgreSql(running)))
    }
}

/// The folder with `initdb` and `postgres`: on the PATH, or Debian's latest.
fn installed() -> Option<PathBuf> {
    let has_both = |folder: &Path| ["initdb", "postgres"].iter().all(|name| is_executable(&folder.join(name)));
    let on_path = on_path("postgres", &[]).and_then(|program| Some(program.parent()?.to_owned()));
    if let Some(folder) = on_path.filter(|folder| has_both(folder)) {
        return Some(folder);
    }
    let versions = fs::read_dir(DEBIAN).ok()?.flatten().map(|entry| entry.path().join("bin"));
    let number = |folder: &PathBuf| folder.parent()?.file_name()?.to_str()?.parse::<u32>().ok();
    versions.filter(|folder| has_both(folder)).max_by_key(number)
}

impl Server {
    /// `program` of PostgreSQL, as a user who may run it.
    fn command(&self, program: &str, folder: &Path) -> Command {
        let program = self.programs.join(program);
        let mut command = if rustix::process::geteuid().is_root() {
            let mut command = Command::new("setpriv");
            command.arg(format!("--reuid={UNPRIVILEGED}")).arg(format!("--regid={UNPRIVILEGED}"));
            command.arg("--clear-groups").arg(program);
            command
        } else {
            Command::new(program)
        };
        command.current_dir(folder).env("LC_ALL", "C").arg("-D").arg(data(folder));
        command
    }

    fn make_data_folder(folder: &Path) -> std::io::Result<()> {
        fs::create_dir(data(folder))?;
        if rustix::process::geteuid().is_root() {
            fs::set_permissions(folder, fs::Permissions::from_mode(0o711))?;
            chown(data(folder), Some(UNPRIVILEGED), Some(UNPRIVILEGED))?;
        }
        fs::set_permissions(data(folder), fs::Permissions::from_mode(0o700))
    }
}

fn data(folder: &Path) -> PathBuf {
    folder.join("data")
}

impl Kind for Server {
    const NAME: &'static str = "postgres";
    /// Immediate shutdown: nothing is written any more, but its shared memory is given back.
    const END: Signal = Signal::QUIT;

    fn prepare(&self, folder: &Path) -> Result<(), String> {
        Self::make_data_folder(folder).map_err(|error| format!("cannot make a folder for PostgreSQL: {error}"))?;
        let mut initialise = self.command("initdb", folder);
        initialise.args(["--no-sync", "--no-locale", "--encoding=UTF8", "--auth-local=trust"]);
        match &self.user {
            None => initialise.args(["--username=postgres", "--auth-host=trust"]),
            Some((user, password)) => {
                let file = folder.join("password");
                fs::write(&file, format!("{password}\n"))
                    .map_err(|error| format!("cannot write a password: {error}"))?;
                initialise.args([&format!("--username={user}"), "--auth-host=scram-sha-256"]);
                initialise.arg(format!("--pwfile={}", file.display()))
            }
        };
        run(&mut initialise).map(drop)
    }

    fn programs(&self, folder: &Path) -> Vec<Command> {
        let mut server = self.command("postgres", folder);
        server.args(["-p", &self.port.number().to_string()]);
        for setting in [
            "listen_addresses=127.0.0.1".to_owned(),
            "unix_socket_directories=".to_owned(),
            // In files of the data folder, which go with it.
            "dynamic_shared_memory_type=mmap".to_owned(),
            format!("max_connections={MAX_CONNECTIONS}"),
        ] {
            server.arg("-c").arg(setting);
        }
        vec![server]
    }

    fn answers(&self) -> bool {
        let user = self.user.as_ref().map_or("postgres", |(user, _)| user);
        let mut question = PROTOCOL.to_vec();
        for text in ["user", user, "database", "postgres", ""] {
            question.extend_from_slice(text.as_bytes());
            question.push(0);
        }
        let length = u32::try_from(question.len() + 4).unwrap_or(u32::MAX).to_be_bytes();
        let question = [&length[..], &question].concat();
        probe::answers(self.port.address(), &question, |answer: &[u8; 1]| answer[0] == AUTHENTICATION)
    }
}
