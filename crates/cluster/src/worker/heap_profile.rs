//! What a worker does when it is asked for a profile of its heap.
//!
//! A thread of its own writes it, so that neither the event loop nor the life-line waits for the names of functions.

use std::fs::File;
use std::io::Write;
use std::os::fd::OwnedFd;
use std::sync::Arc;

use phalanx_channel::Packets;
use phalanx_memory::profile;

use crate::control::{HeapFigures, HeapProfile, MOST_PROFILE_BYTES, ToPrimary};

/// Does what is wished and says so. The primary asks for one at a time.
pub(crate) fn answer(control: &Arc<Packets>, request: u64, wish: HeapProfile, file: Option<OwnedFd>, title: String) {
    let theirs = Arc::clone(control);
    let told = move |result: Result<HeapFigures, String>| {
        // A primary that takes nothing gives up by itself.
        let _ = theirs.send(&ToPrimary::HeapProfiled { request, result }, &[]);
    };
    let tell = told.clone();
    let work = move || tell(perform(wish, file, &title));
    if let Err(error) = std::thread::Builder::new().name("heap-profile".into()).spawn(work) {
        told(Err(format!("cannot start a thread for the profile: {error}")));
    }
}

fn perform(wish: HeapProfile, file: Option<OwnedFd>, title: &str) -> Result<HeapFigures, String> {
    let words = |error: profile::Error| error.to_string();
    if wish.is_switch() {
        let switched = if wish == HeapProfile::On { profile::start() } else { profile::stop() };
        return switched.map(|()| HeapFigures::default()).map_err(words);
    }
    let mut file = File::from(file.ok_or("there is no file to write the profile to")?);
    let taken = profile::take().map_err(words)?;
    let bytes = if wish == HeapProfile::Pprof { taken.to_pprof() } else { taken.to_flame_graph(title) };
    if bytes.len() as u64 > MOST_PROFILE_BYTES {
        return Err(format!("the profile has {} bytes; at most {MOST_PROFILE_BYTES} are handed on", bytes.len()));
    }
    file.write_all(&bytes).map_err(|error| format!("cannot write the profile down: {error}"))?;
    Ok(HeapFigures { live_bytes: taken.bytes(), samples: taken.samples(), length: bytes.len() as u64 })
}
