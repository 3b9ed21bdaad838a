//! `phalanx ctl describe`: all that the status tells of one app, for people.

use serde_json::Value;

use super::status::{duration, table, text};
use crate::text_table::aligned;

/// What it is, what it listens on, how its places are, and the table of its workers.
pub(super) fn text_of(status: &Value) -> String {
    let cluster = &status["cluster"];
    let mut facts: Vec<[String; 2]> = Vec::new();
    let mut fact = |name: &str, text: String| facts.push([name.to_owned(), text]);
    for (name, its) in status["about"].as_object().into_iter().flatten() {
        fact(name, text(its));
    }
    let listeners: Vec<String> = cluster["listeners"].as_array().into_iter().flatten().map(text).collect();
    if !listeners.is_empty() {
        fact("listens on", listeners.join(", "));
    }
    fact("pid", text(&status["pid"]));
    fact("up", duration(&cluster["uptime_seconds"]));
    fact("starts", format!("{}, crashes {}", text(&cluster["starts"]), text(&cluster["crashes"])));
    fact("reloads", format!("{} done, {} failed", text(&cluster["reloads_done"]), text(&cluster["reloads_failed"])));
    for (name, word) in cluster["active"].as_object().into_iter().flatten() {
        fact(name, text(word));
    }
    let places = status["places"].as_array().into_iter().flatten();
    for place in places.filter(|place| place["error"].is_string()) {
        let again = place["next_try_seconds"].as_f64().map(|wait| format!(", tried again in {wait:.0} s"));
        let again = again.unwrap_or_default();
        fact(
            &format!("place {}", text(&place["place"])),
            format!("{}{again}: {}", text(&place["state"]), text(&place["error"])),
        );
    }
    let lines = aligned(&facts);
    format!("{}\n\n{}", lines.join("\n"), table(status))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn everything_of_an_app_is_told() {
        let status = json!({
            "version": "0.1.0", "pid": 7,
            "about": { "name": "api", "program": "node app.js" },
            "cluster": { "serving": 1, "wanted": 2, "generation": 1, "uptime_seconds": 61, "listeners": ["127.0.0.1:80"],
                "starts": 5, "crashes": 1, "reloads_done": 1, "reloads_failed": 0, "active": { "gate": "on" } },
            "places": [{ "place": 0, "state": "serving", "error": null },
                { "place": 1, "state": "waiting", "error": "it ended with code 3", "next_try_seconds": 2.0 }],
            "workers": [{ "worker": 12, "place": 0, "pid": 99, "state": "serving" }],
        });
        let told = text_of(&status);
        for part in [
            "program     node app.js\n",
            "listens on  127.0.0.1:80\n",
            "place 1     waiting, tried again in 2 s: it ended with code 3\n",
            "\n\nphalanx 0.1.0 pid 7, 1 of 2 workers serve",
        ] {
            assert!(told.contains(part), "{told}");
        }
    }
}
