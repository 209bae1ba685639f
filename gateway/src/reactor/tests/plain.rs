//! What holds for every connection, shown without TLS.

use std::cell::RefCell;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};

use super::super::buffers::READ_LEN;
use super::super::net::GUEST_PATIENCE;
use super::*;

#[test]
fn frames_come_back_in_order_to_every_client() {
    let mut bench = Bench::new();
    let mut clients: Vec<_> = (0..40).map(|_| bench.connect()).collect();
    bench.accept(40);
    let mut sent = Vec::new();
    for len in [0, 1, 100, 5000, 0, 60_000] {
        sent.extend(frame(7, len));
    }
    for client in &mut clients {
        client.write_all(&sent).unwrap();
    }
    let mut log = Vec::new();
    bench.pump(&mut log, echo, |log, _| count(log, "frame 7") == 6 * 40);
    bench.settle(&mut log, echo);
    for client in &mut clients {
        let mut came = vec![0; sent.len()];
        client.read_exact(&mut came).unwrap();
        assert_eq!(came, sent);
    }
}

#[test]
fn a_frame_may_come_byte_by_byte() {
    let mut bench = Bench::new();
    let (mut client, id) = bench.pair();
    let bytes = [frame(1, 3), frame(2, 0)].concat();
    let mut log = Vec::new();
    for (i, byte) in bytes.iter().enumerate() {
        client.write_all(&[*byte]).unwrap();
        bench.pump(&mut log, ignore, |log, _| log.len() == i + 1);
    }
    let heard = || "heard".to_owned();
    let mut expected = vec![heard(); 6];
    expected.push("frame 1 3".to_owned());
    expected.extend(vec![heard(); 3]);
    expected.push("frame 2 0".to_owned());
    assert_eq!(log, expected);
    let conn = bench.reactor.net.conns.get(id).unwrap();
    assert!(conn.unread.is_empty(), "an idle connection keeps nothing");
}

#[test]
fn a_frame_larger_than_the_shared_buffer_is_put_together() {
    let mut bench = Bench::new();
    let (mut client, id) = bench.pair();
    bench.reactor.net.conns.get_mut(id).unwrap().payload_len_max = 1 << 20;
    let mut wanted = frame(9, 300_000);
    wanted.extend(frame(8, 1));
    client.set_nonblocking(true).unwrap();
    let (mut sent, mut log, mut came) = (0, Vec::new(), Vec::new());
    let keep = |_: &mut Net, event: &Event<'_>| {
        if let Event::Frame { payload, .. } = event {
            came.extend_from_slice(payload);
        }
    };
    bench.pump(&mut log, keep, |log, _| {
        if let Ok(len) = client.write(&wanted[sent..]) {
            sent += len;
        }
        count(log, "frame 8") == 1
    });
    assert_eq!(count(&log, "frame 9 300000"), 1);
    assert_eq!(came, [&frame(9, 300_000)[4..], &[0]].concat());
}

#[test]
fn a_frame_over_the_limit_is_refused_before_it_is_read_and_nothing_follows() {
    let mut bench = Bench::new();
    let (mut client, id) = bench.pair();
    let mut bytes = frame(1, 0);
    bytes.extend([255, 255, 255, 2]);
    bytes.extend(frame(3, 0));
    client.write_all(&bytes).unwrap();
    let mut log = Vec::new();
    bench.pump(&mut log, ignore, |log, _| log.len() == 2);
    client.write_all(&frame(4, 0)).unwrap();
    bench.settle(&mut log, ignore);
    assert_eq!(log, ["frame 1 0", "broken FrameTooLarge"]);
    assert!(bench.reactor.net.conns.get(id).unwrap().unread.is_empty());
}

#[test]
fn a_paused_connection_keeps_what_it_read_and_goes_on_where_it_stopped() {
    let mut bench = Bench::new();
    let (mut client, id) = bench.pair();
    let bytes: Vec<u8> = (1..=64).flat_map(|n| frame(n, n.into())).collect();
    client.write_all(&bytes).unwrap();
    let pause = |net: &mut Net, event: &Event<'_>| {
        if let Event::Frame { conn, .. } = event {
            net.pause(*conn);
        }
    };
    let mut log = Vec::new();
    bench.pump(&mut log, pause, |log, _| log.len() == 1);
    client.write_all(&frame(65, 65)).unwrap();
    bench.settle(&mut log, pause);
    assert_eq!(log, ["frame 1 1"], "no second frame without resuming");
    for n in 2..=65 {
        bench.reactor.net().resume(id);
        bench.pump(&mut log, pause, |log, _| log.len() == n);
    }
    let expected: Vec<_> = (1..=65).map(|n| format!("frame {n} {n}")).collect();
    assert_eq!(log, expected);
}

#[test]
fn a_peer_that_does_not_read_blocks_and_gets_everything_later() {
    let mut bench = Bench::new();
    let (mut client, id) = bench.pair();
    let bytes: Vec<u8> = (0..=252).cycle().take(16_000_000).collect();
    bench.reactor.net().write(id, &bytes);
    let mut log = Vec::new();
    bench.settle(&mut log, ignore);
    assert_eq!(log, ["blocked"]);
    // Written while blocked: it waits behind the rest.
    bench.reactor.net().write(id, b"end");
    client.set_nonblocking(true).unwrap();
    let mut came = Vec::new();
    bench.pump(&mut log, ignore, |log, _| {
        let mut buffer = vec![0; 1 << 16];
        while let Ok(len) = client.read(&mut buffer) {
            came.extend_from_slice(&buffer[..len]);
        }
        log.last().is_some_and(|line| line == "sent, 0 left")
    });
    client.set_nonblocking(false).unwrap();
    let mut rest = vec![0; bytes.len() + 3 - came.len()];
    client.read_exact(&mut rest).unwrap();
    came.extend(rest);
    assert!(came.starts_with(&bytes) && came.ends_with(b"end"));
    assert!(bench.reactor.net.conns.get(id).unwrap().unsent.is_empty());
}

#[test]
fn a_peer_that_ends_is_told_once_and_its_place_is_free() {
    let mut bench = Bench::new();
    let (mut client, first) = bench.pair();
    client.write_all(&frame(1, 1)).unwrap();
    drop(client);
    let mut log = Vec::new();
    bench.pump(&mut log, ignore, |_, net| net.count() == 0);
    bench.settle(&mut log, ignore);
    assert_eq!(log, ["frame 1 1", "closed"]);
    let (_client, second) = bench.pair();
    assert_eq!(second.index, first.index);
    assert_ne!(second.generation, first.generation);
}

#[test]
fn peers_that_end_after_their_last_frame_get_the_answer() {
    let mut bench = Bench::new();
    // So many that the turn which read their last frames looks again before it sends, and finds their ends.
    let mut clients: Vec<_> = (0..DRAIN_COUNT_MIN).map(|_| bench.connect()).collect();
    bench.accept(clients.len());
    bench.settle(&mut Vec::new(), ignore);
    for client in &mut clients {
        client.write_all(&frame(1, 5)).unwrap();
        client.shutdown(std::net::Shutdown::Write).unwrap();
    }
    let mut log = Vec::new();
    bench.pump(&mut log, echo, |_, net| net.count() == 0);
    assert_eq!((count(&log, "frame 1 5"), count(&log, "closed")), (clients.len(), clients.len()));
    for client in &mut clients {
        let mut came = Vec::new();
        client.read_to_end(&mut came).unwrap();
        assert_eq!(came, frame(1, 5));
    }
}

#[test]
fn a_peer_that_resets_is_told_as_closed() {
    let mut bench = Bench::new();
    let (client, id) = bench.pair();
    socket2::SockRef::from(&client).set_linger(Some(Duration::ZERO)).unwrap();
    drop(client);
    let mut log = Vec::new();
    bench.pump(&mut log, ignore, |_, net| net.count() == 0);
    assert_eq!(log, ["closed"]);
    bench.reactor.net().write(id, b"to nobody");
    bench.reactor.net().resume(id);
    bench.settle(&mut log, ignore);
    assert_eq!(log, ["closed"]);
}

#[test]
fn a_paused_peer_that_leaves_is_noticed() {
    let mut bench = Bench::new();
    let (client, id) = bench.pair();
    bench.reactor.net().pause(id);
    client.shutdown(std::net::Shutdown::Write).unwrap();
    let mut log = Vec::new();
    bench.pump(&mut log, ignore, |_, net| net.is_ending(id));
    assert_eq!(log.len(), 0, "what came before its end may still be wanted");
    socket2::SockRef::from(&client).set_linger(Some(Duration::ZERO)).unwrap();
    drop(client);
    bench.pump(&mut log, ignore, |_, net| net.count() == 0);
    assert_eq!(log, ["closed"]);
}

#[test]
fn a_late_completion_does_not_reach_the_next_use_of_its_place() {
    let mut bench = Bench::new();
    let (mut old, first) = bench.pair();
    // Closed by us while readiness for the old use is under way in the ring.
    old.write_all(&frame(1, 0)).unwrap();
    bench.reactor.net().drop_conn(first);
    old.write_all(&frame(2, 0)).unwrap();
    let mut log = Vec::new();
    bench.pump(&mut log, ignore, |_, net| net.count() == 0);
    let (mut new, second) = bench.pair();
    assert_eq!(second.index, first.index);
    new.write_all(&frame(3, 0)).unwrap();
    bench.pump(&mut log, ignore, |log, _| !log.is_empty());
    bench.settle(&mut log, ignore);
    assert_eq!(log, ["frame 3 0"]);
}

#[test]
fn the_last_bytes_reach_a_peer_that_is_still_sending() {
    let mut bench = Bench::new();
    let (mut client, id) = bench.pair();
    // Unread bytes at close would make the kernel reset the connection, and the peer would lose what it had not read.
    client.write_all(&frame(1, 10_000)).unwrap();
    bench.reactor.net().write(id, b"goodbye");
    bench.reactor.net().close(id);
    bench.reactor.net().write(id, b"not this");
    let mut log = Vec::new();
    bench.settle(&mut log, ignore);
    client.write_all(&frame(2, 10_000)).unwrap();
    let mut came = Vec::new();
    client.read_to_end(&mut came).unwrap();
    assert_eq!(came, b"goodbye");
    assert_eq!(bench.reactor.net.count(), 1, "it waits for the peer to close");
    drop(client);
    bench.pump(&mut log, ignore, |_, net| net.count() == 0);
    assert_eq!(log.len(), 0, "nothing is told of a connection that was closed");
}

#[test]
fn a_peer_that_never_closes_is_cut_off() {
    let mut bench = Bench::new();
    let (client, id) = bench.pair();
    bench.reactor.net().close(id);
    let mut log = Vec::new();
    bench.settle(&mut log, ignore);
    let deadline = bench.reactor.deadline().unwrap();
    bench.reactor.net.on_time(deadline - Duration::from_millis(1));
    bench.settle(&mut log, ignore);
    assert_eq!(bench.reactor.net.count(), 1);
    bench.reactor.net.on_time(deadline);
    bench.pump(&mut log, ignore, |_, net| net.count() == 0);
    assert_eq!(bench.reactor.deadline(), None);
    drop(client);
}

#[test]
fn a_connection_moves_with_all_it_has_read_and_all_it_has_not_sent() {
    for byte_by_byte in [false, true] {
        let mut from = Bench::new();
        let mut to = Bench::new();
        let (mut client, _) = from.pair();
        let detached = RefCell::new(None);
        let mut release = |net: &mut Net, event: Event<'_>| match event {
            Event::Frame { conn, .. } => {
                net.write(conn, b"before ");
                net.release(conn);
                net.write(conn, b"not this");
            }
            Event::Released { detached: it, .. } => *detached.borrow_mut() = Some(it),
            _ => {}
        };
        let bytes: Vec<u8> = (0..=64).flat_map(|n| frame(n, n.into())).collect();
        let (before, after) = bytes.split_at(bytes.len() - 30);
        for part in before.chunks(if byte_by_byte { 1 } else { before.len() }) {
            client.write_all(part).unwrap();
            from.reactor.turn(64, &mut release).unwrap();
        }
        let give_up = Instant::now() + Duration::from_secs(10);
        while detached.borrow().is_none() {
            assert!(Instant::now() < give_up, "it was never released");
            from.reactor.turn(64, &mut release).unwrap();
        }
        let detached = detached.take().unwrap();
        assert_eq!(from.reactor.net.count(), 0);
        let id = to.reactor.net().adopt(*detached, PAYLOAD_LEN_MAX);
        to.reactor.net().write(id, b"after");
        client.write_all(after).unwrap();
        let mut log = Vec::new();
        to.settle(&mut log, ignore);
        assert_eq!(log.len(), 0, "an adopted connection is paused");
        to.reactor.net().resume(id);
        to.pump(&mut log, ignore, |log, _| count(log, "frame") == 64);
        let frames: Vec<_> = log.iter().filter(|line| line.starts_with("frame")).collect();
        let expected: Vec<_> = (1..=64).map(|n| format!("frame {n} {n}")).collect();
        assert_eq!(frames, expected.iter().collect::<Vec<_>>());
        let mut came = [0; 12];
        client.read_exact(&mut came).unwrap();
        assert_eq!(&came, b"before after");
    }
}

#[test]
fn beyond_the_descriptors_for_connections_clients_wait_until_one_leaves() {
    let mut bench = Bench::with_descriptors(2);
    let first = bench.connect();
    let ids = bench.accept(1);
    bench.log_in(ids[0]);
    let _second = bench.connect();
    let ids = bench.accept(2);
    bench.log_in(ids[0]);
    let mut third = bench.connect();
    third.write_all(&frame(3, 0)).unwrap();
    let mut log = Vec::new();
    bench.settle(&mut log, ignore);
    assert_eq!(bench.reactor.net.count(), 2);
    let retry = bench.reactor.deadline().expect("it tries again by itself");
    drop(first);
    bench.pump(&mut log, ignore, |_, net| net.count() == 1);
    bench.reactor.net.on_time(retry);
    bench.pump(&mut log, ignore, |log, _| count(log, "frame 3") == 1);
}

#[test]
fn guests_that_say_nothing_keep_nobody_out() {
    let mut bench = Bench::with_descriptors(8);
    let silent = bench.connect();
    let waiting = bench.connect();
    let ids = bench.accept(2);
    let (silent_id, waiting_id) = (ids[0], ids[1]);
    bench.reactor.net().pause(waiting_id);
    let mut third = bench.connect();
    third.write_all(&frame(3, 0)).unwrap();
    let mut log = Vec::new();
    bench.settle(&mut log, ignore);
    assert_eq!(log.len(), 0, "two are a quarter of eight");
    let retry = bench.reactor.deadline().expect("it tries again by itself");
    bench.reactor.net.dismiss_guests(retry + GUEST_PATIENCE, &mut |_, event| log.extend(describe(&event)));
    assert_eq!(log, ["closed"]);
    assert!(!bench.reactor.net.is_open(silent_id) && bench.reactor.net.is_open(waiting_id));
    bench.settle(&mut log, ignore);
    bench.reactor.net.on_time(retry);
    bench.pump(&mut log, ignore, |log, _| count(log, "frame 3") == 1);
    drop((silent, waiting));
}

#[test]
fn after_accepting_stopped_nobody_is_let_in() {
    let mut bench = Bench::new();
    let (mut client, _) = bench.pair();
    bench.reactor.net().stop_accepting();
    let mut log = Vec::new();
    bench.settle(&mut log, ignore);
    assert!(TcpStream::connect(bench.address).is_err());
    client.write_all(&frame(1, 0)).unwrap();
    bench.pump(&mut log, ignore, |log, _| count(log, "frame 1") == 1);
}

#[test]
fn a_flood_from_one_does_not_keep_the_others_waiting() {
    let mut bench = Bench::new();
    let (mut loud, id) = bench.pair();
    let (mut quiet, _) = bench.pair();
    bench.reactor.net.conns.get_mut(id).unwrap().payload_len_max = 1 << 20;
    loud.set_nonblocking(true).unwrap();
    let flood: Vec<u8> = std::iter::repeat_n(frame(1, 1000), 1000).flatten().collect();
    let mut log = Vec::new();
    // The loud one always has more in the socket than one read takes.
    let mut poured = 0;
    let mut pour = || {
        while let Ok(len) = loud.write(&flood[poured..]) {
            poured = (poured + len) % flood.len();
        }
    };
    pour();
    bench.pump(&mut log, ignore, |log, _| {
        pour();
        !log.is_empty()
    });
    quiet.write_all(&frame(2, 0)).unwrap();
    let quiet_after = |log: &[String]| log.iter().position(|line| line == "frame 2 0");
    log.clear();
    bench.pump(&mut log, ignore, |log, _| {
        pour();
        quiet_after(log).is_some()
    });
    let before = quiet_after(&log).unwrap();
    assert_eq!(count(&log, "broken"), 0);
    assert!(before < 70 * 64, "{before} frames of the loud one came first: more than one turn's 64 reads hold");
}

#[test]
fn a_turn_is_bounded_in_frames_not_only_in_reads() {
    let mut bench = Bench::new();
    let mut clients: Vec<_> = (0..32).map(|_| bench.connect()).collect();
    bench.accept(32);
    bench.settle(&mut Vec::new(), ignore);
    let full_read = frame(1, 0).repeat(READ_LEN / 4);
    for client in &mut clients {
        client.write_all(&full_read).unwrap();
    }
    let mut frame_counts = Vec::new();
    let give_up = Instant::now() + Duration::from_secs(10);
    while frame_counts.iter().sum::<usize>() < 32 * READ_LEN / 4 {
        assert!(Instant::now() < give_up, "{frame_counts:?}");
        let mut frame_count = 0;
        let mut counted =
            |_: &mut Net, event: Event<'_>| frame_count += usize::from(matches!(event, Event::Frame { .. }));
        bench.reactor.turn(64, &mut counted).unwrap();
        frame_counts.push(frame_count);
    }
    assert!(frame_counts.iter().all(|count| *count <= 64 * 4 + READ_LEN / 4), "{frame_counts:?}");
}

#[test]
fn who_is_woken_does_not_wait_for_what_the_turn_sends() {
    let mut bench = Bench::new();
    let (_client, id) = bench.pair();
    let mut sleeper = Ring::new().unwrap();
    assert!(sleeper.arm());
    let is_woken = || {
        let now = Timespec { tv_sec: 0, tv_nsec: 0 };
        poll(&mut [PollFd::new(&sleeper.eventfd(), PollFlags::IN)], Some(&now)).unwrap() > 0
    };
    let mut log = Vec::new();
    bench.settle(&mut log, ignore);
    bench.reactor.net().write(id, &vec![0; 16_000_000]);
    let mut is_sent = false;
    let mut wake = |net: &mut Net, event: Event<'_>| match event {
        Event::TurnEnd => net.wake(sleeper.number(), 7),
        Event::Blocked { .. } => {
            assert!(is_woken(), "it was sent before the other was woken");
            is_sent = true;
        }
        _ => {}
    };
    bench.reactor.turn(64, &mut wake).unwrap();
    assert!(is_sent);
}

#[test]
fn nothing_is_held_back_to_fill_a_segment() {
    let mut bench = Bench::new();
    let (_client, id) = bench.pair();
    let conn = bench.reactor.net.conns.get(id).unwrap();
    assert!(rustix::net::sockopt::tcp_nodelay(&conn.socket).unwrap());
}

#[test]
fn an_idle_reactor_waits() {
    let mut bench = Bench::new();
    let (mut client, _) = bench.pair();
    let mut log = Vec::new();
    bench.settle(&mut log, ignore);
    assert!(bench.reactor.wait_fd().is_some());
    client.write_all(&frame(1, 0)).unwrap();
    bench.pump(&mut log, echo, |log, _| log.len() == 1);
    bench.settle(&mut log, echo);
    assert!(bench.reactor.wait_fd().is_some(), "and again after work");
}
