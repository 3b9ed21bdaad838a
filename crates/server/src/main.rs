//! The binary `phalanx`.

#![forbid(unsafe_code)]

mod accept;
mod app;
mod arguments;
mod body;
mod cluster;
mod config;
mod ctl;
mod ending;
mod image_command;
mod interruption;
mod jobs;
mod join;
mod logs;
mod memory;
mod numbers;
mod owner;
mod parameters;
mod pipe;
mod problem;
mod query;
mod queue_command;
mod receive;
mod request;
mod routes;
mod run_command;
mod serve;
mod start;
mod store;
mod streams;
mod tasks;
mod text_table;
mod work;

use arguments::{Arguments, Mode};
use clap::Parser;
use start::Failure;
use std::process::ExitCode;

#[global_allocator]
static ALLOCATOR: phalanx::memory::Allocator = phalanx::memory::Allocator;

fn main() -> ExitCode {
    let begun = phalanx_queue::init_with(tasks::registry());
    let outcome = begun.map_err(|error| Failure::Other(error.to_string())).and_then(|()| {
        match Arguments::try_parse().map(Arguments::mode) {
            Ok(Mode::Serve(serve)) => serve::run(&serve),
            Ok(Mode::Run(run)) => run_command::run(&run),
            Ok(Mode::Startup(startup)) => run_command::startup(&startup),
            Ok(Mode::Ctl(ctl)) => ctl::run(&ctl),
            Ok(Mode::Queue(queue)) => queue_command::run(&queue),
            Ok(Mode::Work(work)) => join::run(&work),
            Ok(Mode::Pipe(pipe)) => pipe::run(&pipe).map_err(|ending| Failure::Command("pipe", ending)),
            Ok(Mode::Image(image)) => image_command::run(&image).map_err(|ending| Failure::Command("image", ending)),
            Err(told) => start::wrong_arguments(&told),
        }
    });
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => failure.report(),
    }
}
