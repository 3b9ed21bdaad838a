//! `--import`: PM2's ecosystem file becomes a `phalanx.toml`, on standard output. What has no counterpart becomes a comment, so that nobody
//! believes it was taken over.

mod keys;
mod reading;
mod writing;
mod yaml;

use std::io::Write;
use std::path::Path;

use serde_json::Value;

use super::app::Wrong;
use crate::start::Failure;
use writing::Table;

/// Prints the file's apps as we write them.
pub(super) fn run(file: &Path) -> Result<(), Failure> {
    let ecosystem = reading::read(file)?;
    let text = converted(&ecosystem, &file.display().to_string())?;
    // Whoever closed it has read enough.
    let _ = std::io::stdout().lock().write_all(text.as_bytes());
    Ok(())
}

/// The whole `phalanx.toml`.
fn converted(ecosystem: &Value, file: &str) -> Result<String, Wrong> {
    let apps = match (&ecosystem["apps"], ecosystem) {
        (Value::Array(apps), _) | (_, Value::Array(apps)) => apps.clone(),
        (app @ Value::Object(_), _) => vec![app.clone()],
        (Value::Null, app) if app["script"].is_string() => vec![app.clone()],
        _ => return Err(Wrong(format!("{file}: there are no `apps` in it"))),
    };
    let mut text = format!("# Taken over from {file} of PM2.\n");
    if ecosystem["deploy"].is_object() {
        text.push_str("# `deploy` has no counterpart: bring the files by other means, then `phalanx ctl --app NAME reload --wait`.\n");
    }
    for (index, app) in apps.iter().enumerate() {
        let Value::Object(app) = app else { return Err(Wrong(format!("{file}: app {index} is no object"))) };
        let mut table = Table::default();
        keys::convert(app, &mut table).map_err(|why| Wrong(format!("{file}: app {index}: {why}")))?;
        text.push_str(&table.to_string());
    }
    Ok(text)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::run_command::file::File;
    use serde_json::json;

    fn text(ecosystem: &Value) -> String {
        converted(ecosystem, "ecosystem.config.js").unwrap()
    }

    #[test]
    fn what_is_known_is_taken_over_and_can_be_read() {
        let text = text(&json!({ "apps": [
            { "name": "api", "script": "./server.js", "args": "--port 3000", "instances": "max", "exec_mode": "cluster",
              "max_memory_restart": "300M", "kill_timeout": 1600, "wait_ready": true, "listen_timeout": 10_000,
              "env": { "NODE_ENV": "production", "PORT": 3000 }, "cron_restart": "0 4 * * *", "watch": ["src"],
              "ignore_watch": ["node_modules", "*.log"], "node_args": ["--enable-source-maps"], "instance_var": "PLACE" },
            { "name": "mail", "script": "mail.py", "interpreter": "python3", "out_file": "/var/log/mail.log", "autorestart": false },
        ]}));
        for line in [
            "[[app]]\nname = \"api\"\nprogram = \"./server.js\"\n",
            "args = \"--port 3000\"\n",
            "instances = \"max\"\n",
            "max-memory-restart = \"300MiB\"\n",
            "kill-timeout = \"1600ms\"\n",
            "boot-timeout = \"10000ms\"\n",
            "env = { \"NODE_ENV\" = \"production\", \"PLACE\" = \"{instance}\", \"PORT\" = \"3000\" }\n",
            "interpreter-args = [\"--enable-source-maps\"]\n",
            "log-file = \"/var/log/mail.log\"\n",
            "no-autorestart = true\n",
        ] {
            assert!(text.contains(line), "{line:?} in\n{text}");
        }
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("phalanx.toml");
        std::fs::write(&file, &text).unwrap();
        assert_eq!(File::read(&file).unwrap().names(), ["api", "mail"]);
    }

    #[test]
    fn what_pm2_does_without_being_told_is_written_down() {
        // One process, where we would take all cores for Node.
        assert!(text(&json!([{ "script": "a.js" }])).contains("instances = 1\n"));
        assert!(text(&json!({ "script": "a.js", "instances": 0 })).contains("instances = \"max\"\n"));
        assert!(text(&json!({ "script": "a.js", "instances": -1 })).contains("instances = -1\n"));
    }

    #[test]
    fn what_has_no_counterpart_is_a_comment() {
        let text = text(&json!({ "apps": { "script": "a.js", "treekill": false, "colour": "red\nblue",
            "env_production": { "A": "1" } }, "deploy": {} }));
        for line in [
            "# `deploy` has no",
            "# treekill = false: ",
            "# colour = \"red\\nblue\": unknown to us",
            "# env_production = ",
        ] {
            assert!(text.contains(line), "{line:?} in\n{text}");
        }
        assert!(
            text.lines()
                .all(|line| line.starts_with('#') || line.is_empty() || line.contains('=') || line == "[[app]]")
        );
    }

    #[test]
    fn what_is_no_ecosystem_is_said() {
        assert!(converted(&json!({}), "x.json").unwrap_err().0.contains("there are no `apps`"));
        assert!(converted(&json!({ "apps": [1] }), "x.json").unwrap_err().0.contains("app 0 is no object"));
        let why = converted(&json!([{ "script": "a.js", "max_memory_restart": "lots" }]), "x.json").unwrap_err().0;
        assert!(why.contains("app 0: max_memory_restart: \"lots\" is no size"), "{why}");
    }
}
