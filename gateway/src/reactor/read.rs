//! Reading: bytes into the shared buffer, whole frames out of it, and the rest kept.

use std::time::Instant;

use gateway_core::ConnId;
use rustix::io::Errno;
use rustix::net::{RecvFlags, recv};
use wire::{Cut, cut};

use super::buffers::{READ_LEN, Shared};
use super::conn::{Conn, Stage};
use super::{Event, Net};

/// Visits each listed connection once, as long as work is left; the others stay on the list.
pub(super) fn visit_listed(
    net: &mut Net,
    shared: &mut Shared,
    work_left: &mut usize,
    on: &mut impl FnMut(&mut Net, Event<'_>),
) {
    for _ in 0..net.listed.len() {
        if *work_left == 0 {
            return;
        }
        let Some(id) = net.listed.pop_front() else { return };
        visit(net, id, shared, work_left, on);
    }
}

/// Begins a turn: visits those whose handshake the last one had no time for, as long as this one has. Says whether there was any.
pub(super) fn visit_deferred(
    net: &mut Net,
    shared: &mut Shared,
    work_left: &mut usize,
    on: &mut impl FnMut(&mut Net, Event<'_>),
) -> bool {
    net.handshake_time_left = net.handshake_time_per_turn;
    let count = net.deferred.len();
    for _ in 0..count {
        if *work_left == 0 || net.handshake_time_left.is_zero() {
            break;
        }
        let Some(id) = net.deferred.pop_front() else { break };
        visit(net, id, shared, work_left, on);
    }
    count > 0
}

fn visit(
    net: &mut Net,
    id: ConnId,
    shared: &mut Shared,
    work_left: &mut usize,
    on: &mut impl FnMut(&mut Net, Event<'_>),
) {
    let Some(conn) = net.conns.get_mut(id) else { return };
    conn.is_listed = false;
    *work_left -= 1;
    match conn.stage {
        Stage::Open if conn.is_handshaking() => visit_handshaking(net, id, shared, work_left, on),
        Stage::Open => visit_open(net, id, shared, work_left, on),
        Stage::Lingering => discard(net, id, shared.room(), work_left),
        Stage::Leaving | Stage::Closing | Stage::Gone => {}
    }
}

/// A handshake costs the time of some hundred messages: a crowd of them must not stop the messages.
fn visit_handshaking(
    net: &mut Net,
    id: ConnId,
    shared: &mut Shared,
    work_left: &mut usize,
    on: &mut impl FnMut(&mut Net, Event<'_>),
) {
    if net.handshake_time_left.is_zero() {
        if let Some(conn) = net.conns.get_mut(id) {
            conn.is_listed = true;
            net.deferred.push_back(id);
        }
        return;
    }
    let begin = Instant::now();
    visit_open(net, id, shared, work_left, on);
    net.handshake_time_left = net.handshake_time_left.saturating_sub(begin.elapsed());
}

/// Parses what was kept, then reads once: one recv per visit, so that nobody who has much to say keeps the others waiting.
fn visit_open(
    net: &mut Net,
    id: ConnId,
    shared: &mut Shared,
    work_left: &mut usize,
    on: &mut impl FnMut(&mut Net, Event<'_>),
) {
    let kept_count = parse(net, id, &[], on);
    charge(work_left, 0, kept_count);
    let Some(conn) = net.conns.get_mut(id) else { return };
    if !conn.takes_frames() {
        return;
    }
    if conn.tls.as_ref().is_some_and(|tls| tls.is_over()) {
        // It was while the connection was paused.
        return finish(net, id, on);
    }
    if !conn.may_read {
        return;
    }
    match recv(&conn.socket, shared.room(), RecvFlags::DONTWAIT) {
        Ok((_, 0)) => end(net, id, on),
        Ok((_, len)) => {
            // A short read took all there was: what comes later is told by another completion. (Urgent data ends a read too; who
            // sends it waits until he sends more.)
            let may_read = len == READ_LEN || conn.is_ending;
            conn.may_read = may_read;
            let count = if conn.tls.is_some() {
                decrypt(net, id, shared, len, work_left, on)
            } else {
                let bytes = shared.room().get(..len).expect("they were read into it");
                parse(net, id, bytes, on)
            };
            charge(work_left, len, count);
            if count == 0 && net.is_open(id) {
                on(net, Event::Heard { conn: id });
            }
            net.watch(id);
            if may_read && net.conns.get(id).is_some_and(Conn::takes_frames) {
                net.list(id);
            }
        }
        Err(Errno::AGAIN) => {
            conn.may_read = false;
            conn.is_ending = false;
            // What it has in part may have come with it from another shard.
            net.watch(id);
        }
        Err(Errno::INTR) => net.list(id),
        Err(_) => close(net, id, on),
    }
}

/// Hands out the frames that so many bytes of ciphertext hold, and has answered what the session itself answers. Says how many
/// there were.
fn decrypt(
    net: &mut Net,
    id: ConnId,
    shared: &mut Shared,
    len: usize,
    work_left: &mut usize,
    on: &mut impl FnMut(&mut Net, Event<'_>),
) -> usize {
    let Some(conn) = net.conns.get_mut(id) else { return 0 };
    let before = conn.outbox_len();
    let Some(tls) = &mut conn.tls else { return 0 };
    shared.plain.clear();
    let record_count = tls.open(shared, len, &mut net.scratch, &mut net.pool);
    // A record costs as much as a frame, and there may be thousands that hold none.
    charge(work_left, 0, record_count);
    let is_over = tls.is_over();
    net.counters.note_outbox(before, conn.outbox_len());
    if conn.left() > 0 && !conn.is_blocked && !conn.is_dirty {
        conn.is_dirty = true;
        net.dirty.push_back(id);
    }
    let count = parse(net, id, &shared.plain, on);
    if is_over && net.conns.get(id).is_some_and(Conn::takes_frames) {
        finish(net, id, on);
    }
    count
}

/// The TLS session is over: the peer said so, or was told so. Our side ends in the same way.
fn finish(net: &mut Net, id: ConnId, on: &mut impl FnMut(&mut Net, Event<'_>)) {
    net.close(id);
    on(net, Event::Closed { conn: id });
}

/// Hands out the whole frames of what was kept and then of `bytes`, and keeps the rest. Says how many there were.
fn parse(net: &mut Net, id: ConnId, mut bytes: &[u8], on: &mut impl FnMut(&mut Net, Event<'_>)) -> usize {
    let mut count = 0;
    let kept = net.conns.get_mut(id).map(|conn| std::mem::take(&mut conn.unread));
    if let Some(mut kept) = kept
        && !kept.is_empty()
    {
        while !kept.is_empty() {
            let missing = match hand_out_first(net, id, &kept, on) {
                First::Frame(len) => {
                    count += 1;
                    kept.take(len, &mut net.pool);
                    continue;
                }
                First::Incomplete(missing) => missing.min(bytes.len()),
                First::Unwanted => bytes.len(),
            };
            if missing == 0 {
                break;
            }
            let (wanted, rest) = bytes.split_at(missing);
            kept.push(wanted, &mut net.pool);
            bytes = rest;
        }
        match net.conns.get_mut(id) {
            Some(conn) if conn.keeps_bytes() => conn.unread = kept,
            _ => kept.clear(&mut net.pool),
        }
    }
    while !bytes.is_empty() {
        match hand_out_first(net, id, bytes, on) {
            First::Frame(len) => {
                count += 1;
                bytes = bytes.get(len..).expect("the frame was cut from these bytes");
            }
            First::Incomplete(_) | First::Unwanted => break,
        }
    }
    if let Some(conn) = net.conns.get_mut(id) {
        if conn.keeps_bytes() && !bytes.is_empty() {
            conn.unread.push(bytes, &mut net.pool);
        }
        if count > 0 {
            conn.stale_looks = 0;
        }
    }
    count
}

/// Counts what a visit cost beside itself: the bytes and the frames, since a read may bring one frame or sixteen thousand.
fn charge(work_left: &mut usize, len: usize, frame_count: usize) {
    *work_left = work_left.saturating_sub(len / LEN_PER_WORK + frame_count / FRAMES_PER_WORK);
}

enum First {
    /// It was handed out and is so long.
    Frame(usize),
    /// At least so many bytes are missing.
    Incomplete(usize),
    /// The connection takes no frames now.
    Unwanted,
}

fn hand_out_first(net: &mut Net, id: ConnId, bytes: &[u8], on: &mut impl FnMut(&mut Net, Event<'_>)) -> First {
    let Some(conn) = net.conns.get(id) else { return First::Unwanted };
    if !conn.takes_frames() {
        return First::Unwanted;
    }
    match cut(bytes, conn.payload_len_max as usize) {
        Ok(Cut::Need(missing)) => First::Incomplete(missing),
        Ok(Cut::Frame { frame_type, payload, len }) => {
            on(net, Event::Frame { conn: id, frame_type, payload });
            First::Frame(len)
        }
        Err(error) => {
            net.mark_broken(id);
            on(net, Event::Broken { conn: id, error });
            First::Unwanted
        }
    }
}

/// Reads to throw away, until the peer is done.
fn discard(net: &mut Net, id: ConnId, buffer: &mut [u8], work_left: &mut usize) {
    let Some(conn) = net.conns.get_mut(id) else { return };
    match recv(&conn.socket, &mut *buffer, RecvFlags::DONTWAIT) {
        Ok((_, len)) if len > 0 => {
            charge(work_left, len, 0);
            net.list(id);
        }
        Err(Errno::INTR) => net.list(id),
        Err(Errno::AGAIN) => {}
        Ok(_) | Err(_) => net.drop_conn(id),
    }
}

/// The peer says nothing more. It may still read: what was written in this turn is sent before our side ends.
fn end(net: &mut Net, id: ConnId, on: &mut impl FnMut(&mut Net, Event<'_>)) {
    if net.conns.get(id).is_none_or(|conn| conn.unsent.is_empty()) {
        return close(net, id, on);
    }
    net.close(id);
    on(net, Event::Closed { conn: id });
}

/// It is over, whatever waits.
pub(super) fn close(net: &mut Net, id: ConnId, on: &mut impl FnMut(&mut Net, Event<'_>)) {
    let was_open = net.is_open(id);
    net.drop_conn(id);
    if was_open {
        on(net, Event::Closed { conn: id });
    }
}

/// About as much work as a read that brings little, some microsecond.
const LEN_PER_WORK: usize = 2048;
const FRAMES_PER_WORK: usize = 4;
