//! The binary `phalanx`.

#![forbid(unsafe_code)]

mod accept;
mod app;
mod arguments;
mod body;
mod cluster;
mod config;
mod ctl;
mod logs;
mod memory;
mod numbers;
mod parameters;
mod problem;
mod query;
mod receive;
mod request;
mod routes;
mod serve;
mod start;
mod store;
mod tasks;
mod work;

use arguments::{Arguments, Mode};
use clap::Parser;
use start::Failure;
use std::process::ExitCode;

fn main() -> ExitCode {
    let begun = phalanx::init_with(tasks::registry());
    let outcome = begun.map_err(|error| Failure::Other(error.to_string())).and_then(|()| {
        match Arguments::try_parse().map(Arguments::mode) {
            Ok(Mode::Serve(serve)) => serve::run(&serve),
            Ok(Mode::Ctl(ctl)) => ctl::run(&ctl),
            Err(told) => start::wrong_arguments(&told),
        }
    });
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => failure.report(),
    }
}
