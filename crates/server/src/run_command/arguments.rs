//! The command line of `phalanx run`.

use std::path::PathBuf;

use clap::Args;

use super::options::Options;

const EXAMPLES: &str = "\
Examples:
  phalanx run -n 4 -- node app.js
      four workers for an unmodified Node app: its port is shared, one that dies is replaced, none of its connections is lost
  phalanx run app.js
      the same, as many as there are cores; .py is run by python3; its arguments stand behind --
  phalanx run --listen 127.0.0.1:8000 -n 4 -- uvicorn --fd '{fd}' app:api
      Python: {fd} is the number of the shared socket; programs that know LISTEN_FDS (gunicorn, Go with activation) need no {fd}
  phalanx run --listen :8080 --fd-env SOCKET --ready-notify -- ./server
      a program that takes the number from a variable, and says READY=1 when it can serve
  phalanx run --name mail --max-memory-restart 300MiB --cron-restart '0 4 * * *' -- ./mailer
      no socket: a program that is kept alive, within its memory, and begins anew each night
  phalanx run
      all apps of ./phalanx.toml; phalanx run api mail starts only those; a table there:
          [[app]]
          name = \"api\"
          program = \"server.js\"
          instances = \"max\"
          env = { NODE_ENV = \"production\" }
      each flag is a key, without --
  phalanx run --import ecosystem.config.js > phalanx.toml
      takes over the apps of PM2
  phalanx ctl ls
      what runs; then: phalanx ctl --app api reload --wait, phalanx ctl --app api logs -f, phalanx ctl describe api

In arguments and in the values of --env, {instance} is the number of the worker's place (0, 1, …), {fd} the number of its first
socket, {fd:NAME} that of a named one. Each worker also gets PHALANX_INSTANCE and PHALANX_WORKER.

Signals: SIGTERM and SIGINT stop the workers (--kill-timeout), a second one at once. SIGHUP reloads: new workers first, with the
file and the --env-file as they are now. SIGUSR1 opens the log file anew.
Exit code: 0 after a clean stop, 64 for a wrong setting, 78 if no restart will help, 1 for anything else.";

/// What to run, and how.
#[derive(Debug, Clone, Args)]
#[command(
    after_help = EXAMPLES,
    override_usage = "phalanx run [OPTIONS] -- PROGRAM [ARGS]...\n       phalanx run [OPTIONS] SCRIPT [-- ARGS]...\n       phalanx run [--config FILE] [NAME]..."
)]
pub(crate) struct RunArguments {
    /// A script (.js, .py, or with a slash), or apps of the file; without any, all of them
    #[arg(value_name = "SCRIPT|NAME")]
    pub(super) words: Vec<String>,

    /// The program and its arguments
    #[arg(last = true, value_name = "PROGRAM")]
    pub(super) command: Vec<String>,

    /// File of apps [default: ./phalanx.toml]
    #[arg(long, value_name = "FILE", conflicts_with = "command")]
    pub(super) config: Option<PathBuf>,

    /// Run in the background, with a session and a log file of its own [default: phalanx/NAME.log in $XDG_STATE_HOME, ~/.local/state or, for
    /// root, /var/log]; returns when the app is ready, or with its error
    #[arg(long, short)]
    pub(super) detach: bool,

    /// Print the apps of PM2's ecosystem file (.js, .cjs, .mjs, .json, .yml) as a phalanx.toml, and run nothing
    #[arg(long, value_name = "FILE", conflicts_with_all = ["command", "words", "config", "detach"])]
    pub(super) import: Option<PathBuf>,

    /// Names the app in each line that it writes: it is one of several.
    #[arg(long, hide = true)]
    pub(super) labelled: bool,

    /// What `--detach` starts: writes into a log file in any case.
    #[arg(long, hide = true)]
    pub(super) background: bool,

    #[command(flatten)]
    pub(super) options: Options,
}
