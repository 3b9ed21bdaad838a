//! What is packed in these tests, and the pieces in which it comes.
#![allow(dead_code, reason = "not every test needs all of it")]

/// `bytes` in pieces of these sizes, over and over.
pub(crate) fn cut(mut bytes: &[u8], sizes: &[usize]) -> Vec<Vec<u8>> {
    let mut pieces = Vec::new();
    for size in sizes.iter().cycle() {
        if bytes.is_empty() {
            break;
        }
        let (piece, rest) = bytes.split_at(bytes.len().min((*size).max(1)));
        pieces.push(piece.to_vec());
        bytes = rest;
    }
    pieces
}

/// So many bytes of what a server writes to its log.
pub(crate) fn log_lines(bytes: usize) -> Vec<u8> {
    const PATHS: [&str; 4] = ["/process", "/upload", "/v1/compress", "/healthz"];
    let mut text = String::with_capacity(bytes + 200);
    let mut numbers = Numbers(7);
    while text.len() < bytes {
        let (id, path, ms) = (numbers.next(), numbers.next(), numbers.next());
        let path = PATHS[path as usize % PATHS.len()];
        let line = format!(r#"{{"level":"info","id":"{id:016x}","path":"{path}","status":200,"ms":{}}}"#, ms % 900);
        text.push_str(&line);
        text.push('\n');
    }
    text.truncate(bytes);
    text.into_bytes()
}

/// So many bytes that cannot be packed.
pub(crate) fn noise(bytes: usize) -> Vec<u8> {
    let mut numbers = Numbers(3);
    std::iter::repeat_with(|| numbers.next().to_le_bytes()).flatten().take(bytes).collect()
}

/// Xorshift.
struct Numbers(u64);

impl Numbers {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0.wrapping_mul(0x2545_f491_4f6c_dd1d)
    }
}
