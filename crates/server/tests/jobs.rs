//! Jobs over HTTP, asked over a real socket of the real binary: what each route promises, and what it refuses.

mod harness;

use harness::pictures::{jpeg, png};
use harness::{Answer, Connection, Server, multipart, wait_until};
use serde_json::{Value, json};

const JSON: &str = "content-type: application/json\r\n";
const ASYNC: &str = "prefer: respond-async\r\n";
/// An id that looks like one, of a moment not long ago, and that nobody has.
const NOBODYS: &str = "ffffffff-ffff-7fff-8fff-ffffffffffff";

fn server() -> Server {
    Server::start_with(&["--job-deadline", "60s"])
}

fn request(server: &Server, method: &str, path: &str) -> Answer {
    server.connect().send(&format!("{method} {path} HTTP/1.1\r\nhost: test\r\nconnection: close\r\n\r\n"), b"")
}

fn job(server: &Server, body: &Value) -> Answer {
    server.post("/v1/jobs", JSON, body.to_string().as_bytes())
}

fn numbers() -> Value {
    json!({ "task": "numbers", "input": { "numbers": [10, 20, 30, 40] } })
}

/// Checks a 202 and gives the path of the job.
#[track_caller]
fn accepted(answer: &Answer) -> String {
    assert_eq!(answer.status, 202, "{}", answer.text());
    let told = answer.json();
    let path = answer.header("location").expect("a location").to_owned();
    assert_eq!(told["path"], path.as_str());
    assert!(answer.header("retry-after").is_some());
    assert!(told["state"].is_string() && told["submitted_ms"].is_u64(), "{told}");
    path
}

/// The result, as soon as it is there.
fn result(server: &Server, path: &str) -> Answer {
    let mut last = None;
    wait_until("the result", || {
        let answer = server.get_with(&format!("{path}/result"), "prefer: wait=20\r\n");
        let there = answer.status != 202;
        last = Some(answer);
        there
    });
    last.expect("an answer")
}

#[test]
fn a_job_in_json_is_taken_in_and_its_result_is_that_of_the_synchronous_route() {
    let server = server();
    let path = accepted(&job(&server, &numbers()));
    let asynchronous = result(&server, &path);
    assert_eq!((asynchronous.status, asynchronous.text().as_str()), (200, r#"{"result":[75306,75596,75886,76176]}"#));
    assert!(asynchronous.header("server-timing").is_some_and(|timing| timing.contains("work;dur=")));
    let status = server.get(&path).json();
    assert_eq!(
        (&status["state"], &status["task"], &status["queue"]),
        (&"done".into(), &"numbers".into(), &"default".into())
    );
    assert_eq!((&status["attempts"], &status["errors"]), (&1.into(), &0.into()), "{status}");
    assert!(status["expires_ms"].as_u64() > status["ended_ms"].as_u64(), "{status}");
    // Again, and from any worker.
    for _ in 0..5 {
        assert_eq!(result(&server, &path).body, asynchronous.body);
    }
}

#[test]
fn every_cpu_route_can_be_answered_later_with_the_same_bytes() {
    let server = server();
    let photo = jpeg(1000, 500);
    let (form, body) = multipart(&[("image", &photo), ("w", b"300")]);
    for (path, headers, body) in [
        ("/process", JSON.to_owned(), br#"{"numbers":[10,20]}"#.to_vec()),
        ("/v1/images?w=100&format=png", String::new(), photo.clone()),
        ("/v1/images", "accept: image/webp\r\n".to_owned(), photo.clone()),
        ("/v1/images", form.clone(), body.clone()),
        ("/upload?download=1", form, body),
    ] {
        let at_once = server.post(path, &headers, &body);
        assert_eq!(at_once.status, 200, "{}", at_once.text());
        let taken = server.post(path, &format!("{headers}{ASYNC}"), &body);
        assert_eq!(taken.header("preference-applied"), Some("respond-async"), "{path}");
        let later = result(&server, &accepted(&taken));
        assert_eq!(later.status, 200, "{path}: {}", later.text());
        assert!(later.body == at_once.body, "{path}: other bytes than at once");
        for name in ["content-type", "content-disposition", "content-security-policy", "x-content-type-options", "vary"]
        {
            assert_eq!(later.header(name), at_once.header(name), "{path} {name}");
        }
    }
}

#[test]
fn a_picture_that_is_to_be_stored_is_stored_once_however_often_the_result_is_asked_for() {
    let server = server();
    for (path, status) in [("/upload", 200), ("/v1/images?store=1", 201)] {
        let taken = server.post(path, ASYNC, &png(40, 30));
        let job = accepted(&taken);
        let before = server.stored().len();
        let told: Vec<Value> = (0..3)
            .map(|_| {
                let answer = result(&server, &job);
                assert_eq!(answer.status, status, "{}", answer.text());
                answer.json()
            })
            .collect();
        assert!(told.windows(2).all(|pair| pair[0] == pair[1]), "{told:?}");
        assert_eq!((told[0]["width"].as_u64(), told[0]["format"].as_str()), (Some(40), Some("jpeg")));
        let picture = server.get(told[0]["path"].as_str().unwrap());
        assert_eq!(picture.picture().map(|(width, height, _)| (width, height)), Some((40, 30)));
        assert_eq!(server.stored().len(), before + 1);
    }
}

#[test]
fn a_picture_can_be_a_job_by_itself_or_by_its_name_in_the_store() {
    let server = server();
    let photo = jpeg(400, 200);
    let at_once = server.post("/v1/images?w=100&format=png", "", &photo);
    let taken = server.post("/v1/jobs?w=100&format=png&priority=9", "", &photo);
    assert_eq!(taken.json()["priority"], 9);
    let later = result(&server, &accepted(&taken));
    assert!(later.body == at_once.body && later.status == 200, "{}", later.text());

    let id = server.post("/v1/images?store=1", "", &photo).json()["id"].as_str().unwrap().to_owned();
    let taken =
        job(&server, &json!({ "task": "picture", "input": { "image": id, "w": 50, "format": "png", "flip": true } }));
    let later = result(&server, &accepted(&taken));
    assert_eq!(later.picture().map(|(width, height, _)| (width, height)), Some((50, 25)), "{}", later.text());
}

#[test]
fn with_a_wait_the_result_comes_at_once_if_it_is_there_in_time() {
    let server = server();
    let answer = server.post("/process", "prefer: respond-async, wait=30\r\n", br#"{"numbers":[10]}"#);
    assert_eq!((answer.status, answer.text().as_str()), (200, r#"{"result":[75306]}"#));
    assert_eq!(answer.header("preference-applied"), Some("respond-async, wait=30"));
    let answer = server.post("/v1/jobs", &format!("{JSON}prefer: wait=30\r\n"), numbers().to_string().as_bytes());
    assert_eq!((answer.status, answer.header("preference-applied")), (200, Some("wait=30")), "{}", answer.text());
}

#[test]
fn what_is_wrong_with_a_picture_is_told_as_the_synchronous_route_tells_it() {
    let server = server();
    let whole = jpeg(400, 300);
    let damaged = [&whole[..whole.len() / 3], &[0xFF; 2000]].concat();
    let at_once = server.post("/v1/images", "", &damaged);
    let taken = server.post("/v1/images", ASYNC, &damaged);
    let later = result(&server, &accepted(&taken));
    assert_eq!((at_once.status, later.status), (422, 422), "{} {}", at_once.text(), later.text());
    assert_eq!(at_once.json()["code"], later.json()["code"]);
    // What can be told at once is told at once.
    server.post("/v1/images", ASYNC, b"no picture at all").is_problem(415, "unsupported-picture");
    server.post("/v1/images?w=0", ASYNC, &whole).is_problem(400, "bad-parameter");
    server.post("/process", ASYNC, b"{\"numbers\":[-1]}").is_problem(400, "bad-parameter");
}

#[test]
fn the_same_idempotency_key_is_the_same_job_and_another_request_with_it_is_refused() {
    let server = server();
    let key = format!("{JSON}idempotency-key: \"a-1\"\r\n");
    let body = numbers().to_string();
    let first = accepted(&server.post("/v1/jobs", &key, body.as_bytes()));
    // However often, and at whichever worker.
    for _ in 0..6 {
        assert_eq!(accepted(&server.post("/v1/jobs", &key, body.as_bytes())), first);
    }
    assert_eq!(result(&server, &first).status, 200);
    assert_eq!(accepted(&server.post("/v1/jobs", &key, body.as_bytes())), first);
    let other = json!({ "task": "numbers", "input": { "numbers": [1] } }).to_string();
    server.post("/v1/jobs", &key, other.as_bytes()).is_problem(422, "idempotency-key-reused");
    for bad in ["", "é", &"k".repeat(256)] {
        let headers = format!("{JSON}idempotency-key: {bad}\r\n");
        server.post("/v1/jobs", &headers, body.as_bytes()).is_problem(400, "bad-request");
    }
}

#[test]
fn a_synchronous_request_with_a_key_is_done_once_and_answered_twice() {
    let server = server();
    let photo = jpeg(400, 300);
    let key = "idempotency-key: upload-7\r\n";
    let first = server.post("/upload", key, &photo);
    assert_eq!(first.status, 200, "{}", first.text());
    let again = server.post("/upload", key, &photo);
    assert_eq!((again.status, again.json()), (200, first.json()));
    assert_eq!(server.stored().len(), 1);
    server.post("/upload", key, &jpeg(40, 30)).is_problem(422, "idempotency-key-reused");
    server.post("/upload?w=9", key, &photo).is_problem(422, "idempotency-key-reused");
}

#[test]
fn while_the_first_request_of_a_key_is_under_way_the_second_is_409() {
    // Nobody does the job: it stays under way until its deadline.
    let server = Server::start_with(&["--work", "off", "--job-deadline", "5s"]);
    let key = "idempotency-key: k\r\n";
    let body = br#"{"numbers":[10]}"#;
    let mut first = server.connect();
    first.write(
        format!(
            "POST /process HTTP/1.1\r\nhost: test\r\nconnection: close\r\n{key}content-length: {}\r\n\r\n",
            body.len()
        )
        .as_bytes(),
    );
    first.write(body);
    wait_until("the first request to be in the queue", || {
        server.get("/v1/jobs").json()["jobs"].as_array().is_some_and(|jobs| !jobs.is_empty())
    });
    let second = server.post("/process", key, body);
    second.is_problem(409, "idempotency-key-in-progress");
    assert!(second.header("retry-after").is_some());
    first.answer().unwrap().is_problem(504, "deadline-passed");
}

#[test]
fn events_tell_of_a_job_until_its_end() {
    let server = server();
    let path = accepted(&job(&server, &numbers()));
    let mut stream = open_events(&server, &path, "");
    let mut told = String::new();
    while !told.contains("\"state\":\"done\"") {
        told = stream.read_until("\n\n");
        assert!(told.contains("event: status\n") && told.contains("\nid: ") || told.contains("id: "), "{told}");
    }
    let version = told.split("id: ").nth(1).unwrap().split('\n').next().unwrap().to_owned();
    assert!(ends(stream), "the stream ends with the job");
    // One that ended before is told of once more, and that is all.
    let mut stream = open_events(&server, &path, &format!("last-event-id: {version}\r\n"));
    assert!(stream.read_until("\n\n").contains("\"state\":\"done\""));
    assert!(ends(stream));
    server.get(&format!("/v1/jobs/{NOBODYS}/events")).is_problem(404, "not-found");
}

fn open_events(server: &Server, path: &str, headers: &str) -> Connection {
    let mut stream = server.connect();
    stream.write(format!("GET {path}/events HTTP/1.1\r\nhost: test\r\nconnection: close\r\n{headers}\r\n").as_bytes());
    let head = stream.read_until("\r\n\r\n").to_lowercase();
    assert!(head.starts_with("http/1.1 200") && head.contains("content-type: text/event-stream\r\n"), "{head}");
    stream
}

/// Whether nothing but the end of the chunked coding follows.
fn ends(stream: Connection) -> bool {
    String::from_utf8_lossy(&stream.closed()).trim().trim_start_matches('0').trim().is_empty()
}

#[test]
fn events_end_when_the_worker_stops() {
    let server = Server::start_with(&["--work", "off", "--workers", "1"]);
    let path = accepted(&job(&server, &numbers()));
    let mut stream = open_events(&server, &path, "");
    assert!(stream.read_until("\n\n").contains("\"state\":\"ready\""));
    assert_eq!(harness::code(server.stop()), 0);
    let rest = String::from_utf8_lossy(&stream.closed()).into_owned();
    assert!(rest.contains("this worker stops"), "{rest}");
}

#[test]
fn a_job_that_waits_is_cancelled_and_begun_anew() {
    let server = Server::start_with(&["--work", "off"]);
    let path = accepted(&job(&server, &numbers()));
    assert_eq!(server.get(&format!("{path}/result")).status, 202);
    let cancelled = request(&server, "DELETE", &path);
    assert_eq!((cancelled.status, &cancelled.json()["state"]), (200, &"cancelled".into()));
    server.get(&format!("{path}/result")).is_problem(410, "no-result");
    request(&server, "DELETE", &path).is_problem(409, "wrong-state");
    let again = request(&server, "POST", &format!("{path}/retry"));
    assert_eq!((accepted(&again), &again.json()["state"]), (path.clone(), &"ready".into()));
    request(&server, "POST", &format!("{path}/retry")).is_problem(409, "wrong-state");
}

#[test]
fn options_delay_a_job_and_keep_it_alone() {
    let server = Server::start_with(&["--work", "off", "--queues", "default,slow"]);
    let with = |options: Value| {
        let mut body = numbers();
        body["options"] = options;
        job(&server, &body)
    };
    let delayed = with(json!({ "delay": "1h", "priority": 7, "queue": "slow" })).json();
    assert_eq!(
        (&delayed["state"], &delayed["priority"], &delayed["queue"]),
        (&"scheduled".into(), &7.into(), &"slow".into())
    );
    assert!(delayed["not_before_ms"].as_u64() > delayed["submitted_ms"].as_u64());
    let first = accepted(&with(json!({ "unique": "u" })));
    assert_eq!(accepted(&with(json!({ "unique": "u" }))), first, "the key is held");
    assert_ne!(accepted(&with(json!({ "unique": "v" }))), first);
    for (options, complaint) in [
        (json!({ "priority": 10 }), "0 to 9"),
        (json!({ "queue": "others" }), "its queues are default, slow"),
        (json!({ "colour": 1 }), "unknown"),
        (json!({ "delay": "yesterday" }), "a time"),
    ] {
        let why = with(options.clone()).is_problem(400, "bad-parameter");
        assert!(why.contains(complaint), "{options}: {why}");
    }
    let mut body = numbers();
    body["options"] = json!({ "unique": "w" });
    let headers = format!("{JSON}idempotency-key: k\r\n");
    server.post("/v1/jobs", &headers, body.to_string().as_bytes()).is_problem(400, "bad-parameter");
}

#[test]
fn jobs_are_listed_newest_first_in_pages() {
    let server = Server::start_with(&["--work", "off"]);
    let mut paths: Vec<String> = Vec::new();
    for _ in 0..5 {
        paths.push(accepted(&job(&server, &numbers())));
        // Ids sort by the millisecond in which they were made.
        std::thread::sleep(std::time::Duration::from_millis(2));
    }
    request(&server, "DELETE", &paths[0]);
    let ids = |answer: &Value| -> Vec<String> {
        answer["jobs"].as_array().unwrap().iter().map(|job| job["path"].as_str().unwrap().to_owned()).collect()
    };
    paths.reverse();
    let first = server.get("/v1/jobs?limit=2&queue=default").json();
    assert_eq!(ids(&first), paths[..2]);
    let second = server.get(first["next"].as_str().unwrap()).json();
    assert_eq!(ids(&second), paths[2..4]);
    let third = server.get(second["next"].as_str().unwrap()).json();
    assert_eq!((ids(&third), &third["next"]), (paths[4..].to_vec(), &Value::Null));
    assert_eq!(ids(&server.get("/v1/jobs?state=cancelled").json()), paths[4..]);
    assert_eq!(ids(&server.get("/v1/jobs?task=picture").json()), [""; 0]);
    for query in ["state=lost", "limit=0", "limit=1001", "before=x", "colour=1", "limit=1&limit=2", "queue=a%2Fb"] {
        server.get(&format!("/v1/jobs?{query}")).is_problem(400, "bad-parameter");
    }
    let queues = server.get("/v1/queues").json();
    assert_eq!(
        (&queues["queues"][0]["queue"], &queues["queues"][0]["ready"]),
        (&"default".into(), &4.into()),
        "{queues}"
    );
    let metrics = server.get("/metrics").text();
    for line in ["phalanx_queue_up 1", "phalanx_queue_jobs{queue=\"default\",state=\"ready\"} 4"] {
        assert!(metrics.lines().any(|told| told == line), "{line} is not in\n{metrics}");
    }
    let ready = server.get("/readyz").json();
    assert_eq!((&ready["queue"]["state"], &ready["queue"]["broker"]), (&"connected".into(), &"embedded".into()));
}

#[test]
fn jobs_that_shall_not_be_listed_are_still_told_to_whoever_has_their_id() {
    let server = Server::start_with(&["--job-list", "off"]);
    let path = accepted(&job(&server, &numbers()));
    for closed in ["/v1/jobs", "/v1/queues"] {
        let answer = server.get(closed);
        assert_eq!((answer.status, answer.json()["code"].as_str()), (403, Some("not-listed")), "{}", answer.text());
    }
    assert_eq!(result(&server, &path).status, 200);
}

#[test]
fn a_full_queue_is_503_with_its_own_code_and_other_requests_are_served() {
    let server = Server::start_with(&["--work", "off", "--queue-limit", "3"]);
    for _ in 0..3 {
        accepted(&job(&server, &numbers()));
    }
    let full = job(&server, &numbers());
    full.is_problem(503, "queue-full");
    assert!(full.header("retry-after").is_some() && full.json()["limit"] == 3, "{}", full.text());
    server.post("/v1/images", ASYNC, &jpeg(64, 64)).is_problem(503, "queue-full");
    assert_eq!(server.post("/process", JSON, br#"{"numbers":[10]}"#).status, 200);
    // One less, and there is room.
    let first = server.get("/v1/jobs").json()["jobs"][0]["path"].as_str().unwrap().to_owned();
    request(&server, "DELETE", &first);
    accepted(&job(&server, &numbers()));
}

#[test]
fn what_is_no_job_is_told_and_changes_nothing() {
    let server = Server::start_with(&["--work", "off"]);
    server.survives(|server| {
        for (body, status, code) in [
            ("", 400, "bad-request"),
            ("{", 400, "bad-request"),
            ("[]", 400, "bad-request"),
            ("{}", 400, "bad-parameter"),
            (r#"{"task":7}"#, 400, "bad-parameter"),
            (r#"{"task":"nonsense"}"#, 400, "bad-parameter"),
            (r#"{"task":"make-picture","input":{}}"#, 400, "bad-parameter"),
            (r#"{"task":"numbers"}"#, 400, "bad-request"),
            (r#"{"task":"numbers","input":{"numbers":["1"]}}"#, 400, "bad-parameter"),
            (r#"{"task":"numbers","input":{"numbers":[1]},"colour":1}"#, 400, "bad-parameter"),
            (r#"{"task":"numbers","input":{"numbers":[1]},"options":[]}"#, 400, "bad-parameter"),
            (r#"{"task":"picture"}"#, 400, "bad-parameter"),
            (r#"{"task":"picture","input":{"image":"../../etc/passwd"}}"#, 404, "not-found"),
        ] {
            server.post("/v1/jobs", JSON, body.as_bytes()).is_problem(status, code);
        }
        server.post("/v1/jobs", JSON, &vec![b' '; 70_000]).is_problem(413, "body-too-large");
        server.post("/v1/jobs?w=3", JSON, b"{}").is_problem(400, "bad-parameter");
        server.post("/v1/jobs", "", b"{\"task\":\"numbers\"}").is_problem(415, "unsupported-picture");
        for id in [NOBODYS, "1", "%00", "..%2f", &NOBODYS.to_uppercase(), &NOBODYS.replace('-', "")] {
            for path in [format!("/v1/jobs/{id}"), format!("/v1/jobs/{id}/result")] {
                server.get(&path).is_problem(404, "not-found");
            }
            request(server, "DELETE", &format!("/v1/jobs/{id}")).is_problem(404, "not-found");
            request(server, "POST", &format!("/v1/jobs/{id}/retry")).is_problem(404, "not-found");
        }
        // Of yesterday: what it had is not kept any more.
        server.get("/v1/jobs/00000000-0001-7000-8000-000000000000/result").is_problem(410, "no-result");
        request(server, "PUT", "/v1/jobs").is_problem(405, "method-not-allowed");
        assert_eq!(server.get("/v1/jobs").json()["jobs"], json!([]));
    });
}

#[test]
fn a_server_without_a_queue_says_so_and_answers_at_once() {
    let server = Server::start_with(&["--queue", "none"]);
    job(&server, &numbers()).is_problem(501, "no-queue");
    server.get("/v1/jobs").is_problem(501, "no-queue");
    server.get(&format!("/v1/jobs/{NOBODYS}")).is_problem(501, "no-queue");
    let answer = server.post("/process", ASYNC, br#"{"numbers":[10]}"#);
    assert_eq!((answer.status, answer.header("preference-applied")), (200, None), "a preference may be ignored");
    // A key may not.
    server.post("/process", "idempotency-key: k\r\n", br#"{"numbers":[10]}"#).is_problem(501, "no-queue");
    assert_eq!(server.get("/readyz").json()["queue"]["state"], "none");
    assert!(!server.store().join("queue").exists());
    assert!(!server.get("/metrics").text().contains("phalanx_queue_up"));
}

#[test]
fn a_damaged_queue_is_503_and_told_in_the_log_and_other_requests_are_served() {
    let server = Server::start_in(&[], |folder, _| {
        let queue = folder.join("store").join("queue");
        std::fs::create_dir_all(&queue).unwrap();
        std::fs::write(queue.join("queue.db"), "this is no database, and never was one: ".repeat(200)).unwrap();
    });
    job(&server, &numbers()).is_problem(503, "queue-unavailable");
    assert_eq!(server.post("/process", JSON, br#"{"numbers":[10]}"#).status, 200);
    let queue = &server.get("/readyz").json()["queue"];
    assert_eq!(queue["state"], "unreachable", "{queue}");
    wait_until("a line in the log", || server.log().contains("queue.db"));
    assert!(server.get("/metrics").text().contains("phalanx_queue_up 0\n"));
}

#[test]
fn a_queue_that_cannot_be_used_is_one_line_at_the_start() {
    for (url, says) in [("nonsense", "no scheme"), ("http://x", "unknown scheme"), ("embedded:", "no folder")] {
        let refusal = Server::refused(&["serve", "--listen", "127.0.0.1:0", "--queue", url], |_, _| {});
        assert_eq!((harness::code(refusal.status), refusal.stderr.lines().count()), (64, 1), "{}", refusal.stderr);
        assert!(refusal.stderr.contains(says), "{}", refusal.stderr);
    }
}
