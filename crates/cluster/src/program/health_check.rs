//! [`HealthCheck`]: a question that a healthy program answers.

use std::fmt;
use std::net::SocketAddr;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// A question that a healthy program answers. As text: `http://HOST:PORT/PATH` or `tcp:HOST:PORT`, with IP addresses or
/// `localhost` for hosts.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub enum HealthCheck {
    /// A `GET` that has to be answered with 200 to 399.
    Http {
        /// Where.
        address: SocketAddr,
        /// Path and query.
        path: String,
    },
    /// A connection that has to be accepted.
    Tcp {
        /// Where.
        address: SocketAddr,
    },
}

/// A health check that makes no sense.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WrongHealthCheck {
    text: String,
    why: String,
}

impl fmt::Display for WrongHealthCheck {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "\"{}\" is no health check: {}; write http://127.0.0.1:3000/healthz or tcp:127.0.0.1:3000",
            self.text, self.why
        )
    }
}

impl std::error::Error for WrongHealthCheck {}

impl FromStr for HealthCheck {
    type Err = WrongHealthCheck;

    fn from_str(text: &str) -> Result<HealthCheck, WrongHealthCheck> {
        let wrong = |why: &str| WrongHealthCheck { text: text.to_owned(), why: why.to_owned() };
        let address = |text: &str, usual: u16| -> Result<SocketAddr, WrongHealthCheck> {
            let text = text.replace("localhost", "127.0.0.1");
            let with_port = if text.parse::<std::net::IpAddr>().is_ok() { format!("{text}:{usual}") } else { text };
            with_port.parse().map_err(|_| wrong("its address is no IP address with a port"))
        };
        if let Some(rest) = text.strip_prefix("http://") {
            let (host, path) = rest.split_at(rest.find('/').unwrap_or(rest.len()));
            let path = if path.is_empty() { "/" } else { path };
            if path.bytes().any(|byte| byte <= b' ' || byte == 0x7f) {
                return Err(wrong("its path holds a blank or a control character"));
            }
            return Ok(HealthCheck::Http { address: address(host, 80)?, path: path.to_owned() });
        }
        match text.strip_prefix("tcp:") {
            Some(rest) => {
                let rest = rest.trim_start_matches('/');
                rest.parse().or_else(|_| address(rest, 0)).map(|address| HealthCheck::Tcp { address })
            }
            None => Err(wrong("it begins with neither http:// nor tcp:")),
        }
    }
}

impl fmt::Display for HealthCheck {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            HealthCheck::Http { address, path } => write!(f, "http://{address}{path}"),
            HealthCheck::Tcp { address } => write!(f, "tcp:{address}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_person_types_is_understood() {
        let checked = |text: &str| text.parse::<HealthCheck>().map(|check| check.to_string());
        assert_eq!(checked("http://127.0.0.1:3000/healthz?x=1").unwrap(), "http://127.0.0.1:3000/healthz?x=1");
        assert_eq!(checked("http://localhost:8080").unwrap(), "http://127.0.0.1:8080/");
        assert_eq!(checked("http://10.0.0.1/a").unwrap(), "http://10.0.0.1:80/a");
        assert_eq!(checked("tcp:[::1]:9").unwrap(), "tcp:[::1]:9");
    }

    #[test]
    fn what_makes_no_sense_is_refused_with_an_example() {
        for text in ["", "https://127.0.0.1/", "http://example.com/", "tcp:here", "http://127.0.0.1:3000/a b"] {
            let error = text.parse::<HealthCheck>().unwrap_err().to_string();
            assert!(error.contains("tcp:127.0.0.1:3000"), "{error}");
        }
    }
}
