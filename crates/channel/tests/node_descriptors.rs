//! Alone in its process, so that it may count descriptors: none is left behind, whatever becomes of a handle.

#![cfg(feature = "node")]

use std::net::UdpSocket;
use std::os::unix::net::UnixStream;
use std::time::Duration;

use phalanx_channel::node::{Handle, NodeChannel, Serialization, Value};

const ROUNDS: u32 = 5_000;

fn descriptors() -> usize {
    std::fs::read_dir("/proc/self/fd").map_or(0, Iterator::count)
}

async fn exchange() -> Result<(), Box<dyn std::error::Error>> {
    for serialization in [Serialization::Json, Serialization::Advanced] {
        let (ours, theirs) = UnixStream::pair()?;
        let ours: NodeChannel = NodeChannel::open(ours.into(), serialization)?;
        let theirs: NodeChannel = NodeChannel::open(theirs.into(), serialization)?;
        for round in 0..ROUNDS {
            let message = Value::from(round);
            let socket = Handle::from(UdpSocket::bind("127.0.0.1:0")?);
            ours.send_handle(&message, socket).await?;
            let incoming = theirs.recv().await?.ok_or("the end")?;
            assert_eq!(incoming.value, message);
            assert!(incoming.handle.is_some());
            // What is refused is closed, too.
            let refused = Handle::Native(std::fs::File::open("/dev/null")?.into());
            assert!(ours.send_handle(&message, refused).await.is_err());
        }
        // One that nobody receives.
        ours.send_handle(&Value::Null, UdpSocket::bind("127.0.0.1:0")?.into()).await?;
        ours.close(Duration::from_secs(30)).await?;
    }
    Ok(())
}

#[test]
fn the_descriptors_of_a_process_end_where_they_began() {
    let runtime = || tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    // The first runtime of a process may open what stays for ever (for signals, if that feature is on).
    drop(runtime());
    let before = descriptors();
    let runtime = runtime();
    let exchanged = runtime.block_on(async { tokio::time::timeout(Duration::from_secs(600), exchange()).await });
    exchanged.expect("in time").expect("no error");
    drop(runtime);
    assert_eq!(descriptors(), before);
}
