//! What an app listens on, and how its workers get it.

use super::Wrong;
use crate::config::Distribution;
use crate::run_command::options::Options;

/// Of one app.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::run_command) struct Sockets {
    /// Empty if the program opens its own.
    pub(in crate::run_command) listen: Vec<String>,
    /// The variable that tells the numbers.
    pub(in crate::run_command) fd_env: Option<String>,
    pub(in crate::run_command) blocking: bool,
    pub(in crate::run_command) distribution: Distribution,
    /// Whether the program opens its own, and nobody said that several workers get along.
    pub(in crate::run_command) own: bool,
    /// Whether an old worker has to be gone before the new one starts, because both would bind the same.
    pub(in crate::run_command) old_first: bool,
}

impl Sockets {
    pub(super) fn check(options: &Options, node: bool) -> Result<Sockets, Wrong> {
        let listens = !options.listen.is_empty();
        let about_a_socket = [
            ("fd-env", options.fd_env.is_some()),
            ("blocking-listeners", options.blocking_listeners),
            ("listen", options.no_listen && listens),
        ];
        match about_a_socket.iter().find(|(_, given)| *given) {
            Some((name, _)) if options.no_listen => {
                return Err(Wrong(format!("{name} and no-listen contradict each other")));
            }
            Some((name, _)) if !listens => {
                return Err(Wrong(format!("{name} is about sockets that are handed out: name one with --listen")));
            }
            _ => {}
        }
        if let Some(name) = options.fd_env.as_deref().filter(|name| name.is_empty() || name.contains(['=', '\0'])) {
            return Err(Wrong(format!("fd-env: {name:?} is no name of a variable")));
        }
        let own = !(node || listens || options.no_listen);
        Ok(Sockets {
            listen: options.listen.iter().map(|address| any_host(address)).collect(),
            fd_env: options.fd_env.clone(),
            blocking: options.blocking_listeners,
            distribution: distribution(options.distribution, node)?,
            own,
            old_first: options.old_first || own,
        })
    }
}

/// `:8080` is every address of this machine.
fn any_host(address: &str) -> String {
    if address.starts_with(':') { format!("[::]{address}") } else { address.to_owned() }
}

/// Connections can be handed to Node only, which speaks of them on its channel; sockets of places only to those that inherit.
fn distribution(given: Option<Distribution>, node: bool) -> Result<Distribution, Wrong> {
    let usual = if node { Distribution::RoundRobin } else { Distribution::Shared };
    match given.unwrap_or(usual) {
        Distribution::ReusePort if node => Err(Wrong(
            "distribution reuseport is not for Node; write shared, round-robin, least-loaded or sticky".into(),
        )),
        Distribution::RoundRobin | Distribution::LeastLoaded | Distribution::Sticky if !node => Err(Wrong(
            "only Node takes connections that somebody else accepted: distribution can be shared or reuseport here"
                .into(),
        )),
        possible => Ok(possible),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_contradicts_is_named() {
        let why = |options: Options| Sockets::check(&options, false).unwrap_err().0;
        let fd_env = Options { fd_env: Some("FD".into()), ..Options::default() };
        assert!(why(fd_env.clone()).starts_with("fd-env is about sockets"));
        assert_eq!(why(Options { no_listen: true, ..fd_env }), "fd-env and no-listen contradict each other");
        let both = Options { no_listen: true, listen: vec!["x".into()], ..Options::default() };
        assert_eq!(why(both), "listen and no-listen contradict each other");
        let handed = Options { distribution: Some(Distribution::Sticky), ..Options::default() };
        assert!(why(handed.clone()).starts_with("only Node takes connections"));
        assert_eq!(Sockets::check(&handed, true).unwrap().distribution, Distribution::Sticky);
    }

    #[test]
    fn a_port_alone_is_on_every_address() {
        let options = Options { listen: vec![":80".into(), "unix:/x".into()], ..Options::default() };
        assert_eq!(Sockets::check(&options, false).unwrap().listen, ["[::]:80", "unix:/x"]);
    }
}
