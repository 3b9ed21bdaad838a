//! Tokio's sockets as sources, sinks and [`Duplex`]es.

use tokio::net::{TcpStream, UnixStream, tcp, unix};

use crate::{Chunk, Duplex, IntoSink, IntoSource, Readable, Sink, Source, Writable};

const SOCKET: &str = "the socket";

/// Named by the other side, if there is one still.
macro_rules! name {
    (tcp, $socket:expr) => {
        $socket.peer_addr().map_or_else(|_| SOCKET.to_owned(), |address| format!("the connection with {address}"))
    };
    (unix, $socket:expr) => {
        SOCKET.to_owned()
    };
}

macro_rules! socket {
    ($kind:ident, $socket:ty, $reading:ty, $writing:ty) => {
        impl IntoSource for $reading {
            type Item = Chunk;

            fn into_source(self) -> Source<Chunk> {
                Source::async_read(name!($kind, self), self)
            }
        }

        /// Its writing half is shut down at the end.
        impl IntoSink<Chunk> for $writing {
            fn into_sink(self) -> Sink<Chunk> {
                Sink::async_write(name!($kind, self), self)
            }
        }

        /// All that comes; nothing is sent.
        impl IntoSource for $socket {
            type Item = Chunk;

            fn into_source(self) -> Source<Chunk> {
                Source::async_read(name!($kind, self), self)
            }
        }

        /// Nothing is received; its writing half is shut down at the end.
        impl IntoSink<Chunk> for $socket {
            fn into_sink(self) -> Sink<Chunk> {
                Sink::async_write(name!($kind, self), self)
            }
        }

        impl From<$socket> for Duplex<Chunk, Chunk> {
            fn from(socket: $socket) -> Duplex<Chunk, Chunk> {
                let (reading, writing) = socket.into_split();
                Duplex::new(Readable::new(reading), Writable::new(writing))
            }
        }
    };
}

socket!(tcp, TcpStream, tcp::OwnedReadHalf, tcp::OwnedWriteHalf);
socket!(unix, UnixStream, unix::OwnedReadHalf, unix::OwnedWriteHalf);
