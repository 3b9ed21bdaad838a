//! A server that forgets to forget: each request leaves its session behind. The heap profile says who holds it.
//!
//! `cargo run -p phalanx-memory --features heap-profile --example heap_profile [FOLDER]` writes `heap.pb.gz` and `heap.svg`.

use std::collections::HashMap;
use std::error::Error;
use std::path::PathBuf;

use phalanx_memory::profile;

#[global_allocator]
static ALLOCATOR: phalanx_memory::Allocator = phalanx_memory::Allocator;

/// So many requests of so many bytes each.
const REQUESTS: u64 = 50_000;
const SESSION_BYTES: usize = 1024;

#[derive(Default)]
struct Sessions(HashMap<u64, Vec<u8>>);

impl Sessions {
    /// The leak: nothing ever takes a session out again.
    #[inline(never)]
    fn remember(&mut self, id: u64) {
        self.0.insert(id, vec![1; SESSION_BYTES]);
    }
}

/// What a request needs while it is answered is freed, and in no profile.
#[inline(never)]
fn handle_request(id: u64, sessions: &mut Sessions) -> usize {
    let body = std::hint::black_box(vec![0_u8; 64 * 1024]);
    sessions.remember(id);
    body.len()
}

fn main() -> Result<(), Box<dyn Error>> {
    if let Err(why) = profile::start() {
        println!("{why}");
        return Ok(());
    }
    let mut sessions = Sessions::default();
    let answered: usize = (0..REQUESTS).map(|id| handle_request(id, &mut sessions)).sum();
    let taken = profile::take()?;
    println!(
        "{REQUESTS} requests, {answered} bytes answered; {} bytes live in {} samples",
        taken.bytes(),
        taken.samples()
    );
    let folder = std::env::args_os().nth(1).map_or_else(std::env::temp_dir, PathBuf::from);
    std::fs::write(folder.join("heap.pb.gz"), taken.to_pprof())?;
    std::fs::write(folder.join("heap.svg"), taken.to_flame_graph("a server that forgets to forget"))?;
    println!("written to {}", folder.join("heap.pb.gz").display());
    Ok(())
}
