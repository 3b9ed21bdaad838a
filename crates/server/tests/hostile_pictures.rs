//! Pictures that claim more than they are, through a real server: clear answers, the same workers, and no process takes more than the
//! budget of one job.

#![allow(clippy::unwrap_used)]

mod harness;

use std::collections::BTreeSet;
use std::fs;

use harness::pictures::{jpeg, png, progressive_jpeg};
use harness::{Server, children_of, isolation};
use phalanx::image::{Limits, Transform, plan, probe};

const MIB: u64 = 1 << 20;
/// What a process takes beside the picture: the program, stacks, buffers of messages, what an allocator has not given back.
const MARGIN_BYTES: u64 = 48 * MIB;

/// The most that each process below the server ever had resident, by the kernel's own count.
fn peaks(server: &Server) -> Vec<(u32, u64)> {
    let workers = server.worker_pids();
    let jobs: BTreeSet<u32> = workers.iter().flat_map(|worker| children_of(*worker)).collect();
    let peak = |pid: u32| {
        let status = fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
        let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
        Some((pid, line.trim().trim_end_matches(" kB").parse::<u64>().ok()? << 10))
    };
    workers.into_iter().chain(jobs).filter_map(peak).collect()
}

/// The same file with another size in its header.
fn claiming(mut jpeg: Vec<u8>, width: u16, height: u16) -> Vec<u8> {
    let frame = jpeg.windows(2).position(|pair| matches!(pair, [0xFF, 0xC0..=0xC2])).unwrap();
    jpeg[frame + 5..frame + 7].copy_from_slice(&height.to_be_bytes());
    jpeg[frame + 7..frame + 9].copy_from_slice(&width.to_be_bytes());
    jpeg
}

/// A progressive file of 1.8 MB.
fn dense() -> Vec<u8> {
    let (width, height) = (1200, 1000);
    let mut seed = 1u32;
    let next = move || {
        seed = seed.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        (seed >> 24) as u8
    };
    let pixels: Vec<u8> = std::iter::repeat_with(next).take(width * height * 3).collect();
    let mut bytes = Vec::new();
    let mut encoder = jpeg_encoder::Encoder::new(&mut bytes, 95);
    encoder.set_progressive(true);
    encoder.encode(&pixels, width as u16, height as u16, jpeg_encoder::ColorType::Rgb).unwrap();
    bytes.truncate(1_800_000);
    bytes
}

/// A GIF of one pixel on a large canvas.
fn large_canvas(width: u16, height: u16) -> Vec<u8> {
    let mut bytes = Vec::new();
    let mut encoder = gif::Encoder::new(&mut bytes, width, height, &[0, 0, 0, 255, 0, 0]).unwrap();
    encoder.write_frame(&gif::Frame::from_indexed_pixels(1, 1, vec![1], None)).unwrap();
    drop(encoder);
    bytes
}

fn announced(file: &[u8]) -> u64 {
    plan(&probe(file).unwrap(), &Transform::default(), &Limits::default()).unwrap().estimated_bytes
}

#[test]
fn bombs_are_answered_and_no_process_takes_more_than_their_plans_announce() {
    let bombs = [
        ("a progressive file of 1.8 MB that claims 8000 × 6000", claiming(dense(), 8000, 6000), 422),
        ("a baseline file of a few hundred bytes that claims 50 megapixels", claiming(jpeg(16, 16), 7071, 7071), 422),
        (
            "a progressive file of a few hundred bytes that claims 50 megapixels",
            claiming(progressive_jpeg(16, 16), 7071, 7071),
            422,
        ),
        ("a PNG that unpacks to 300 times its size", png(4000, 3000), 200),
        ("a GIF of one pixel on 24 megapixels", large_canvas(6000, 4000), 200),
    ];
    let server = Server::start_with(&["--job-deadline", "120s", "--max-wait", "120s"]);
    server.survives(|server| {
        for (name, file, status) in &bombs {
            let answer = server.post("/v1/images?w=800", "", file);
            assert_eq!(answer.status, *status, "{name}: {}\nlog:\n{}", answer.text(), server.log());
            if *status == 422 {
                answer.is_problem(422, "unreadable-picture");
            }
            assert_eq!(server.post("/v1/images?w=20", "", &jpeg(64, 48)).status, 200, "after {name}");
        }
    });
    // A worker has two pictures in work at most where it decodes itself; a job process one.
    let most = bombs.iter().map(|(_, file, _)| announced(file) + 2 * file.len() as u64).max().unwrap() + MARGIN_BYTES;
    for (pid, peak) in peaks(&server) {
        println!("process {pid}: at most {} of {} MiB ({} isolation)", peak / MIB, most / MIB, isolation());
        assert!(peak <= most, "process {pid} had {peak} bytes, {most} are announced");
    }
}

#[test]
fn a_limit_that_a_bomb_exceeds_is_named_before_its_body_is_read() {
    let server = Server::start_with(&["--job-memory", "4MiB", "--max-megapixels", "20"]);
    server.survives(|server| {
        for (file, words, limit) in [
            (claiming(jpeg(16, 16), 5000, 5000), "source pixels", 20_000_000),
            (claiming(jpeg(16, 16), 65_000, 10), "source side", 16_384),
            (claiming(progressive_jpeg(16, 16), 5000, 4000), "working memory", 4 * MIB),
        ] {
            let mut connection = server.connect();
            connection.write(b"POST /v1/images HTTP/1.1\r\nhost: test\r\ncontent-length: 20000000\r\n\r\n");
            connection.write(&file);
            let answer = connection.answer().unwrap();
            let detail = answer.is_problem(413, "picture-too-large");
            assert!(detail.contains(words), "{detail}");
            assert_eq!(answer.json()["limit"], limit, "{}", answer.text());
        }
    });
}
