//! Kafka: one node that is broker and controller (KRaft), on Java, from Maven's jars.

use std::ffi::OsString;
use std::fs;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::certificates::Certificates;
use crate::port::Port;
use crate::programs::{on_path, run};
use crate::running::{Kind, Running, broker};
use crate::{jars, probe};

const HEAP: &str = "-Xmx512m";
/// `ApiVersions`, version 0, with the number 7 and no client's name.
const QUESTION: [u8; 14] = [0, 0, 0, 10, 0, 18, 0, 0, 0, 0, 0, 7, 0xff, 0xff];
/// Length, the number 7, no error.
const ANSWER_END: [u8; 6] = [0, 0, 0, 7, 0, 0];
/// Of the `SCRAM` that it stores for its user; `PLAIN` is understood as well.
const SCRAM: [&str; 2] = ["SCRAM-SHA-256", "SCRAM-SHA-512"];

/// A Kafka that is there for you alone.
pub struct Kafka(Running<Node>);

/// How a [`Kafka`] shall be.
#[derive(Debug, Clone, Default)]
pub struct KafkaBuilder {
    tls: bool,
    user: Option<(String, String)>,
}

struct Node {
    jars: PathBuf,
    plain: Port,
    controller: Port,
    guarded: Option<Guarded>,
}

/// A second listener, with TLS, a password, or both.
struct Guarded {
    port: Port,
    tls: bool,
    user: Option<(String, String)>,
}

impl Kafka {
    /// Starts one and waits until it answers; `None` if Java or Maven is not installed.
    ///
    /// # Errors
    ///
    /// Maven cannot fetch the jars; it ends, or does not answer within two minutes; the message holds its last words.
    pub fn start() -> Result<Option<Self>, String> {
        Self::builder().start()
    }

    /// One with a second listener that has TLS, or asks for a password.
    pub fn builder() -> KafkaBuilder {
        KafkaBuilder::default()
    }

    /// `kafka://127.0.0.1:PORT`: no TLS, no password.
    pub fn url(&self) -> String {
        format!("kafka://{}", self.address())
    }

    /// What librdkafka calls `bootstrap.servers`: no TLS, no password.
    pub fn address(&self) -> SocketAddr {
        self.0.kind.plain.address()
    }

    /// The listener with TLS, a password (`PLAIN`, `SCRAM-SHA-256`, `SCRAM-SHA-512`), or both, if it was built with one.
    pub fn guarded_address(&self) -> Option<SocketAddr> {
        self.0.kind.guarded.as_ref().map(|guarded| guarded.port.address())
    }

    /// The same as a URL: `kafkas://USER:PASSWORD@127.0.0.1:PORT`, or `kafka://…` if it has no TLS.
    pub fn guarded_url(&self) -> Option<String> {
        let Guarded { port, tls, user } = self.0.kind.guarded.as_ref()?;
        let scheme = if *tls { "kafkas" } else { "kafka" };
        let login = user.as_ref().map_or_else(String::new, |(user, password)| format!("{user}:{password}@"));
        Some(format!("{scheme}://{login}{}", port.address()))
    }

    /// What a client is to trust, a file in PEM, if it was built with TLS.
    pub fn authority(&self) -> Option<PathBuf> {
        let tls = self.0.kind.guarded.as_ref().is_some_and(|guarded| guarded.tls);
        tls.then(|| Certificates::in_folder(self.0.folder()).authority)
    }

    /// The version that Maven brings.
    pub fn version(&self) -> &'static str {
        jars::VERSION
    }
}

broker!(Kafka);

impl KafkaBuilder {
    /// Listens on a second port with TLS.
    #[must_use]
    pub fn tls(mut self) -> Self {
        self.tls = true;
        self
    }

    /// Listens on a second port on which this user must give this password. Both may have letters and digits.
    #[must_use]
    pub fn password(mut self, user: &str, password: &str) -> Self {
        self.user = Some((user.to_owned(), password.to_owned()));
        self
    }

    /// Starts it and waits until it answers; `None` if Java or Maven is not installed.
    ///
    /// # Errors
    ///
    /// Maven cannot fetch the jars; it ends, or does not answer within two minutes; the message holds its last words.
    pub fn start(self) -> Result<Option<Kafka>, String> {
        if on_path("java", &[]).is_none() {
            return Ok(None);
        }
        let Some(jars) = jars::folder()? else { return Ok(None) };
        let guarded = if self.tls || self.user.is_some() {
            Some(Guarded { port: Port::free()?, tls: self.tls, user: self.user })
        } else {
            None
        };
        let node = Node { jars, plain: Port::free()?, controller: Port::free()?, guarded };
        Running::start(node).map(|running| Some(Kafka(running)))
    }
}

impl Node {
    fn java(&self, folder: &Path) -> Command {
        let mut class_path = OsString::from(&self.jars);
        class_path.push("/*");
        let mut java = Command::new("java");
        java.arg(HEAP).arg("-Dorg.slf4j.simpleLogger.defaultLogLevel=warn").arg("-cp").arg(class_path);
        java.current_dir(folder);
        java
    }

    fn properties(&self, folder: &Path) -> String {
        let (plain, controller) = (self.plain.address(), self.controller.address());
        let mut listeners = format!("PLAINTEXT://{plain},CONTROLLER://{controller}");
        let mut protocols = "PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT".to_owned();
        let mut guarded_settings = String::new();
        if let Some(guarded) = &self.guarded {
            listeners += &format!(",GUARDED://{}", guarded.port.address());
            protocols += &format!(",GUARDED:{}", guarded.protocol());
            guarded_settings = guarded.properties(folder);
        }
        format!(
            "process.roles=broker,controller\nnode.id=1\ncontroller.quorum.voters=1@{controller}\n\
             listeners={listeners}\nlistener.security.protocol.map={protocols}\ncontroller.listener.names=CONTROLLER\n\
             inter.broker.listener.name=PLAINTEXT\nlog.dirs={data}\n{ALONE}{QUICK}{guarded_settings}",
            data = folder.join("data").display(),
        )
    }
}

/// One node has one copy of everything.
const ALONE: &str = "\
offsets.topic.replication.factor=1
offsets.topic.num.partitions=1
transaction.state.log.replication.factor=1
transaction.state.log.min.isr=1
transaction.state.log.num.partitions=1
share.coordinator.state.topic.replication.factor=1
share.coordinator.state.topic.min.isr=1
share.coordinator.state.topic.num.partitions=1
";

/// Nobody else is waited for; a dead consumer may be noticed sooner than Kafka's 6 s; and a node that was killed may register
/// again sooner than Kafka's 9 s.
const QUICK: &str = "\
group.initial.rebalance.delay.ms=0
group.min.session.timeout.ms=1000
broker.session.timeout.ms=2000
broker.heartbeat.interval.ms=500
controlled.shutdown.enable=false
";

impl Guarded {
    fn protocol(&self) -> &'static str {
        match (self.tls, self.user.is_some()) {
            (true, true) => "SASL_SSL",
            (true, false) => "SSL",
            (false, _) => "SASL_PLAINTEXT",
        }
    }

    fn properties(&self, folder: &Path) -> String {
        let mut text = String::new();
        if self.tls {
            let Certificates { both, .. } = Certificates::in_folder(folder);
            text += &format!("ssl.keystore.type=PEM\nssl.keystore.location={}\n", both.display());
        }
        if let Some((user, password)) = &self.user {
            let modules = "org.apache.kafka.common.security";
            let listener = "listener.name.guarded";
            text += &format!("{listener}.sasl.enabled.mechanisms=PLAIN,{}\n", SCRAM.join(","));
            text += &format!(
                "{listener}.plain.sasl.jaas.config={modules}.plain.PlainLoginModule required user_{user}=\"{password}\";\n"
            );
            for mechanism in SCRAM {
                text += &format!(
                    "{listener}.{}.sasl.jaas.config={modules}.scram.ScramLoginModule required;\n",
                    mechanism.to_lowercase()
                );
            }
        }
        text
    }
}

impl Kind for Node {
    const NAME: &'static str = "kafka";

    fn prepare(&self, folder: &Path) -> Result<(), String> {
        let properties = folder.join("server.properties");
        fs::write(&properties, self.properties(folder))
            .map_err(|error| format!("cannot write {}: {error}", properties.display()))?;
        if self.guarded.as_ref().is_some_and(|guarded| guarded.tls) {
            Certificates::in_folder(folder).write()?;
        }
        let mut format = self.java(folder);
        // A cluster's number is 16 bytes in base64; this folder knows no other cluster.
        format.args(["kafka.tools.StorageTool", "format", "--cluster-id", "phalanxphalanxphalanxA", "--config"]);
        format.arg(&properties);
        if let Some((user, password)) = self.guarded.as_ref().and_then(|guarded| guarded.user.as_ref()) {
            for mechanism in SCRAM {
                format.arg("--add-scram").arg(format!("{mechanism}=[name={user},password={password}]"));
            }
        }
        run(&mut format).map(drop)
    }

    fn programs(&self, folder: &Path) -> Vec<Command> {
        let mut server = self.java(folder);
        server.arg("kafka.Kafka").arg(folder.join("server.properties"));
        vec![server]
    }

    fn answers(&self) -> bool {
        // It opens one port after the other.
        probe::answers(self.plain.address(), &QUESTION, |answer: &[u8; 10]| answer[4..] == ANSWER_END)
            && self.guarded.as_ref().is_none_or(|guarded| probe::listens(guarded.port.address()))
    }
}
