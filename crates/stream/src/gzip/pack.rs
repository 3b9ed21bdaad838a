//! [`Pack`]: a block becomes a gzip member.

use std::borrow::Cow;

use libdeflater::{CompressionLvl, Compressor};

use super::header;
use crate::blocks::{Block, Idle, give};
use crate::{Cause, Chunk, Outlet, ParallelTransform};

pub(super) struct Pack {
    pub(super) level: CompressionLvl,
    pub(super) idle: Idle<Context>,
}

/// A compressor, and where it writes to: it cannot say before how much it will be.
pub(super) struct Context {
    compressor: Compressor,
    deflated: Vec<u8>,
}

impl ParallelTransform for Pack {
    type In = Block;
    type Out = Chunk;

    fn name(&self) -> Cow<'static, str> {
        "gzip".into()
    }

    fn apply(&self, _: u64, block: Block, out: &mut Outlet<'_, Chunk>) -> Result<(), Cause> {
        let new = || Context { compressor: Compressor::new(self.level), deflated: Vec::new() };
        let mut context = self.idle.take().unwrap_or_else(new);
        let bound = context.compressor.deflate_compress_bound(block.bytes.len());
        if context.deflated.len() < bound {
            context.deflated.resize(bound, 0);
        }
        let bytes = context.compressor.deflate_compress(&block.bytes, &mut context.deflated)?;
        let head = header::write(bytes, block.is_followed).ok_or("the block is too large")?;
        let checksum = libdeflater::crc32(&block.bytes).to_le_bytes();
        let length = (block.bytes.len() as u32).to_le_bytes();
        give(&[&head, &context.deflated[..bytes], &checksum, &length], out);
        self.idle.put(context);
        Ok(())
    }
}
