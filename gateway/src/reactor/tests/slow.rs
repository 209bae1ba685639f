//! Frames that are begun and do not come whole.

use std::io::Write;

use super::*;

impl Bench {
    /// Lets the time pass until the next look at those in mid-frame.
    fn look(&mut self, log: &mut Vec<String>) {
        let at = self.reactor.deadline().expect("somebody is looked at");
        self.reactor.net.look_after_slow_ones(at, &mut |_, event| log.extend(describe(&event)));
    }
}

#[test]
fn a_frame_that_comes_byte_by_byte_has_an_absolute_deadline() {
    let mut bench = Bench::new();
    let (mut client, id) = bench.pair();
    client.write_all(&frame(1, 100)[..10]).unwrap();
    let mut log = Vec::new();
    bench.pump(&mut log, ignore, |log, _| log.len() == 1);
    let first = bench.reactor.deadline().unwrap();
    let mut last = first;
    while count(&log, "broken") == 0 {
        last = bench.reactor.deadline().unwrap();
        bench.look(&mut log);
        client.write_all(&[0]).unwrap();
        let heard = log.len() + 1;
        if count(&log, "broken") == 0 {
            bench.pump(&mut log, ignore, |log, _| log.len() == heard);
        }
    }
    assert_eq!(log.last().unwrap(), "broken FrameTimeout");
    assert_eq!(last - first, wire::limits::FRAME_TIMEOUT);
    assert!(bench.reactor.net.conns.get(id).unwrap().unread.is_empty());
}

#[test]
fn who_finishes_each_frame_may_take_the_time_for_the_next() {
    let mut bench = Bench::new();
    let (mut client, id) = bench.pair();
    client.write_all(&frame(1, 4)[..5]).unwrap();
    let mut log = Vec::new();
    bench.pump(&mut log, ignore, |log, _| log.len() == 1);
    let next = [&frame(1, 4)[5..], &frame(1, 4)[..5]].concat();
    for _ in 0..100 {
        bench.look(&mut log);
        client.write_all(&next).unwrap();
        let came = log.len() + 1;
        bench.pump(&mut log, ignore, |log, _| log.len() == came);
    }
    assert_eq!(count(&log, "broken"), 0);
    client.write_all(&frame(1, 4)[5..]).unwrap();
    bench.pump(&mut log, ignore, |log, _| count(log, "frame") == 101);
    bench.look(&mut log);
    assert_eq!(bench.reactor.deadline(), None, "nobody is in mid-frame");
    assert!(!bench.reactor.net.conns.get(id).unwrap().is_watched);
}

#[test]
fn the_deadline_of_a_frame_rests_while_nobody_reads() {
    let mut bench = Bench::new();
    let (mut client, id) = bench.pair();
    client.write_all(&frame(1, 4)[..5]).unwrap();
    let mut log = Vec::new();
    bench.pump(&mut log, ignore, |log, _| log.len() == 1);
    bench.reactor.net().pause(id);
    for _ in 0..100 {
        bench.look(&mut log);
    }
    assert_eq!(count(&log, "broken"), 0);
    bench.reactor.net().resume(id);
    client.write_all(&frame(1, 4)[5..]).unwrap();
    bench.pump(&mut log, ignore, |log, _| count(log, "frame") == 1);
}
