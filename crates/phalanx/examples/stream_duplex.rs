//! Two processes over a TCP socket: compressed and encrypted in both directions at once.
//!
//! ```text
//!   parent   numbers ─► zstd ─► encrypt ─► socket ─► decrypt ─► unzstd ─┐   child, which sends back
//!                                                                       ▼   everything that it reads
//!            compare ◄─ unzstd ◄─ decrypt ◄─ socket ◄─ encrypt ◄─ zstd ─┘
//! ```
//!
//! `cargo run --release --example stream_duplex`

use std::net::SocketAddr;

use phalanx::process::{fork, forked, parent};
use phalanx::stream::{Chunk, Error, Identity, Recipient, Source, decrypt, encrypt, pipeline, unzstd, zstd};
use serde::{Deserialize, Serialize};
use tokio::net::{TcpListener, TcpStream};

type AnyError = Box<dyn std::error::Error>;

/// What goes there, and comes back.
const LINES: u64 = 1_000_000;

#[derive(Serialize, Deserialize)]
enum Note {
    /// To the child: where to connect, and for whom to encrypt.
    Call(SocketAddr, String),
    /// To the parent: for whom to encrypt.
    Key(String),
}

#[tokio::main(flavor = "current_thread")]
async fn run() -> Result<(), AnyError> {
    if forked() == Some("echo") {
        return echo().await;
    }
    let own = Identity::generate();
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let (child, channel) = fork::<Note, Note>("echo").await?;
    channel.send(&Note::Call(listener.local_addr()?, own.recipient().to_string())).await?;
    let Some(Note::Key(key)) = channel.recv().await?.map(|incoming| incoming.value) else {
        return Err("the child ended without its key".into());
    };
    let theirs: Recipient = key.parse()?;
    let (reading, writing) = listener.accept().await?.0.into_split();

    // Both at once: neither process holds more than the marks of its pipelines.
    let sending = pipeline(Source::iter(lines())).through(zstd()).through(encrypt(theirs)).into(writing).run();
    let receiving = async {
        let mut heard = pipeline(reading).through(decrypt(own)).through(unzstd()).into_readable();
        let mut sums = (0_u64, 0_u64);
        while let Some(chunk) = heard.next().await {
            sums = add(sums, &chunk?);
        }
        Ok::<_, Error>(sums)
    };
    let (sent, heard) = tokio::try_join!(sending, receiving)?;
    child.exited().await?;

    let expected = lines().fold((0, 0), |sums, chunk| add(sums, &chunk));
    if heard != expected || sent.read != expected.0 {
        return Err(format!("sent {} bytes, {expected:?}, received {heard:?}", sent.read).into());
    }
    println!("{} bytes, {} on the wire", sent.read, sent.written);
    println!("sent = received, both directions");
    Ok(())
}

/// Opens what comes and sends it back, packed and sealed anew.
async fn echo() -> Result<(), AnyError> {
    let own = Identity::generate();
    let parent = parent::<Note, Note>()?;
    let Some(Note::Call(address, key)) = parent.recv().await? else { return Err("nobody called".into()) };
    let theirs: Recipient = key.parse()?;
    parent.send(&Note::Key(own.recipient().to_string())).await?;
    let (reading, writing) = TcpStream::connect(address).await?.into_split();
    let opened = pipeline(reading).through(decrypt(own)).through(unzstd());
    opened.through(zstd()).through(encrypt(theirs)).into(writing).run().await?;
    Ok(())
}

fn lines() -> impl Iterator<Item = Chunk> {
    const LINES_IN_A_CHUNK: u64 = 10_000;
    (0..LINES / LINES_IN_A_CHUNK).map(|chunk| {
        let lines = chunk * LINES_IN_A_CHUNK..(chunk + 1) * LINES_IN_A_CHUNK;
        let text: String = lines.map(|line| format!("line {line}, {}\n", line.wrapping_mul(2_654_435_761))).collect();
        Chunk::from(text)
    })
}

/// Length and a sum that depends on the order.
fn add(sums: (u64, u64), bytes: &[u8]) -> (u64, u64) {
    let sum = bytes.iter().fold(sums.1, |sum, byte| sum.wrapping_mul(31).wrapping_add(u64::from(*byte)));
    (sums.0 + bytes.len() as u64, sum)
}

fn main() -> Result<(), AnyError> {
    phalanx::init()?;
    run()
}
