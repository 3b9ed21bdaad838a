//! What a pipeline can begin with and end in, besides files: anything async, sockets, channels, streams.

mod async_read;
mod async_write;
mod channels;
#[cfg(feature = "net")]
mod sockets;
mod streams;
