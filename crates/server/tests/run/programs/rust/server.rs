//! A server in one file of nothing but the standard library: `rustc` makes a static binary of it.
//!
//! It accepts with a blocking call (`--blocking-listeners`), serves one connection after the other, and knows no signals:
//! SIGTERM ends it at once.

use std::env;
use std::io::{BufRead, BufReader, Write};
use std::net::{TcpListener, TcpStream};
use std::os::fd::FromRawFd;
use std::process;

const FIRST_INHERITED: i32 = 3;

fn main() {
    if env::var("LISTEN_FDS").is_err() {
        eprintln!("no inherited socket: there is no LISTEN_FDS");
        process::exit(78);
    }
    // SAFETY: LISTEN_FDS says that this descriptor is ours, and nothing else here takes it.
    let listener = unsafe { TcpListener::from_raw_fd(FIRST_INHERITED) };
    println!("listening");
    loop {
        match listener.accept() {
            Ok((connection, _)) => serve(&connection),
            Err(error) => {
                eprintln!("cannot accept: {error}");
                process::exit(1);
            }
        }
    }
}

fn serve(mut connection: &TcpStream) {
    let mut lines = BufReader::new(connection).lines().map_while(Result::ok);
    if lines.any(|line| line.is_empty()) {
        let body = format!("hello from {}\n", process::id());
        let head = format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\nConnection: close\r\n\r\n", body.len());
        let _ = connection.write_all((head + &body).as_bytes());
    }
}
