//! Whatever is sent: a clear 4xx, and the same workers serve on.

mod harness;

use harness::pictures::{TEXT, animated_gif, cmyk_jpeg, jpeg, lying_jpeg, png_16_bit};
use harness::{Server, multipart};
use phalanx::image::Format;

#[test]
fn a_truncated_picture_is_422() {
    let server = Server::start();
    let whole = jpeg(600, 400);
    server.survives(|server| {
        for length in [4, whole.len() / 2, whole.len() * 9 / 10] {
            let detail = server.post("/v1/images", "", &whole[..length]).is_problem(422, "unreadable-picture");
            assert!(!detail.is_empty());
        }
    });
    assert_eq!(server.post("/v1/images?w=60", "", &whole).status, 200, "the whole of it is fine");
}

#[test]
fn a_header_that_lies_about_the_size_is_422() {
    Server::start().survives(|server| {
        server.post("/v1/images", "", &lying_jpeg(5000, 5000)).is_problem(422, "unreadable-picture");
    });
}

#[test]
fn an_empty_picture_is_400() {
    Server::start().survives(|server| {
        server.post("/upload", "", b"").is_problem(400, "bad-request");
        let (headers, body) = multipart(&[("image", b"")]);
        server.post("/upload", &headers, &body).is_problem(400, "bad-request");
    });
}

#[test]
fn a_text_named_jpg_is_415() {
    Server::start().survives(|server| {
        server.post("/upload", "content-type: image/jpeg\r\n", TEXT).is_problem(415, "unsupported-picture");
        let boundary = "b";
        let body = [
            b"--b\r\nContent-Disposition: form-data; name=\"image\"; filename=\"photo.jpg\"\r\nContent-Type: image/jpeg\r\n\r\n",
            TEXT,
            b"\r\n--b--\r\n",
        ]
        .concat();
        let headers = format!("content-type: multipart/form-data; boundary={boundary}\r\n");
        server.post("/upload", &headers, &body).is_problem(415, "unsupported-picture");
        server.post("/upload", "", b"GI").is_problem(415, "unsupported-picture");
    });
}

#[test]
fn a_text_is_refused_before_the_rest_of_its_body_came() {
    Server::start().survives(|server| {
        let mut connection = server.connect();
        connection.write(b"POST /upload HTTP/1.1\r\nhost: test\r\ncontent-length: 20000000\r\n\r\n");
        connection.write(TEXT);
        connection.answer().unwrap().is_problem(415, "unsupported-picture");
    });
}

#[test]
fn a_header_of_50_000_by_50_000_is_413_before_the_rest_of_its_body_came() {
    Server::start().survives(|server| {
        let bomb = lying_jpeg(50_000, 50_000);
        let mut connection = server.connect();
        connection.write(b"POST /upload HTTP/1.1\r\nhost: test\r\ncontent-length: 20000000\r\n\r\n");
        connection.write(&bomb[..bomb.len() * 9 / 10]);
        let answer = connection.answer().unwrap();
        answer.is_problem(413, "picture-too-large");
        assert!(answer.json()["limit"].is_u64(), "{}", answer.text());
    });
}

#[test]
fn a_cmyk_picture_is_converted() {
    Server::start().survives(|server| {
        let answer = server.post("/v1/images?w=30", "", &cmyk_jpeg(60, 40));
        assert_eq!((answer.status, answer.picture()), (200, Some((30, 20, Format::Jpeg))), "{}", answer.text());
    });
}

#[test]
fn a_16_bit_picture_is_converted() {
    Server::start().survives(|server| {
        let answer = server.post("/v1/images?w=30&format=png", "", &png_16_bit(60, 40));
        assert_eq!((answer.status, answer.picture()), (200, Some((30, 20, Format::Png))), "{}", answer.text());
    });
}

#[test]
fn of_an_animated_picture_the_first_frame_is_used() {
    Server::start().survives(|server| {
        let answer = server.post("/v1/images?w=30", "", &animated_gif(60, 40));
        assert_eq!((answer.status, answer.picture()), (200, Some((30, 20, Format::Jpeg))), "{}", answer.text());
    });
}

#[test]
fn a_body_of_26_mib_is_413_with_the_limit_and_unread() {
    Server::start().survives(|server| {
        let length = 26 << 20;
        let mut connection = server.connect();
        connection.write(format!("POST /upload HTTP/1.1\r\nhost: test\r\ncontent-length: {length}\r\n\r\n").as_bytes());
        let answer = connection.answer().unwrap();
        answer.is_problem(413, "body-too-large");
        assert_eq!(answer.json()["limit"], 25 << 20);
    });
}

#[test]
fn a_body_of_26_mib_sent_in_full_hears_the_refusal() {
    Server::start().survives(|server| {
        let body = vec![0; 26 << 20];
        server.post("/upload", "", &body).is_problem(413, "body-too-large");
    });
}

#[test]
fn a_body_without_an_announced_length_is_413_at_the_limit() {
    let server = Server::start_with(&["--body-limit", "64KiB"]);
    server.survives(|server| {
        let mut connection = server.connect();
        let photo = jpeg(64, 64);
        connection.write(b"POST /upload HTTP/1.1\r\nhost: test\r\ntransfer-encoding: chunked\r\n\r\n");
        connection.write(format!("{:x}\r\n", photo.len()).as_bytes());
        connection.write(&photo);
        connection.write(b"\r\n");
        for _ in 0..70 {
            connection.write(b"400\r\n");
            connection.write(&[0; 1024]);
            connection.write(b"\r\n");
        }
        connection.answer().unwrap().is_problem(413, "body-too-large");
    });
}

#[test]
fn a_chunked_body_within_the_limit_is_taken() {
    let server = Server::start();
    let photo = jpeg(64, 64);
    let mut connection = server.connect();
    connection.write(b"POST /v1/images HTTP/1.1\r\nhost: test\r\ntransfer-encoding: chunked\r\n\r\n");
    for piece in photo.chunks(100) {
        connection.write(format!("{:x}\r\n", piece.len()).as_bytes());
        connection.write(piece);
        connection.write(b"\r\n");
    }
    connection.write(b"0\r\n\r\n");
    assert_eq!(connection.answer().unwrap().picture(), Some((64, 64, Format::Jpeg)));
}

#[test]
fn unknown_and_repeated_parameters_are_400_by_name() {
    Server::start().survives(|server| {
        let photo = jpeg(64, 64);
        for (query, named) in
            [("colour=red", "\"colour\" is unknown"), ("w=3&width=3", "mean the same"), ("q=0", "1 to 100")]
        {
            for path in ["/v1/images", "/upload"] {
                let detail = server.post(&format!("{path}?{query}"), "", &photo).is_problem(400, "bad-parameter");
                assert!(detail.contains(named), "{detail}");
            }
        }
        let (headers, body) = multipart(&[("image", &photo), ("colour", b"red")]);
        server.post("/upload", &headers, &body).is_problem(400, "bad-parameter");
        let too_large = server.post("/v1/images?w=16000&h=16000&fit=contain", "", &photo);
        too_large.is_problem(413, "picture-too-large");
    });
}

#[test]
fn wrong_numbers_are_400_by_place() {
    Server::start().survives(|server| {
        for body in ["", "{", "[]", "{\"numbers\":[1,-1]}", "{\"numbers\":[0.5]}", "{\"numbers\":[9007199254740992]}"] {
            assert_eq!(
                server.post("/process", "content-type: application/json\r\n", body.as_bytes()).status,
                400,
                "{body}"
            );
        }
        let many = format!("{{\"numbers\":[{}]}}", vec!["1"; 1001].join(","));
        let answer = server.post("/process", "content-type: application/json\r\n", many.as_bytes());
        answer.is_problem(400, "bad-parameter");
        assert_eq!(answer.json()["limit"], 1000);
        server.post("/process", "", &vec![b' '; 70 << 10]).is_problem(413, "body-too-large");
    });
}

#[test]
fn malformed_forms_are_400() {
    Server::start().survives(|server| {
        let photo = jpeg(64, 64);
        let (headers, body) = multipart(&[("image", &photo)]);
        let mut twice = multipart(&[("image", &photo), ("file", &photo)]);
        server.post("/upload", &headers, &body[..body.len() - 4]).is_problem(400, "bad-request");
        server.post("/upload", "content-type: multipart/form-data\r\n", &body).is_problem(400, "bad-request");
        server
            .post("/upload", "content-type: multipart/form-data; boundary=other\r\n", &body)
            .is_problem(400, "bad-request");
        server.post("/upload", &twice.0, &twice.1).is_problem(400, "bad-request");
        twice = multipart(&[("w", b"3")]);
        server.post("/upload", &twice.0, &twice.1).is_problem(400, "bad-request");
        let (headers, body) = multipart(&[("image", &photo), ("w", &[b'3'; 70 << 10])]);
        server.post("/upload", &headers, &body).is_problem(413, "body-too-large");
        let many: Vec<(&str, &[u8])> = vec![("w", b"3"); 17];
        let (headers, body) = multipart(&many);
        server.post("/upload", &headers, &body).is_problem(400, "bad-request");
    });
}

#[test]
fn requests_that_are_no_http_are_400_and_closed() {
    Server::start().survives(|server| {
        for raw in [
            "nonsense\r\n\r\n",
            "POST /process HTTP/1.1\r\nhost: a\r\ncontent-length: 3\r\ncontent-length: 4\r\n\r\nabc",
            "POST /process HTTP/1.1\r\nhost: a\r\ncontent-length: -1\r\n\r\n",
            "GET / HTTP/1.1\r\nhost: a\r\nbad header\r\n\r\n",
        ] {
            let mut connection = server.connect();
            connection.write(raw.as_bytes());
            let told = String::from_utf8_lossy(&connection.closed()).into_owned();
            assert!(told.is_empty() || told.starts_with("HTTP/1.1 400"), "{raw:?}: {told}");
        }
    });
}
