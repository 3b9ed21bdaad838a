//! `phalanx ctl ls`: all apps that this user runs, a line each.

use std::path::PathBuf;
use std::time::Duration;

use futures_util::future::join_all;
use serde_json::{Value, json};

use super::client::{Client, Trouble};
use super::processes::Load;
use super::status::{bytes, duration, text};
use super::tell;
use crate::run_command::places;
use crate::start::Failure;
use crate::text_table::aligned;

/// An app that does not answer by then is not waited for.
const PATIENCE: Duration = Duration::from_secs(3);
/// Time between two looks at what the processors did.
const LOOK: Duration = Duration::from_millis(250);

/// Tells of all that answer; what does not is said beside it.
pub(super) async fn list(as_json: bool) -> Result<(), Failure> {
    let asked = places::sockets().into_iter().map(|(name, socket)| ask(name, socket));
    let answers = join_all(asked).await;
    let mut apps = Vec::new();
    for answer in answers {
        match answer {
            Ok(app) => apps.push(app),
            Err(why) => eprintln!("phalanx: {why}"),
        }
    }
    let before: Vec<Load> = apps.iter().map(|app| Load::of(&app.pids())).collect();
    if !apps.is_empty() {
        tokio::time::sleep(LOOK).await;
    }
    let lines: Vec<Value> = apps.iter().zip(&before).map(|(app, before)| app.line(before)).collect();
    tell(as_json, &json!({ "apps": lines }), |_| table(&lines));
    Ok(())
}

/// An app that answered.
struct App {
    name: String,
    status: Value,
}

async fn ask(name: String, socket: PathBuf) -> Result<App, String> {
    let client = Client::new(socket.clone());
    let status = tokio::time::timeout(PATIENCE, client.get("/status")).await;
    match status {
        Ok(Ok(status)) => Ok(App { name, status }),
        Ok(Err(Trouble::Unreachable(_))) => Err(format!(
            "{name} does not run: nobody listens at {}, which was left behind; its next start takes it over",
            socket.display()
        )),
        Ok(Err(Trouble::Broken(why) | Trouble::Refused(why))) => Err(format!("{name}: {why}")),
        Err(_) => Err(format!("{name} gave no answer within {} s ({})", PATIENCE.as_secs(), socket.display())),
    }
}

impl App {
    /// The processes of its workers.
    fn pids(&self) -> Vec<u32> {
        let workers = self.status["workers"].as_array().map(Vec::as_slice).unwrap_or_default();
        workers.iter().filter_map(|worker| u32::try_from(worker["pid"].as_u64()?).ok()).collect()
    }

    fn line(&self, before: &Load) -> Value {
        let cluster = &self.status["cluster"];
        let now = Load::of(&self.pids());
        let restarts = self.status["places"].as_array().into_iter().flatten();
        json!({
            "name": self.name,
            "up": cluster["serving"],
            "wanted": cluster["wanted"],
            "pid": self.status["pid"],
            "uptime_seconds": cluster["uptime_seconds"],
            "restarts": restarts.filter_map(|place| place["restarts"].as_u64()).sum::<u64>(),
            "cpu_percent": now.percent_since(before),
            "resident_bytes": now.resident_bytes,
            "status": standing(cluster),
            "listeners": cluster["listeners"],
            "about": self.status["about"],
        })
    }
}

/// One word for how it is.
fn standing(cluster: &Value) -> &'static str {
    let number = |name: &str| cluster[name].as_u64().unwrap_or(0);
    match () {
        () if cluster["stopping"] == true => "stopping",
        () if number("serving") == 0 && number("given_up") + number("broken") > 0 => "errored",
        () if number("serving") == 0 => "starting",
        () if number("serving") < number("wanted") => "degraded",
        () => "online",
    }
}

fn table(apps: &[Value]) -> String {
    if apps.is_empty() {
        return "no app runs; start one: phalanx run -- PROGRAM".to_owned();
    }
    let titles = ["NAME", "UP", "PID", "UPTIME", "RESTARTS", "CPU", "MEMORY", "STATUS", "LISTENS ON"];
    let row = |app: &Value| {
        let listeners = app["listeners"].as_array().into_iter().flatten().map(text).collect::<Vec<_>>().join(", ");
        [
            text(&app["name"]),
            format!("{}/{}", text(&app["up"]), text(&app["wanted"])),
            text(&app["pid"]),
            duration(&app["uptime_seconds"]),
            text(&app["restarts"]),
            format!("{:.0}%", app["cpu_percent"].as_f64().unwrap_or(0.0)),
            bytes(&app["resident_bytes"]),
            text(&app["status"]),
            if listeners.is_empty() { "-".to_owned() } else { listeners },
        ]
    };
    let rows: Vec<[String; 9]> = std::iter::once(titles.map(str::to_owned)).chain(apps.iter().map(row)).collect();
    aligned(&rows).join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_tells_what_one_wants_to_know_first() {
        let app = App {
            name: "api".into(),
            status: json!({
                "pid": 7, "about": {}, "workers": [],
                "cluster": { "serving": 1, "wanted": 2, "uptime_seconds": 61, "listeners": ["127.0.0.1:80"] },
                "places": [{ "restarts": 2 }, { "restarts": 1 }],
            }),
        };
        let table = table(&[app.line(&Load::of(&[]))]);
        assert_eq!(
            table,
            "NAME  UP   PID  UPTIME  RESTARTS  CPU  MEMORY  STATUS    LISTENS ON\n\
             api   1/2  7    1m1s    3         0%   -       degraded  127.0.0.1:80"
        );
    }

    #[test]
    fn how_it_is_is_one_word() {
        for (cluster, word) in [
            (json!({ "serving": 2, "wanted": 2 }), "online"),
            (json!({ "serving": 0, "wanted": 2, "broken": 1 }), "errored"),
            (json!({ "serving": 0, "wanted": 2 }), "starting"),
            (json!({ "serving": 1, "wanted": 1, "stopping": true }), "stopping"),
        ] {
            assert_eq!(standing(&cluster), word);
        }
    }
}
