//! What each route promises, asked over a real socket of the real binary.

mod harness;

use harness::pictures::{jpeg, png, rotated_jpeg};
use harness::{Server, multipart};
use phalanx::image::Format;

const JSON: &str = "content-type: application/json\r\n";

#[test]
fn process_runs_the_loop_for_each_number() {
    let server = Server::start();
    let answer = server.post("/process", JSON, br#"{"numbers":[10,20,30,40]}"#);
    assert_eq!((answer.status, answer.text().as_str()), (200, r#"{"result":[75306,75596,75886,76176]}"#));
    assert!(answer.header("server-timing").is_some_and(|timing| timing.contains("work;dur=")));
    assert_eq!(server.post("/process", "", br#"{"numbers":[]}"#).text(), r#"{"result":[]}"#);
}

#[test]
fn upload_answers_with_the_path_of_a_smaller_picture() {
    let server = Server::start();
    for field in ["image", "file"] {
        let (headers, body) = multipart(&[(field, &jpeg(1000, 500))]);
        let answer = server.post("/upload", &headers, &body);
        assert_eq!(answer.status, 200, "{}", answer.text());
        let told = answer.json();
        assert_eq!(told["message"], "Image processed successfully!");
        assert_eq!((&told["width"], &told["height"], &told["format"]), (&800.into(), &400.into(), &"jpeg".into()));
        let path = told["resultPath"].as_str().unwrap();
        assert_eq!(
            (&told["url"], path),
            (&told["resultPath"], format!("/v1/images/{}", told["id"].as_str().unwrap()).as_str())
        );
        let picture = server.get(path);
        assert_eq!(picture.picture(), Some((800, 400, Format::Jpeg)));
        assert_eq!(told["bytes"], picture.body.len());
    }
    assert_eq!(server.stored().len(), 2, "only results are stored");
}

#[test]
fn upload_answers_with_the_picture_itself_if_asked() {
    let server = Server::start();
    let photo = jpeg(1000, 500);
    let (headers, body) = multipart(&[("image", &photo)]);
    for (path, headers, body) in [
        ("/upload?download=1", headers.clone(), &body),
        ("/upload", format!("{headers}accept: image/*\r\n"), &body),
        ("/upload?download=1", String::new(), &photo),
        ("/upload?download=1", "content-type: image/jpeg\r\n".into(), &photo),
        ("/v1/images", String::new(), &photo),
    ] {
        let answer = server.post(path, &headers, body);
        assert_eq!((answer.status, answer.picture()), (200, Some((800, 400, Format::Jpeg))), "{path} {headers}");
        assert_eq!(answer.header("content-type"), Some("image/jpeg"));
        assert_eq!(answer.header("x-content-type-options"), Some("nosniff"));
        assert!(answer.header("vary").is_some_and(|vary| vary.contains("accept")));
    }
    assert_eq!(server.stored(), [""; 0]);
}

#[test]
fn parameters_shape_the_picture_from_the_query_and_from_form_fields() {
    let server = Server::start();
    let photo = jpeg(400, 200);
    for (query, size, format) in [
        ("w=100", (100, 50), Format::Jpeg),
        ("height=100&format=png", (200, 100), Format::Png),
        ("w=100&h=100&fit=cover&f=webp&quality=60", (100, 100), Format::WebP),
        ("w=100&h=100&fit=contain&bg=white", (100, 100), Format::Jpeg),
        ("w=100&dpr=2", (200, 100), Format::Jpeg),
        ("w=100&rotate=90", (100, 200), Format::Jpeg),
        ("flip=1&flop=1", (400, 200), Format::Jpeg),
    ] {
        let answer = server.post(&format!("/v1/images?{query}"), "", &photo);
        assert_eq!(
            (answer.status, answer.picture()),
            (200, Some((size.0, size.1, format))),
            "{query}: {}",
            answer.text()
        );
    }
    let (headers, body) = multipart(&[("w", b"100"), ("image", &photo), ("format", b"png")]);
    assert_eq!(server.post("/v1/images", &headers, &body).picture(), Some((100, 50, Format::Png)));
    assert_eq!(
        server.post("/v1/images?w=50", &headers, &body).is_problem(400, "bad-parameter"),
        "the parameter \"w\" is given more than once"
    );
}

#[test]
fn a_picture_comes_upright() {
    let server = Server::start();
    let answer = server.post("/v1/images?w=100", "", &rotated_jpeg(400, 200));
    assert_eq!(answer.picture(), Some((100, 200, Format::Jpeg)));
}

#[test]
fn accept_decides_where_no_format_is_named() {
    let server = Server::start();
    let photo = png(40, 30);
    for (query, accept, format) in [
        ("?format=auto", "accept: image/webp,*/*;q=0.8\r\n", Format::WebP),
        ("?format=auto", "", Format::Jpeg),
        ("", "accept: image/png\r\n", Format::Png),
    ] {
        let answer = server.post(&format!("/v1/images{query}"), accept, &photo);
        assert_eq!(answer.picture(), Some((40, 30, format)), "{query} {accept}");
        assert!(answer.header("vary").is_some_and(|vary| vary.contains("accept")), "{query} {accept}");
    }
    server.post("/v1/images", "accept: text/html\r\n", &photo).is_problem(406, "not-acceptable");
}

#[test]
fn images_are_stored_if_asked_and_found_under_their_location() {
    let server = Server::start();
    for (path, accept) in [("/v1/images?store=1", ""), ("/v1/images", "accept: application/json\r\n")] {
        let answer = server.post(path, accept, &png(40, 30));
        assert_eq!(answer.status, 201, "{}", answer.text());
        let told = answer.json();
        assert_eq!(answer.header("location"), told["path"].as_str());
        assert_eq!(server.get(told["path"].as_str().unwrap()).picture(), Some((40, 30, Format::Jpeg)));
    }
}

#[test]
fn a_stored_picture_is_immutable_harmless_and_revalidated() {
    let server = Server::start();
    let path = server.post("/upload", "", &png(40, 30)).json()["resultPath"].as_str().unwrap().to_owned();
    let answer = server.get(&path);
    assert_eq!(answer.header("content-type"), Some("image/jpeg"));
    assert_eq!(answer.header("x-content-type-options"), Some("nosniff"));
    assert_eq!(answer.header("content-security-policy"), Some("default-src 'none'; sandbox"));
    assert!(answer.header("cache-control").is_some_and(|cache| cache.contains("immutable")));
    let id = path.rsplit('/').next().unwrap();
    assert_eq!(answer.header("content-disposition"), Some(format!("inline; filename=\"{id}\"").as_str()));
    let tag = answer.header("etag").unwrap();
    let again = server.get_with(&path, &format!("if-none-match: {tag}\r\n"));
    assert_eq!((again.status, again.header("etag")), (304, Some(tag)));
    let mut connection = server.connect();
    connection.write(format!("HEAD {path} HTTP/1.1\r\nhost: test\r\nconnection: close\r\n\r\n").as_bytes());
    let head = String::from_utf8(connection.closed()).unwrap().to_lowercase();
    assert!(head.starts_with("http/1.1 200") && head.ends_with("\r\n\r\n"), "{head}");
    assert!(head.contains(&format!("content-length: {}\r\n", answer.body.len())), "{head}");
    assert!(server.get(&format!("{path}?download=1")).header("content-disposition").unwrap().starts_with("attachment"));
    server.get(&format!("{path}?w=3")).is_problem(400, "bad-parameter");
}

#[test]
fn names_that_we_did_not_choose_are_not_found() {
    let server = Server::start();
    std::fs::write(server.store().join("secret.txt"), "secret").unwrap();
    for name in [
        "secret.txt",
        "..%2Fsecret.txt",
        "%2e%2e/%2e%2e/etc/passwd",
        "0123456789abcdef0123456789abcdef.jpg",
        "%00",
        "%ff",
    ] {
        server.get(&format!("/v1/images/{name}")).is_problem(404, "not-found");
    }
}

#[test]
fn the_page_the_sample_and_the_probes_answer() {
    // Without optimisation on a busy machine the sample can take longer than the usual deadline.
    let server = Server::start_with(&["--job-deadline", "1h"]);
    let page = server.get("/");
    assert_eq!((page.status, page.header("content-type")), (200, Some("text/html; charset=utf-8")));
    assert!(page.header("content-security-policy").is_some_and(|policy| policy.contains("default-src 'none'")));
    assert!(!page.text().contains("{nonce}") && page.text().contains("worker"));

    let who = server.get("/whoami").json();
    assert!(server.worker_pids().contains(&(who["pid"].as_u64().unwrap() as u32)), "{who}");
    assert!(who["worker"].is_u64(), "{who}");

    assert_eq!(server.get("/livez").status, 200);
    let ready = server.get("/readyz").json();
    assert_eq!((&ready["status"], &ready["decoders"]["isolate"]), (&"ready".into(), &harness::isolation().into()));

    let sample = server.get("/sample.jpg");
    let (width, height, format) = sample.picture().unwrap();
    assert_eq!((width * height / 1_000_000, format), (12, Format::Jpeg));
    let answer = server.post("/v1/images?w=64", "", &sample.body);
    assert_eq!((answer.status, answer.picture().map(|p| p.0)), (200, Some(64)), "{}", answer.text());
}

#[test]
fn wrong_paths_and_methods_are_told() {
    let server = Server::start();
    server.survives(|server| {
        server.get("/nothing").is_problem(404, "not-found");
        server.get("/v1/images/").is_problem(404, "not-found");
        for (method, path, allowed) in [
            ("GET", "/process", "post"),
            ("DELETE", "/upload", "post"),
            ("PUT", "/v1/images", "post"),
            ("POST", "/livez", "get"),
            ("POST", "/", "get"),
        ] {
            let head = format!("{method} {path} HTTP/1.1\r\nhost: test\r\nconnection: close\r\n\r\n");
            let answer = server.connect().send(&head, b"");
            answer.is_problem(405, "method-not-allowed");
            assert!(answer.header("allow").is_some_and(|allow| allow.contains(allowed)), "{method} {path}: {answer:?}");
        }
    });
}

#[test]
fn every_answer_has_a_request_id_and_keeps_the_clients_own() {
    let server = Server::start();
    for path in ["/", "/livez", "/nothing"] {
        assert!(server.get(path).header("x-request-id").is_some_and(|id| id.len() > 8), "{path}");
    }
    assert_eq!(server.get_with("/whoami", "x-request-id: my-own.id_7\r\n").header("x-request-id"), Some("my-own.id_7"));
    harness::wait_until("the log line", || server.log().lines().any(|line| line.contains("my-own.id_7")));
    let log = server.log();
    let line: serde_json::Value =
        serde_json::from_str(log.lines().find(|line| line.contains("my-own.id_7")).unwrap()).unwrap();
    assert_eq!((&line["path"], &line["status"]), (&"/whoami".into(), &200.into()), "{line}");
}

#[test]
fn a_client_that_waits_for_100_continue_is_told_to_go_on() {
    let server = Server::start();
    let photo = jpeg(64, 64);
    let mut connection = server.connect();
    let length = photo.len();
    connection.write(
        format!("POST /v1/images HTTP/1.1\r\nhost: test\r\nexpect: 100-continue\r\ncontent-length: {length}\r\n\r\n")
            .as_bytes(),
    );
    assert!(connection.read_until("\r\n\r\n").starts_with("HTTP/1.1 100"));
    connection.write(&photo);
    assert_eq!(connection.answer().unwrap().picture(), Some((64, 64, Format::Jpeg)));
}

#[test]
fn a_kept_connection_serves_one_request_after_another() {
    let server = Server::start();
    let mut connection = server.connect();
    for _ in 0..3 {
        let answer = connection.send("GET /livez HTTP/1.1\r\nhost: test\r\n\r\n", b"");
        assert_eq!(answer.status, 200);
    }
    let body = br#"{"numbers":[10]}"#;
    let head = format!("POST /process HTTP/1.1\r\nhost: test\r\ncontent-length: {}\r\n\r\n", body.len());
    assert_eq!(connection.send(&head, body).text(), r#"{"result":[75306]}"#);
}
