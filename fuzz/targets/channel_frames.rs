//! Frames of a typed channel, as a hostile process would write them: through a real socket, with real descriptors.

#![no_main]

use std::time::Duration;

use libfuzzer_sys::fuzz_target;
use phalanx_fuzz::channel::{self, Answer, Question};
use phalanx_fuzz::{Script, descriptors, watch};
use rustix::net::{AddressFamily, SocketFlags, SocketType};
use std::os::fd::AsFd;

fuzz_target!(|input: &[u8]| {
    let Some((mode, input)) = input.split_first() else { return };
    let mode = channel::Mode::from_byte(*mode);
    let script = Script::parse(input);
    channel::RUNTIME.with(|runtime| {
        runtime.block_on(async {
            let in_pieces = receive(&script.pieces(), mode).await;
            if script.is_bytes_only() && mode.is_repeatable() {
                let whole = [(script.stream, phalanx_fuzz::Carried::Nothing)];
                assert_eq!(in_pieces, receive(&whole, mode).await, "the messages depend on how the bytes were split");
            }
        })
    });
    watch::no_descriptor_stays_open();
});

/// What the program behind the channel sees.
async fn receive(pieces: &[(&[u8], phalanx_fuzz::Carried)], mode: channel::Mode) -> Vec<channel::Seen> {
    let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
    let (ours, theirs) = rustix::net::socketpair(AddressFamily::UNIX, SocketType::STREAM, flags, None)
        .expect("a socket pair can be made");
    let channel = channel::open(ours, mode);
    let mut seen = Vec::new();
    let hostile = async {
        for (piece, carried) in pieces {
            if !descriptors::send(theirs.as_fd(), piece, *carried) {
                break;
            }
            channel::let_the_others_run().await;
        }
        drop(theirs);
    };
    let asking = async {
        if mode.asks() {
            let _ = channel.request(&Question::new(), watch::END_DEADLINE * 2).await;
        }
    };
    let receiving = async {
        loop {
            match channel.recv().await {
                Ok(Some(message)) => {
                    seen.push(channel::Seen::of(&message));
                    if let (true, Some(ticket)) = (mode.answers(), message.ticket) {
                        let _ = channel.reply(ticket, &Answer::new()).await;
                    }
                }
                // One message was refused, the stream is in order.
                Err(error) if channel::goes_on_after(&error) => {}
                Err(_) | Ok(None) => break,
            }
        }
    };
    tokio::time::timeout(watch::END_DEADLINE, async { tokio::join!(hostile, asking, receiving) })
        .await
        .expect("the end is always reached");
    channel.close(Duration::from_millis(1)).await.ok();
    seen
}
