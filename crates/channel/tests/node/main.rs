//! The Node wire: against byte dumps of real Node processes, against a socket that does as it likes, and against Node itself
//! (the versions of `tests/node`, or of the folder that `PHALANX_NODES` names; without either, the `node` on the path).

#![cfg(feature = "node")]
#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod against_node;
mod against_socket;
mod as_child;
mod dumps;
mod parcels;
mod peers;
mod round_trip;
mod values;
