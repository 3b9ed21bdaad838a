//! [`Pack`]: a block becomes a zstd frame.

use std::borrow::Cow;

use zstd::bulk::Compressor;

use super::header::{DONE, MORE};
use crate::blocks::{Block, Idle, give};
use crate::{Cause, Chunk, Outlet, ParallelTransform};

pub(super) struct Pack {
    pub(super) level: i32,
    pub(super) idle: Idle<Context>,
}

/// A compressor, and where it writes to: it cannot say before how much it will be.
pub(super) struct Context {
    compressor: Compressor<'static>,
    packed: Vec<u8>,
}

impl Pack {
    fn context(&self) -> Result<Context, Cause> {
        let mut compressor = Compressor::new(self.level)?;
        compressor.include_checksum(true)?;
        compressor.include_contentsize(true)?;
        Ok(Context { compressor, packed: Vec::new() })
    }
}

impl ParallelTransform for Pack {
    type In = Block;
    type Out = Chunk;

    fn name(&self) -> Cow<'static, str> {
        "zstd".into()
    }

    fn apply(&self, number: u64, block: Block, out: &mut Outlet<'_, Chunk>) -> Result<(), Cause> {
        let mut context = match self.idle.take() {
            Some(context) => context,
            None => self.context()?,
        };
        let bound = zstd::zstd_safe::compress_bound(block.bytes.len());
        if context.packed.len() < bound {
            context.packed.resize(bound, 0);
        }
        let bytes = context.compressor.compress_to_buffer(&block.bytes, &mut context.packed[..])?;
        let mark = match (number, block.is_followed) {
            (0, true) => &MORE[..],
            (0, false) | (_, true) => &[],
            (_, false) => &DONE,
        };
        give(&[&context.packed[..bytes], mark], out);
        self.idle.put(context);
        Ok(())
    }
}
