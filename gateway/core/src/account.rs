//! ACCOUNT: what may be asked for when, and the way of its answer. The accounts themselves are the shell's.

use wire::frame::{Account, AccountDone, AccountOp};
use wire::{Code, DeviceNo, Frame};

use crate::envelope::UserRef;
use crate::event::{AccountKind, AccountRequest, ConnId, Now, Output, Outputs, Refusal};
use crate::outbox::write;
use crate::session::State;
use crate::shard::Shard;

impl Shard {
    /// ACCOUNT before HELLO: it can only make an account. A few tries a connection; HELLO's deadline goes on meanwhile.
    pub(crate) fn on_register(&mut self, now: Now, conn: ConnId, account: &Account<'_>, out: &mut Outputs) {
        let Some(session) = self.sessions.get_mut(conn) else {
            return;
        };
        let AccountOp::Register { user, password } = account.op else {
            return self.close(now, conn, Code::OutOfState, out);
        };
        let State::Opened { register_count } = session.state else {
            return self.close(now, conn, Code::OutOfState, out);
        };
        if register_count >= REGISTERS_PER_CONNECTION {
            return self.close(now, conn, Code::OutOfState, out);
        }
        session.state = State::MakingAccount { register_count: register_count + 1 };
        let kind = AccountKind::Register { user: user.into(), password: password.into() };
        self.update_reading(now, conn, out);
        let request = AccountRequest { request: account.request, kind, device: None };
        out.list.push(Output::Account { conn, request });
    }

    /// ACCOUNT in a session: about its own user.
    pub(crate) fn on_account(
        &mut self,
        now: Now,
        conn: ConnId,
        user: UserRef,
        device_no: DeviceNo,
        account: &Account<'_>,
        out: &mut Outputs,
    ) {
        let user = self.users.get_mut(user);
        let name = user.name.clone();
        let kind = match account.op {
            AccountOp::Register { .. } => return self.close(now, conn, Code::OutOfState, out),
            AccountOp::ChangePassword { password, new_password } => {
                AccountKind::ChangePassword { user: name, password: password.into(), new_password: new_password.into() }
            }
            AccountOp::Delete { password } => AccountKind::Delete { user: name, password: password.into() },
        };
        let device = user.device(device_no).map(|device| device.name.clone());
        if let Some(session) = self.sessions.get_mut(conn) {
            session.awaits_account = true;
        }
        self.update_reading(now, conn, out);
        let request = AccountRequest { request: account.request, kind, device };
        out.list.push(Output::Account { conn, request });
    }

    /// The accounts have answered: so is the client, and it is read from again.
    pub(crate) fn on_account_done(
        &mut self,
        now: Now,
        conn: ConnId,
        request: u32,
        result: &Result<Box<[u8]>, Refusal>,
        out: &mut Outputs,
    ) {
        let Some(session) = self.sessions.get_mut(conn) else {
            return;
        };
        match session.state {
            State::MakingAccount { register_count } => session.state = State::Opened { register_count },
            _ if std::mem::take(&mut session.awaits_account) => {}
            _ => return,
        }
        let done = match result {
            Ok(ticket) => AccountDone { request, code: 0, text: "", ticket, retry_ms: 0 },
            Err(Refusal { code, retry_ms }) => {
                AccountDone { request, code: code.number(), text: code.text(), ticket: &[], retry_ms: *retry_ms }
            }
        };
        write(out, conn, &Frame::AccountDone(done));
        self.update_reading(now, conn, out);
    }
}

/// Tries to make an account on one connection: enough for a person to find a free name, too few to search for taken ones cheaply.
const REGISTERS_PER_CONNECTION: u8 = 4;
