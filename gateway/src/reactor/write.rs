//! Sending: what a turn wrote to a connection leaves in one send; under TLS, up to 64 KiB in each.

use std::os::fd::AsFd;

use gateway_core::ConnId;
use rustix::io::Errno;
use rustix::net::{SendFlags, Shutdown, send, shutdown};

use super::buffers::Pool;
use super::conn::{Conn, Socket, Stage};
use super::read::close;
use super::{Event, Net};

/// Sends once for each dirty connection. Says whether there was any.
pub(super) fn flush(net: &mut Net, on: &mut impl FnMut(&mut Net, Event<'_>)) -> bool {
    let count = net.dirty.len();
    for _ in 0..count {
        let Some(id) = net.dirty.pop_front() else { break };
        let Some(conn) = net.conns.get_mut(id) else { continue };
        conn.is_dirty = false;
        match conn.stage {
            Stage::Open | Stage::Closing => send_once(net, id, on),
            Stage::Leaving | Stage::Lingering | Stage::Gone => {}
        }
    }
    count > 0
}

fn send_once(net: &mut Net, id: ConnId, on: &mut impl FnMut(&mut Net, Event<'_>)) {
    let Some(conn) = net.conns.get_mut(id) else { return };
    let (was_blocked, is_open, before) = (conn.is_blocked, conn.stage == Stage::Open, conn.outbox_len());
    let sent = if conn.tls.is_some() {
        send_encrypted(conn, &mut net.scratch, &mut net.pool)
    } else {
        send_plain(conn, &mut net.pool)
    };
    net.counters.note_outbox(before, conn.outbox_len());
    let Ok(sent) = sent else { return close(net, id, on) };
    let left = conn.left();
    conn.is_blocked = left > 0;
    if left > 0 {
        net.poll_writable(id);
    } else if !is_open {
        end_writing(net, id);
    }
    // The kernel says "room" at times when there is none: that is no progress.
    if is_open && was_blocked && (sent > 0 || left == 0) {
        on(net, Event::Sent { conn: id, left });
    } else if is_open && !was_blocked && left > 0 {
        on(net, Event::Blocked { conn: id });
    }
}

fn send_plain(conn: &mut Conn, pool: &mut Pool) -> Result<usize, Errno> {
    if conn.unsent.is_empty() {
        return Ok(0);
    }
    let sent = send_some(&conn.socket, &conn.unsent)?;
    conn.unsent.take(sent, pool);
    Ok(sent)
}

/// Encrypts and sends as long as the socket takes it: what it does not take at once waits encrypted, the rest as it was written.
fn send_encrypted(conn: &mut Conn, scratch: &mut [u8], pool: &mut Pool) -> Result<usize, Errno> {
    let is_closing = conn.stage == Stage::Closing;
    let Some(tls) = &mut conn.tls else { return Ok(0) };
    let mut total = 0;
    if !tls.sealed.is_empty() {
        total = send_some(&conn.socket, &tls.sealed)?;
        tls.sealed.take(total, pool);
    }
    while tls.sealed.is_empty() {
        let len = tls.seal(&mut conn.unsent, is_closing, scratch, pool);
        if len == 0 {
            break;
        }
        let bytes = scratch.get(..len).expect("it was written there");
        let sent = send_some(&conn.socket, bytes)?;
        total += sent;
        let rest = bytes.get(sent..).expect("no more is sent than there was");
        if !rest.is_empty() {
            tls.sealed.push(rest, pool);
        }
    }
    Ok(total)
}

/// Says how much the socket took.
fn send_some(socket: &Socket, bytes: &[u8]) -> Result<usize, Errno> {
    match send(socket, bytes, SendFlags::DONTWAIT | SendFlags::NOSIGNAL) {
        Err(Errno::AGAIN | Errno::INTR) => Ok(0),
        other => other,
    }
}

/// The last byte is sent: tell the peer so, and wait until it has closed, since closing while it still sends would reset the
/// connection and destroy what it has not read.
fn end_writing(net: &mut Net, id: ConnId) {
    let Some(conn) = net.conns.get_mut(id) else { return };
    conn.stage = Stage::Lingering;
    match shutdown(conn.socket.as_fd(), Shutdown::Write) {
        Ok(()) => net.list(id),
        Err(_) => net.drop_conn(id),
    }
}
