//! The command line of `phalanx startup`.

use std::path::PathBuf;

use clap::Args;

use crate::config::Account;

const EXAMPLES: &str = "\
Examples:
  phalanx startup
      a unit for all apps of ./phalanx.toml
  phalanx startup api --run-as deploy
      for one of them, or for an app that runs now, as this user
  phalanx startup --user --print api
      for the systemd of this user, shown and not written

Exit code: 0 done, 64 a wrong command line, 69 no such app runs, 1 for anything else.";

/// What systemd shall run, and how.
#[derive(Debug, Clone, Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct StartupArguments {
    /// An app of the file, an app that runs now, or a file of apps (.toml) [default: all of ./phalanx.toml]
    #[arg(value_name = "APP|FILE")]
    pub(super) what: Option<String>,
    /// File of apps [default: ./phalanx.toml if it is there]
    #[arg(long, value_name = "FILE")]
    pub(super) config: Option<PathBuf>,
    /// For the systemd of this user, not for that of the machine
    #[arg(long, conflicts_with = "run_as")]
    pub(super) user: bool,
    /// User, or user:group, that it runs as [default: root]
    #[arg(long, value_name = "NAME")]
    pub(super) run_as: Option<Account>,
    /// Name of the unit [default: that of the app, or of the file's folder]
    #[arg(long, value_name = "NAME")]
    pub(super) name: Option<String>,
    /// Print it and write nothing
    #[arg(long)]
    pub(super) print: bool,
    /// Write over a unit that says something else
    #[arg(long)]
    pub(super) force: bool,
}
