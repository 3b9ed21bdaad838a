//! [`Connector`]: HTTP to S3, by reqwest with the TLS of the other brokers: rustls on ring, trusting what the system trusts.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use object_store::client::{
    HttpClient, HttpConnector, HttpError, HttpErrorKind, HttpRequest, HttpResponse, HttpService,
};
use object_store::{ClientConfigKey, ClientOptions};
use rustls::{ClientConfig, RootCertStore};

/// For a connection: as with brokers.
const CONNECT_DEADLINE: Duration = Duration::from_secs(10);
/// For an answer, beside the time of the bytes: as with brokers.
const ANSWER_DEADLINE: Duration = Duration::from_secs(30);
/// The slowest line that is waited for, in bytes per second: 1 Mbit/s.
const SLOWEST: u64 = 128 * 1024;
const USER_AGENT: &str = concat!("phalanx/", env!("CARGO_PKG_VERSION"));

/// How long so many bytes may take.
pub(super) fn longest(bytes: u64) -> Duration {
    ANSWER_DEADLINE + Duration::from_secs(bytes / SLOWEST)
}

/// Whether a variable is set to one of the words that object_store takes for true.
pub(super) fn says_yes(value: Option<&str>) -> bool {
    value.is_some_and(|value| ["1", "true", "on", "yes", "y"].contains(&value.to_ascii_lowercase().as_str()))
}

/// Makes the clients of a store: one for S3, and one for the keys of a role.
#[derive(Debug)]
pub(super) struct Connector;

impl HttpConnector for Connector {
    fn connect(&self, options: &ClientOptions) -> object_store::Result<HttpClient> {
        let allows_http = says_yes(options.get_config_value(&ClientConfigKey::AllowHttp).as_deref());
        let client = reqwest::Client::builder()
            .user_agent(USER_AGENT)
            .connect_timeout(CONNECT_DEADLINE)
            .https_only(!allows_http)
            // Another region's bucket: an error that says so.
            .redirect(reqwest::redirect::Policy::none())
            .tls_backend_preconfigured(tls().map_err(failed)?);
        Ok(HttpClient::new(InTime(client.build().map_err(failed)?)))
    }
}

/// A client whose requests end: within [`longest`] until the answer begins.
#[derive(Debug)]
struct InTime(reqwest::Client);

impl HttpService for InTime {
    fn call<'life0, 'async_trait>(
        &'life0 self,
        request: HttpRequest,
    ) -> Pin<Box<dyn Future<Output = Result<HttpResponse, HttpError>> + Send + 'async_trait>>
    where
        'life0: 'async_trait,
        Self: 'async_trait,
    {
        Box::pin(async move {
            let in_time = longest(request.body().content_length() as u64);
            match tokio::time::timeout(in_time, HttpService::call(&self.0, request)).await {
                Ok(answer) => answer,
                Err(late) => Err(HttpError::new(HttpErrorKind::Timeout, late)),
            }
        })
    }
}

fn tls() -> Result<ClientConfig, rustls::Error> {
    let mut roots = RootCertStore::empty();
    roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions()?;
    Ok(config.with_root_certificates(roots).with_no_client_auth())
}

fn failed(error: impl std::error::Error + Send + Sync + 'static) -> object_store::Error {
    object_store::Error::Generic { store: "S3", source: Box::new(error) }
}
