//! What clients ask for, and what the right answer is.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};

use crate::exchange::{Connection, Reply};
use crate::food::{Larder, looks_like_a_picture};
use crate::outcome::{Failure, Outcome};
use crate::random::Random;

/// Keys for `/v1/encrypt`, made by the program under test.
#[derive(Debug, Clone)]
pub(crate) struct Keys {
    pub(crate) recipient: String,
    pub(crate) identity: String,
}

/// What all clients know.
#[derive(Debug)]
pub(crate) struct Known {
    pub(crate) address: SocketAddr,
    pub(crate) larder: Larder,
    pub(crate) keys: Keys,
    /// 32 MiB of zeros as gzip.
    pub(crate) bomb: Vec<u8>,
    /// The first answer for each text and algorithm: every later one must be the same.
    pub(crate) hashes: Mutex<BTreeMap<(usize, &'static str), String>>,
}

/// Why a deed did not come to its end.
#[derive(Debug)]
pub(crate) enum Setback {
    /// 503 with `Retry-After`.
    Busy,
    Failed(Failure),
}

impl From<Failure> for Setback {
    fn from(failure: Failure) -> Setback {
        Setback::Failed(failure)
    }
}

/// One client's hands.
pub(crate) struct Kit {
    pub(crate) known: Arc<Known>,
    pub(crate) random: Random,
    /// Requests of the deed that is being done.
    pub(crate) requests: u64,
}

pub(crate) type Done = Result<(), Setback>;

/// A kind of thing that clients do.
pub(crate) struct Deed {
    pub(crate) name: &'static str,
    /// How often, beside the others.
    pub(crate) weight: usize,
    pub(crate) run: fn(&mut Kit) -> Done,
}

/// All good ones.
pub(crate) const GOOD: &[Deed] = &[
    Deed { name: "picture", weight: 8, run: picture },
    Deed { name: "upload", weight: 4, run: upload },
    Deed { name: "numbers", weight: 8, run: numbers },
    Deed { name: "hash", weight: 8, run: hash },
    Deed { name: "compress and inflate", weight: 4, run: compress },
    Deed { name: "encrypt and decrypt", weight: 4, run: encrypt },
    Deed { name: "job", weight: 6, run: job },
    Deed { name: "job with a picture", weight: 3, run: picture_job },
    Deed { name: "job cancelled", weight: 3, run: cancelled_job },
    Deed { name: "look", weight: 12, run: look },
    Deed { name: "keep-alive", weight: 6, run: keep_alive },
];

const JSON: &str = "content-type: application/json\r\n";
/// Results of jobs are kept so long: what the queue holds is then bounded by what is done in this time.
const KEEP: &str = "15s";

impl Kit {
    /// A request on a connection of its own; busy is a setback, everything else is judged by the caller.
    pub(crate) fn ask(&mut self, method: &str, path: &str, headers: &str, body: &[u8]) -> Result<Reply, Setback> {
        self.requests += 1;
        let head = Connection::head(method, path, &format!("connection: close\r\n{headers}"), body.len());
        let reply = Connection::open(self.known.address)?.ask(&head, body)?;
        match reply.status {
            503 if reply.header("retry-after").is_some() => Err(Setback::Busy),
            _ => Ok(reply),
        }
    }

    /// The same, where only one status is right.
    pub(crate) fn expect(
        &mut self,
        status: u16,
        (method, path): (&str, &str),
        headers: &str,
        body: &[u8],
    ) -> Result<Reply, Setback> {
        let reply = self.ask(method, path, headers, body)?;
        if reply.status == status { Ok(reply) } else { Err(wrong(format!("{method} {path}: {}", reply.words()))) }
    }

    fn photo(&mut self) -> (Arc<Known>, usize) {
        (Arc::clone(&self.known), self.random.below(self.known.larder.photos.len()))
    }

    fn text(&mut self) -> (Arc<Known>, usize) {
        (Arc::clone(&self.known), self.random.below(self.known.larder.texts.len()))
    }

    /// Parameters of a picture.
    fn wish(&mut self) -> String {
        let mut wish = format!("w={}", 20 + self.random.below(1200));
        let choose = |random: &mut Random, choices: &[&str]| random.one_of(choices).map_or("", |it| it).to_owned();
        wish += &choose(&mut self.random, &["", "", "&h=300&fit=cover", "&h=300&fit=contain", "&h=200&fit=fill"]);
        wish += &choose(&mut self.random, &["", "", "&format=jpeg&q=60", "&format=png", "&format=webp", "&q=90"]);
        wish += &choose(&mut self.random, &["", "", "&rotate=90", "&flip=1", "&flop=1", "&bg=ff8800"]);
        wish
    }
}

pub(crate) fn wrong(seen: String) -> Setback {
    Setback::Failed(Failure::new(Outcome::WrongAnswer, seen))
}

fn right(so: bool, otherwise: impl FnOnce() -> String) -> Done {
    if so { Ok(()) } else { Err(wrong(otherwise())) }
}

fn is_picture(reply: &Reply, of: &str) -> Done {
    right(looks_like_a_picture(&reply.body), || format!("of {of} came no picture: {}", reply.words()))
}

fn picture(kit: &mut Kit) -> Done {
    let (known, which) = kit.photo();
    let photo = &known.larder.photos[which];
    let path = format!("/v1/images?{}", kit.wish());
    let reply = kit.expect(200, ("POST", &path), "", &photo.bytes)?;
    is_picture(&reply, &photo.name)
}

/// A form, as browsers send it; what is stored is fetched.
fn upload(kit: &mut Kit) -> Done {
    const BOUNDARY: &str = "soak-4f1d";
    let (known, which) = kit.photo();
    let photo = &known.larder.photos[which];
    let width = 20 + kit.random.below(600);
    let mut body =
        format!("--{BOUNDARY}\r\ncontent-disposition: form-data; name=\"w\"\r\n\r\n{width}\r\n--{BOUNDARY}\r\n");
    body += "content-disposition: form-data; name=\"image\"; filename=\"a.jpg\"\r\n\r\n";
    let mut body = body.into_bytes();
    body.extend_from_slice(&photo.bytes);
    body.extend_from_slice(format!("\r\n--{BOUNDARY}--\r\n").as_bytes());
    let headers = format!("content-type: multipart/form-data; boundary={BOUNDARY}\r\n");
    let told = kit.expect(200, ("POST", "/upload"), &headers, &body)?.json();
    let path = told["path"].as_str().unwrap_or_default().to_owned();
    let reply = kit.expect(200, ("GET", &path), "", b"")?;
    is_picture(&reply, &photo.name)
}

fn numbers(kit: &mut Kit) -> Done {
    let reply = kit.expect(200, ("POST", "/process"), JSON, br#"{"numbers":[10,20,30,40]}"#)?;
    right(reply.body == br#"{"result":[75306,75596,75886,76176]}"#, || reply.words())
}

fn hash(kit: &mut Kit) -> Done {
    let (known, which) = kit.text();
    let algorithm = if kit.random.below(2) == 0 { "sha-256" } else { "blake3" };
    let path = format!("/v1/hash/{algorithm}");
    let reply = kit.expect(200, ("POST", &path), "accept: text/plain\r\n", &known.larder.texts[which])?;
    let said = String::from_utf8_lossy(&reply.body).trim().to_owned();
    let mut hashes = known.hashes.lock().unwrap_or_else(PoisonError::into_inner);
    let first = hashes.entry((which, algorithm)).or_insert_with(|| said.clone());
    right(said.len() == 64 && *first == said, || format!("{algorithm} of the same text was {first} and is {said}"))
}

fn compress(kit: &mut Kit) -> Done {
    let (known, which) = kit.text();
    let text = &known.larder.texts[which];
    let query = match kit.random.below(3) {
        0 => format!("?format=zstd&level={}", 1 + kit.random.below(6)),
        1 => format!("?level={}", 1 + kit.random.below(9)),
        _ => String::new(),
    };
    let small = kit.expect(200, ("POST", &format!("/v1/compress{query}")), "", text)?;
    let back = kit.expect(200, ("POST", "/v1/decompress"), "", &small.body)?;
    right(back.body == *text, || format!("{} bytes came back as {}", text.len(), back.body.len()))
}

fn encrypt(kit: &mut Kit) -> Done {
    let (known, which) = kit.text();
    let text = &known.larder.texts[which];
    let sealed = kit.expect(200, ("POST", &format!("/v1/encrypt?recipient={}", known.keys.recipient)), "", text)?;
    let header = format!("phalanx-identity: {}\r\n", known.keys.identity);
    let back = kit.expect(200, ("POST", "/v1/decrypt"), &header, &sealed.body)?;
    right(back.body == *text, || format!("{} bytes came back as {}", text.len(), back.body.len()))
}

/// The path of a job that was taken in.
fn taken(reply: &Reply) -> Result<String, Setback> {
    let path = reply.header("location").filter(|path| path.starts_with("/v1/jobs/"));
    path.map(str::to_owned).ok_or_else(|| wrong(format!("no location: {}", reply.words())))
}

/// The result, however long it takes to come.
pub(crate) fn result(kit: &mut Kit, path: &str) -> Result<Reply, Setback> {
    for _ in 0..6 {
        let reply = kit.ask("GET", &format!("{path}/result"), "prefer: wait=10\r\n", b"")?;
        if reply.status != 202 {
            return Ok(reply);
        }
    }
    Err(Setback::Failed(Failure::new(Outcome::TimedOut, format!("{path} has no result after a minute"))))
}

fn job(kit: &mut Kit) -> Done {
    let options = format!(r#"{{"keep":"{KEEP}","priority":{}}}"#, kit.random.below(10));
    let body = format!(r#"{{"task":"numbers","input":{{"numbers":[10,20]}},"options":{options}}}"#);
    let path = taken(&kit.expect(202, ("POST", "/v1/jobs"), JSON, body.as_bytes())?)?;
    let reply = result(kit, &path)?;
    right(reply.status == 200 && reply.body == br#"{"result":[75306,75596]}"#, || format!("{path}: {}", reply.words()))
}

fn picture_job(kit: &mut Kit) -> Done {
    let (known, which) = kit.photo();
    let photo = &known.larder.photos[which];
    let path = format!("/v1/jobs?{}&keep={KEEP}", kit.wish());
    let path = taken(&kit.expect(202, ("POST", &path), "", &photo.bytes)?)?;
    let reply = result(kit, &path)?;
    right(reply.status == 200, || format!("{path}: {}", reply.words()))?;
    is_picture(&reply, &photo.name)
}

/// One that waits for its time and never runs.
fn cancelled_job(kit: &mut Kit) -> Done {
    let body = format!(r#"{{"task":"numbers","input":{{"numbers":[10]}},"options":{{"delay":"1h","keep":"{KEEP}"}}}}"#);
    let path = taken(&kit.expect(202, ("POST", "/v1/jobs"), JSON, body.as_bytes())?)?;
    let reply = kit.expect(200, ("DELETE", &path), "", b"")?;
    right(reply.json()["state"] == "cancelled", || reply.words())
}

fn look(kit: &mut Kit) -> Done {
    const PATHS: [&str; 7] = ["/", "/livez", "/readyz", "/whoami", "/metrics", "/v1/queues", "/v1/jobs?limit=20"];
    let path = PATHS[kit.random.below(PATHS.len())];
    kit.expect(200, ("GET", path), "", b"").map(|_| ())
}

/// Requests on a connection that is kept. They are so many that the front's memory of log lines, 1 MiB, is soon as full as it gets.
const KEPT: usize = 60;

/// Several requests on one connection; the server may end it between two of them.
fn keep_alive(kit: &mut Kit) -> Done {
    let head = Connection::head("GET", "/whoami", "", 0);
    let mut connection = Connection::open(kit.known.address)?;
    for number in 0..KEPT {
        kit.requests += 1;
        let reply = match connection.ask(&head, b"") {
            // It was ended while the request was on its way: nothing of it was done, and a client asks again.
            Err(failure) if number > 0 && failure.outcome == Outcome::ResetAfterSend => return Ok(()),
            other => other?,
        };
        right(reply.status == 200 && reply.json()["pid"].is_u64(), || reply.words())?;
        if reply.header("connection").is_some_and(|value| value.contains("close")) {
            return Ok(());
        }
    }
    Ok(())
}
