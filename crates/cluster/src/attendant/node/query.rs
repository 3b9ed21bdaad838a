//! [`Query`]: where a worker wants to listen, in Node's words.

use std::fmt;

use phalanx_channel::node::Value;
use serde::{Deserialize, Serialize};

/// Connections that may wait in the kernel if the worker does not say how many, as in Node.
const BACKLOG: i32 = 511;

/// What is to be opened.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub(super) enum Kind {
    Tcp,
    Pipe,
    Udp4,
    Udp6,
    /// A descriptor that the primary was given, whatever it is.
    Given,
}

impl Kind {
    pub(super) fn is_udp(self) -> bool {
        matches!(self, Kind::Udp4 | Kind::Udp6)
    }
}

/// Where to listen: what workers share a socket by.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub(super) struct Target {
    pub(super) kind: Kind,
    /// An IP address or a path; nothing for all addresses.
    pub(super) address: Option<String>,
    /// 0: any port that is free.
    pub(super) port: u16,
    pub(super) descriptor: Option<i32>,
    /// Which of several: a worker that asks for port 0 twice wants two ports, and the next worker shares both.
    pub(super) index: u32,
}

/// A worker's wish.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Query {
    pub(super) target: Target,
    pub(super) backlog: i32,
    pub(super) only_v6: bool,
    pub(super) reuse_address: bool,
    /// Who may use a Unix socket beside its owner.
    pub(super) readable_by_all: bool,
    pub(super) writable_by_all: bool,
    /// What the server wants to share with its like in other workers, such as the keys of TLS tickets.
    pub(super) data: Option<Value>,
}

impl Query {
    /// Errors: what is missing or makes no sense.
    pub(super) fn read(message: &Value) -> Result<Query, String> {
        let number = |name: &str| message.get(name).and_then(Value::as_f64);
        let is = |name: &str| message.get(name) == Some(&true.into());
        let address = message.get("address").and_then(Value::as_str).map(str::to_owned);
        let descriptor = number("fd").filter(|fd| *fd >= 0.0 && *fd <= f64::from(i32::MAX)).map(|fd| fd as i32);
        let kind = match message.get("addressType") {
            _ if descriptor.is_some() => Kind::Given,
            Some(Value::Number(-1.0)) => Kind::Pipe,
            Some(Value::Number(4.0 | 6.0)) => Kind::Tcp,
            Some(Value::String(udp)) if udp == "udp4" => Kind::Udp4,
            Some(Value::String(udp)) if udp == "udp6" => Kind::Udp6,
            other => return Err(format!("a server of an unknown kind (addressType {other:?})")),
        };
        let port = match (kind, number("port")) {
            (Kind::Pipe | Kind::Given, _) => 0,
            (_, Some(port)) if port >= 0.0 && port <= f64::from(u16::MAX) && port.fract() == 0.0 => port as u16,
            // `listening` of a UDP socket may come without.
            (Kind::Udp4 | Kind::Udp6, None) => 0,
            (_, port) => return Err(format!("a server at port {port:?}")),
        };
        if kind == Kind::Pipe && address.is_none() {
            return Err("a Unix socket without a path".to_owned());
        }
        let index = number("index").filter(|index| *index >= 0.0 && *index <= f64::from(u32::MAX));
        let index = if port == 0 && kind != Kind::Pipe { index.unwrap_or(0.0) as u32 } else { 0 };
        let flags = number("flags").filter(|flags| *flags >= 0.0).unwrap_or(0.0) as u32;
        // It may be the boolean false.
        let backlog = number("backlog").filter(|backlog| *backlog >= 1.0).map_or(BACKLOG, |backlog| backlog as i32);
        let data = message.get("data").filter(|data| !matches!(data, Value::Null | Value::Undefined)).cloned();
        Ok(Query {
            target: Target { kind, address, port, descriptor, index },
            backlog,
            only_v6: flags & 1 != 0,
            reuse_address: flags & 4 != 0,
            readable_by_all: is("readableAll"),
            writable_by_all: is("writableAll"),
            data,
        })
    }
}

impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let address = self.address.as_deref();
        match (self.kind, self.descriptor) {
            (_, Some(descriptor)) => write!(f, "descriptor {descriptor}"),
            (Kind::Pipe, _) => write!(f, "unix:{}", address.unwrap_or_default().replace('\0', "@")),
            _ => {
                let udp = if self.kind.is_udp() { "udp:" } else { "" };
                match address.unwrap_or("*") {
                    v6 if v6.contains(':') => write!(f, "{udp}[{v6}]:{}", self.port),
                    v4 => write!(f, "{udp}{v4}:{}", self.port),
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use phalanx_channel::node::json;

    fn query(members: &str) -> Result<Query, String> {
        Query::read(&json::decode::<Value>(members.as_bytes()).unwrap())
    }

    #[test]
    fn queries_of_real_workers_are_understood() {
        let plain =
            query(r#"{"index":0,"data":null,"address":null,"port":8000,"addressType":4,"backlog":511,"flags":0}"#);
        let plain = plain.unwrap();
        assert_eq!((plain.target.kind, plain.target.port, plain.backlog), (Kind::Tcp, 8000, 511));
        assert_eq!(plain.target.address, None);
        let host =
            query(r#"{"index":3,"address":"::1","port":8000,"addressType":6,"flags":1,"backlog":false}"#).unwrap();
        assert_eq!((host.backlog, host.only_v6, host.target.index), (511, true, 0));
        assert_eq!(host.target.to_string(), "[::1]:8000");
        let any = query(r#"{"index":1,"address":null,"port":0,"addressType":4}"#).unwrap();
        assert_eq!(any.target.index, 1);
        let pipe = query(r#"{"index":0,"address":"/tmp/x","port":-1,"addressType":-1,"writableAll":true}"#).unwrap();
        assert!(pipe.writable_by_all && !pipe.readable_by_all);
        assert_eq!(pipe.target.to_string(), "unix:/tmp/x");
        let given = query(r#"{"fd":5,"address":null,"port":null,"addressType":null,"index":0}"#).unwrap();
        assert_eq!((given.target.kind, given.target.descriptor), (Kind::Given, Some(5)));
        let udp = query(r#"{"address":"0.0.0.0","port":53,"addressType":"udp4","fd":-1,"flags":4}"#).unwrap();
        assert_eq!((udp.target.kind, udp.reuse_address), (Kind::Udp4, true));
        assert_eq!(udp.target.to_string(), "udp:0.0.0.0:53");
    }

    #[test]
    fn what_makes_no_sense_is_an_error() {
        for wrong in [
            "{}",
            r#"{"addressType":5,"port":1}"#,
            r#"{"addressType":4}"#,
            r#"{"addressType":4,"port":65536}"#,
            r#"{"addressType":4,"port":1.5}"#,
            r#"{"addressType":4,"port":-7}"#,
            r#"{"addressType":-1,"port":-1}"#,
        ] {
            assert!(query(wrong).is_err(), "{wrong}");
        }
    }
}
