//! TLS: [`Tls`], the certificate of a server, kept up to date while it serves.
//!
//! ```text
//!   certificate file ┐                          ┌─ handshakes take the one that is current
//!   key file ────────┴─► look every 2 s ─► Current
//!                        (changed, and the       └─ a broken new file changes nothing: one error in the log
//!                         same at two looks)
//!
//!   secret of the cluster ─► a ticket key for each day, the same in all workers ─► whichever answers can resume
//! ```
//!
//! The handshake runs on the event loop. It counts as a part of the request's head: a client that is slow at it is cut
//! off by [`header_timeout`](crate::HttpServer::header_timeout).
//!
//! Errors: [`Error::Setting`] for files that cannot be read, are not PEM, or do not belong together. It names the file
//! and the line.

mod handshake;
mod pem;
mod tickets;
mod watch;

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use rustls::ServerConfig;
use rustls::crypto::CryptoProvider;
use rustls::server::{ClientHello, NoServerSessionStorage, ResolvesServerCert};
use rustls::sign::CertifiedKey;

use crate::Error;
use crate::secret::ClusterSecret;

/// What we speak under TLS, best first (RFC 7301).
const PROTOCOLS: [&[u8]; 2] = [b"h2", b"http/1.1"];

/// From one look at the files to the next.
const LOOK: Duration = Duration::from_secs(2);

/// A certificate and its key, for [`HttpServer::tls`](crate::HttpServer::tls). Cheap to clone; clones share everything.
///
/// ```no_run
/// # async fn example<S>(worker: phalanx_cluster::Worker, app: S) -> Result<(), phalanx_cluster::Error>
/// # where
/// #     S: tower_service::Service<
/// #             http::Request<hyper::body::Incoming>,
/// #             Response = http::Response<String>,
/// #             Error = std::convert::Infallible,
/// #             Future: Send,
/// #         > + Clone + Send + 'static,
/// # {
/// let tls = phalanx_cluster::Tls::from_files("/etc/ssl/site/fullchain.pem", "/etc/ssl/site/privkey.pem")?;
/// worker.http().tls(tls).serve(app).await
/// # }
/// ```
#[derive(Debug, Clone)]
pub struct Tls {
    source: Arc<Source>,
    look: Duration,
}

/// The files, and what was last read from them.
#[derive(Debug)]
struct Source {
    certificate: PathBuf,
    key: PathBuf,
    current: Mutex<Arc<CertifiedKey>>,
}

impl Tls {
    /// The certificate chain in `certificate` (PEM, the server's own first) and its private key in `key` (PEM: PKCS#8,
    /// PKCS#1 or SEC 1, not encrypted). Both may be the same file.
    ///
    /// While a server uses them, the files are looked at every 2 s, and taken up when they have changed and are whole;
    /// new connections get the new certificate. If they are broken then, the old ones stay, and one error is logged.
    ///
    /// Errors: [`Error::Setting`], with the file and the line.
    pub fn from_files(certificate: impl AsRef<Path>, key: impl AsRef<Path>) -> Result<Tls, Error> {
        let (certificate, key) = (certificate.as_ref().to_owned(), key.as_ref().to_owned());
        let current = Mutex::new(load(&certificate, &key)?);
        Ok(Tls { source: Arc::new(Source { certificate, key, current }), look: LOOK })
    }

    /// From one look at the files to the next. Default 2 s. A change is taken up at the second look that finds the same.
    pub fn look_every(mut self, interval: Duration) -> Self {
        self.look = interval.max(Duration::from_millis(10));
        self
    }

    /// Reads both files now. Connections that begin from here on get what is in them; if that is broken, everything
    /// stays as it was.
    pub fn reload(&self) -> Result<(), Error> {
        self.source.reload()
    }

    /// What handshakes are made with.
    pub(super) fn server_config(&self, secret: &ClusterSecret) -> Result<Arc<ServerConfig>, Error> {
        let mut config = ServerConfig::builder_with_provider(provider())
            .with_safe_default_protocol_versions()
            .map_err(|error| setting(format!("TLS cannot be set up: {error}")))?
            .with_no_client_auth()
            .with_cert_resolver(Arc::clone(&self.source) as Arc<dyn ResolvesServerCert>);
        config.alpn_protocols = PROTOCOLS.iter().map(|protocol| protocol.to_vec()).collect();
        // Sessions live with the clients, in tickets that every worker can read: nothing to remember, nothing to share.
        config.session_storage = Arc::new(NoServerSessionStorage {});
        config.ticketer = Arc::new(tickets::Tickets::new(secret));
        Ok(Arc::new(config))
    }
}

impl Source {
    fn reload(&self) -> Result<(), Error> {
        let new = load(&self.certificate, &self.key)?;
        *self.current.lock().unwrap_or_else(PoisonError::into_inner) = new;
        Ok(())
    }
}

impl ResolvesServerCert for Source {
    fn resolve(&self, _: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        Some(Arc::clone(&self.current.lock().unwrap_or_else(PoisonError::into_inner)))
    }
}

/// A whole certificate: the chain is read, the key is read, and they belong together.
fn load(certificate: &Path, key: &Path) -> Result<Arc<CertifiedKey>, Error> {
    let chain = pem::certificates(certificate)?;
    let private = pem::private_key(key)?;
    CertifiedKey::from_der(chain, private, &provider()).map(Arc::new).map_err(|error| {
        let (certificate, key) = (certificate.display(), key.display());
        setting(match error {
            rustls::Error::InconsistentKeys(_) => {
                format!("the key in {key} does not belong to the first certificate in {certificate}: give the key of that one, or put the server's own certificate first")
            }
            rustls::Error::InvalidCertificate(error) => {
                format!("the first certificate in {certificate} cannot be used: {error:?}")
            }
            error => format!("the key in {key} cannot be used ({error}): make an ECDSA, Ed25519 or RSA key"),
        })
    })
}

fn provider() -> Arc<CryptoProvider> {
    Arc::new(rustls::crypto::ring::default_provider())
}

fn setting(what: String) -> Error {
    Error::Setting { what }
}
