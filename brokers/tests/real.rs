//! Each broker of this machine: it answers, is killed and comes again where it was with what it had, and leaves nothing.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use phalanx_brokers::{Durability, Kafka, PostgreSql, RabbitMq, Redis};

/// What is not installed is skipped; under `CI=true` it is a failure.
fn installed<B>(name: &str, started: Result<Option<B>, String>) -> Option<B> {
    let broker = started.unwrap_or_else(|why| panic!("{name}: {why}"));
    if broker.is_none() {
        assert!(std::env::var("CI").as_deref() != Ok("true"), "{name} is not installed");
        println!("skipped without {name}: it is not installed");
    }
    broker
}

/// The host and port of a URL.
fn address(url: &str) -> SocketAddr {
    let (_, rest) = url.split_once("://").expect("a URL");
    let host = rest.split('/').next().unwrap_or_default();
    host.rsplit('@').next().and_then(|host| host.parse().ok()).unwrap_or_else(|| panic!("no address in {url}"))
}

fn is_listening(address: SocketAddr) -> bool {
    TcpStream::connect(address).is_ok()
}

fn ask_redis(url: &str, command: &str) -> String {
    let mut stream = TcpStream::connect(address(url)).expect("Redis listens");
    stream.set_read_timeout(Some(Duration::from_secs(10))).expect("a deadline");
    stream.write_all(format!("{command}\r\nQUIT\r\n").as_bytes()).expect("Redis hears");
    let mut answer = String::new();
    stream.read_to_string(&mut answer).expect("Redis answers");
    answer
}

#[test]
fn redis_has_after_a_kill_what_it_had_confirmed() {
    let Some(mut redis) = installed("Redis", Redis::start(Durability::EachCommand)) else { return };
    let url = redis.url();
    assert!(ask_redis(&url, "SET kept yes").starts_with("+OK"));
    redis.kill_hard().unwrap();
    assert!(!is_listening(address(&url)));
    redis.restart().unwrap();
    assert_eq!(redis.url(), url);
    assert!(ask_redis(&url, "GET kept").contains("yes"));
}

#[test]
fn a_frozen_broker_holds_its_connections_and_says_nothing() {
    let Some(redis) = installed("Redis", Redis::start(Durability::Memory)) else { return };
    redis.freeze().unwrap();
    let mut stream = TcpStream::connect(address(&redis.url())).unwrap();
    stream.write_all(b"PING\r\n").unwrap();
    stream.set_read_timeout(Some(Duration::from_millis(100))).unwrap();
    assert!(stream.read(&mut [0; 5]).is_err());
    redis.thaw().unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
    let mut answer = [0; 5];
    stream.read_exact(&mut answer).unwrap();
    assert_eq!(&answer, b"+PONG");
}

#[test]
fn postgresql_comes_again_after_a_kill() {
    let Some(mut postgres) = installed("PostgreSQL", PostgreSql::builder().password("phalanx", "secret").start())
    else {
        return;
    };
    let url = postgres.url();
    assert!(url.starts_with("postgres://phalanx:secret@127.0.0.1:"), "{url}");
    postgres.kill_hard().unwrap();
    assert!(!is_listening(address(&url)));
    postgres.restart().unwrap();
    assert_eq!(postgres.url(), url);
    assert!(is_listening(address(&url)));
}

#[test]
fn rabbitmq_has_a_port_with_tls_and_comes_again_after_a_kill() {
    let started = RabbitMq::builder().tls().password("phalanx", "secret").start();
    let Some(mut rabbit) = installed("RabbitMQ", started) else { return };
    let (url, tls_url) = (rabbit.url(), rabbit.tls_url().expect("it was built with TLS"));
    let authority = rabbit.authority().expect("it was built with TLS");
    assert!(std::fs::read_to_string(&authority).unwrap().starts_with("-----BEGIN CERTIFICATE-----"));
    for _ in 0..2 {
        assert!(is_listening(address(&url)) && is_listening(address(&tls_url)));
        rabbit.kill_hard().unwrap();
        assert!(!is_listening(address(&url)) && !is_listening(address(&tls_url)));
        rabbit.restart().unwrap();
    }
    drop(rabbit);
    assert!(!authority.exists() && !is_listening(address(&url)));
}

#[test]
fn kafka_has_a_guarded_port_and_comes_again_after_a_kill() {
    let started = Kafka::builder().tls().password("phalanx", "secret").start();
    let Some(mut kafka) = installed("Kafka", started) else { return };
    let guarded = kafka.guarded_address().expect("it was built with TLS");
    assert_eq!(kafka.guarded_url(), Some(format!("kafkas://phalanx:secret@{guarded}")));
    assert!(is_listening(guarded));
    kafka.kill_hard().unwrap();
    assert!(!is_listening(kafka.address()) && !is_listening(guarded));
    kafka.restart().unwrap();
    assert!(is_listening(kafka.address()) && is_listening(guarded));
}

/// The program with brokers in a folder for temporary files of its own.
struct Program {
    process: Child,
    folder: tempfile::TempDir,
    lines: Vec<String>,
}

impl Program {
    fn start(brokers: &[&str]) -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        // PostgreSQL's user looks into it.
        set_mode(folder.path(), 0o711);
        let mut process = Command::new(env!("CARGO_BIN_EXE_phalanx-brokers"))
            .args(brokers)
            .env("TMPDIR", folder.path())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("the program starts");
        let output = BufReader::new(process.stdout.take().expect("it is piped"));
        let lines = output.lines().map_while(Result::ok).take_while(|line| !line.is_empty()).collect();
        Self { process, folder, lines }
    }

    fn leaves_nothing(&self) {
        let deadline = Instant::now() + Duration::from_secs(30);
        let left = || -> Vec<PathBuf> {
            self.folder.path().read_dir().expect("the folder").flatten().map(|entry| entry.path()).collect()
        };
        let listening = || self.lines.iter().any(|line| is_listening(address(line)));
        while !left().is_empty() || listening() {
            assert!(Instant::now() < deadline, "{:?} is left of {:?}", left(), self.lines);
            std::thread::sleep(Duration::from_millis(10));
        }
    }
}

fn set_mode(folder: &Path, mode: u32) {
    use std::os::unix::fs::PermissionsExt;
    std::fs::set_permissions(folder, std::fs::Permissions::from_mode(mode)).expect("our own folder");
}

fn both_are_installed() -> bool {
    let redis = installed("Redis", Redis::start(Durability::Memory));
    redis.is_some() && installed("PostgreSQL", PostgreSql::start()).is_some()
}

#[test]
fn nothing_stays_behind_when_the_program_is_killed() {
    if !both_are_installed() {
        return;
    }
    let mut program = Program::start(&["redis", "postgres"]);
    assert_eq!(program.lines.len(), 2);
    program.process.kill().unwrap();
    program.process.wait().unwrap();
    program.leaves_nothing();
}

#[test]
fn the_program_ends_with_its_input() {
    if !both_are_installed() {
        return;
    }
    let mut program = Program::start(&["redis", "postgres"]);
    assert!(program.lines[0].starts_with("REDIS=redis://") && program.lines[1].starts_with("POSTGRES=postgres://"));
    drop(program.process.stdin.take());
    assert!(program.process.wait().unwrap().success());
    program.leaves_nothing();
}
