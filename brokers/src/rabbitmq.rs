//! RabbitMQ: `rabbitmq-server` with a port mapper of its own, so that neither Erlang's usual port nor a cookie in somebody's
//! home folder is touched.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::certificates::Certificates;
use crate::port::Port;
use crate::probe;
use crate::programs::{is_executable, on_path};
use crate::running::{Kind, Running, broker};

/// Debian's: what stands in `/usr/sbin` changes into the folder and the user of the system's own service.
const DEBIAN: &str = "/usr/lib/rabbitmq/bin/rabbitmq-server";
const WRAPPED: [&str; 2] = ["/usr/sbin", "/sbin"];
/// The header of AMQP 0-9-1.
const GREETING: &[u8; 8] = b"AMQP\0\0\x09\x01";
/// A method frame on channel 0, of whatever length, with `connection.start`.
const METHOD_FRAME: u8 = 1;

/// A RabbitMQ that is there for you alone.
pub struct RabbitMq(Running<Node>);

/// How a [`RabbitMq`] shall be.
#[derive(Debug, Clone, Default)]
pub struct RabbitMqBuilder {
    tls: bool,
    user: Option<(String, String)>,
}

struct Node {
    server: PathBuf,
    amqp: Port,
    amqps: Option<Port>,
    /// Of the nodes among themselves, and of the port mapper.
    distribution: Port,
    mapper: Port,
    user: Option<(String, String)>,
}

impl RabbitMq {
    /// Starts one and waits until it answers; `None` if RabbitMQ is not installed.
    ///
    /// # Errors
    ///
    /// It ends, or does not answer within two minutes; the message holds its last words.
    pub fn start() -> Result<Option<Self>, String> {
        Self::builder().start()
    }

    /// One with TLS, or with a user.
    pub fn builder() -> RabbitMqBuilder {
        RabbitMqBuilder::default()
    }

    /// `amqp://USER:PASSWORD@127.0.0.1:PORT/%2f`.
    pub fn url(&self) -> String {
        self.0.kind.url("amqp", &self.0.kind.amqp)
    }

    /// `amqps://…`, if it was built with TLS; [`authority`](Self::authority) has signed its certificate.
    pub fn tls_url(&self) -> Option<String> {
        self.0.kind.amqps.as_ref().map(|port| self.0.kind.url("amqps", port))
    }

    /// What a client is to trust, a file in PEM, if it was built with TLS.
    pub fn authority(&self) -> Option<PathBuf> {
        self.0.kind.amqps.as_ref().map(|_| Certificates::in_folder(self.0.folder()).authority)
    }

    /// The version that is installed, if its folder says so.
    pub fn version(&self) -> Option<String> {
        let server = self.0.kind.server.canonicalize().ok()?;
        let folder = server.parent()?.parent()?.file_name()?.to_str()?.to_owned();
        Some(folder.strip_prefix("rabbitmq_server-")?.to_owned())
    }
}

broker!(RabbitMq);

impl RabbitMqBuilder {
    /// Listens on a second port with TLS.
    #[must_use]
    pub fn tls(mut self) -> Self {
        self.tls = true;
        self
    }

    /// The one user that there is, instead of `guest` with the password `guest`. Both may have the characters that a URL
    /// takes as they are.
    #[must_use]
    pub fn password(mut self, user: &str, password: &str) -> Self {
        self.user = Some((user.to_owned(), password.to_owned()));
        self
    }

    /// Starts it and waits until it answers; `None` if RabbitMQ is not installed.
    ///
    /// # Errors
    ///
    /// It ends, or does not answer within two minutes; the message holds its last words.
    pub fn start(self) -> Result<Option<RabbitMq>, String> {
        let Some(server) = installed() else { return Ok(None) };
        let node = Node {
            server,
            amqp: Port::free()?,
            amqps: self.tls.then(Port::free).transpose()?,
            distribution: Port::free()?,
            mapper: Port::free()?,
            user: self.user,
        };
        Running::start(node).map(|running| Some(RabbitMq(running)))
    }
}

fn installed() -> Option<PathBuf> {
    on_path("rabbitmq-server", &WRAPPED)
        .or_else(|| Some(PathBuf::from(DEBIAN)).filter(|program| is_executable(program)))
}

impl Node {
    fn url(&self, scheme: &str, port: &Port) -> String {
        let (user, password) = self.user.as_ref().map_or(("guest", "guest"), |(user, password)| (user, password));
        format!("{scheme}://{user}:{password}@{}/%2f", port.address())
    }

    fn configuration(&self, folder: &Path) -> String {
        let mut text = format!(
            "listeners.tcp.1 = {}\nlog.console = true\nlog.console.level = warning\nlog.file = false\n",
            self.amqp.address()
        );
        if let Some(amqps) = &self.amqps {
            let Certificates { authority, certificate, key, .. } = Certificates::in_folder(folder);
            text += &format!(
                "listeners.ssl.1 = {}\nssl_options.cacertfile = {}\nssl_options.certfile = {}\n\
                 ssl_options.keyfile = {}\nssl_options.verify = verify_none\nssl_options.fail_if_no_peer_cert = false\n",
                amqps.address(),
                authority.display(),
                certificate.display(),
                key.display()
            );
        }
        if let Some((user, password)) = &self.user {
            text += &format!("default_user = {user}\ndefault_pass = {password}\n");
        }
        text
    }
}

impl Kind for Node {
    const NAME: &'static str = "rabbitmq";

    fn prepare(&self, folder: &Path) -> Result<(), String> {
        if self.amqps.is_some() {
            Certificates::in_folder(folder).write()?;
        }
        let files = [
            ("rabbitmq.conf", self.configuration(folder)),
            ("enabled_plugins", "[].\n".to_owned()),
            ("rabbitmq-env.conf", String::new()),
        ];
        for (name, text) in files {
            fs::write(folder.join(name), text).map_err(|error| format!("cannot write {name}: {error}"))?;
        }
        fs::create_dir(folder.join("home")).map_err(|error| format!("cannot make a home for RabbitMQ: {error}"))
    }

    fn programs(&self, folder: &Path) -> Vec<Command> {
        let mapper_port = self.mapper.number().to_string();
        let mut mapper = Command::new("epmd");
        mapper.args(["-port", &mapper_port, "-address", "127.0.0.1"]).current_dir(folder);
        let mut server = Command::new(&self.server);
        // With "input" the script becomes Erlang instead of staying above it; there is none.
        server.arg("-noinput").env("RABBITMQ_ALLOW_INPUT", "1").current_dir(folder);
        server.env("HOME", folder.join("home"));
        server.env("ERL_EPMD_PORT", &mapper_port).env("ERL_EPMD_ADDRESS", "127.0.0.1");
        server.env("RABBITMQ_NODENAME", format!("phalanx-{}@localhost", self.amqp.number()));
        server.env("RABBITMQ_DIST_PORT", self.distribution.number().to_string());
        server.env("RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS", "-kernel inet_dist_use_interface {127,0,0,1}");
        for (variable, name) in [
            ("RABBITMQ_CONF_ENV_FILE", "rabbitmq-env.conf"),
            ("RABBITMQ_CONFIG_FILE", "rabbitmq.conf"),
            ("RABBITMQ_ADVANCED_CONFIG_FILE", "advanced.config"),
            ("RABBITMQ_ENABLED_PLUGINS_FILE", "enabled_plugins"),
            ("RABBITMQ_MNESIA_BASE", "data"),
            ("RABBITMQ_LOG_BASE", "logs"),
            ("RABBITMQ_PID_FILE", "pid"),
            ("RABBITMQ_FEATURE_FLAGS_FILE", "feature_flags"),
            ("RABBITMQ_GENERATED_CONFIG_DIR", "generated"),
            ("RABBITMQ_SCHEMA_DIR", "schema"),
        ] {
            server.env(variable, folder.join(name));
        }
        vec![mapper, server]
    }

    fn answers(&self) -> bool {
        let is_start = |frame: &[u8; 11]| frame[0] == METHOD_FRAME && frame[7..] == [0, 10, 0, 10];
        // It opens one port after the other.
        probe::answers(self.amqp.address(), GREETING, is_start)
            && self.amqps.as_ref().is_none_or(|port| probe::listens(port.address()))
    }
}
