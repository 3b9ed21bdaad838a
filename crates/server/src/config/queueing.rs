//! Where queued work is kept, and whether this server does it or only takes it in.

use std::fmt;
use std::path::Path;

use clap::ValueEnum;
use phalanx_queue::{Place, QueueName, QueueUrl};
use serde::{Deserialize, Serialize};

use super::settings::Settings;
use super::{ConfigError, NONE, within};

/// The embedded queue, in the store's folder.
const EMBEDDED_FOLDER: &str = "queue";

/// More jobs than that would fill any disk.
const MOST_WAITING: u64 = 1_000_000_000;

/// Whether the workers of this server do queued work.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum, Deserialize, Serialize)]
#[serde(rename_all = "kebab-case")]
#[allow(missing_docs)]
pub(crate) enum Working {
    // They do, when no request needs the cores.
    On,
    // They take jobs in; `phalanx work` does them.
    Off,
}

/// Whether clients may list jobs, and with them the ids by which anybody reads their results.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum, Deserialize, Serialize)]
#[serde(rename_all = "kebab-case")]
#[allow(missing_docs)]
pub(crate) enum Listing {
    // All clients may.
    On,
    // None may; `phalanx queue list` can.
    Off,
}

/// A queue, and what the workers do for it.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Queueing {
    /// `None` where there is to be no queue.
    pub(crate) queue: Option<QueueAt>,
    /// Queues that clients may put jobs into, and that the workers work for; the first is the usual one.
    pub(crate) names: Vec<QueueName>,
    /// Jobs that may wait in each of them, if it was said.
    pub(crate) limit: Option<u64>,
    pub(crate) working: Working,
    pub(crate) listing: Listing,
}

/// A URL that names a queue which this program can use.
#[derive(Clone, PartialEq)]
pub(crate) struct QueueAt {
    written: String,
    pub(crate) url: QueueUrl,
}

impl Queueing {
    pub(super) fn check(settings: &Settings, store: &Path) -> Result<Queueing, ConfigError> {
        let queue = queue_in(settings.queue.as_deref(), settings.queue_blobs.as_deref(), store)?;
        let keeps_its_own = |at: &QueueAt| matches!(at.url.place, Place::Embedded(_) | Place::Postgres(_));
        if settings.queue_limit.is_some() && !queue.as_ref().is_some_and(keeps_its_own) {
            let why = "queue-limit is for embedded: and postgres:// queues; a broker's own policies bound its queues";
            return Err(ConfigError(why.into()));
        }
        Ok(Queueing {
            queue,
            names: names(&settings.queues)?,
            limit: match settings.queue_limit {
                Some(limit) => Some(within("queue-limit", Some(limit), limit, 1..=MOST_WAITING)?),
                None => None,
            },
            working: settings.work.unwrap_or(Working::On),
            listing: settings.job_list.unwrap_or_else(|| match settings.listen.iter().all(|at| is_local(at)) {
                true => Listing::On,
                false => Listing::Off,
            }),
        })
    }

    /// The folder of an embedded queue.
    pub(crate) fn embedded_folder(&self) -> Option<&Path> {
        self.queue.as_ref().and_then(QueueAt::embedded_folder)
    }
}

/// Whether only this machine can connect to such an address.
fn is_local(address: &str) -> bool {
    let host = address.rsplit_once(':').map_or(address, |(host, _)| host).trim_matches(['[', ']']);
    address.starts_with("unix:")
        || host == "localhost"
        || host.parse().is_ok_and(|host: std::net::IpAddr| host.is_loopback())
}

/// The queues of these names; without any, the usual one.
pub(super) fn names(given: &[String]) -> Result<Vec<QueueName>, ConfigError> {
    if given.is_empty() {
        return Ok(vec![QueueName::default()]);
    }
    let name = |name: &String| QueueName::new(name.as_str()).map_err(|error| ConfigError(format!("queues: {error}")));
    given.iter().map(name).collect()
}

/// The queue of these settings; `none` is none.
pub(super) fn queue_in(url: Option<&str>, blobs: Option<&str>, store: &Path) -> Result<Option<QueueAt>, ConfigError> {
    let written = match url {
        Some(NONE) if blobs.is_some() => {
            return Err(ConfigError("queue-blobs is about a queue, and queue is \"none\"".into()));
        }
        Some(NONE) => return Ok(None),
        Some(url) => url.to_owned(),
        None => match store.join(EMBEDDED_FOLDER).to_str() {
            Some(folder) if !folder.contains('?') => format!("embedded:{folder}"),
            _ => return Err(ConfigError("the store's path fits in no URL: name a queue with --queue".into())),
        },
    };
    QueueAt::new(written, blobs).map(Some)
}

impl QueueAt {
    fn new(written: String, blobs: Option<&str>) -> Result<QueueAt, ConfigError> {
        let wrong = |why: String| ConfigError(format!("queue: {why}"));
        let url: QueueUrl = written.parse().map_err(|error: phalanx_queue::Error| wrong(error.to_string()))?;
        let (written, url) = match blobs {
            None => (written, url),
            Some(_) if url.blobs.is_some() => {
                return Err(ConfigError(
                    "queue-blobs and blobs= in the URL of the queue say the same: give one".into(),
                ));
            }
            Some(blobs) => {
                let written = with_blobs(&written, blobs);
                let url = written.parse().map_err(|error: phalanx_queue::Error| wrong(error.to_string()))?;
                (written, url)
            }
        };
        built(&url).map_err(wrong)?;
        Ok(QueueAt { written, url })
    }

    /// With its passwords: for the connection, never for people.
    pub(crate) fn as_str(&self) -> &str {
        &self.written
    }

    pub(crate) fn embedded_folder(&self) -> Option<&Path> {
        match &self.url.place {
            Place::Embedded(folder) => Some(folder),
            _ => None,
        }
    }
}

/// Without passwords.
impl fmt::Display for QueueAt {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&phalanx_queue::without_password(&self.written))
    }
}

impl fmt::Debug for QueueAt {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.url.fmt(f)
    }
}

/// The URL with one more setting, before the state store, which is the rest of the URL.
fn with_blobs(url: &str, blobs: &str) -> String {
    let mut setting = String::from("blobs=");
    for byte in blobs.bytes() {
        match byte {
            b'%' | b'&' | b'?' | b'#' | b' ' => setting.push_str(&format!("%{byte:02X}")),
            byte if byte.is_ascii_graphic() => setting.push(char::from(byte)),
            byte => setting.push_str(&format!("%{byte:02X}")),
        }
    }
    match url.split_once('?') {
        None => format!("{url}?{setting}"),
        Some((address, "")) => format!("{address}?{setting}"),
        Some((address, rest)) => format!("{address}?{setting}&{rest}"),
    }
}

/// Whether this program was built with what the URL needs.
fn built(url: &QueueUrl) -> Result<(), String> {
    let needed = match &url.place {
        Place::Embedded(_) => None,
        Place::Amqp(_) => Some(("amqp", cfg!(feature = "amqp"))),
        Place::Kafka { .. } => Some(("kafka", cfg!(feature = "kafka"))),
        Place::Postgres(_) => Some(("postgres", cfg!(feature = "postgres"))),
    };
    let state = url.state.as_ref().map(|_| ("postgres", cfg!(feature = "postgres")));
    if let Some((feature, _)) = needed.into_iter().chain(state).find(|(_, here)| !here) {
        return Err(format!(
            "this program was built without {feature}: build it with --features {feature}, or use embedded:FOLDER"
        ));
    }
    let is_in_s3 = url.blobs.as_deref().is_some_and(|place| place.starts_with("s3://"));
    if is_in_s3 && !cfg!(feature = "s3") {
        return Err(
            "this program was built without s3: build it with --features s3, or keep large payloads in a folder".into(),
        );
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(settings: Settings) -> Result<Queueing, ConfigError> {
        Queueing::check(&settings, Path::new("store"))
    }

    #[test]
    fn without_a_word_the_queue_is_embedded_in_the_store() {
        let queueing = check(Settings::default()).unwrap();
        assert_eq!(queueing.embedded_folder(), Some(Path::new("store/queue")));
        assert_eq!(queueing.working, Working::On);
        let none = check(Settings { queue: Some("none".into()), ..Settings::default() }).unwrap();
        assert_eq!(none.queue, None);
    }

    #[test]
    fn jobs_are_listed_only_where_strangers_cannot_come_unless_it_is_said() {
        let listing = |listen: &[&str], job_list| {
            let listen = listen.iter().map(|at| (*at).to_owned()).collect();
            check(Settings { listen, job_list, ..Settings::default() }).unwrap().listing
        };
        assert_eq!(listing(&[], None), Listing::On);
        assert_eq!(listing(&["127.0.0.1:80", "[::1]:80", "localhost:81", "unix:/run/x"], None), Listing::On);
        for open in ["0.0.0.0:80", "[::]:80", "systemd", "192.0.2.1:80"] {
            assert_eq!(listing(&["127.0.0.1:80", open], None), Listing::Off, "{open}");
        }
        assert_eq!(listing(&["0.0.0.0:80"], Some(Listing::On)), Listing::On);
        assert_eq!(listing(&[], Some(Listing::Off)), Listing::Off);
    }

    #[test]
    fn what_names_no_queue_is_one_line() {
        for (url, says) in [
            ("http://host", "unknown scheme"),
            ("embedded:", "no folder"),
            ("nonsense", "no scheme"),
            ("embedded:x?state=postgres://h", "keeps its own state"),
        ] {
            let error = check(Settings { queue: Some(url.into()), ..Settings::default() }).unwrap_err().to_string();
            assert!(error.starts_with("queue: ") && error.contains(says), "{error}");
        }
        let both =
            Settings { queue: Some("embedded:x?blobs=y".into()), queue_blobs: Some("z".into()), ..Settings::default() };
        assert!(check(both).unwrap_err().to_string().contains("give one"));
        let bucket = Settings { queue_blobs: Some("s3://bucket".into()), ..Settings::default() };
        let refused = check(bucket).err().map(|error| error.to_string());
        assert_eq!(refused.is_none(), cfg!(feature = "s3"), "{refused:?}");
        assert!(refused.is_none_or(|error| error.contains("--features s3")));
        let nowhere = Settings { queue: Some("none".into()), queue_blobs: Some("z".into()), ..Settings::default() };
        assert!(check(nowhere).is_err());
    }

    #[test]
    #[cfg(not(feature = "kafka"))]
    fn a_broker_that_was_not_built_is_named_with_its_feature() {
        let settings = Settings { queue: Some("kafka://host".into()), ..Settings::default() };
        let error = check(settings).unwrap_err().to_string();
        assert!(error.contains("--features kafka"), "{error}");
    }

    #[test]
    fn the_blob_store_becomes_a_setting_of_the_url() {
        let with = |url: &str| with_blobs(url, "/a b/c?d");
        assert_eq!(with("embedded:x"), "embedded:x?blobs=/a%20b/c%3Fd");
        assert_eq!(
            with("amqp://h/v?x=1&state=postgres://h/d?y=2"),
            "amqp://h/v?blobs=/a%20b/c%3Fd&x=1&state=postgres://h/d?y=2"
        );
        let url: QueueUrl = with("amqp://h/v?x=1&state=postgres://h/d?y=2").parse().unwrap();
        assert_eq!((url.blobs.as_deref(), url.state.as_deref()), (Some("/a b/c?d"), Some("postgres://h/d?y=2")));
    }
}
