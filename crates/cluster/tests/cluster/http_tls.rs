//! HTTPS.

use std::collections::HashSet;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rcgen::{CertifiedKey, KeyPair, generate_simple_self_signed};
use rustix::process::Signal;
use rustls::pki_types::CertificateDer;
use rustls::{ClientConfig, ClientConnection, HandshakeKind, RootCertStore, StreamOwned};

use crate::Test;
use crate::client::KeepAlive;
use crate::http2_client::Http2;
use crate::process::{DEADLINE, Running, lives, soon, until};

pub(crate) const TESTS: &[Test] = &[
    ("HTTPS is served in HTTP/1.1 and HTTP/2, as client and server agree", https),
    ("a plain request on the port of HTTPS is answered 400, and garbage is closed", not_tls),
    ("a handshake that does not come to its end is cut off like a slow head", slow_handshake),
    ("a new certificate is taken up while connections live on, and a broken one is not", renewed),
    ("a session is resumed by whichever worker answers", resumed),
    ("a certificate that cannot be used is said with its file and line, and no cluster starts", unusable),
    ("connections under TLS are drained like others", drained),
];

/// A certificate in files.
struct Site {
    folder: tempfile::TempDir,
    certificate: CertificateDer<'static>,
}

impl Site {
    fn new() -> Site {
        let folder = tempfile::tempdir().unwrap();
        let certificate = renew(folder.path());
        Site { folder, certificate }
    }

    fn file(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn start(&self, workers: u32, more: &[(&str, &str)]) -> Running {
        let mut cluster = Running::start_with("http", |command| {
            command.env("TEST_WORKERS", workers.to_string());
            command.env("TEST_CERTIFICATE", self.file("chain.pem")).env("TEST_KEY", self.file("key.pem"));
            command.envs(more.iter().copied());
        });
        (0..workers).for_each(|_| drop(cluster.wait_for("is ready")));
        cluster
    }

    fn client(&self, protocol: &[u8]) -> Arc<ClientConfig> {
        client(&self.certificate, protocol)
    }
}

/// Puts a new certificate and its key in place, each by a rename, as certbot and others do.
fn renew(folder: &Path) -> CertificateDer<'static> {
    let CertifiedKey { cert, signing_key } = generate_simple_self_signed(["localhost".into()]).unwrap();
    let signing_key: KeyPair = signing_key;
    replace(&folder.join("chain.pem"), &cert.pem());
    replace(&folder.join("key.pem"), &signing_key.serialize_pem());
    cert.der().clone()
}

fn replace(path: &Path, text: &str) {
    let new = path.with_extension("new");
    std::fs::write(&new, text).unwrap();
    std::fs::rename(new, path).unwrap();
}

fn client(certificate: &CertificateDer<'static>, protocol: &[u8]) -> Arc<ClientConfig> {
    let mut roots = RootCertStore::empty();
    roots.add(certificate.clone()).unwrap();
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let mut config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
    config.alpn_protocols = vec![protocol.to_vec()];
    Arc::new(config)
}

type Stream = StreamOwned<ClientConnection, TcpStream>;

/// A connection whose handshake is done; the error if there was none.
fn connect(address: SocketAddr, config: &Arc<ClientConfig>) -> std::io::Result<Stream> {
    let mut socket = TcpStream::connect_timeout(&address, DEADLINE)?;
    socket.set_read_timeout(Some(DEADLINE))?;
    let mut connection = ClientConnection::new(Arc::clone(config), "localhost".try_into().unwrap()).unwrap();
    while connection.is_handshaking() {
        connection.complete_io(&mut socket)?;
    }
    Ok(StreamOwned::new(connection, socket))
}

/// One answer with a content-length.
fn ask(stream: &mut Stream, path: &str) -> std::io::Result<String> {
    stream.write_all(format!("GET {path} HTTP/1.1\r\nhost: localhost\r\n\r\n").as_bytes())?;
    let mut answer = Vec::new();
    while !answer.ends_with(b"\r\n\r\n") {
        let mut byte = [0];
        stream.read_exact(&mut byte)?;
        answer.push(byte[0]);
    }
    let head = String::from_utf8(answer).unwrap();
    let length = head.lines().find_map(|line| line.strip_prefix("content-length: ")).unwrap();
    let mut body = vec![0; length.parse().unwrap()];
    stream.read_exact(&mut body)?;
    Ok(head + &String::from_utf8(body).unwrap())
}

fn https() {
    let site = Site::new();
    let mut cluster = site.start(1, &[]);
    let (address, pid) = (cluster.address(), cluster.workers()[0].to_string());
    let mut old = connect(address, &site.client(b"http/1.1")).unwrap();
    assert!(ask(&mut old, "/").unwrap().ends_with(&pid));
    assert!(ask(&mut old, "/peer").unwrap().ends_with("None true"), "the request knows that it is encrypted");
    assert_eq!(old.conn.alpn_protocol(), Some(&b"http/1.1"[..]));
    let new = connect(address, &site.client(b"h2")).unwrap();
    assert_eq!(new.conn.alpn_protocol(), Some(&b"h2"[..]));
    let mut new = Http2::over(new);
    new.request(1, "/");
    assert_eq!(new.answer(1), pid);
    let figures = ask(&mut old, "/figures").unwrap();
    for line in ["TlsHandshakes 2\n", "TlsFailures 0\n", "Http2Connections 1\n"] {
        assert!(figures.contains(line), "{line} not in {figures}");
    }
}

fn not_tls() {
    let site = Site::new();
    let mut cluster = site.start(1, &[]);
    let (address, worker) = (cluster.address(), cluster.workers()[0]);
    let mut plain = KeepAlive::open(address);
    plain.request("/");
    let answer = plain.rest().unwrap();
    assert!(answer.starts_with("HTTP/1.1 400 Bad Request\r\n") && answer.contains("https://"), "{answer}");
    for garbage in ["\0\0\0\0", "\x16\x03\x01\x7f\x7f\x01", "\x7f garbage \r\n\r\n"] {
        let mut client = KeepAlive::open(address);
        client.send(garbage);
        client.send(&"x".repeat(100_000));
        // An alert, if anything; then the end, one way or the other.
        assert!(client.rest_bytes().len() < 100);
    }
    assert!(lives(worker));
    let mut good = connect(address, &site.client(b"http/1.1")).unwrap();
    let figures = ask(&mut good, "/figures").unwrap();
    assert!(figures.contains("TlsFailures 4\n") && figures.contains("TlsHandshakes 1\n"), "{figures}");
    drop(plain);
    until(soon(), "the end of all others", || {
        ask(&mut good, "/figures").unwrap().contains("Connections 1\n").then_some(())
    });
}

fn slow_handshake() {
    let site = Site::new();
    let mut cluster = site.start(1, &[("TEST_HEAD", "300")]);
    let address = cluster.address();
    // Nothing; the beginning of a record; all of TLS, and then no request.
    let silent = TcpStream::connect(address).unwrap();
    let mut halfway = TcpStream::connect(address).unwrap();
    halfway.write_all(b"\x16\x03\x01\x02\x00\x01\x00\x01").unwrap();
    let mut agreed = connect(address, &site.client(b"http/1.1")).unwrap();
    for mut stream in [silent, halfway] {
        stream.set_read_timeout(Some(DEADLINE)).unwrap();
        let mut rest = Vec::new();
        assert_eq!(stream.read_to_end(&mut rest).map_err(|error| error.kind()), Ok(0), "{rest:?}");
    }
    assert!(agreed.read_to_end(&mut Vec::new()).is_err(), "closed without a word");
    let mut good = connect(address, &site.client(b"http/1.1")).unwrap();
    assert!(ask(&mut good, "/figures").unwrap().contains("TlsFailures 1\n"));
    // A slow head under TLS is answered under TLS.
    let mut slow = connect(address, &site.client(b"http/1.1")).unwrap();
    slow.write_all(b"GET / HTTP/1.1\r\n").unwrap();
    let mut answer = vec![0; 20];
    slow.read_exact(&mut answer).unwrap();
    assert_eq!(answer, b"HTTP/1.1 408 Request");
}

fn renewed() {
    let mut site = Site::new();
    let mut cluster = site.start(1, &[]);
    let address = cluster.address();
    let old = site.client(b"http/1.1");
    let mut lasting = connect(address, &old).unwrap();
    ask(&mut lasting, "/").unwrap();
    site.certificate = renew(site.folder.path());
    let new = site.client(b"http/1.1");
    until(soon(), "the new certificate", || connect(address, &new).ok());
    assert!(connect(address, &client(&old_certificate(&lasting), b"http/1.1")).is_err(), "the old one is gone");
    ask(&mut lasting, "/").unwrap();
    // A certificate that does not belong to the key, and one that is cut off, while nobody is told to look: what is
    // served stays. The good one that follows shows that the files were looked at meanwhile.
    let whole = std::fs::read_to_string(site.file("chain.pem")).unwrap();
    let strange = generate_simple_self_signed(["localhost".into()]).unwrap().cert.pem();
    for broken in [strange.as_str(), &whole[..whole.len() / 2]] {
        replace(&site.file("chain.pem"), broken);
        for _ in 0..20 {
            let mut client = connect(address, &new).unwrap();
            ask(&mut client, "/slow?10").unwrap();
        }
    }
    site.certificate = renew(site.folder.path());
    let newest = site.client(b"http/1.1");
    until(soon(), "the newest certificate", || connect(address, &newest).ok());
    ask(&mut lasting, "/").unwrap();
}

fn old_certificate(stream: &Stream) -> CertificateDer<'static> {
    stream.conn.peer_certificates().unwrap()[0].clone().into_owned()
}

fn resumed() {
    let site = Site::new();
    let mut cluster = site.start(2, &[]);
    let address = cluster.address();
    let config = site.client(b"http/1.1");
    let first = &mut connect(address, &config).unwrap();
    assert_eq!(first.conn.handshake_kind(), Some(HandshakeKind::Full));
    // The ticket comes with the first answer.
    ask(first, "/").unwrap();
    let mut seen = HashSet::new();
    let workers: HashSet<u32> = cluster.workers().into_iter().collect();
    let mut held = Vec::new();
    until(soon(), "a resumed session with each worker", || {
        let mut stream = connect(address, &config).unwrap();
        assert_eq!(stream.conn.handshake_kind(), Some(HandshakeKind::Resumed));
        let answer = ask(&mut stream, "/").unwrap();
        seen.insert(answer.rsplit('\n').next().unwrap().parse::<u32>().unwrap());
        // While it is open, the gate sends the next one to the other worker.
        held.push(stream);
        (seen == workers).then_some(())
    });
}

fn unusable() {
    let site = Site::new();
    let good = std::fs::read_to_string(site.file("chain.pem")).unwrap();
    let lines = good.lines().count();
    let cases = [
        (format!("{good}-----BEGIN CERTIFICATE-----\nabc"), format!("begins in line {} has no end", lines + 1)),
        ("hello".into(), "it is not PEM".into()),
        (generate_simple_self_signed(["other".into()]).unwrap().cert.pem(), "does not belong to".into()),
    ];
    for (text, expected) in cases {
        std::fs::write(site.file("chain.pem"), text).unwrap();
        let mut cluster = Running::start_with("http", |command| {
            command.env("TEST_CERTIFICATE", site.file("chain.pem")).env("TEST_KEY", site.file("key.pem"));
        });
        let (status, stderr) = cluster.wait();
        assert_eq!(status.code(), Some(64), "{stderr}");
        assert!(stderr.contains(&expected) && stderr.contains("chain.pem"), "{expected} not in {stderr}");
    }
}

fn drained() {
    let site = Site::new();
    let mut cluster = site.start(1, &[]);
    let address = cluster.address();
    let mut idle = connect(address, &site.client(b"http/1.1")).unwrap();
    ask(&mut idle, "/").unwrap();
    let mut busy = connect(address, &site.client(b"http/1.1")).unwrap();
    busy.write_all(b"GET /slow?1500 HTTP/1.1\r\nhost: localhost\r\n\r\n").unwrap();
    // Read, since this was answered after it.
    ask(&mut idle, "/slow?100").unwrap();
    cluster.signal(Signal::TERM);
    // With the word that TLS has for it: nobody cut the connection short.
    assert_eq!(idle.read_to_end(&mut Vec::new()).unwrap(), 0);
    let mut answer = String::new();
    busy.read_to_string(&mut answer).unwrap();
    assert!(answer.starts_with("HTTP/1.1 200 ") && answer.contains("connection: close\r\n"), "{answer}");
    assert_eq!(cluster.wait().0.code(), Some(0));
}
