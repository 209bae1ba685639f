//! The account: making one before login, changing its password, deleting it.

use std::fmt;

use wire::frame::{Account, AccountDone, AccountOp};
use wire::limits::PASSWORD_LEN_RANGE;
use wire::{Code, Frame};

use crate::client::Client;
use crate::config::Credential;
use crate::error::AccountError;
use crate::event::Event;
use crate::login::{ANSWER_TIMEOUT_US, Next};
use crate::session::{Phase, Wish, WishKind};
use crate::store::Store;

/// An account to be made.
pub(crate) struct Registration {
    request: u32,
    password: Box<str>,
    /// It was asked for on a connection that ended before the answer: the account may be there.
    is_uncertain: bool,
    /// The name is taken, and that may be by ourselves: HELLO will tell.
    pub(crate) is_assumed: bool,
}

impl fmt::Debug for Registration {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Registration({}, ..)", self.request)
    }
}

impl<S: Store> Client<S> {
    /// Makes an account of the user's name with this password, on the next connection, and then logs in with it. The password takes
    /// the place of the credential. [`Event::AccountDone`] or [`Event::AccountFailed`] with the number that is returned says what
    /// came of it; after a failure [`Event::Ended`] follows, and the client does not connect until [`Client::restart`].
    ///
    /// # Errors
    /// [`AccountError`]: nothing is asked for.
    pub fn register(&mut self, password: &str) -> Result<u32, AccountError> {
        check(password)?;
        match self.phase {
            Phase::Waiting { .. } | Phase::Connecting | Phase::Ended if self.registration.is_none() => {}
            Phase::Registering { .. } | Phase::Waiting { .. } | Phase::Connecting | Phase::Ended => {
                return Err(AccountError::Pending);
            }
            Phase::Greeting { .. } | Phase::Welcomed(_) | Phase::Failed => return Err(AccountError::LoggedIn),
        }
        self.last_request = self.last_request.wrapping_add(1);
        let (request, password) = (self.last_request, password.into());
        let registration = Registration { request, password, is_uncertain: false, is_assumed: false };
        self.registration = Some(Box::new(registration));
        Ok(request)
    }

    /// Gives the account another password. All logins from before are void then but this session's: other sessions of the user end.
    /// [`Event::AccountDone`] or [`Event::AccountFailed`] follows. If the credential is a password, the new one takes its place.
    ///
    /// # Errors
    /// [`AccountError`]: nothing is asked for.
    pub fn change_password(&mut self, now_us: u64, password: &str, new_password: &str) -> Result<u32, AccountError> {
        check(password)?;
        check(new_password)?;
        let op = AccountOp::ChangePassword { password, new_password };
        self.wish(now_us, op, WishKind::ChangePassword(new_password.into()))
    }

    /// Deletes the account with its devices and all that waits for them. [`Event::AccountDone`] and the end of the session follow,
    /// or [`Event::AccountFailed`].
    ///
    /// # Errors
    /// [`AccountError`]: nothing is asked for.
    pub fn delete_account(&mut self, now_us: u64, password: &str) -> Result<u32, AccountError> {
        check(password)?;
        self.wish(now_us, AccountOp::Delete { password }, WishKind::Delete)
    }

    fn wish(&mut self, now_us: u64, op: AccountOp<'_>, kind: WishKind) -> Result<u32, AccountError> {
        self.now_us = now_us;
        let request = self.last_request.wrapping_add(1);
        let Phase::Welcomed(session) = &mut self.phase else {
            return Err(AccountError::NotWelcomed);
        };
        if session.account.is_some() {
            return Err(AccountError::Pending);
        }
        self.last_request = request;
        session.account = Some(Box::new(Wish { request, kind }));
        self.put(&Frame::Account(Account { request, op }));
        Ok(request)
    }

    /// Puts ACCOUNT into the transmit buffer of a new connection.
    pub(crate) fn ask_for_account(&mut self) {
        let Some(registration) = &self.registration else {
            return;
        };
        let op = AccountOp::Register { user: self.config.user.as_name(), password: &registration.password };
        self.phase = Phase::Registering { deadline_us: self.now_us + ANSWER_TIMEOUT_US };
        wire::encode(&Frame::Account(Account { request: registration.request, op }), &mut self.transmit);
    }

    /// ACCOUNT_DONE.
    pub(crate) fn on_account_done(&mut self, done: &AccountDone<'_>) {
        match &mut self.phase {
            Phase::Registering { .. } => self.on_register_answer(done),
            Phase::Welcomed(session) => {
                let Some(wish) = session.account.take_if(|wish| wish.request == done.request) else {
                    return;
                };
                if done.code != 0 {
                    return self.fail_account(done.request, Some(done.code), done.retry_ms);
                }
                self.on_wish_done(*wish, done);
            }
            _ => self.close(Some(Code::OutOfState), Next::BackOff),
        }
    }

    fn on_wish_done(&mut self, wish: Wish, done: &AccountDone<'_>) {
        match wish.kind {
            WishKind::ChangePassword(new_password) => {
                if let Credential::Password(password) = &mut self.config.credential {
                    *password = new_password;
                }
                // The one from before is void.
                if !self.keep_ticket(done.ticket) {
                    return;
                }
            }
            WishKind::Delete => {
                // The device is gone with its numbers; whoever makes the account anew comes as another one.
                if !self.forget_ticket() || !self.renew() {
                    return;
                }
                self.events.push_back(Event::AccountDone { request: wish.request });
                // What else comes on this connection speaks of numbers that are another's now.
                return self.close(None, Next::End { code: Code::AccountDisabled.number() });
            }
        }
        self.events.push_back(Event::AccountDone { request: wish.request });
    }

    fn on_register_answer(&mut self, done: &AccountDone<'_>) {
        let Some(registration) = self.registration.as_mut().filter(|registration| registration.request == done.request)
        else {
            return self.close(Some(Code::OutOfState), Next::BackOff);
        };
        let is_taken = done.code == Code::NameTaken.number();
        if done.code != 0 && !(is_taken && registration.is_uncertain) {
            let request = registration.request;
            self.registration = None;
            self.fail_account(request, Some(done.code), done.retry_ms);
            return self.close(None, Next::End { code: done.code });
        }
        registration.is_assumed = true;
        self.config.credential = Credential::Password(registration.password.clone());
        // Of an earlier owner of the name.
        if self.forget_ticket() {
            self.greet();
        }
    }

    /// WELCOME came: the account that was asked for is there, and ours.
    pub(crate) fn on_registered(&mut self) {
        if let Some(registration) = self.registration.take() {
            self.events.push_back(Event::AccountDone { request: registration.request });
        }
    }

    /// GOAWAY came while an account was to be made: whether that was the end of it. The name was taken, and not by ourselves.
    pub(crate) fn is_registration_refused(&mut self, code: Option<Code>) -> bool {
        let is_refused = code == Some(Code::BadCredential)
            && self.registration.as_ref().is_some_and(|registration| registration.is_assumed);
        if is_refused && let Some(registration) = self.registration.take() {
            let code = Code::NameTaken.number();
            self.fail_account(registration.request, Some(code), 0);
            self.close(None, Next::End { code });
        }
        is_refused
    }

    /// The connection ends: what was asked for on it and not answered may be done or not.
    pub(crate) fn on_account_unheard(&mut self) {
        match &mut self.phase {
            Phase::Registering { .. } => {
                if let Some(registration) = &mut self.registration {
                    registration.is_uncertain = true;
                }
            }
            Phase::Welcomed(session) => {
                if let Some(wish) = session.account.take() {
                    self.fail_account(wish.request, None, 0);
                }
            }
            _ => {}
        }
    }

    /// The client does not come back by itself: nor does what it was to ask for.
    pub(crate) fn on_account_over(&mut self, code: u16) {
        if let Some(registration) = self.registration.take() {
            self.fail_account(registration.request, Some(code), 0);
        }
    }

    fn fail_account(&mut self, request: u32, code: Option<u16>, retry_ms: u32) {
        self.events.push_back(Event::AccountFailed { request, code, retry_ms });
    }
}

fn check(password: &str) -> Result<(), AccountError> {
    let (min, max) = (*PASSWORD_LEN_RANGE.start(), *PASSWORD_LEN_RANGE.end());
    let len = password.len();
    if (min..=max).contains(&len) { Ok(()) } else { Err(AccountError::BadPassword { len, min, max }) }
}
