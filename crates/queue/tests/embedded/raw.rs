//! A client by hand: what stands on the socket, right or wrong.

use std::io::{Read, Write};
use std::os::unix::net::UnixStream;

use phalanx_queue::JobId;
use phalanx_queue::embedded::words::{Request, ToClient, ToOwner, VERSION};

use crate::process::{DEADLINE, Place, until};

/// A connection that says what it wants to.
pub(crate) struct Raw(pub(crate) UnixStream);

impl Raw {
    pub(crate) fn connect(place: &Place) -> Raw {
        let stream = until("a socket", || UnixStream::connect(place.path().join("socket")).ok());
        stream.set_read_timeout(Some(DEADLINE)).unwrap();
        Raw(stream)
    }

    /// A connection that has said hello.
    pub(crate) fn introduced(place: &Place) -> Raw {
        let mut raw = Raw::connect(place);
        raw.say(&ToOwner::Hello { version: VERSION, client: JobId::new(), holds: Vec::new() });
        assert!(matches!(raw.hears(), Some(ToClient::Hello { version: VERSION, .. })));
        raw
    }

    pub(crate) fn frame(word: &ToOwner) -> Vec<u8> {
        let bytes = postcard::to_stdvec(word).unwrap();
        [&u32::try_from(bytes.len()).unwrap().to_le_bytes()[..], &bytes].concat()
    }

    pub(crate) fn say(&mut self, word: &ToOwner) {
        self.0.write_all(&Raw::frame(word)).unwrap();
    }

    pub(crate) fn ask(&mut self, ask: u64, request: Request) {
        self.say(&ToOwner::Ask { ask, request });
    }

    /// The next word; `None` at the end.
    pub(crate) fn hears(&mut self) -> Option<ToClient> {
        let mut length = [0; 4];
        self.0.read_exact(&mut length).ok()?;
        let mut bytes = vec![0; u32::from_le_bytes(length) as usize];
        self.0.read_exact(&mut bytes).ok()?;
        Some(postcard::from_bytes(&bytes).unwrap())
    }

    /// Waits until the owner has closed it.
    pub(crate) fn is_closed(&mut self) {
        let mut rest = Vec::new();
        // A connection that is reset is closed as well.
        if let Err(error) = self.0.read_to_end(&mut rest) {
            assert!(error.kind() == std::io::ErrorKind::ConnectionReset, "{error}");
        }
    }
}
