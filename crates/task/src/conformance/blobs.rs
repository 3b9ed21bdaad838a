//! Bytes of every length, both ways.

use crate::conformance::gate::{end_of, ends_of, hold};
use crate::conformance::tasks::{Echo, Grow, Kind, Nested, inverted};
use crate::conformance::{Harness, Shape};
use crate::{Blob, Executor};

super::cases![
    blobs_of_every_length_arrive_as_they_were_both_ways,
    a_quarter_of_a_gigabyte_arrives_both_ways,
    many_blobs_travel_in_one_task,
    long_values_that_are_no_blobs_arrive_too,
    blobs_of_tasks_that_are_cancelled_do_not_pile_up,
];

/// Bytes that are told apart from page to page, and what becomes of them.
fn pattern(len: usize) -> (Vec<u8>, Vec<u8>) {
    let mut bytes = vec![0x5a; len];
    bytes.iter_mut().step_by(4093).enumerate().for_each(|(number, byte)| *byte = number as u8);
    let mut expected = bytes.clone();
    inverted(&mut expected);
    (bytes, expected)
}

fn blobs_of_every_length_arrive_as_they_were_both_ways<H: Harness>(harness: &H) {
    let executor = harness.build(&Shape::servers(2));
    let lengths = [0, 1, 4095, 4096, 4097, 8192, (64 << 10) - 1, 64 << 10, (64 << 10) + 1, 1 << 20, (1 << 20) + 1];
    for _ in 0..3 {
        let cases: Vec<_> = lengths.iter().map(|len| pattern(*len)).collect();
        let echoes: Vec<_> = cases.iter().map(|(bytes, _)| executor.submit(Echo(bytes.clone().into()))).collect();
        for ((_, expected), echo) in cases.into_iter().zip(echoes) {
            assert!(end_of(echo).unwrap() == Blob::from(expected));
        }
    }
}

fn a_quarter_of_a_gigabyte_arrives_both_ways<H: Harness>(harness: &H) {
    let executor = harness.build(&Shape::servers(1));
    let (bytes, expected) = pattern(256 << 20);
    let echo = end_of(executor.submit(Echo(bytes.into()))).unwrap();
    assert!(echo.as_ref() == expected.as_slice());
    drop((echo, expected));
    let (bytes, expected) = pattern(5000);
    assert!(end_of(executor.submit(Echo(bytes.into()))).unwrap() == Blob::from(expected), "and a small one afterwards");
}

fn many_blobs_travel_in_one_task<H: Harness>(harness: &H) {
    let executor = harness.build(&Shape::servers(1));
    let blobs = (0..300).map(|number| Some(Blob::from(vec![number as u8; 4000 + number * 7]))).collect();
    let task = Nested {
        text: String::new(),
        nothing: None,
        children: Vec::new(),
        by_name: Default::default(),
        blobs,
        kind: Kind::Unit,
    };
    assert_eq!(end_of(executor.submit(task.clone())), Ok(task));
}

fn long_values_that_are_no_blobs_arrive_too<H: Harness>(harness: &H) {
    let executor = harness.build(&Shape::servers(1));
    for len in [1000, 100_000, 5_000_000] {
        let task = Nested {
            text: "é".repeat(len / 2),
            nothing: None,
            children: Vec::new(),
            by_name: Default::default(),
            blobs: Vec::new(),
            kind: Kind::Unit,
        };
        assert!(end_of(executor.submit(task.clone())).unwrap() == task);
        assert_eq!(end_of(executor.submit(Grow { blob: 0, list: len })).unwrap().1.len(), len);
    }
}

fn blobs_of_tasks_that_are_cancelled_do_not_pile_up<H: Harness>(harness: &H) {
    // Ten gigabytes in all.
    let executor = harness.build(&Shape::servers(1));
    let blob = Blob::from(pattern(10 << 20).0);
    for _ in 0..10 {
        let held = hold(&executor);
        let waiting: Vec<_> = (0..100).map(|_| executor.submit(Echo(blob.clone()))).collect();
        drop(waiting);
        held.release();
        let running: Vec<_> = (0..3).map(|_| executor.submit(Echo(blob.clone()))).collect();
        assert!(
            ends_of::<Echo>(running).iter().all(|result| result.as_ref().is_ok_and(|echo| echo.len() == blob.len()))
        );
    }
}
