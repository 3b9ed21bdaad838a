//! A WebSocket that answers each text with the same words as a request, and says good-bye when the worker leaves.
//!
//! Only for the oracle: short unfragmented texts, and no key is checked.

use hyper::upgrade::OnUpgrade;
use hyper_util::rt::TokioIo;
use phalanx_cluster::Peer;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

const TEXT: u8 = 0x81;
/// Close, with the code 1001: going away.
const GOING_AWAY: [u8; 4] = [0x88, 2, 0x03, 0xE9];
/// Longest payload of a frame with a short length.
const SHORT: usize = 125;

/// Serves one connection to its end.
pub(crate) async fn serve(upgrade: OnUpgrade, peer: Option<Peer>, pid: u32, generation: u32) {
    let Ok(upgraded) = upgrade.await else { return };
    let (mut reader, mut writer) = tokio::io::split(TokioIo::new(upgraded));
    let leaving = async {
        match &peer {
            Some(peer) => peer.leaving().await,
            None => std::future::pending().await,
        }
    };
    tokio::pin!(leaving);
    let mut read = Vec::new();
    loop {
        let mut buffer = [0; 1024];
        // What has arrived is answered before the good-bye: the client may have sent it before it could know.
        tokio::select! {
            biased;
            count = reader.read(&mut buffer) => match count {
                Ok(count @ 1..) => read.extend_from_slice(&buffer[..count]),
                _ => return,
            },
            () = &mut leaving => {
                let _ = writer.write_all(&GOING_AWAY).await;
                let _ = writer.shutdown().await;
                return;
            }
        }
        while let Some(text) = next_text(&mut read) {
            let answer = format!("{text} {pid} {generation}");
            let mut frame = vec![TEXT, answer.len().min(SHORT) as u8];
            frame.extend(answer.bytes().take(SHORT));
            if writer.write_all(&frame).await.is_err() {
                return;
            }
        }
    }
}

/// Takes one masked text out of what was read.
fn next_text(read: &mut Vec<u8>) -> Option<String> {
    let length = usize::from(read.get(1)? & 0x7F);
    let whole = 6 + length;
    if read.len() < whole {
        return None;
    }
    let frame: Vec<u8> = read.drain(..whole).collect();
    let mask = &frame[2..6];
    let text = frame[6..].iter().zip(mask.iter().cycle()).map(|(byte, mask)| byte ^ mask).collect();
    String::from_utf8(text).ok()
}
