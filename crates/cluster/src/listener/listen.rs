//! [`Listen`]: what somebody wants a cluster to listen on.

use std::fmt;
use std::io;
use std::net::{SocketAddr, ToSocketAddrs};
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use super::address::{self, ListenAddress, UNIX, bad};
use crate::Error;

/// Mode of a Unix socket's file: its owner and its group may connect.
const UNIX_MODE: u32 = 0o660;

/// How connections come to the workers. Default [`Distribution::Shared`].
///
/// | | a worker that is killed loses | a worker that stands still | evenness | cost |
/// |---|---|---|---|---|
/// | [`Shared`](Self::Shared) | what it had accepted | costs no new connection | by the accept gate, ±2 | none |
/// | [`ReusePort`](Self::ReusePort) | what it had accepted | keeps its share waiting until it is killed | by the kernel's hash | none |
/// | [`RoundRobin`](Self::RoundRobin) | what it had taken | costs no new connection | exact | a process in between |
/// | [`LeastLoaded`](Self::LeastLoaded) | what it had taken | costs no new connection | by what is open | a process in between |
/// | [`Sticky`](Self::Sticky) | what it had taken | costs no new connection | by the clients' addresses | a process in between |
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
pub enum Distribution {
    /// One socket, from which all workers accept, with the accept gate in front ([`Gate`](crate::Gate)).
    #[default]
    Shared,
    /// One socket a place with `SO_REUSEPORT`: the kernel chooses by a hash of both addresses. The primary keeps all of
    /// them, and while a place has no worker another one accepts from its socket. A Unix socket and one that was given
    /// to us cannot be split: they stay [`Shared`](Self::Shared).
    ReusePort,
    /// A dispatcher process accepts, and hands the connections to the places in turn.
    RoundRobin,
    /// A dispatcher process accepts, and hands each connection to the worker with the fewest open ones.
    LeastLoaded,
    /// A dispatcher process accepts, and hands all connections of one client address to the same place, also over
    /// reloads. When a place has no worker, only its clients move.
    Sticky,
}

impl Distribution {
    /// Its name, as [`FromStr`] reads it.
    pub fn name(self) -> &'static str {
        match self {
            Distribution::Shared => "shared",
            Distribution::ReusePort => "reuseport",
            Distribution::RoundRobin => "round-robin",
            Distribution::LeastLoaded => "least-loaded",
            Distribution::Sticky => "sticky",
        }
    }

    /// Whether a dispatcher accepts.
    pub(crate) fn is_dispatched(self) -> bool {
        matches!(self, Distribution::RoundRobin | Distribution::LeastLoaded | Distribution::Sticky)
    }
}

impl fmt::Display for Distribution {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for Distribution {
    type Err = Error;

    fn from_str(text: &str) -> Result<Distribution, Error> {
        use Distribution::{LeastLoaded, ReusePort, RoundRobin, Shared, Sticky};
        let all = [Shared, ReusePort, RoundRobin, LeastLoaded, Sticky];
        all.into_iter().find(|known| known.name() == text).ok_or_else(|| {
            let names = all.map(Distribution::name).join(", ");
            Error::Setting { what: format!("\"{text}\" is no way to distribute connections; there are {names}") }
        })
    }
}

/// What to listen on, with its options. Anything that can be written as text becomes one:
///
/// | text | means |
/// |---|---|
/// | `127.0.0.1:3000`, `[::1]:3000` | that address; port 0 lets the kernel choose |
/// | `[::]:3000` | all addresses, IPv6 and IPv4; IPv6 only if an IPv4 address is asked for on the same port as well |
/// | `localhost:3000` | every address of that name |
/// | `unix:/run/app.sock` | a Unix socket; its file is made, and removed at the end |
/// | `unix:@app` | a Unix socket in the abstract namespace, without a file |
/// | `systemd` | every socket that systemd, or another parent, gave to us (`LISTEN_FDS`) |
/// | `systemd:NAME` | those of this `FileDescriptorName=` |
/// | `fd:3` | the one with this number; the first is 3 |
///
/// ```
/// use phalanx_cluster::{Distribution, Listen, cluster};
///
/// let cluster = cluster()
///     .listen("[::]:3000")
///     .listen(Listen::on("unix:/run/app.sock").mode(0o600))
///     .listen(Listen::on("127.0.0.1:9000").distribute(Distribution::Sticky));
/// ```
#[derive(Debug, Clone)]
#[must_use = "it does nothing until it is given to `Cluster::listen`"]
pub struct Listen {
    text: String,
    mode: u32,
    group: Option<String>,
    distribution: Option<Distribution>,
}

impl Listen {
    /// On `address`, as in the table above. Whether it makes sense is said by [`Cluster::run`](crate::Cluster::run).
    pub fn on(address: impl ToString) -> Listen {
        Listen { text: address.to_string(), mode: UNIX_MODE, group: None, distribution: None }
    }

    /// Who may connect to a Unix socket with a file: the permission bits of that file. Default 0660.
    pub fn mode(mut self, permissions: u32) -> Self {
        self.mode = permissions & 0o777;
        self
    }

    /// The group of a Unix socket's file, by name or number. Default: that of this process.
    pub fn group(mut self, group: impl ToString) -> Self {
        self.group = Some(group.to_string());
        self
    }

    /// How its connections come to the workers. Default: what [`Cluster::distribute`](crate::Cluster::distribute) says.
    pub fn distribute(mut self, distribution: Distribution) -> Self {
        self.distribution = Some(distribution);
        self
    }

    /// What is to be opened.
    pub(super) fn resolve(&self, default: Distribution) -> Result<Wanted, Error> {
        let distribution = self.distribution.unwrap_or(default);
        let what = if let Some(name) = self.text.strip_prefix(UNIX) {
            let address = address::unix(name).map_err(|why| bad(&self.text, why))?;
            let group = self.group.as_deref().map(group_number).transpose()?;
            What::Unix(address, FileAccess { mode: self.mode, group })
        } else if let Some(number) = self.text.strip_prefix("fd:") {
            let number = number.parse().map_err(|_| bad(&self.text, "no number follows fd:"))?;
            What::Given(Given::Number(number))
        } else if self.text == "systemd" {
            What::Given(Given::All)
        } else if let Some(name) = self.text.strip_prefix("systemd:") {
            What::Given(Given::Named(name.to_owned()))
        } else {
            What::Tcp(resolve(&self.text)?)
        };
        Ok(Wanted { text: self.text.clone(), what, distribution })
    }
}

impl<T: ToString> From<T> for Listen {
    fn from(address: T) -> Listen {
        Listen::on(address)
    }
}

/// What is to be opened, as far as it can be known without opening anything.
#[derive(Debug, Clone)]
pub(crate) struct Wanted {
    /// As somebody wrote it.
    pub(super) text: String,
    pub(super) what: What,
    pub(super) distribution: Distribution,
}

#[derive(Debug, Clone)]
pub(super) enum What {
    Tcp(Vec<SocketAddr>),
    Unix(ListenAddress, FileAccess),
    Given(Given),
}

/// Who may use the file of a Unix socket.
#[derive(Debug, Clone, Copy)]
pub(super) struct FileAccess {
    pub(super) mode: u32,
    pub(super) group: Option<u32>,
}

/// Which of the sockets that were given to us.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Given {
    All,
    Named(String),
    /// Counted as the parent did: the first is [`FIRST_GIVEN`].
    Number(usize),
}

/// Number of the first descriptor that a parent gives (sd_listen_fds(3)).
pub(super) const FIRST_GIVEN: usize = 3;

/// Every address that `text` (HOST:PORT) stands for.
fn resolve(text: &str) -> Result<Vec<SocketAddr>, Error> {
    let failed = |source| Error::Address { address: text.to_owned(), source };
    let mut addresses: Vec<SocketAddr> = Vec::new();
    for address in text.to_socket_addrs().map_err(failed)? {
        if !addresses.contains(&address) {
            addresses.push(address);
        }
    }
    match addresses.is_empty() {
        true => Err(failed(io::Error::new(io::ErrorKind::NotFound, "the name has no address"))),
        false => Ok(addresses),
    }
}

/// The number of a group that is given by name or number, as in `/etc/group`.
fn group_number(group: &str) -> Result<u32, Error> {
    if let Ok(number) = group.parse() {
        return Ok(number);
    }
    let all = std::fs::read_to_string("/etc/group").map_err(Error::system("read /etc/group"))?;
    all.lines()
        .map(|line| line.split(':').collect::<Vec<_>>())
        .find(|fields| fields.len() > 2 && fields[0] == group)
        .and_then(|fields| fields[2].parse().ok())
        .ok_or_else(|| Error::Setting {
            what: format!("the group \"{group}\" is not in /etc/group; write its name or number"),
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn resolved(text: &str) -> What {
        Listen::on(text).resolve(Distribution::Shared).unwrap().what
    }

    #[test]
    fn each_kind_of_text_is_told_apart() {
        assert!(matches!(resolved("127.0.0.1:3000"), What::Tcp(all) if all.len() == 1));
        assert!(matches!(resolved("localhost:3000"), What::Tcp(all) if !all.is_empty()));
        assert!(matches!(resolved("unix:@x"), What::Unix(ListenAddress::Abstract(name), _) if name == "x"));
        assert!(matches!(resolved("systemd"), What::Given(Given::All)));
        assert!(matches!(resolved("systemd:web"), What::Given(Given::Named(name)) if name == "web"));
        assert!(matches!(resolved("fd:4"), What::Given(Given::Number(4))));
    }

    #[test]
    fn what_is_no_address_is_said() {
        for text in ["nonsense", "fd:x", "unix:"] {
            let error = Listen::on(text).resolve(Distribution::Shared).unwrap_err();
            assert_eq!(error.exit_code(), 64);
            assert!(error.to_string().contains(&format!("\"{text}\" is no address")), "{error}");
        }
        let error = Listen::on("unix:x").group("no such group").resolve(Distribution::Shared).unwrap_err();
        assert!(error.to_string().contains("\"no such group\""), "{error}");
    }

    #[test]
    fn a_distribution_is_read_as_it_is_written() {
        for name in ["shared", "reuseport", "round-robin", "least-loaded", "sticky"] {
            assert_eq!(name.parse::<Distribution>().unwrap().to_string(), name);
        }
        assert!("random".parse::<Distribution>().unwrap_err().to_string().contains("least-loaded"));
    }
}
