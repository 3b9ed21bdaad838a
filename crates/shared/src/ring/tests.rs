use super::*;

fn pair(capacity: usize) -> (RingWriter, RingReader) {
    let writer = RingWriter::create("test", capacity).unwrap();
    let reader = RingReader::from_descriptor(writer.descriptor().unwrap()).unwrap();
    (writer, reader)
}

#[test]
fn bytes_of_every_length_come_out_as_they_went_in_round_and_round() {
    let (mut writer, mut reader) = pair(256);
    for round in 0..2_000usize {
        let bytes: Vec<u8> = (0..round % 257).map(|n| (n * 31 + round) as u8).collect();
        let written = writer.write(&bytes).unwrap();
        assert_eq!(written, bytes.len());
        let mut out = vec![9; 3];
        let _ = reader.read(written, &mut out).unwrap();
        assert_eq!(out[..3], [9; 3]);
        assert_eq!(out[3..], bytes);
    }
}

#[test]
fn a_full_ring_takes_no_more_and_the_reader_learns_that_somebody_waits() {
    let (mut writer, mut reader) = pair(64);
    let mut out = Vec::new();
    assert_eq!(writer.write(&[1; 100]).unwrap(), 64);
    assert_eq!(writer.write(&[1; 100]).unwrap(), 0);
    assert_eq!(reader.read(64, &mut out).unwrap(), Freed::WakeTheWriter);
    assert_eq!(writer.write(&[1; 10]).unwrap(), 10);
    assert_eq!(reader.read(10, &mut out).unwrap(), Freed::NobodyWaits);
}

#[test]
fn positions_that_the_other_process_made_up_are_errors() {
    let (mut writer, mut reader) = pair(64);
    assert_eq!(reader.read(8, &mut Vec::new()).unwrap_err().kind(), io::ErrorKind::InvalidData);
    for lie in [u64::MAX, 1 << 40, 65] {
        writer.words.set_tail(lie);
        assert_eq!(writer.write(&[1]).unwrap_err().kind(), io::ErrorKind::InvalidData);
        reader.words.set_head(lie);
        assert_eq!(reader.read(1, &mut Vec::new()).unwrap_err().kind(), io::ErrorKind::InvalidData);
    }
}

#[test]
fn other_shared_memory_is_no_ring() {
    let segment = Segment::create("test", 4096).unwrap();
    let error = RingReader::from_descriptor(segment.descriptor().unwrap()).unwrap_err();
    assert_eq!(error.kind(), io::ErrorKind::InvalidInput);
}
