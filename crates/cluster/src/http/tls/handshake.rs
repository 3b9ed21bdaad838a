//! The handshake of one connection, from its first byte.

use std::sync::Arc;

use phalanx_shared::Field;
use rustls::ServerConfig;
use tokio::io::AsyncWriteExt;
use tokio_rustls::TlsAcceptor;

use crate::http::problem;
use crate::http::stream::{WatchedStream, unless_closed};
use crate::http::transport::{Socket, Transport};

impl WatchedStream {
    /// Puts the connection under TLS. `None` if that failed; then it was closed, and its client told why if it can be
    /// told.
    pub(in crate::http) async fn encrypt(mut self, config: &Arc<ServerConfig>) -> Option<WatchedStream> {
        let mark = Arc::clone(self.mark());
        let Some(Ok(first)) = unless_closed(&mark, self.first_byte()).await else { return None };
        if first.is_ascii_uppercase() {
            // A record of TLS begins with its type, 20 to 24; an HTTP request with its method.
            unless_closed(&mark, refuse_plain(self)).await;
            return None;
        }
        mark.begin_handshake();
        let (transport, open) = self.into_parts();
        let Transport::Plain(socket) = transport else { return None };
        let handshake = TlsAcceptor::from(Arc::clone(config)).accept(socket);
        let done = unless_closed(&mark, handshake).await;
        match done {
            Some(Ok(stream)) => {
                open.slot.add(Field::TlsHandshakes, 1);
                mark.end_handshake();
                Some(WatchedStream::new(Transport::Tls(Box::new(stream)), open, None))
            }
            // Its alert was sent; what else a client does wrong at this point is no news.
            Some(Err(_)) | None => {
                open.slot.add(Field::TlsFailures, 1);
                None
            }
        }
    }
}

async fn refuse_plain(mut stream: WatchedStream) {
    stream.mark().leaves_something_unread();
    stream.open().slot.add(Field::TlsFailures, 1);
    stream.open().slot.add(Field::Responses4xx, 1);
    let answer = problem::response("400 Bad Request", "this port speaks HTTPS: begin the address with https://");
    if stream.write_all(answer.as_bytes()).await.is_ok() {
        let _ = stream.shutdown().await;
    }
}

impl Socket {
    /// The first byte that waits to be read; it stays there. An error at the end of the stream.
    pub(in crate::http) async fn peek_byte(&self) -> std::io::Result<u8> {
        let mut byte = [0];
        let count = match self {
            Socket::Tcp(stream) => stream.peek(&mut byte).await?,
            // There is no TLS on Unix sockets.
            Socket::Unix(_) => 0,
        };
        match count {
            0 => Err(std::io::ErrorKind::UnexpectedEof.into()),
            _ => Ok(byte[0]),
        }
    }
}
