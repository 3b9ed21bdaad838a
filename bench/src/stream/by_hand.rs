//! What one would write by hand for two cores: a thread reads and transforms, the other writes.

use std::fs::File;
use std::io::{Read, Write};
use std::path::Path;
use std::sync::mpsc::sync_channel;
use std::thread;

use measuring::{During, Failure};

const BUFFERS: usize = 8;
const BUFFER_BYTES: usize = 256 << 10;

pub(super) fn copy(from: &Path, to: &Path) -> Result<(), Failure> {
    let mut input = File::open(from).during("open the input")?;
    let mut output = File::create(to).during("create the output")?;
    let (full, filled) = sync_channel::<(Vec<u8>, usize)>(BUFFERS);
    let (empty, emptied) = sync_channel::<Vec<u8>>(BUFFERS);
    for _ in 0..BUFFERS {
        let _ = empty.send(vec![0; BUFFER_BYTES]);
    }
    let reader = thread::spawn(move || -> Result<(), Failure> {
        for mut buffer in emptied {
            let read = input.read(&mut buffer).during("read")?;
            if read == 0 {
                break;
            }
            buffer[..read].make_ascii_uppercase();
            if full.send((buffer, read)).is_err() {
                break;
            }
        }
        Ok(())
    });
    for (buffer, read) in filled {
        output.write_all(&buffer[..read]).during("write")?;
        // Nobody takes it any more at the end.
        let _ = empty.send(buffer);
    }
    reader.join().map_err(|_| Failure::new("the reader panicked"))?
}
