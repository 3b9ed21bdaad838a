//! Everything that can be an end of a pipeline, both ways.

#![allow(clippy::unwrap_used)]

use std::future::Future;
use std::process::Stdio;
use std::sync::mpsc;
use std::time::Duration;

use phalanx_stream::{Cause, Chunk, Error, Readable, Sink, Source, duplex_of, map, pipeline};
#[cfg(feature = "net")]
use phalanx_stream::{Duplex, Writable};
use phalanx_thread::message_channel;
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt};

const DEADLINE: Duration = Duration::from_secs(20);
/// More than the marks and buffers of everything between.
const LARGE: usize = 8 << 20;

fn run<T>(test: impl Future<Output = T>) -> T {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async { tokio::time::timeout(DEADLINE, test).await.expect("the test hangs") })
}

fn large() -> Vec<u8> {
    (0..LARGE).map(|n| (n % 251) as u8).collect()
}

fn upper() -> impl phalanx_stream::Stage<In = Chunk, Out = Chunk> {
    map(|mut chunk: Chunk| {
        chunk.make_ascii_uppercase();
        Ok(chunk)
    })
}

async fn bytes_of(readable: &mut Readable<Chunk>) -> Result<Vec<u8>, Error> {
    let mut bytes = Vec::new();
    while let Some(chunk) = readable.next().await {
        bytes.extend_from_slice(&chunk?);
    }
    Ok(bytes)
}

#[test]
fn async_read_and_async_write() {
    run(async {
        let (sending, mut receiving) = tokio::io::duplex(1000);
        let text = "a line\n".repeat(10_000);
        let reader = std::io::Cursor::new(text.clone());
        let running = pipeline(Source::async_read("a text", reader)).through(upper());
        let running = running.into(Sink::async_write("the other side", sending)).run();
        let mut heard = String::new();
        let (summary, read) = tokio::join!(running, receiving.read_to_string(&mut heard));
        assert_eq!(summary.unwrap().written, text.len() as u64);
        read.unwrap();
        assert_eq!(heard, text.to_uppercase());
    });
}

#[test]
fn a_readable_is_an_async_read_and_a_writable_an_async_write() {
    run(async {
        let (mut writable, readable) = duplex_of(upper()).split();
        let writing = async {
            for n in 0..1000 {
                writable.write_all(format!("line {n}\n").as_bytes()).await?;
            }
            writable.shutdown().await
        };
        let mut lines = readable.lines();
        let reading = async {
            let mut heard = Vec::new();
            while let Some(line) = lines.next_line().await? {
                heard.push(line);
            }
            Ok::<_, std::io::Error>(heard)
        };
        let ((), heard) = tokio::try_join!(writing, reading).unwrap();
        assert_eq!(heard, (0..1000).map(|n| format!("LINE {n}")).collect::<Vec<_>>());
    });
}

#[test]
fn copies_of_tokio_go_through() {
    run(async {
        let data = large();
        let (mut writable, mut readable) = duplex_of(map(|chunk: Chunk| Ok(chunk))).split();
        let mut from = &data[..];
        let writing = async {
            tokio::io::copy(&mut from, &mut writable).await?;
            writable.shutdown().await
        };
        let mut heard = Vec::new();
        let (written, read) = tokio::join!(writing, readable.read_to_end(&mut heard));
        written.unwrap();
        read.unwrap();
        assert!(heard == data);
    });
}

#[test]
fn an_error_of_io_keeps_its_kind() {
    run(async {
        let broken = || std::io::Error::from(std::io::ErrorKind::ConnectionReset);
        let items: Vec<Result<Chunk, std::io::Error>> = vec![Ok(Chunk::from("a")), Err(broken())];
        let mut readable = Readable::new(Source::stream("a socket", futures_util::stream::iter(items)));
        let error = readable.read_to_end(&mut Vec::new()).await.unwrap_err();
        assert_eq!(error.kind(), std::io::ErrorKind::ConnectionReset);
        assert!(error.to_string().contains("a socket"), "{error}");
    });
}

#[cfg(feature = "net")]
async fn echo(duplex: Duplex<Chunk, Chunk>) {
    let (writable, readable) = duplex.split();
    pipeline(readable).through(upper()).into(writable).run().await.unwrap();
}

#[cfg(feature = "net")]
async fn exchange(duplex: Duplex<Chunk, Chunk>) {
    let data = large();
    let (mut writable, mut readable) = duplex.split();
    let writing = async {
        for piece in data.chunks(100_000) {
            writable.write(Chunk::from(piece)).await?;
        }
        writable.end().await
    };
    let (written, heard) = tokio::join!(writing, bytes_of(&mut readable));
    written.unwrap();
    assert!(heard.unwrap() == data.to_ascii_uppercase());
}

#[cfg(feature = "net")]
#[test]
fn tcp_sockets_and_the_end_of_one_direction() {
    run(async {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let server = async { echo(listener.accept().await.unwrap().0.into()).await };
        let client = async { exchange(tokio::net::TcpStream::connect(address).await.unwrap().into()).await };
        tokio::join!(server, client);
    });
}

#[cfg(feature = "net")]
#[test]
fn unix_sockets() {
    run(async {
        let (ours, theirs) = tokio::net::UnixStream::pair().unwrap();
        tokio::join!(echo(theirs.into()), exchange(ours.into()));
    });
}

#[cfg(feature = "net")]
#[test]
fn a_question_and_its_answer_need_no_end() {
    run(async {
        let (ours, theirs) = tokio::net::UnixStream::pair().unwrap();
        let answering = async {
            let mut theirs = Duplex::<Chunk, Chunk>::from(theirs);
            while let Some(question) = theirs.next().await {
                theirs.write(Chunk::from(format!("{}!", question.unwrap().len()))).await.unwrap();
            }
        };
        let asking = async {
            let mut ours = Duplex::<Chunk, Chunk>::from(ours);
            for length in 1..100 {
                ours.write(Chunk::from(vec![b'?'; length])).await.unwrap();
                assert_eq!(ours.next().await.unwrap().unwrap(), Chunk::from(format!("{length}!")));
            }
        };
        tokio::join!(answering, asking);
    });
}

#[cfg(feature = "net")]
#[test]
fn a_peer_that_goes_is_an_error_of_the_writer() {
    run(async {
        let (ours, theirs) = tokio::net::UnixStream::pair().unwrap();
        drop(theirs);
        let mut writable = Writable::new(ours);
        let error = loop {
            if let Err(error) = writable.write(Chunk::from("anybody?")).await {
                break error;
            }
        };
        let kind = error.cause_as::<std::io::Error>().map(std::io::Error::kind);
        assert_eq!(kind, Some(std::io::ErrorKind::BrokenPipe), "{error}");
    });
}

#[test]
fn the_input_and_output_of_a_child_process() {
    run(async {
        let mut child = tokio::process::Command::new("tr")
            .args(["a-z", "A-Z"])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let (stdin, stdout) = (child.stdin.take().unwrap(), child.stdout.take().unwrap());
        let text = "some text\n".repeat(100_000);
        let source = Source::async_read("the text", std::io::Cursor::new(text.clone()));
        let writing = pipeline(source).into(Sink::async_write("the child", stdin)).run();
        let mut output = Readable::new(Source::async_read("the child's output", stdout));
        let (written, heard) = tokio::join!(writing, bytes_of(&mut output));
        written.unwrap();
        assert!(heard.unwrap() == text.to_uppercase().into_bytes());
        assert!(child.wait().await.unwrap().success());
    });
}

#[test]
fn channels_of_the_standard_library() {
    let (sender, receiver) = mpsc::sync_channel::<u32>(4);
    let (output, heard) = mpsc::sync_channel::<u32>(4);
    let sending = std::thread::spawn(move || (0..1000).for_each(|n| sender.send(n).unwrap()));
    let running = pipeline(receiver).through(map(|n: u32| Ok(n + 1))).into(output);
    let running = std::thread::spawn(move || running.run_blocking());
    assert_eq!(heard.into_iter().collect::<Vec<_>>(), (1..=1000).collect::<Vec<_>>());
    sending.join().unwrap();
    running.join().unwrap().unwrap();
}

#[test]
fn channels_of_tokio() {
    run(async {
        let (sender, receiver) = tokio::sync::mpsc::channel::<u32>(4);
        let (output, mut heard) = tokio::sync::mpsc::channel::<u32>(4);
        let running = pipeline(receiver).through(map(|n: u32| Ok(n + 1))).into(output).run();
        let sending = async move {
            for n in 0..1000 {
                sender.send(n).await.unwrap();
            }
        };
        let receiving = async {
            let mut numbers = Vec::new();
            while let Some(number) = heard.recv().await {
                numbers.push(number);
            }
            numbers
        };
        let (outcome, (), numbers) = tokio::join!(running, sending, receiving);
        outcome.unwrap();
        assert_eq!(numbers, (1..=1000).collect::<Vec<_>>());
    });
}

#[test]
fn a_receiver_that_is_gone_is_an_error() {
    run(async {
        let (output, heard) = tokio::sync::mpsc::channel::<u32>(4);
        drop(heard);
        let outcome = pipeline(Source::iter(0..10)).into(output).run().await;
        assert_eq!(outcome.unwrap_err().to_string(), "cannot write the channel: nobody receives any more");
    });
}

#[test]
fn message_ports() {
    run(async {
        let (ours, inside) = message_channel::<u32, ()>();
        let (outside, theirs) = message_channel::<u32, ()>();
        let running = pipeline(inside).through(map(|n: u32| Ok(n * 2))).into(outside).run();
        let posting = async move {
            for n in 0..3000 {
                ours.post(n).await.unwrap();
            }
        };
        let receiving = async {
            let mut numbers = Vec::new();
            while let Some(number) = theirs.recv().await {
                numbers.push(number);
            }
            numbers
        };
        let (outcome, (), numbers) = tokio::join!(running, posting, receiving);
        outcome.unwrap();
        assert_eq!(numbers, (0..3000).map(|n| n * 2).collect::<Vec<_>>());
    });
}

#[test]
fn streams_and_sinks_of_futures() {
    run(async {
        let heard = std::sync::Arc::new(std::sync::Mutex::new(Vec::new()));
        let all = heard.clone();
        let sink = futures_util::sink::unfold(all, async |all: std::sync::Arc<std::sync::Mutex<Vec<u32>>>, n| {
            all.lock().unwrap().push(n);
            Ok::<_, Cause>(all)
        });
        let numbers = futures_util::stream::iter((0..100_u32).map(Ok::<_, Cause>));
        let running = pipeline(Source::stream("numbers", numbers)).into(Sink::sink("the sink", sink)).run();
        assert_eq!(running.await.unwrap().written, 100);
        assert_eq!(*heard.lock().unwrap(), (0..100).collect::<Vec<_>>());
    });
}
