//! What a shard counts. Plain numbers of one owner; the shell publishes copies.

use storage::Histogram;
use wire::{Code, frame_type};

use crate::event::Credential;

/// Totals since start.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Counters {
    /// SENDs taken for the first time, whatever became of them; ephemeral ones not counted.
    pub accepted: u64,
    /// Ephemeral SENDs taken.
    pub ephemeral: u64,
    /// SENDs that were retries of something pending or decided.
    pub retries: u64,
    /// SEND_ACKs given: entries, not frames.
    pub acknowledged: u64,
    /// SEND_NACKs given for the first time, by code.
    pub refused: CodeCounts,
    /// DELIVERs written.
    pub delivered: u64,
    /// Message records given to the log.
    pub spilled: u64,
    /// Credentials that were checked, by what became of them.
    pub logins: Logins,
    /// At the recipient's home: from taking a message into the inbox until it was safe there.
    pub safe: Histogram,
    /// At the sender's home: from when a SEND had room on its lane until its SEND_ACK could be given.
    pub acknowledge: Histogram,
}

/// How many a shard has at the moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Population {
    /// Sessions, and connections that are to become one.
    pub sessions: u64,
    /// Users known.
    pub users: u64,
    /// Their registered devices.
    pub devices: u64,
    /// Messages taken here that have no outcome yet.
    pub under_way: u64,
    /// Connections that are not read from until there is room for the message they sent.
    pub stalled: u64,
}

/// So many frames of each type.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FrameCounts([u64; FRAME_TYPE_COUNT]);

/// Frame types up to this are told apart.
const FRAME_TYPE_COUNT: usize = 64;
const _: () = assert!(frame_type::ACCOUNT_DONE < 64);

impl Default for FrameCounts {
    fn default() -> FrameCounts {
        FrameCounts([0; FRAME_TYPE_COUNT])
    }
}

impl FrameCounts {
    /// One more of this type.
    #[inline]
    pub fn count(&mut self, frame_type: u8) {
        if let Some(count) = self.0.get_mut(usize::from(frame_type)) {
            *count += 1;
        }
    }

    /// How many there were of this type.
    pub fn of(&self, frame_type: u8) -> u64 {
        self.0.get(usize::from(frame_type)).copied().unwrap_or(0)
    }
}

/// So many of each code.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CodeCounts([u64; Code::ALL.len()]);

impl Default for CodeCounts {
    fn default() -> CodeCounts {
        CodeCounts([0; Code::ALL.len()])
    }
}

impl CodeCounts {
    /// One more of this code. Not for what happens with every message.
    pub fn count(&mut self, code: Code) {
        if let Ok(index) = Code::ALL.binary_search(&code)
            && let Some(count) = self.0.get_mut(index)
        {
            *count += 1;
        }
    }

    /// How many there were of this code.
    pub fn of(&self, code: Code) -> u64 {
        Code::ALL.binary_search(&code).ok().and_then(|index| self.0.get(index).copied()).unwrap_or(0)
    }

    /// All of them together.
    pub fn total(&self) -> u64 {
        self.0.iter().sum()
    }
}

/// What kind of proof a login gave.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Proof {
    /// A token.
    Token,
    /// A password.
    Password,
    /// A resume ticket.
    Ticket,
}

impl Proof {
    /// Every kind.
    pub const ALL: [Proof; 3] = [Proof::Token, Proof::Password, Proof::Ticket];

    pub(crate) fn of(credential: &Credential) -> Proof {
        match credential {
            Credential::Token(_) => Proof::Token,
            Credential::Password(_) => Proof::Password,
            Credential::Ticket(_) => Proof::Ticket,
        }
    }
}

/// What became of the check of a credential: the codes of a login in few classes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LoginResult {
    /// It was good.
    Ok,
    /// It was wrong, or of another user.
    Wrong,
    /// It was good once.
    Expired,
    /// It was good, and the account is disabled.
    Disabled,
    /// It was not looked at: too many were wrong before.
    TooMany,
    /// It was not looked at: too many wait.
    Busy,
    /// Credentials of that kind are not taken, or not on that connection.
    NotTaken,
    /// Another code.
    Failed,
}

impl LoginResult {
    /// Every class.
    pub const ALL: [LoginResult; 8] = [
        LoginResult::Ok,
        LoginResult::Wrong,
        LoginResult::Expired,
        LoginResult::Disabled,
        LoginResult::TooMany,
        LoginResult::Busy,
        LoginResult::NotTaken,
        LoginResult::Failed,
    ];

    /// The class of a refusal.
    pub(crate) fn of(code: Code) -> LoginResult {
        match code {
            Code::BadCredential | Code::WrongUser => LoginResult::Wrong,
            Code::CredentialExpired => LoginResult::Expired,
            Code::AccountDisabled => LoginResult::Disabled,
            Code::TooManyAttempts => LoginResult::TooMany,
            Code::Busy => LoginResult::Busy,
            Code::CredentialUnsupported | Code::PasswordInClear => LoginResult::NotTaken,
            _ => LoginResult::Failed,
        }
    }
}

/// So many logins of each kind and result.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Logins([[u64; LoginResult::ALL.len()]; Proof::ALL.len()]);

impl Logins {
    pub(crate) fn count(&mut self, proof: Proof, result: LoginResult) {
        self.0[proof as usize][result as usize] += 1;
    }

    /// How many there were of this kind and result.
    pub fn of(&self, proof: Proof, result: LoginResult) -> u64 {
        self.0[proof as usize][result as usize]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_code_and_frame_type_has_a_place_of_its_own() {
        let (mut codes, mut frames) = (CodeCounts::default(), FrameCounts::default());
        for (times, code) in (1..).zip(Code::ALL) {
            (0..times).for_each(|_| codes.count(*code));
        }
        for (times, (frame_type, _)) in (1..).zip(frame_type::ALL) {
            (0..times).for_each(|_| frames.count(*frame_type));
        }
        for (times, code) in (1..).zip(Code::ALL) {
            assert_eq!(codes.of(*code), times, "{code:?}");
        }
        for (times, (frame_type, name)) in (1..).zip(frame_type::ALL) {
            assert_eq!(frames.of(*frame_type), times, "{name}");
        }
        let count = Code::ALL.len() as u64;
        assert_eq!(codes.total(), count * (count + 1) / 2);
    }

    #[test]
    fn a_type_that_does_not_exist_yet_is_not_counted_and_breaks_nothing() {
        let mut frames = FrameCounts::default();
        frames.count(u8::MAX);
        assert_eq!(frames.of(u8::MAX), 0);
        assert_eq!(frames, FrameCounts::default());
    }

    #[test]
    fn logins_are_told_apart_by_kind_and_result() {
        let mut logins = Logins::default();
        for (kind, proof) in Proof::ALL.into_iter().enumerate() {
            for (class, result) in LoginResult::ALL.into_iter().enumerate() {
                (0..10 * kind + class).for_each(|_| logins.count(proof, result));
            }
        }
        assert_eq!(logins.of(Proof::Token, LoginResult::Ok), 0);
        assert_eq!(logins.of(Proof::Password, LoginResult::Busy), 15);
        assert_eq!(logins.of(Proof::Ticket, LoginResult::Failed), 27);
    }
}
