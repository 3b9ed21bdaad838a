//! Does it answer? One question in the broker's own protocol, one look at the answer.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

const PATIENCE: Duration = Duration::from_secs(2);

/// Whether the answer to `question` begins with what `is_ready` wants to see of its first `N` bytes.
pub(crate) fn answers<const N: usize>(
    address: SocketAddr,
    question: &[u8],
    is_ready: impl Fn(&[u8; N]) -> bool,
) -> bool {
    let ask = || -> std::io::Result<[u8; N]> {
        let mut stream = TcpStream::connect_timeout(&address, PATIENCE)?;
        stream.set_read_timeout(Some(PATIENCE))?;
        stream.write_all(question)?;
        let mut answer = [0; N];
        stream.read_exact(&mut answer)?;
        Ok(answer)
    };
    ask().is_ok_and(|answer| is_ready(&answer))
}

/// Whether somebody takes connections there.
pub(crate) fn listens(address: SocketAddr) -> bool {
    TcpStream::connect_timeout(&address, PATIENCE).is_ok()
}
