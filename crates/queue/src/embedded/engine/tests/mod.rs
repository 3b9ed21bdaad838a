//! Every transition, with a hand-made clock; restarts; faults of the file; random requests against a naive model.

mod faults;
mod flows;
mod life;
mod lists;
mod many;
mod messages;
mod model;
mod restart;
mod rig;
mod rules;
