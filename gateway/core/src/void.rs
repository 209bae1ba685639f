//! Logins that are void: a password was changed, an account disabled or deleted.

use wire::{Code, NameBuf};

use crate::event::{ConnId, Grant, Now, Outputs};
use crate::session::Session;
use crate::shard::{Shard, home};
use crate::user::User;

impl Shard {
    /// Logins proven before `before_us` are void: sessions that began with one end, later ones are refused.
    pub(crate) fn on_void(
        &mut self,
        now: Now,
        name: &NameBuf,
        before_us: u64,
        code: Code,
        except: Option<ConnId>,
        out: &mut Outputs,
    ) {
        assert_eq!(home(&self.config.key, self.config.shard_count, name), self.config.shard, "told to its home");
        let user_ref = self.users.intern(name.as_name());
        let user = self.users.get_mut(user_ref);
        user.valid_from_us = before_us;
        let sessions: Vec<_> = user.devices.iter().filter_map(|device| device.session).collect();
        for conn in sessions {
            let Some(session) = self.sessions.get_mut(conn) else { continue };
            if except == Some(conn) {
                session.proven_us = session.proven_us.max(before_us);
            } else if session.proven_us < before_us {
                self.close(now, conn, code, out);
            }
        }
    }
}

impl User {
    /// Why a login is void, if it is.
    pub(crate) fn is_void(&self, grant: &Grant) -> Option<Code> {
        if self.valid_from_us == u64::MAX {
            return Some(Code::AccountDisabled);
        }
        (grant.proven_us < self.valid_from_us).then_some(Code::CredentialExpired)
    }
}

impl Session {
    /// With the proof its login gave.
    pub(crate) fn proven(mut self, grant: &Grant) -> Session {
        self.proven_us = grant.proven_us;
        self
    }
}
