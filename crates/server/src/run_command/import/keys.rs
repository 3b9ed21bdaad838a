//! PM2's keys, one by one, and what each is here.

use serde_json::{Map, Value};

use super::writing::{Table, inline, list, quoted};

/// Where PM2 tells a worker its place, as we do.
const PLACE_VARIABLE: &str = "NODE_APP_INSTANCE";

/// Keys that say what we do anyway, or that mean nothing here.
const NEEDLESS: [&str; 9] =
    ["exec_mode", "merge_logs", "combine_logs", "vizion", "automation", "pmx", "time", "log_type", "namespace"];

/// Keys without a counterpart, and what to do instead.
const INSTEAD: [(&str, &str); 13] = [
    ("stop_exit_codes", "a program that ends with 78 is not started again"),
    ("min_uptime", "a worker has proven itself when it is ready; see the readiness flags of phalanx run --help"),
    ("increment_var", "use {instance} in the value of a variable: env = { PORT = \"300{instance}\" }"),
    ("source_map_support", "say env = { NODE_OPTIONS = \"--enable-source-maps\" }"),
    ("disable_source_map_support", "source maps are used only if NODE_OPTIONS says so"),
    ("treekill", "what a worker started ends with it, always"),
    ("shutdown_with_message", "Node's workers are told through their channel, as node:cluster does"),
    ("log_date_format", "lines are written as they come; phalanx's own have a time"),
    ("error_file", "what is written on standard error goes into the log file too"),
    ("post_update", "run it before phalanx ctl reload"),
    ("filter_env", "start phalanx in the environment that the app shall have: env -u NAME phalanx run"),
    ("watch_delay", "changes are taken together when files are quiet for 250 ms"),
    ("watch_options", "say ignore-watch"),
];

/// All keys of one app.
pub(super) fn convert(app: &Map<String, Value>, table: &mut Table) -> Result<(), String> {
    let app = usual_names(app);
    texts(&app, table)?;
    table.key("instances", instances(app.get("instances"))?);
    lists(&app, table)?;
    times(&app, table)?;
    if let Some(size) = app.get("max_memory_restart") {
        table.key("max-memory-restart", quoted(&memory(size)?));
    }
    environment(&app, table)?;
    account(&app, table);
    switches(&app, table);
    left_over(&app, table);
    Ok(())
}

/// The names that PM2 has for the same thing become one.
fn usual_names(app: &Map<String, Value>) -> Map<String, Value> {
    let renamed = |name: &str| {
        match name {
            "exec_interpreter" => "interpreter",
            "node_args" | "node-args" | "nodeArgs" | "interpreterArgs" => "interpreter_args",
            "out" | "output" | "out_log" | "log" | "log_file" => "out_file",
            "error" | "err" | "err_file" | "err_log" => "error_file",
            "pid" | "pidFile" => "pid_file",
            "cron" => "cron_restart",
            "uid" => "user",
            "ignoreWatch" => "ignore_watch",
            "exec" | "program" => "script",
            _ => return name.to_owned(),
        }
        .to_owned()
    };
    app.iter().filter(|(_, value)| !value.is_null()).map(|(name, value)| (renamed(name), value.clone())).collect()
}

/// Keys that are a text here and there.
fn texts(app: &Map<String, Value>, table: &mut Table) -> Result<(), String> {
    let same = [
        ("name", "name"),
        ("script", "program"),
        ("cwd", "cwd"),
        ("interpreter", "interpreter"),
        ("cron_restart", "cron-restart"),
        ("out_file", "log-file"),
        ("pid_file", "pid-file"),
        ("env_file", "env-file"),
    ];
    for (theirs, ours) in same {
        match app.get(theirs) {
            None => {}
            Some(Value::String(text)) => table.key(ours, quoted(text)),
            Some(other) => return Err(format!("{theirs}: {other} is no text")),
        }
    }
    if !app.contains_key("script") {
        return Err("it has no script".into());
    }
    Ok(())
}

/// PM2's 1 where nothing is said; its 0 is `max`.
fn instances(given: Option<&Value>) -> Result<String, String> {
    let number = match given {
        None => return Ok("1".to_owned()),
        Some(Value::String(text)) if text == "max" => return Ok(quoted("max")),
        Some(Value::String(text)) => text.parse().ok(),
        Some(number) => number.as_i64(),
    };
    match (number, given) {
        (Some(0), _) => Ok(quoted("max")),
        (Some(number), _) => Ok(number.to_string()),
        (None, given) => Err(format!("instances: {} is no number", given.unwrap_or(&Value::Null))),
    }
}

/// Keys that may be one text or several.
fn lists(app: &Map<String, Value>, table: &mut Table) -> Result<(), String> {
    for (theirs, ours) in [("args", "args"), ("interpreter_args", "interpreter-args"), ("ignore_watch", "ignore-watch")]
    {
        match app.get(theirs) {
            None => {}
            Some(Value::String(text)) if text.is_empty() => {}
            Some(Value::String(text)) => table.key(ours, quoted(text)),
            Some(Value::Array(texts)) => table.key(ours, list(&all_texts(theirs, texts)?)),
            Some(other) => return Err(format!("{theirs}: {other} is neither a text nor a list")),
        }
    }
    match app.get("watch") {
        None | Some(Value::Bool(false)) => {}
        Some(Value::Bool(true)) => table.key("watch", true),
        Some(Value::String(path)) => table.key("watch", quoted(path)),
        Some(Value::Array(paths)) => table.key("watch", list(&all_texts("watch", paths)?)),
        Some(other) => return Err(format!("watch: {other} is neither true nor a path nor a list of paths")),
    }
    Ok(())
}

fn all_texts(name: &str, values: &[Value]) -> Result<Vec<String>, String> {
    values.iter().map(|value| scalar(value).ok_or_else(|| format!("{name}: {value} is no text"))).collect()
}

/// Milliseconds there.
fn times(app: &Map<String, Value>, table: &mut Table) -> Result<(), String> {
    let mut time = |theirs: &str, ours: &str| match app.get(theirs).map(milliseconds) {
        None | Some(Some(0)) => Ok(()),
        Some(Some(time)) => {
            table.key(ours, quoted(&format!("{time}ms")));
            Ok(())
        }
        Some(None) => Err(format!("{theirs}: {} is no number of milliseconds", app[theirs])),
    };
    time("kill_timeout", "kill-timeout")?;
    time("listen_timeout", "boot-timeout")?;
    let delay = if app.contains_key("restart_delay") { "restart_delay" } else { "exp_backoff_restart_delay" };
    time(delay, "restart-delay")?;
    match app.get("max_restarts") {
        None => {}
        Some(most) => match most.as_u64() {
            Some(0) => {}
            Some(most) => table.key("max-restarts", most),
            None => return Err(format!("max_restarts: {most} is no number")),
        },
    }
    Ok(())
}

fn milliseconds(value: &Value) -> Option<u64> {
    value.as_u64().or_else(|| value.as_str()?.parse().ok())
}

/// `300M`, by 1024 there too.
fn memory(value: &Value) -> Result<String, String> {
    let text = scalar(value).unwrap_or_default();
    let digits = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    let (number, unit) = text.split_at(digits);
    let unit = match unit.trim_end_matches(['B', 'b']).to_ascii_uppercase().as_str() {
        "" => "B",
        "K" => "KiB",
        "M" => "MiB",
        "G" => "GiB",
        _ => return Err(format!("max_memory_restart: {value} is no size")),
    };
    match number.parse::<u64>() {
        Ok(number) => Ok(format!("{number}{unit}")),
        Err(_) => Err(format!("max_memory_restart: {value} is no size")),
    }
}

fn environment(app: &Map<String, Value>, table: &mut Table) -> Result<(), String> {
    let mut pairs = Vec::new();
    match app.get("env") {
        None => {}
        Some(Value::Object(variables)) => {
            for (name, value) in variables {
                let text = scalar(value).unwrap_or_else(|| value.to_string());
                pairs.push((name.clone(), text));
            }
        }
        Some(other) => return Err(format!("env: {other} is no object")),
    }
    if let Some(Value::String(name)) = app.get("instance_var").filter(|name| *name != PLACE_VARIABLE) {
        pairs.push((name.clone(), "{instance}".to_owned()));
    }
    pairs.sort();
    if !pairs.is_empty() {
        table.key("env", inline(&pairs));
    }
    for (name, value) in app.iter().filter(|(name, _)| name.starts_with("env_") && *name != "env_file") {
        table.comment(
            name,
            value,
            "write these into a file of NAME=VALUE lines, and name it with env-file where they apply",
        );
    }
    Ok(())
}

fn account(app: &Map<String, Value>, table: &mut Table) {
    let text = |name: &str| app.get(name).and_then(scalar);
    match (text("user"), text("gid")) {
        (Some(user), Some(group)) => table.key("user", quoted(&format!("{user}:{group}"))),
        (Some(user), None) => table.key("user", quoted(&user)),
        (None, Some(_)) => table.comment("gid", &app["gid"], "a group goes with a user: user = \"USER:GROUP\""),
        (None, None) => {}
    }
}

fn switches(app: &Map<String, Value>, table: &mut Table) {
    if app.get("wait_ready") == Some(&Value::Bool(true)) {
        table.key("wait-ready", true);
    }
    if app.get("autorestart") == Some(&Value::Bool(false)) {
        table.key("no-autorestart", true);
    }
    let several_alone = app.get("exec_mode").is_none_or(|mode| mode == "fork" || mode == "fork_mode");
    if several_alone && app.get("instances").is_some_and(|instances| *instances != 1 && *instances != "1") {
        let mode = app.get("exec_mode").cloned().unwrap_or_else(|| "fork".into());
        table.comment(
            "exec_mode",
            &mode,
            "here the instances of a Node app share what they listen on; with no-node = true they do not",
        );
    }
}

/// What is said of keys that were not taken over.
fn left_over(app: &Map<String, Value>, table: &mut Table) {
    const TAKEN: [&str; 25] = [
        "autorestart",
        "name",
        "script",
        "cwd",
        "interpreter",
        "cron_restart",
        "out_file",
        "pid_file",
        "env_file",
        "instances",
        "args",
        "interpreter_args",
        "ignore_watch",
        "watch",
        "kill_timeout",
        "listen_timeout",
        "restart_delay",
        "exp_backoff_restart_delay",
        "max_restarts",
        "max_memory_restart",
        "env",
        "instance_var",
        "user",
        "gid",
        "wait_ready",
    ];
    for (name, value) in app {
        let is_known = TAKEN.contains(&&**name) || NEEDLESS.contains(&&**name) || name.starts_with("env_");
        if !is_known {
            let instead = INSTEAD.iter().find(|(known, _)| known == name).map(|(_, instead)| *instead);
            table.comment(name, value, instead.unwrap_or("unknown to us"));
        }
    }
}

/// A text, a number or a boolean as text.
fn scalar(value: &Value) -> Option<String> {
    match value {
        Value::String(text) => Some(text.clone()),
        Value::Number(number) => Some(number.to_string()),
        Value::Bool(switch) => Some(switch.to_string()),
        _ => None,
    }
}
