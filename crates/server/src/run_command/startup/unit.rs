//! [`Unit`]: a service, as systemd reads it.

use std::fmt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::start::Failure;

/// What a service gets beyond the time of its workers before systemd kills all of it.
const STOP_RESERVE: Duration = Duration::from_secs(10);

/// Whose systemd.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Scope {
    /// The machine's.
    System,
    /// This user's.
    User,
}

impl Scope {
    /// Where its units are.
    pub(super) fn folder(self) -> Result<PathBuf, Failure> {
        let of_user = || {
            let config = std::env::var_os("XDG_CONFIG_HOME").map(PathBuf::from).filter(|path| path.is_absolute());
            config
                .or_else(|| std::env::home_dir().map(|home| home.join(".config")))
                .map(|config| config.join("systemd/user"))
        };
        match self {
            Scope::System => Ok("/etc/systemd/system".into()),
            Scope::User => {
                of_user().ok_or_else(|| Failure::Other("there is no home folder for the unit; say --print".into()))
            }
        }
    }

    /// What to do with a unit that was written.
    pub(super) fn next(self, name: &str, path: &Path) -> String {
        let (option, linger) = match self {
            Scope::System => ("", ""),
            Scope::User => (" --user", "\n  loginctl enable-linger\n      so that it runs without a login"),
        };
        format!(
            "wrote {}; next:\n  systemctl{option} daemon-reload\n  systemctl{option} enable --now {name}\n      from now on, and after each \
             start of the machine{linger}\n  systemctl{option} reload {name}\n      new workers first\n  journalctl{option} -u {name} -f",
            path.display()
        )
    }
}

/// A service.
#[derive(Debug)]
pub(super) struct Unit {
    pub(super) name: String,
    pub(super) command: Vec<String>,
    /// For one app: a command that fails if the reload does.
    pub(super) reload: Option<Vec<String>>,
    pub(super) folder: PathBuf,
    /// Where programs and interpreters are searched: systemd's own is short.
    pub(super) path: Option<String>,
    pub(super) account: Option<String>,
    pub(super) kill: Duration,
    pub(super) scope: Scope,
}

impl fmt::Display for Unit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = &self.name;
        writeln!(f, "# Written by `phalanx startup`.\n[Unit]\nDescription={} (phalanx run)", in_value(name))?;
        if self.scope == Scope::System {
            writeln!(f, "Wants=network-online.target\nAfter=network-online.target")?;
        }
        writeln!(f, "\n[Service]")?;
        match &self.reload {
            Some(reload) => {
                writeln!(f, "Type=notify\nExecStart={}\nExecReload={}", line(&self.command), line(reload))?;
            }
            None => {
                writeln!(f, "Type=notify\nExecStart={}\nExecReload=/bin/kill -HUP $MAINPID", line(&self.command))?;
            }
        }
        writeln!(f, "WorkingDirectory={}", in_value(&self.folder.display().to_string()))?;
        if let Some(path) = &self.path {
            writeln!(f, "Environment={}", word(&format!("PATH={path}"), false))?;
        }
        if let Some(account) = &self.account {
            let (user, group) = account.split_once(':').map_or((&**account, None), |(user, group)| (user, Some(group)));
            writeln!(f, "User={user}")?;
            group.map_or(Ok(()), |group| writeln!(f, "Group={group}"))?;
        }
        if self.scope == Scope::System {
            writeln!(
                f,
                "# Where `phalanx ctl` finds its control socket.\nRuntimeDirectory=phalanx/{}",
                in_value(name)
            )?;
        }
        writeln!(f, "# The workers are told by phalanx, one by one, and only what is left in the end is killed.")?;
        writeln!(f, "KillMode=mixed\nTimeoutStopSec={}", (self.kill + STOP_RESERVE).as_secs())?;
        writeln!(f, "WatchdogSec=30\nRestart=on-failure\nRestartSec=1\nRestartPreventExitStatus=64 78")?;
        writeln!(f, "# Control groups of its own, for --hard-memory.\nDelegate=yes")?;
        let target = if self.scope == Scope::System { "multi-user.target" } else { "default.target" };
        writeln!(f, "\n[Install]\nWantedBy={target}")
    }
}

/// A command line.
fn line(words: &[String]) -> String {
    let words: Vec<String> = words.iter().map(|text| word(text, true)).collect();
    words.join(" ")
}

/// One word: `%` is special everywhere, `$` in command lines, and quotes keep blanks.
fn word(text: &str, in_command: bool) -> String {
    let text = if in_command { in_value(text).replace('$', "$$") } else { in_value(text) };
    let is_plain = |c: char| c.is_ascii_alphanumeric() || "/._-=:,@+%$".contains(c);
    match !text.is_empty() && text.chars().all(is_plain) {
        true => text,
        false => format!("\"{}\"", text.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n")),
    }
}

fn in_value(text: &str) -> String {
    text.replace('%', "%%")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn unit(scope: Scope) -> Unit {
        Unit {
            name: "api".into(),
            command: [
                "/usr/bin/phalanx",
                "run",
                "--name",
                "api",
                "--",
                "node",
                "app.js",
                "a b",
                "$HOME",
                "100%",
                "\"x\\",
            ]
            .map(str::to_owned)
            .into(),
            reload: Some(["/usr/bin/phalanx", "ctl", "--app", "api", "reload", "--wait"].map(str::to_owned).into()),
            folder: "/srv/api".into(),
            path: Some("/usr/bin:/opt/my node/bin".into()),
            account: Some("deploy:www".into()),
            kill: Duration::from_secs(30),
            scope,
        }
    }

    #[test]
    fn words_are_quoted_as_systemd_reads_them() {
        let text = unit(Scope::System).to_string();
        for line in [
            "ExecStart=/usr/bin/phalanx run --name api -- node app.js \"a b\" $$HOME 100%% \"\\\"x\\\\\"\n",
            "Environment=\"PATH=/usr/bin:/opt/my node/bin\"\n",
            "ExecReload=/usr/bin/phalanx ctl --app api reload --wait\n",
            "User=deploy\nGroup=www\n",
            "RuntimeDirectory=phalanx/api\n",
            "TimeoutStopSec=40\n",
            "WantedBy=multi-user.target\n",
        ] {
            assert!(text.contains(line), "{line:?} in\n{text}");
        }
    }

    #[test]
    fn a_users_unit_has_what_a_user_has() {
        let several = Unit { reload: None, account: None, ..unit(Scope::User) };
        let text = several.to_string();
        assert!(
            text.contains("ExecReload=/bin/kill -HUP $MAINPID\n") && text.contains("WantedBy=default.target\n"),
            "{text}"
        );
        assert!(
            !text.contains("RuntimeDirectory=") && !text.contains("User=") && !text.contains("network-online"),
            "{text}"
        );
    }
}
