//! The project's own commands, run as `cargo xtask COMMAND`.
//!
//! ```text
//! ci ──▶ fmt · clippy · docs ──▶ test ──▶ loom ──▶ differential, fuzz ──▶ torture, storm and soak, short ──▶ first minutes (cold build, crates, binary, start, resting worker)
//! test ─▶ tools (chromium, node, brokers, …) ──▶ brokers start while cargo builds ──▶ cargo test ──▶ browser tests
//! nightly ─▶ differential ──▶ fuzz, 10 min ──▶ asan ──▶ valgrind ──▶ long tests
//! bench ─▶ release build ──▶ the program of `bench/`
//! torture ─▶ release build ──▶ the program of `torture/`
//! storm ─▶ release build ──▶ the other program of `torture/`: the same for queues
//! soak ─▶ release build ──▶ the third one: a day of a server in minutes ──▶ the picture of its memory
//! ```
//!
//! Nothing here is needed to build or use Phalanx.

mod bench;
mod brokers;
mod ci;
mod differential;
mod features;
mod first_minutes;
mod fuzz;
mod model;
mod nightly;
mod sanitizer;
mod soak;
mod step;
mod storm;
mod test;
mod tools;
mod torture;
mod verdicts;

use std::process::ExitCode;

use step::Failure;

const HELP: &str = "\
The project's own commands.

Usage: cargo xtask COMMAND

Commands:
  ci                     every check and test, then the figures of the first minutes (cold build, start, memory)
  test [NAME…]           all tests, or those whose name contains NAME; says what it had to skip
  test --install         the same, after installing the missing Debian packages
  first-minutes          only the last of these: a cold build, its size, start and resting memory
  fuzz [TARGET…] [--seconds N]
                         hostile bytes for all decoders, 30 s each; what fails is kept as a file
  fuzz TARGET --again FILE
                         one input once more
  differential [--short] the JPEG decoder beside libjpeg-turbo's, on files of every kind; `--only NAME` chooses
  loom                   models of the concurrent parts, in every order
  asan                   tests of the crates with unsafe code, with AddressSanitizer
  valgrind               unit tests of the crates with unsafe code under valgrind
  nightly                differential, fuzz for 10 minutes, asan, valgrind, and the tests in their long form
  bench upload           photos per second beside express + multer + sharp + cluster, with a quality score
  bench process          POST /process beside worker_threads and piscina; /livez meanwhile
  bench hello            CPU per request beside nginx and node:cluster
  bench overload         0.9 and 3 times the capacity: what is accepted, how late, how much memory
  bench gate             how evenly the workers of one listener share connections, and what that costs
  bench ipc              messages between two processes beside a socket pair, ipc-channel and child_process.fork
  bench thread           pools, workers, ports, atomics and rings beside tokio, rayon, crossbeam, piscina and Node
  bench queue            durable jobs and messages beside a bare SQLite owner, BullMQ, lapin, amqplib, rdkafka
  bench image            pictures in memory beside sharp and libjpeg-turbo: CPU, quality, bytes, memory; the decoder alone
  bench spawn            programs started and waited for, beside std, tokio and child_process.spawn
  bench CASE --quick     a smoke run of a few seconds; `bench CASE --help` lists the rest
  torture                kills, reloads and starves clusters under load; a table of what their clients saw
  torture --short        the same in at most three minutes; `--list` names the scenarios, `--only NAME` chooses,
                         `--seed N` repeats, `--minutes M` lengthens, `--peers` adds the rivals
  storm [KEEPER…]        producers, workers and the keeper of a queue are killed, stopped and cut off at random; then every
                         confirmed job is asked for. `--seconds N` for each, `--seed N` repeats
  soak [--minutes 20]    a day of the server in minutes: every request, good and bad, crashes and reloads; fails if the memory of
                         any process is not flat (from 10 minutes on). `--seed N` repeats, `--subject PATH` another program, `--draw FILE` the
                         picture of the last run once more
";

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    match dispatch(&arguments) {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            eprintln!("xtask: {failure}");
            ExitCode::FAILURE
        }
    }
}

fn dispatch(arguments: &[String]) -> Result<(), Failure> {
    let (command, rest) = match arguments.split_first() {
        Some((command, rest)) => (command.as_str(), rest),
        None => ("--help", arguments),
    };
    match command {
        "ci" => ci::run(),
        "test" => test::run(rest),
        "first-minutes" => first_minutes::run(),
        "bench" => bench::run(rest),
        "torture" => torture::run(rest),
        "storm" => storm::run(rest),
        "soak" => soak::run(rest),
        "fuzz" => fuzz::run(rest),
        "differential" => differential::run(rest),
        "loom" => model::run(),
        "asan" => nightly::address_sanitizer(),
        "valgrind" => nightly::valgrind(),
        "nightly" => nightly::run(),
        "-h" | "--help" | "help" => {
            print!("{HELP}");
            Ok(())
        }
        unknown => Err(Failure::new(format!("there is no command {unknown:?}; `cargo xtask --help` lists them"))),
    }
}
