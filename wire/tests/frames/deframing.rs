use wire::{Cut, Deframer, WireError, cut, frame_type, limits::PAYLOAD_LEN_MAX};

use crate::{Random, encoded, samples};

type Cuts = Vec<(u8, Vec<u8>)>;

/// Every sample in a row, and what it consists of.
fn stream() -> (Vec<u8>, Cuts) {
    let frames: Vec<_> = samples::all().iter().map(|sample| encoded(&sample.frame)).collect();
    let cuts = frames.iter().map(|bytes| (bytes[3], bytes[4..].to_vec())).collect();
    (frames.concat(), cuts)
}

fn take_all(deframer: &mut Deframer, into: &mut Cuts) {
    while let Some((frame_type, payload)) = deframer.next().expect("within the limit") {
        into.push((frame_type, payload.to_vec()));
    }
}

fn in_pieces(stream: &[u8], mut piece_len: impl FnMut() -> usize) -> Cuts {
    let mut deframer = Deframer::new(PAYLOAD_LEN_MAX);
    let mut cuts = Vec::new();
    let mut rest = stream;
    while !rest.is_empty() {
        let (piece, tail) = rest.split_at(piece_len().min(rest.len()));
        deframer.push(piece);
        take_all(&mut deframer, &mut cuts);
        rest = tail;
    }
    assert_eq!(deframer.pending_len(), 0);
    assert_eq!(deframer.capacity(), 0, "an empty deframer holds no memory");
    cuts
}

#[test]
fn byte_by_byte_gives_the_same_frames_as_at_once() {
    let (stream, cuts) = stream();
    assert_eq!(in_pieces(&stream, || stream.len()), cuts);
    assert_eq!(in_pieces(&stream, || 1), cuts);
}

#[test]
fn any_pieces_give_the_same_frames() {
    let (stream, cuts) = stream();
    for seed in 0..50 {
        let mut random = Random(seed);
        assert_eq!(in_pieces(&stream, || 1 + random.below(100)), cuts, "seed {seed}");
    }
}

#[test]
fn frames_taken_one_at_a_time_between_pushes_are_the_same() {
    let (stream, cuts) = stream();
    let mut deframer = Deframer::new(PAYLOAD_LEN_MAX);
    let mut taken = Vec::new();
    for piece in stream.chunks(97) {
        deframer.push(piece);
        let next = deframer.next().expect("within the limit");
        taken.extend(next.map(|(frame_type, payload)| (frame_type, payload.to_vec())));
    }
    take_all(&mut deframer, &mut taken);
    assert_eq!(taken, cuts);
}

#[test]
fn memory_stays_flat_while_a_stream_flows_through_with_a_frame_always_cut_in_two() {
    let frame = encoded(&samples::named("send").frame);
    let mut deframer = Deframer::new(PAYLOAD_LEN_MAX);
    deframer.push(&frame[..5]);
    let rotated = [&frame[5..], &frame[..5]].concat();
    for _ in 0..10_000 {
        deframer.push(&rotated);
        assert!(deframer.next().expect("within the limit").is_some());
        assert!(deframer.next().expect("within the limit").is_none());
        assert_eq!(deframer.pending_len(), 5);
    }
    assert!(deframer.capacity() <= 8 * frame.len(), "{} bytes held", deframer.capacity());
}

#[test]
fn cut_says_how_much_is_missing() {
    let frame = encoded(&samples::named("ping").frame);
    let missing = [4, 3, 2, 1, 4, 3, 2, 1];
    for (len, missing) in missing.into_iter().enumerate() {
        assert_eq!(cut(&frame[..len], PAYLOAD_LEN_MAX), Ok(Cut::Need(missing)));
    }
    let whole = Cut::Frame { frame_type: frame_type::PING, payload: &frame[4..], len: 8 };
    assert_eq!(cut(&frame, PAYLOAD_LEN_MAX), Ok(whole));
    assert_eq!(cut(&[&frame[..], &[0xff]].concat(), PAYLOAD_LEN_MAX), Ok(whole));
}

#[test]
fn a_frame_may_have_no_payload() {
    let empty = Cut::Frame { frame_type: 0x80, payload: &[], len: 4 };
    assert_eq!(cut(&[0, 0, 0, 0x80], 0), Ok(empty));
}

#[test]
fn a_length_above_the_limit_is_refused_by_the_header_alone() {
    let header = [0x01, 0x10, 0, frame_type::SEND];
    let too_large = WireError::FrameTooLarge { frame_type: frame_type::SEND, len: 4097, max: 4096 };
    assert_eq!(cut(&header, 4096), Err(too_large));
    assert_eq!(cut(&header, 4097), Ok(Cut::Need(4097)));
    assert_eq!(cut(&header[..3], 4096), Ok(Cut::Need(1)));

    let mut deframer = Deframer::new(4096);
    deframer.push(&header);
    assert_eq!(deframer.next(), Err(too_large));
    assert_eq!(deframer.next(), Err(too_large), "it stays so");
    assert!(deframer.capacity() < 64, "nothing was kept for it");
}

#[test]
fn the_largest_frame_passes() {
    let mut bytes = vec![0xff, 0xff, 0xff, 0x80];
    bytes.resize(4 + PAYLOAD_LEN_MAX, 1);
    let mut deframer = Deframer::new(PAYLOAD_LEN_MAX);
    deframer.push(&bytes);
    let (_, payload) = deframer.next().expect("within the limit").expect("whole");
    assert_eq!(payload.len(), PAYLOAD_LEN_MAX);
}

#[test]
fn a_new_limit_counts_from_the_next_frame_on() {
    let mut deframer = Deframer::new(4);
    deframer.push(&[4, 0, 0, 0x80, 1, 2, 3, 4, 5, 0, 0, 0x80, 1, 2, 3, 4, 5]);
    assert!(deframer.next().expect("within the limit").is_some());
    assert_eq!(deframer.next().map(drop).map_err(|error| error.code().number()), Err(100));
    deframer.set_payload_len_max(5);
    assert_eq!(deframer.next(), Ok(Some((0x80, &[1, 2, 3, 4, 5][..]))));
}
