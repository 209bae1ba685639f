//! Sending: what a turn wrote to a connection leaves in one send.

use std::os::fd::AsFd;

use gateway_core::ConnId;
use rustix::io::Errno;
use rustix::net::{SendFlags, Shutdown, send, shutdown};

use super::conn::Stage;
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
    let (was_blocked, is_open, before) = (conn.is_blocked, conn.stage == Stage::Open, conn.unsent.len());
    if !conn.unsent.is_empty() {
        match send(&conn.socket, &conn.unsent, SendFlags::DONTWAIT | SendFlags::NOSIGNAL) {
            Ok(len) => conn.unsent.take(len, &mut net.pool),
            Err(Errno::AGAIN | Errno::INTR) => {}
            Err(_) => return close(net, id, on),
        }
    }
    let left = conn.unsent.len();
    conn.is_blocked = left > 0;
    if left > 0 {
        net.poll_writable(id);
    } else if !is_open {
        end_writing(net, id);
    }
    // The kernel says "room" at times when there is none: that is no progress.
    if is_open && was_blocked && (left < before || left == 0) {
        on(net, Event::Sent { conn: id, left });
    } else if is_open && !was_blocked && left > 0 {
        on(net, Event::Blocked { conn: id });
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
