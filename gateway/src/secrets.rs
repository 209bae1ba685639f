//! What a shard needs to let people in: the keys of tokens and tickets, and of TLS. A set is never changed; `keeper` makes another,
//! and every shard takes it with a letter.

use std::sync::Arc;

use gateway_core::{Credential, Grant};
use rustls::ServerConfig;
use wire::Code;

use crate::auth::Verifier;
use crate::ticket::Tickets;

/// One set.
pub(crate) struct Secrets {
    /// For TLS listeners, if there are any.
    pub(crate) tls: Option<Arc<ServerConfig>>,
    /// Whose tokens are good.
    pub(crate) verifier: Verifier,
    /// `None` when devices get none, and none are taken.
    pub(crate) tickets: Option<Tickets>,
}

impl Secrets {
    /// What a token or a ticket proves. Passwords are not looked at here: to check one takes long.
    ///
    /// # Errors
    /// What to tell the client.
    pub(crate) fn check(&self, user: &str, device: &str, credential: &Credential, now_us: u64) -> Result<Grant, Code> {
        let (proven_us, by_ticket) = match credential {
            Credential::Ticket(ticket) => {
                let tickets = self.tickets.as_ref().ok_or(Code::CredentialUnsupported)?;
                (tickets.open(ticket, user, device, now_us)?, true)
            }
            Credential::Token(_) | Credential::Password(_) => {
                self.verifier.verify(user, credential)?;
                (now_us, false)
            }
        };
        Ok(Grant { proven_us, by_ticket, ticket: self.ticket(user, device, proven_us, now_us) })
    }

    /// A fresh ticket for a proof that was given at `proven_us`; empty when there are none.
    pub(crate) fn ticket(&self, user: &str, device: &str, proven_us: u64, now_us: u64) -> Box<[u8]> {
        self.tickets.as_ref().map(|tickets| tickets.seal(user, device, proven_us, now_us)).unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use storage::StoreId;

    use super::*;
    use crate::auth::{DEV_KEY, mint};
    use crate::key_ring::KeyRing;

    const HOUR: Duration = Duration::from_secs(3600);
    const HOUR_US: u64 = 3_600_000_000;
    const NOW_US: u64 = 1_800_000_000_000_000;

    fn secrets(dir: &tempfile::TempDir, ttl: Option<Duration>) -> Secrets {
        let ring = Arc::new(KeyRing::fresh(0).unwrap());
        Secrets {
            tls: None,
            verifier: Verifier::from_dev_key(dir.path()).unwrap(),
            tickets: ttl.map(|ttl| Tickets::new(ring, StoreId([1; 16]), ttl)),
        }
    }

    fn token(dir: &tempfile::TempDir) -> Credential {
        Credential::Token(mint(&dir.path().join(DEV_KEY), "alice", HOUR).unwrap().into())
    }

    #[test]
    fn a_token_is_worth_a_ticket_and_a_ticket_another_one_with_the_same_proof() {
        let dir = tempfile::tempdir().unwrap();
        let secrets = secrets(&dir, Some(HOUR));
        let first = secrets.check("alice", "phone", &token(&dir), NOW_US).unwrap();
        assert_eq!((first.proven_us, first.by_ticket), (NOW_US, false));
        let later_us = NOW_US + HOUR_US / 2;
        let second = secrets.check("alice", "phone", &Credential::Ticket(first.ticket.clone()), later_us).unwrap();
        assert_eq!((second.proven_us, second.by_ticket), (NOW_US, true));
        let expired_us = NOW_US + HOUR_US;
        let code = secrets.check("alice", "phone", &Credential::Ticket(first.ticket), expired_us).unwrap_err();
        assert_eq!(code, Code::CredentialExpired);
        let third = secrets.check("alice", "phone", &Credential::Ticket(second.ticket), expired_us).unwrap();
        assert_eq!(third.proven_us, NOW_US);
    }

    #[test]
    fn a_ticket_is_refused_with_a_code_that_tells_why() {
        let dir = tempfile::tempdir().unwrap();
        let secrets = secrets(&dir, Some(HOUR));
        let ticket = Credential::Ticket(secrets.ticket("alice", "phone", NOW_US, NOW_US));
        assert_eq!(secrets.check("bob", "phone", &ticket, NOW_US).unwrap_err(), Code::BadCredential);
        assert_eq!(secrets.check("alice", "tablet", &ticket, NOW_US).unwrap_err(), Code::BadCredential);
        let made_up = Credential::Ticket(vec![0; 100].into());
        assert_eq!(secrets.check("alice", "phone", &made_up, NOW_US).unwrap_err(), Code::CredentialExpired);
    }

    #[test]
    fn without_tickets_none_is_given_and_none_is_taken() {
        let dir = tempfile::tempdir().unwrap();
        let with = secrets(&dir, Some(HOUR));
        let without = secrets(&dir, None);
        assert!(without.check("alice", "phone", &token(&dir), NOW_US).unwrap().ticket.is_empty());
        let ticket = Credential::Ticket(with.ticket("alice", "phone", NOW_US, NOW_US));
        assert_eq!(without.check("alice", "phone", &ticket, NOW_US).unwrap_err(), Code::CredentialUnsupported);
    }
}
