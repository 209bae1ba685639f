//! Sessions begin and end here: HELLO, the way home, registration of devices, WELCOME, replacement, silence.

use wire::frame::{self, GoAway, Hello};
use wire::limits::{IN_FLIGHT_MAX, VERSION};
use wire::{Code, DeviceNo, Frame, Id};

use crate::counters::{LoginResult, Proof};
use crate::device::Phase;
use crate::envelope::UserRef;
use crate::event::{ConnId, Credential, Grant, Login, Now, Output, Outputs, Refusal};
use crate::outbox::{write, write_goaway};
use crate::session::{Session, State};
use crate::shard::{Shard, home};
use crate::user::Users;

impl Shard {
    pub(crate) fn add_session(&mut self, now: Now, session: Session) {
        let conn = session.conn;
        self.sessions.insert(session);
        self.set_deadline(now, conn);
    }

    /// Puts a connection on the wheel, unless it comes up early enough anyway.
    pub(crate) fn set_deadline(&mut self, now: Now, conn: ConnId) {
        let Some(session) = self.sessions.get_mut(conn) else {
            return;
        };
        let at = session.deadline(self.config.heartbeat_s).map_or(now.mono_us + REST_US, |(at, _)| at);
        if at < session.wheel_us {
            session.wheel_us = at;
            self.wheel.insert(now.mono_us, at, conn);
        }
    }

    /// HELLO, on the shard that accepted: its credential is checked before anything else is looked at.
    pub(crate) fn on_hello(&mut self, now: Now, conn: ConnId, hello: &Hello<'_>, out: &mut Outputs) {
        if !(hello.version_min..=hello.version_max).contains(&VERSION) {
            return self.close(now, conn, Code::Version, out);
        }
        let (lowest, highest) = (hello.lowest_unresolved, hello.highest_sent);
        if lowest > highest.next() || highest.next().0 - lowest.0 > IN_FLIGHT_MAX {
            return self.close(now, conn, Code::OutOfRange, out);
        }
        let credential = match hello.credential {
            frame::Credential::Token(token) => Credential::Token(token.into()),
            frame::Credential::Password(password) => Credential::Password(password.into()),
            frame::Credential::Ticket(ticket) => Credential::Ticket(ticket.into()),
        };
        let is_of_other_store = !hello.store.is_empty() && hello.store != self.config.store.0;
        let login = Box::new(Login {
            user: hello.user.into(),
            device: hello.device.into(),
            incarnation: hello.incarnation,
            lowest_unresolved: lowest,
            highest_sent: highest,
            // Of another store it says nothing about this one, and could hide what waits here.
            last_id: if is_of_other_store { Id::NONE } else { hello.last_id },
            credit: hello.credit,
            version: VERSION,
            features: 0,
            grant: Grant::default(),
        });
        let (user, device) = (login.user.clone(), login.device.clone());
        if let Some(session) = self.sessions.get_mut(conn) {
            session.heard_us = now.mono_us;
            session.proof = Proof::of(&credential);
            session.state = State::Authenticating(login);
        }
        self.update_reading(now, conn, out);
        out.list.push(Output::Authenticate { conn, user, device, credential });
    }

    /// The credential was checked: the connection goes home.
    pub(crate) fn on_authenticated(
        &mut self,
        now: Now,
        conn: ConnId,
        verdict: Result<Grant, Refusal>,
        out: &mut Outputs,
    ) {
        let Some(session) = self.sessions.get(conn) else {
            return;
        };
        if !matches!(session.state, State::Authenticating(_)) {
            return;
        }
        let result = verdict.as_ref().map_or_else(|refusal| LoginResult::of(refusal.code), |_| LoginResult::Ok);
        self.counters.logins.count(session.proof, result);
        let grant = match verdict {
            Ok(grant) => grant,
            Err(refusal) => return self.close_for(now, conn, refusal, out),
        };
        if let Some(Session { state: State::Authenticating(mut login), .. }) = self.sessions.remove(conn).map(|s| *s) {
            login.grant = grant;
            let to = home(&self.config.key, self.config.shard_count, &login.user);
            out.list.push(Output::Handoff { conn, to, login });
        }
    }

    /// A connection came home. A session of the same device is replaced; a device that is new here is registered first.
    pub(crate) fn on_adopt(&mut self, now: Now, conn: ConnId, login: Box<Login>, out: &mut Outputs) {
        assert_eq!(
            home(&self.config.key, self.config.shard_count, &login.user),
            self.config.shard,
            "handed to its home"
        );
        if self.is_draining {
            return write_goaway(out, conn, self.drain_goaway());
        }
        let user = self.users.intern(login.user.as_name());
        if let Some(code) = self.void(user, &login) {
            return write_goaway(out, conn, GoAway::of(code));
        }
        // In a moment the user or the device is gone; then it registers anew.
        let soon = GoAway { slot_start_ms: 100, slot_len_ms: 1_000, ..GoAway::of(Code::Busy) };
        if self.users.get(user).is_erasing {
            return write_goaway(out, conn, soon);
        }
        let known = self.users.get_mut(user).device_named(login.device.as_device());
        if let Some(session) = known.as_ref().and_then(|device| device.session) {
            self.close(now, session, Code::Replaced, out);
        }
        let known = self.users.get_mut(user).device_named(login.device.as_device());
        let Some(device) = known.filter(|device| device.incarnation == login.incarnation) else {
            return self.register(now, conn, user, login, out);
        };
        if device.is_purging {
            return write_goaway(out, conn, soon);
        }
        if device.sending.knows_more(login.lowest_unresolved, login.highest_sent) {
            return write_goaway(out, conn, GoAway::of(Code::NewIncarnation));
        }
        let device_no = device.no;
        if device.phase == Phase::Registering {
            device.session = Some(conn);
            let grant = login.grant.clone();
            let session = Session::new(conn, State::Registering(login, user, device_no), now.mono_us);
            return self.add_session(now, session.proven(&grant));
        }
        let session = Session::new(conn, State::Ready(user, device_no), now.mono_us);
        self.add_session(now, session.proven(&login.grant));
        self.welcome(now, conn, user, device_no, &login, out);
    }

    /// WELCOME, then the backlog, then live.
    pub(crate) fn welcome(
        &mut self,
        now: Now,
        conn: ConnId,
        user_ref: UserRef,
        device_no: DeviceNo,
        login: &Login,
        out: &mut Outputs,
    ) {
        let oldest = self.log.span(Users::inbox(user_ref)).map_or(Id::NONE, |(oldest, _, _)| oldest);
        let user = self.users.get_mut(user_ref);
        let head = user.head;
        let device = user.device(device_no).expect("it was found or made");
        device.cursor = device.cursor.max(login.last_id.min(head));
        device.on_session(conn, login.credit);
        device.sending.on_hello(login.lowest_unresolved, login.highest_sent);
        let welcome = frame::Welcome {
            version: login.version,
            features: login.features,
            device_no,
            boot: self.boot,
            head,
            oldest,
            heartbeat_s: self.config.heartbeat_s,
            payload_len_max: self.config.payload_len_max,
            in_flight_max: u16::try_from(IN_FLIGHT_MAX).expect("64"),
            stored_is_synced: true,
            ticket: &login.grant.ticket,
            server_time_us: now.wall_us,
            store: &self.config.store.0,
        };
        write(out, conn, &Frame::Welcome(welcome));
        self.update_reading(now, conn, out);
        self.set_deadline(now, conn);
        self.on_cursor_moved(now, user_ref, device_no);
        self.catch_up(now, user_ref, device_no, out);
    }

    /// Ends a session that is refused; whoever may come back is told when.
    fn close_for(&mut self, now: Now, conn: ConnId, refusal: Refusal, out: &mut Outputs) {
        if refusal.retry_ms == 0 {
            return self.close(now, conn, refusal.code, out);
        }
        // Spread: those who were refused together do not come back together.
        let (slot_start_ms, slot_len_ms) = (refusal.retry_ms, refusal.retry_ms / 2);
        write_goaway(out, conn, GoAway { slot_start_ms, slot_len_ms, ..GoAway::of(refusal.code) });
        self.end_session(now, conn);
    }

    /// Ends a session with a code.
    pub(crate) fn close(&mut self, now: Now, conn: ConnId, code: Code, out: &mut Outputs) {
        let goaway = if code == Code::Draining { self.drain_goaway() } else { GoAway::of(code) };
        write_goaway(out, conn, goaway);
        self.end_session(now, conn);
    }

    /// A session is over: what its device has not confirmed goes to the log.
    pub(crate) fn end_session(&mut self, now: Now, conn: ConnId) {
        let Some(session) = self.sessions.remove(conn) else {
            return;
        };
        if let Some((user_ref, device_no)) = session.at_home() {
            self.stop_delivery(now, conn, user_ref, device_no);
        }
    }

    /// A device's session is over, or as good as.
    pub(crate) fn stop_delivery(&mut self, now: Now, conn: ConnId, user_ref: UserRef, device_no: DeviceNo) {
        let user = self.users.get_mut(user_ref);
        let Some(device) = user.device(device_no).filter(|device| device.session == Some(conn)) else {
            return;
        };
        device.on_absent(now.mono_us);
        let cursor = device.cursor;
        if user.window.after(cursor).next().is_some() {
            // By the order rule what is older goes along.
            self.spill_all(user_ref);
        }
    }

    /// The socket takes no more: nothing further is read from it, so nothing piles up in front of it.
    pub(crate) fn on_blocked(&mut self, now: Now, conn: ConnId, out: &mut Outputs) {
        let Some(session) = self.sessions.get_mut(conn) else {
            return;
        };
        session.is_blocked = true;
        session.on_moved(now.mono_us);
        self.update_reading(now, conn, out);
        self.set_deadline(now, conn);
    }

    /// A blocked socket moved.
    pub(crate) fn on_sent(&mut self, now: Now, conn: ConnId, left: usize, out: &mut Outputs) {
        let Some(session) = self.sessions.get_mut(conn) else {
            return;
        };
        session.on_moved(now.mono_us);
        session.is_blocked = left > 0;
        let ready = session.ready();
        self.update_reading(now, conn, out);
        if let Some((user, device_no)) = ready.filter(|_| left == 0) {
            self.catch_up(now, user, device_no, out);
        }
    }

    /// Tells the shell to read or not, when that has changed.
    pub(crate) fn update_reading(&mut self, now: Now, conn: ConnId, out: &mut Outputs) {
        let is_draining = self.is_draining;
        let Some(session) = self.sessions.get_mut(conn) else {
            return;
        };
        let pause = !session.wants_reading() || is_draining;
        if pause == session.is_paused {
            return;
        }
        session.is_paused = pause;
        if pause {
            out.list.push(Output::PauseRead { conn });
        } else {
            if session.at_home().is_some() {
                // The peer's deadline rested. That of HELLO does not.
                session.heard_us = now.mono_us;
            }
            out.list.push(Output::ResumeRead { conn });
        }
    }

    /// A connection's slot on the wheel came: it is closed, or looked at again later.
    pub(crate) fn on_wheel(&mut self, now: Now, conn: ConnId, out: &mut Outputs) {
        let Some(session) = self.sessions.get_mut(conn).filter(|session| session.wheel_us <= now.mono_us) else {
            return;
        };
        match session.deadline(self.config.heartbeat_s) {
            Some((at, code)) if at <= now.mono_us => self.close(now, conn, code, out),
            _ => {
                session.wheel_us = u64::MAX;
                self.set_deadline(now, conn);
            }
        }
    }
}

/// How soon a connection without a deadline is looked at again.
const REST_US: u64 = 30_000_000;
