//! The command line: what `phalanx` can be asked to do, with help that teaches.

use crate::config::Settings;
use crate::ctl::CtlArguments;
use crate::image_command::ImageArguments;
use crate::join::WorkArguments;
use crate::pipe::PipeArguments;
use crate::queue_command::QueueArguments;
use crate::run_command::{RunArguments, StartupArguments};
use clap::{Args, Parser, Subcommand};
use std::path::PathBuf;

const EXAMPLES: &str = "\
Try it:
  phalanx
      serves on http://127.0.0.1:3000, where a page lets you try it in a browser
  curl -O http://127.0.0.1:3000/sample.jpg
      a photo to begin with
  curl -F image=@sample.jpg http://127.0.0.1:3000/upload
      at most 800 px wide, JPEG of quality 80; answers JSON with the path of the result
  curl -F image=@sample.jpg 'http://127.0.0.1:3000/v1/images?w=300&format=webp' -o small.webp
      answers the picture itself; also: h, fit, q, dpr, bg, rotate, flip, flop, store=1
  curl -d '{\"numbers\":[10,20,30,40]}' http://127.0.0.1:3000/process
      work for the CPU; answers {\"result\":[75306,75596,75886,76176]}
  curl -H 'prefer: respond-async' -F image=@sample.jpg http://127.0.0.1:3000/upload
      answers at once with the path of a job; PATH/result has the answer, PATH/events tells how far it is
  curl --json '{\"task\":\"numbers\",\"input\":{\"numbers\":[10]}}' http://127.0.0.1:3000/v1/jobs
      a job too; with -H 'idempotency-key: K' the same request again is the same job
  phalanx work --queue embedded:phalanx-data/queue
      helps with the jobs; phalanx queue stats tells how many there are
  curl http://127.0.0.1:3000/whoami
      the worker process that answers; /readyz tells its state, /livez that it lives

Settings: each flag, as --body-limit, is also an environment variable, PHALANX_BODY_LIMIT, and a
key of phalanx.toml, body-limit. A flag wins over the environment, the environment over the file.
An unknown key in the file is an error.

Signals: SIGTERM and SIGINT finish the running requests, then stop; a second one stops at once.
SIGHUP reloads, SIGUSR2 upgrades, SIGUSR1 opens the log file anew; `phalanx ctl` does the same and waits.
Exit code: 0 after a clean stop, 64 for a wrong setting, 78 if no restart will help, 1 for anything else.";

/// Puts every core to work for a server: an image and compute API on a cluster of worker processes.
#[derive(Debug, Parser)]
#[command(name = "phalanx", version, after_help = EXAMPLES, args_conflicts_with_subcommands = true, max_term_width = 110)]
pub(crate) struct Arguments {
    #[command(subcommand)]
    mode: Option<Mode>,
    #[command(flatten)]
    serve: ServeArguments,
}

/// What `phalanx` does.
#[derive(Debug, Subcommand)]
pub(crate) enum Mode {
    /// Serve the image and compute API (also what a bare `phalanx` does)
    #[command(after_help = EXAMPLES)]
    Serve(Box<ServeArguments>),
    /// Run any program as a cluster: Node, Python, Go, anything
    Run(Box<RunArguments>),
    /// Write the systemd unit for an app of `phalanx run`
    Startup(StartupArguments),
    /// Ask a running server: status, reload, upgrade, scale, stop, logs
    Ctl(CtlArguments),
    /// Do the jobs of a queue, beside a server or on another machine
    Work(Box<WorkArguments>),
    /// Look after queues and jobs: stats, list, show, retry, cancel, purge, pause
    Queue(QueueArguments),
    /// Make pictures smaller: a file, or a folder on all cores
    Image(Box<ImageArguments>),
    /// Copy bytes through stages on all cores: upper case, gzip, zstd, age, digests
    Pipe(Box<PipeArguments>),
}

/// How to serve.
#[derive(Debug, Default, Clone, Args)]
pub(crate) struct ServeArguments {
    /// File of settings [default: ./phalanx.toml if it is there]
    #[arg(long, value_name = "FILE", env = "PHALANX_CONFIG", hide_env = true)]
    pub(crate) config: Option<PathBuf>,
    #[command(flatten)]
    pub(crate) settings: Settings,
}

impl Arguments {
    /// What was asked for; serving is the default.
    pub(crate) fn mode(self) -> Mode {
        self.mode.unwrap_or_else(|| Mode::Serve(Box::new(self.serve)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory;

    #[test]
    fn the_definition_of_the_command_line_is_sound() {
        Arguments::command().debug_assert();
    }

    #[test]
    fn serving_is_what_a_bare_call_does() {
        for line in [&["phalanx", "--workers", "3"][..], &["phalanx", "serve", "--workers", "3"]] {
            let Mode::Serve(serve) = Arguments::try_parse_from(line).unwrap().mode() else { panic!("{line:?}") };
            assert_eq!(serve.settings.workers, Some(3), "{line:?}");
        }
    }

    #[test]
    fn every_flag_of_an_app_is_a_key_of_its_table() {
        let of_the_command = ["config", "detach", "import", "labelled", "background", "help", "version"];
        let command = Arguments::command();
        let run = command.find_subcommand("run").unwrap();
        let flags: Vec<&str> = run.get_arguments().filter_map(|argument| argument.get_long()).collect();
        assert!(flags.len() > 40, "{flags:?}");
        for flag in flags.into_iter().filter(|flag| !of_the_command.contains(flag)) {
            let error = crate::run_command::known_key(&format!("{flag} = {{ x = [] }}")).unwrap_err();
            assert!(!error.contains("unknown field"), "{flag}: {error}");
        }
    }

    #[test]
    fn every_key_of_the_file_is_a_flag() {
        let flags: Vec<String> = Arguments::command()
            .get_arguments()
            .filter_map(|argument| argument.get_long().map(str::to_owned))
            .filter(|flag| flag != "config" && flag != "help" && flag != "version")
            .collect();
        assert!(flags.len() > 15, "{flags:?}");
        for flag in flags {
            // A value of a wrong type: the key is known if the complaint is about the value.
            let error = toml::from_str::<Settings>(&format!("{flag} = {{}}")).unwrap_err();
            assert!(!error.message().contains("unknown field"), "{flag}: {error}");
        }
    }
}
