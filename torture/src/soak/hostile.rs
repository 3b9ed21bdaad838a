//! What nobody should send, and what nobody should do to a connection. None of it may be answered with 5xx, or cost a process.

use std::sync::Arc;
use std::time::Duration;

use crate::deed::{Deed, Done, Kit, Setback, wrong};
use crate::exchange::{Connection, Reply};
use crate::outcome::Outcome;

/// All of it.
pub(crate) const BAD: &[Deed] = &[
    Deed { name: "bad picture", weight: 8, run: bad_picture },
    Deed { name: "bad picture as a job", weight: 2, run: bad_job },
    Deed { name: "bad parameters", weight: 4, run: bad_parameters },
    Deed { name: "bomb", weight: 1, run: bomb },
    Deed { name: "bytes that are no HTTP", weight: 2, run: no_http },
    Deed { name: "half a request", weight: 4, run: half_a_request },
    Deed { name: "gone before the answer", weight: 4, run: gone_before_the_answer },
    Deed { name: "slow client", weight: 2, run: slow_client },
    Deed { name: "wrong key", weight: 2, run: wrong_key },
];

/// Between two pieces of a slow client.
const SLOWLY: Duration = Duration::from_millis(150);

/// Refused, or taken for what could still be read of it; never a failure of the server.
fn refused(what: &str, reply: &Reply) -> Done {
    match reply.status {
        200..=499 => Ok(()),
        _ => Err(wrong(format!("{what}: {}", reply.words()))),
    }
}

fn bad_picture(kit: &mut Kit) -> Done {
    let known = Arc::clone(&kit.known);
    let Some(photo) = kit.random.one_of(&known.larder.bad) else { return Ok(()) };
    let path = format!("/v1/images?w={}", 10 + kit.random.below(500));
    let reply = kit.ask("POST", &path, "", &photo.bytes)?;
    refused(&photo.name, &reply)
}

fn bad_job(kit: &mut Kit) -> Done {
    let known = Arc::clone(&kit.known);
    let Some(photo) = kit.random.one_of(&known.larder.bad) else { return Ok(()) };
    let reply = kit.ask("POST", "/v1/jobs?keep=15s&w=50", "", &photo.bytes)?;
    refused(&photo.name, &reply)?;
    match reply.header("location") {
        Some(path) if reply.status == 202 => {
            let reply = crate::deed::result(kit, path)?;
            refused(&photo.name, &reply)
        }
        _ => Ok(()),
    }
}

fn bad_parameters(kit: &mut Kit) -> Done {
    const REQUESTS: [(&str, &str, &str, &[u8]); 9] = [
        ("POST", "/v1/images?w=0", "", b"x"),
        ("POST", "/v1/images?w=10&w=20", "", b"x"),
        ("POST", "/v1/images?colour=red", "", b"x"),
        ("POST", "/process", "content-type: application/json\r\n", b"{\"numbers\":[-1]}"),
        ("POST", "/process", "content-type: application/json\r\n", b"{\"numbers\":"),
        ("POST", "/v1/jobs", "content-type: application/json\r\n", b"{\"task\":\"nobody's\"}"),
        ("POST", "/v1/hash/md5", "", b"abc"),
        ("GET", "/v1/images/../../etc/passwd", "", b""),
        ("GET", "/v1/jobs/00000000-0000-7000-8000-000000000000", "", b""),
    ];
    let (method, path, headers, body) = REQUESTS[kit.random.below(REQUESTS.len())];
    let reply = kit.ask(method, path, headers, body)?;
    match reply.status {
        400..=499 => Ok(()),
        _ => Err(wrong(format!("{method} {path}: {}", reply.words()))),
    }
}

/// Refused before it began, or cut off while it grew.
fn bomb(kit: &mut Kit) -> Done {
    let known = Arc::clone(&kit.known);
    match kit.ask("POST", "/v1/decompress", "", &known.bomb) {
        Ok(reply) if reply.status == 200 => Err(wrong("the bomb went off".into())),
        Ok(reply) => refused("bomb", &reply),
        Err(Setback::Failed(failure)) if failure.outcome == Outcome::CutOff => Ok(()),
        Err(other) => Err(other),
    }
}

fn no_http(kit: &mut Kit) -> Done {
    kit.requests += 1;
    let mut connection = Connection::open(kit.known.address)?;
    let bytes: Vec<u8> = (0..200).map(|_| kit.random.next() as u8).collect();
    let _ = connection.write(&bytes);
    let _ = connection.write(b"\r\n\r\n");
    match connection.answer() {
        Ok(reply) => refused("no HTTP", &reply),
        Err(failure) if failure.outcome == Outcome::TimedOut => Err(Setback::Failed(failure)),
        Err(_) => Ok(()),
    }
}

fn half_a_request(kit: &mut Kit) -> Done {
    let known = Arc::clone(&kit.known);
    let Some(photo) = kit.random.one_of(&known.larder.photos) else { return Ok(()) };
    kit.requests += 1;
    let mut connection = Connection::open(known.address)?;
    let head = Connection::head("POST", "/v1/images?w=100", "", photo.bytes.len());
    let cut = kit.random.below(photo.bytes.len().min(300_000));
    let _ = match kit.random.below(4) {
        0 => connection.write(&head.as_bytes()[..head.len() / 2]),
        _ => connection.write(head.as_bytes()).and_then(|()| connection.write(&photo.bytes[..cut])),
    };
    if kit.random.below(2) == 0 {
        connection.reset();
    }
    Ok(())
}

fn gone_before_the_answer(kit: &mut Kit) -> Done {
    let known = Arc::clone(&kit.known);
    let Some(photo) = kit.random.one_of(&known.larder.photos) else { return Ok(()) };
    kit.requests += 1;
    let mut connection = Connection::open(known.address)?;
    let head = Connection::head("POST", "/v1/images?w=900", "", photo.bytes.len());
    let _ = connection.write(head.as_bytes()).and_then(|()| connection.write(&photo.bytes));
    std::thread::sleep(kit.random.duration(SLOWLY));
    if kit.random.below(2) == 0 {
        connection.reset();
    }
    Ok(())
}

/// It comes in the end, and is answered.
fn slow_client(kit: &mut Kit) -> Done {
    kit.requests += 1;
    let body = br#"{"numbers":[10,20,30,40]}"#;
    let mut connection = Connection::open(kit.known.address)?;
    let head = Connection::head("POST", "/process", "connection: close\r\n", body.len());
    let bytes = [head.as_bytes(), &body[..]].concat();
    for piece in bytes.chunks(40) {
        if connection.write(piece).is_err() {
            break;
        }
        std::thread::sleep(SLOWLY);
    }
    let reply = connection.answer()?;
    match reply.status {
        200 => Ok(()),
        503 if reply.header("retry-after").is_some() => Err(Setback::Busy),
        _ => Err(wrong(format!("slow client: {}", reply.words()))),
    }
}

fn wrong_key(kit: &mut Kit) -> Done {
    let known = Arc::clone(&kit.known);
    let header = format!("phalanx-identity: {}\r\n", known.keys.identity);
    let reply = kit.ask("POST", "/v1/decrypt", &header, b"age-encryption.org/v1\n-> X25519 nonsense\n---\n")?;
    match reply.status {
        400..=499 => Ok(()),
        _ => Err(wrong(format!("wrong key: {}", reply.words()))),
    }
}
