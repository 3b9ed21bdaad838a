use std::io::{ErrorKind, Write};

use phalanx_thread::{Closed, Output, Worker};

use crate::gate::run;

#[test]
fn piped_lines_reach_the_parent_whole_and_in_order_also_when_written_right_before_the_end() {
    run(async {
        for ending in ["return", "exit", "panic"] {
            let worker =
                Worker::<(), ()>::builder().stdout(Output::Piped).stderr(Output::Piped).spawn(ending, async |scope| {
                    for number in 0..100 {
                        writeln!(scope.stdout(), "line {number} of {}", 100).unwrap();
                    }
                    writeln!(scope.stderr(), "beside it").unwrap();
                    let mut last = scope.stdout();
                    write!(last, "without an end").unwrap();
                    match *scope.worker_data() {
                        "exit" => scope.exit(3),
                        "panic" => panic!("over"),
                        _ => {}
                    }
                });
            let worker: Worker<(), ()> = worker.unwrap();
            let _ = worker.exited().await;
            let (stdout, stderr) = (worker.stdout().unwrap(), worker.stderr().unwrap());
            for number in 0..100 {
                assert_eq!(stdout.recv().await, Some(format!("line {number} of 100\n").into_bytes()));
            }
            assert_eq!(stdout.recv().await.as_deref(), Some(&b"without an end"[..]), "{ending}");
            assert_eq!(stdout.recv().await, None);
            assert_eq!(stderr.try_recv(), Ok(Some(b"beside it\n".to_vec())));
            assert_eq!(stderr.try_recv(), Err(Closed));
        }
    });
}

#[test]
fn several_lines_in_one_write_are_several_and_a_long_one_comes_in_pieces() {
    run(async {
        let worker = Worker::<(), ()>::builder().stdout(Output::Piped).spawn((), async |scope| {
            let mut stdout = scope.stdout();
            stdout.write_all(b"one\ntwo\nthr").unwrap();
            stdout.write_all(b"ee\n").unwrap();
            stdout.write_all(&[b'x'; 20_000]).unwrap();
            stdout.write_all(b"\n").unwrap();
            stdout.write_all(b"asked for").unwrap();
            stdout.flush().unwrap();
            stdout.flush().unwrap();
        });
        let worker = worker.unwrap();
        let mut lines = Vec::new();
        while let Some(line) = worker.stdout().unwrap().recv().await {
            lines.push(line);
        }
        assert_eq!(lines[..3], [b"one\n".to_vec(), b"two\n".to_vec(), b"three\n".to_vec()]);
        assert_eq!(lines[3..lines.len() - 2].concat(), [b'x'; 20_000]);
        assert!(lines.iter().all(|line| line.len() <= 8192));
        assert_eq!(lines[lines.len() - 2..], [b"\n".to_vec(), b"asked for".to_vec()]);
    });
}

#[test]
fn a_parent_that_does_not_read_holds_the_writer_and_terminate_frees_it() {
    run(async {
        let worker = Worker::<(), u32>::builder().stdout(Output::Piped).spawn((), async |scope| {
            let mut stdout = scope.stdout();
            loop {
                if let Err(error) = writeln!(stdout, "more and more") {
                    assert_eq!(error.kind(), ErrorKind::BrokenPipe);
                    break;
                }
            }
        });
        let worker = worker.unwrap();
        assert_eq!(worker.stdout().unwrap().recv().await.as_deref(), Some(&b"more and more\n"[..]));
        assert_eq!(worker.terminate().await, 1);
        let mut left = 0;
        while worker.stdout().unwrap().recv().await.is_some() {
            left += 1;
        }
        assert!(left <= 1000, "{left}");
    });
}

#[test]
fn without_a_pipe_there_is_nothing_to_read() {
    run(async {
        let worker = Worker::<(), ()>::spawn((), async |_| ()).unwrap();
        assert!(worker.stdout().is_none() && worker.stderr().is_none());
    });
}
