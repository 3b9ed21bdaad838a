//! `cargo run -p phalanx-brokers -- rabbitmq kafka postgres redis`: starts them and says where they are, one
//! `NAME=URL` a line; they are gone when its standard input closes, or when it is ended, by whatever signal.
//!
//! ```text
//! arguments ──▶ one thread for each broker ──▶ all answer ──▶ NAME=URL … ──▶ end of the input ──▶ all are gone
//! ```

#![forbid(unsafe_code)]

use std::io::{Read, Write};
use std::process::ExitCode;

use phalanx_brokers::{Durability, Kafka, PostgreSql, RabbitMq, Redis};

const HELP: &str = "\
Real brokers on private ports, until standard input closes. Says where they are once all answer, one NAME=URL a line, and then
an empty line. What cannot be started is named on standard error and left out.

Usage: phalanx-brokers BROKER…

Brokers:
  rabbitmq  prints AMQP, AMQPS, AMQPS_AUTHORITY (the certificate to trust)
  kafka     prints KAFKA (neither TLS nor password), KAFKAS (both), KAFKAS_AUTHORITY
  postgres  prints POSTGRES
  redis     prints REDIS (fsync for each command)

The tests look for them in PHALANX_TEST_AMQP and so on.

User and password, where one is asked for: phalanx, secret.
";
const USER: &str = "phalanx";
const PASSWORD: &str = "secret";

/// Whatever runs, and what is to be said of it.
struct Started {
    lines: Vec<String>,
    _broker: Box<dyn Send>,
}

fn main() -> ExitCode {
    let names: Vec<String> = std::env::args().skip(1).collect();
    let starts: Option<Vec<_>> = names.iter().map(|name| start_of(name)).collect();
    let Some(starts) = starts.filter(|starts| !starts.is_empty()) else {
        print!("{HELP}");
        return if names.iter().any(|name| name == "--help" || name == "-h") {
            ExitCode::SUCCESS
        } else {
            ExitCode::FAILURE
        };
    };
    let threads: Vec<_> = starts.into_iter().map(std::thread::spawn).collect();
    let mut brokers = Vec::new();
    for (name, thread) in names.iter().zip(threads) {
        match thread.join() {
            Ok(Ok(Some(started))) => brokers.push(started),
            Ok(Ok(None)) => eprintln!("phalanx-brokers: {name} is not installed"),
            Ok(Err(why)) => eprintln!("phalanx-brokers: {why}"),
            Err(_) => eprintln!("phalanx-brokers: {name} could not be started"),
        }
    }
    if brokers.is_empty() {
        return ExitCode::FAILURE;
    }
    let said: String = brokers.iter().flat_map(|broker| &broker.lines).map(|line| format!("{line}\n")).collect();
    let mut output = std::io::stdout().lock();
    let _ = writeln!(output, "{said}").and_then(|()| output.flush());
    let _ = std::io::stdin().read_to_end(&mut Vec::new());
    ExitCode::SUCCESS
}

type Start = fn() -> Result<Option<Started>, String>;

fn start_of(name: &str) -> Option<Start> {
    match name {
        "rabbitmq" => Some(rabbitmq),
        "kafka" => Some(kafka),
        "postgres" => Some(postgres),
        "redis" => Some(redis),
        _ => None,
    }
}

fn rabbitmq() -> Result<Option<Started>, String> {
    let Some(broker) = RabbitMq::builder().tls().password(USER, PASSWORD).start()? else { return Ok(None) };
    let mut lines = vec![format!("AMQP={}", broker.url())];
    lines.extend(broker.tls_url().map(|url| format!("AMQPS={url}")));
    lines.extend(broker.authority().map(|file| format!("AMQPS_AUTHORITY={}", file.display())));
    Ok(Some(Started { lines, _broker: Box::new(broker) }))
}

fn kafka() -> Result<Option<Started>, String> {
    let Some(broker) = Kafka::builder().tls().password(USER, PASSWORD).start()? else { return Ok(None) };
    let mut lines = vec![format!("KAFKA={}", broker.url())];
    lines.extend(broker.guarded_url().map(|url| format!("KAFKAS={url}")));
    lines.extend(broker.authority().map(|file| format!("KAFKAS_AUTHORITY={}", file.display())));
    Ok(Some(Started { lines, _broker: Box::new(broker) }))
}

fn postgres() -> Result<Option<Started>, String> {
    let Some(broker) = PostgreSql::start()? else { return Ok(None) };
    Ok(Some(Started { lines: vec![format!("POSTGRES={}", broker.url())], _broker: Box::new(broker) }))
}

fn redis() -> Result<Option<Started>, String> {
    let Some(broker) = Redis::start(Durability::EachCommand)? else { return Ok(None) };
    Ok(Some(Started { lines: vec![format!("REDIS={}", broker.url())], _broker: Box::new(broker) }))
}
