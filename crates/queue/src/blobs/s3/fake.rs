//! [`FakeS3`]: as much of S3 as a store of blobs needs, in memory, with faults to order. One request to a connection.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::ops::Bound;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};
use std::thread::JoinHandle;
use std::time::{Duration, Instant, SystemTime};

use chrono::{DateTime, Utc};
use rustls::pki_types::PrivateKeyDer;
use rustls::{ServerConfig, ServerConnection, StreamOwned};

use super::super::{hash_of, hexadecimal};

pub(super) const BUCKET: &str = "the-bucket";
pub(super) const KEY: &str = "the-key";
/// Objects to a page of a list.
const PAGE: usize = 3;
/// A client that says nothing for so long is gone.
const SILENCE: Duration = Duration::from_secs(10);

pub(super) struct FakeS3 {
    endpoint: String,
    address: SocketAddr,
    state: Arc<Mutex<State>>,
    is_over: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

#[derive(Default)]
pub(super) struct State {
    pub(super) objects: BTreeMap<String, Object>,
    /// `METHOD KEY` of every request that came.
    pub(super) requests: Vec<String>,
    /// So many requests are answered with 500.
    pub(super) failures: usize,
    /// So many objects are sent by half before the connection ends.
    pub(super) cuts: usize,
    /// Somebody puts everything again, right after it was listed.
    pub(super) is_renewed_when_listed: bool,
    /// Of a missing object it is said that it may not be seen, as S3 does to whoever may not list.
    pub(super) hides_what_is_missing: bool,
}

#[derive(Clone)]
pub(super) struct Object {
    pub(super) bytes: Vec<u8>,
    pub(super) put: SystemTime,
}

struct Request {
    method: String,
    key: String,
    query: String,
    headers: BTreeMap<String, String>,
    body: Vec<u8>,
}

struct Answer {
    status: &'static str,
    headers: String,
    body: Vec<u8>,
}

impl FakeS3 {
    pub(super) fn start() -> FakeS3 {
        FakeS3::listen(None)
    }

    /// Speaks TLS; with it comes the certificate to trust, in PEM.
    pub(super) fn start_with_tls() -> (FakeS3, String) {
        let made = rcgen::generate_simple_self_signed(["127.0.0.1".to_owned()]).unwrap();
        let key = PrivateKeyDer::try_from(made.signing_key.serialize_der()).unwrap();
        let config = ServerConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(vec![made.cert.der().clone()], key)
            .unwrap();
        (FakeS3::listen(Some(Arc::new(config))), made.cert.pem())
    }

    fn listen(tls: Option<Arc<ServerConfig>>) -> FakeS3 {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let (state, is_over) = (Arc::new(Mutex::new(State::default())), Arc::new(AtomicBool::new(false)));
        let (shared, over, scheme) = (state.clone(), is_over.clone(), if tls.is_some() { "https" } else { "http" });
        let thread = std::thread::spawn(move || {
            for connection in listener.incoming() {
                if over.load(Ordering::SeqCst) {
                    break;
                }
                let (connection, shared, tls) = (connection.unwrap(), shared.clone(), tls.clone());
                connection.set_read_timeout(Some(SILENCE)).unwrap();
                // A client that went away is no matter.
                std::thread::spawn(move || match tls {
                    None => drop(serve(connection, &shared)),
                    Some(tls) => {
                        let mut tls = StreamOwned::new(ServerConnection::new(tls).unwrap(), connection);
                        drop(serve(&mut tls, &shared));
                        tls.conn.send_close_notify();
                        drop(tls.flush());
                    }
                });
            }
        });
        FakeS3 { endpoint: format!("{scheme}://{address}"), address, state, is_over, thread: Some(thread) }
    }

    pub(super) fn endpoint(&self) -> String {
        self.endpoint.clone()
    }

    pub(super) fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap()
    }

    /// How often it was asked for this.
    pub(super) fn count(&self, method: &str) -> usize {
        self.state().requests.iter().filter(|request| request.split(' ').next() == Some(method)).count()
    }

    /// Until it is asked for this.
    pub(super) fn wait_for(&self, method: &str) {
        let begun = Instant::now();
        while self.count(method) == 0 {
            assert!(begun.elapsed() < SILENCE, "no {method} came");
            std::thread::yield_now();
        }
    }

    pub(super) fn keys(&self) -> Vec<String> {
        self.state().objects.keys().cloned().collect()
    }

    pub(super) fn add(&self, key: &str, bytes: &[u8], age: Duration) {
        let object = Object { bytes: bytes.to_vec(), put: SystemTime::now() - age };
        self.state().objects.insert(key.to_owned(), object);
    }
}

impl Drop for FakeS3 {
    fn drop(&mut self) {
        self.is_over.store(true, Ordering::SeqCst);
        let _ = TcpStream::connect(self.address);
        let _ = self.thread.take().map(JoinHandle::join);
    }
}

fn serve(mut connection: impl Read + Write, state: &Mutex<State>) -> io::Result<()> {
    let request = read(&mut connection)?;
    let mut state = state.lock().unwrap();
    state.requests.push(format!("{} {}", request.method, request.key));
    let Answer { status, headers, body } = answer(&request, &mut state);
    let is_cut = state.cuts > 0 && request.method == "GET" && status.starts_with("20");
    state.cuts -= usize::from(is_cut);
    drop(state);
    write!(connection, "HTTP/1.1 {status}\r\nContent-Length: {}\r\n{headers}Connection: close\r\n\r\n", body.len())?;
    match request.method.as_str() {
        "HEAD" => Ok(()),
        _ if is_cut => connection.write_all(&body[..body.len() / 2]),
        _ => connection.write_all(&body),
    }
}

fn read(connection: &mut impl Read) -> io::Result<Request> {
    let mut reader = BufReader::new(connection);
    let first = line_of(&mut reader)?;
    let mut words = first.split(' ');
    let (method, target) = (words.next().unwrap_or_default().to_owned(), words.next().unwrap_or_default().to_owned());
    let (path, query) = target.split_once('?').unwrap_or((&target, ""));
    let mut headers = BTreeMap::new();
    loop {
        let line = line_of(&mut reader)?;
        let Some((name, value)) = line.split_once(':') else { break };
        headers.insert(name.to_ascii_lowercase(), value.trim().to_owned());
    }
    let length = headers.get("content-length").map_or(0, |length: &String| length.parse().unwrap());
    let mut body = vec![0; length];
    reader.read_exact(&mut body)?;
    Ok(Request { method, key: path.to_owned(), query: query.to_owned(), headers, body })
}

fn line_of(reader: &mut impl BufRead) -> io::Result<String> {
    let mut line = String::new();
    reader.read_line(&mut line)?;
    Ok(line.trim_end().to_owned())
}

fn answer(request: &Request, state: &mut State) -> Answer {
    let error = |status, code: &str| Answer {
        status,
        headers: String::new(),
        body: format!("<Error><Code>{code}</Code></Error>").into_bytes(),
    };
    if state.failures > 0 {
        state.failures -= 1;
        return error("500 Internal Server Error", "InternalError");
    }
    let header = |name: &str| request.headers.get(name).map_or("", String::as_str);
    if !header("authorization").starts_with(&format!("AWS4-HMAC-SHA256 Credential={KEY}/")) {
        return error("403 Forbidden", "InvalidAccessKeyId");
    }
    if request.method == "PUT" && header("x-amz-content-sha256") != hexadecimal(&hash_of(&request.body)) {
        return error("400 Bad Request", "XAmzContentSHA256Mismatch");
    }
    let path = request.key.trim_start_matches('/');
    let (bucket, key) = path.split_once('/').unwrap_or((path, ""));
    if bucket != BUCKET {
        return error("404 Not Found", "NoSuchBucket");
    }
    let object = state.objects.get(key);
    match (request.method.as_str(), object) {
        ("GET", _) if key.is_empty() => {
            let page = list(&request.query, &state.objects);
            if state.is_renewed_when_listed {
                state.objects.values_mut().for_each(|object| object.put = SystemTime::now());
            }
            Answer { status: "200 OK", headers: String::new(), body: page.into_bytes() }
        }
        ("GET" | "HEAD", Some(object)) => part(object, header("range")),
        ("GET" | "HEAD", None) if state.hides_what_is_missing => error("403 Forbidden", "AccessDenied"),
        ("GET" | "HEAD", None) => error("404 Not Found", "NoSuchKey"),
        ("PUT", _) => {
            let object = Object { bytes: request.body.clone(), put: SystemTime::now() };
            state.objects.insert(key.to_owned(), object);
            Answer { status: "200 OK", headers: "ETag: \"e\"\r\n".to_owned(), body: Vec::new() }
        }
        ("DELETE", _) => {
            state.objects.remove(key);
            Answer { status: "204 No Content", headers: String::new(), body: Vec::new() }
        }
        _ => error("405 Method Not Allowed", "MethodNotAllowed"),
    }
}

/// An object, or what a range asks of it.
fn part(object: &Object, range: &str) -> Answer {
    let put = DateTime::<Utc>::from(object.put).format("%a, %d %b %Y %H:%M:%S GMT");
    let mut headers = format!("ETag: \"e\"\r\nLast-Modified: {put}\r\n");
    let from = range.strip_prefix("bytes=").and_then(|range| range.split('-').next()?.parse::<usize>().ok());
    let Some(from) = from else { return Answer { status: "200 OK", headers, body: object.bytes.clone() } };
    let length = object.bytes.len();
    let _ = write!(headers, "Content-Range: bytes {from}-{}/{length}\r\n", length - 1);
    Answer { status: "206 Partial Content", headers, body: object.bytes[from..].to_vec() }
}

/// A page of ListObjectsV2. The token is the last key of the page before.
fn list(query: &str, objects: &BTreeMap<String, Object>) -> String {
    let setting = |name: &str| {
        let value = query.split('&').find_map(|pair| pair.strip_prefix(name)?.strip_prefix('='));
        value.unwrap_or_default().replace("%2F", "/")
    };
    let (prefix, after) = (setting("prefix"), setting("continuation-token"));
    let after = if after.is_empty() { Bound::Unbounded } else { Bound::Excluded(after) };
    let mut found = objects.range((after, Bound::Unbounded)).filter(|(key, _)| key.starts_with(&prefix)).peekable();
    let (mut contents, mut last) = (String::new(), "");
    for (key, object) in found.by_ref().take(PAGE) {
        let (size, put) = (object.bytes.len(), DateTime::<Utc>::from(object.put).format("%Y-%m-%dT%H:%M:%SZ"));
        let _ = write!(
            contents,
            "<Contents><Key>{key}</Key><Size>{size}</Size><LastModified>{put}</LastModified></Contents>"
        );
        last = key;
    }
    if found.peek().is_some() {
        let _ = write!(contents, "<NextContinuationToken>{last}</NextContinuationToken>");
    }
    format!("<?xml version=\"1.0\"?><ListBucketResult>{contents}</ListBucketResult>")
}
