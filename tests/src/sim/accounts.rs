//! The accounts, as simple as they can be: a list that outlives the gateway, and letters to the shards. Tickets are plain text here:
//! nobody in this world forges one, but some keep theirs for too long.

use std::collections::VecDeque;

use gateway_core::{AccountKind, AccountRequest, ConnId, Credential, Grant, Input, Refusal, ShardIndex, home};
use wire::{Code, Device, Name, NameBuf};

/// Where an account stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Standing {
    /// There is none; anybody may make it.
    Free,
    /// Its password is good.
    Active,
    /// An operator has shut it.
    Disabled,
    /// It is deleted, and what it left is not gone yet.
    Purging,
}

/// The account of one user.
#[derive(Debug)]
pub struct Account {
    name: NameBuf,
    /// The user logs in with tokens: there is no account, and none can be made.
    pub has_tokens: bool,
    /// Where it stands.
    pub standing: Standing,
    /// Logins proven before this are void.
    pub valid_from_us: u64,
    /// How often it was deleted: who had it before is a stranger now.
    pub generation: u32,
    password: String,
}

/// To a shard.
#[derive(Debug)]
enum Letter {
    Done { conn: ConnId, request: u32, result: Result<Box<[u8]>, Refusal> },
    Void(Void),
}

/// For [`Input::Void`].
#[derive(Debug, Clone)]
pub struct Void {
    /// Whose.
    pub user: usize,
    /// Its name.
    pub name: NameBuf,
    /// Logins proven before this.
    pub before_us: u64,
    /// What sessions that end are told.
    pub code: Code,
    /// The account is deleted.
    pub purge: bool,
    /// The session that stays.
    pub except: Option<ConnId>,
}

/// What a shard is handed next.
#[derive(Debug)]
pub enum Delivery {
    /// An answer.
    Done(Input<'static>),
    /// Logins are void.
    Void(Void),
}

/// All of them.
#[derive(Debug)]
pub struct Accounts {
    list: Vec<Account>,
    pending: VecDeque<(ShardIndex, ConnId, AccountRequest)>,
    letters: Vec<VecDeque<Letter>>,
    key: [u8; 16],
    /// The last moment that was given to a proof: they go up, whatever the clock does.
    last_us: u64,
    password_count: u32,
}

impl Accounts {
    /// For these users; some of them have passwords.
    pub fn new(names: &[NameBuf], has_tokens: impl Fn(usize) -> bool, key: [u8; 16], shard_count: usize) -> Accounts {
        let account = |(user, name): (usize, &NameBuf)| Account {
            name: name.clone(),
            has_tokens: has_tokens(user),
            standing: if has_tokens(user) { Standing::Free } else { Standing::Active },
            valid_from_us: 0,
            generation: 0,
            password: format!("first password of {name}"),
        };
        Accounts {
            list: names.iter().enumerate().map(account).collect(),
            pending: VecDeque::new(),
            letters: (0..shard_count).map(|_| VecDeque::new()).collect(),
            key,
            last_us: 0,
            password_count: 0,
        }
    }

    /// One of them.
    pub fn of(&self, user: usize) -> &Account {
        &self.list[user]
    }

    /// How many users there are.
    pub fn count(&self) -> usize {
        self.list.len()
    }

    /// What its owner would type.
    pub fn password(&self, user: usize) -> String {
        self.list[user].password.clone()
    }

    /// A password that nobody has had.
    pub fn new_password(&mut self) -> String {
        self.password_count += 1;
        format!("password {}", self.password_count)
    }

    /// The last moment that was given to a proof.
    pub fn last_us(&self) -> u64 {
        self.last_us
    }

    fn moment(&mut self, wall_us: u64) -> u64 {
        self.last_us = wall_us.max(self.last_us + 1);
        self.last_us
    }

    /// Looks at a credential.
    pub fn check(
        &mut self,
        user: Name<'_>,
        device: Device<'_>,
        credential: &Credential,
        wall_us: u64,
    ) -> Result<Grant, Refusal> {
        let account = self.list.iter().find(|account| account.name.as_name() == user).expect("the world's own users");
        match credential {
            Credential::Token(_) if account.has_tokens => {}
            Credential::Password(password) if **password == *account.password => match account.standing {
                Standing::Active => {}
                Standing::Disabled => return Err(Code::AccountDisabled.into()),
                Standing::Free | Standing::Purging => return Err(Code::BadCredential.into()),
            },
            Credential::Ticket(bytes) => {
                let proven_us = open(user, device, bytes).ok_or(Code::BadCredential)?;
                return Ok(Grant { proven_us, by_ticket: true, ticket: bytes.clone() });
            }
            _ => return Err(Code::BadCredential.into()),
        }
        let proven_us = self.moment(wall_us);
        Ok(Grant { proven_us, by_ticket: false, ticket: seal(user, device, proven_us) })
    }

    /// A session or a newcomer asks for something.
    pub fn ask(&mut self, shard: ShardIndex, conn: ConnId, request: AccountRequest) {
        self.pending.push_back((shard, conn, request));
    }

    /// Whether something waits to be done.
    pub fn has_pending(&self) -> bool {
        !self.pending.is_empty()
    }

    /// Does the next thing that was asked for, durably. Says whose account was changed.
    pub fn act(&mut self, wall_us: u64) -> Option<usize> {
        let (shard, conn, AccountRequest { request, kind, device }) = self.pending.pop_front()?;
        let user = self.list.iter().position(|account| account.name == *kind.user()).expect("the world's own users");
        let before_us = self.moment(wall_us);
        let account = &mut self.list[user];
        let name = account.name.clone();
        let refusal = match (&kind, account.standing) {
            (AccountKind::Register { .. }, Standing::Free) if !account.has_tokens => None,
            (AccountKind::Register { .. }, _) => Some(Code::NameTaken),
            (AccountKind::ChangePassword { password, .. } | AccountKind::Delete { password, .. }, Standing::Active) => {
                (**password != *account.password).then_some(Code::BadCredential)
            }
            (_, Standing::Disabled) => Some(Code::AccountDisabled),
            _ => Some(Code::BadCredential),
        };
        if let Some(code) = refusal {
            self.letters[usize::from(shard.0)].push_back(Letter::Done { conn, request, result: Err(code.into()) });
            return None;
        }
        let (ticket, void) = match kind {
            AccountKind::Register { password, .. } => {
                (account.standing, account.password) = (Standing::Active, password.into());
                (Box::default(), None)
            }
            AccountKind::ChangePassword { new_password, .. } => {
                (account.password, account.valid_from_us) = (new_password.into(), before_us);
                let device = device.expect("it was asked for in a session");
                let ticket = seal(name.as_name(), device.as_device(), before_us);
                (ticket, Some((Code::CredentialExpired, false, Some(conn))))
            }
            AccountKind::Delete { .. } => {
                (account.standing, account.valid_from_us) = (Standing::Purging, before_us);
                account.generation += 1;
                (Box::default(), Some((Code::AccountDisabled, true, None)))
            }
        };
        self.letters[usize::from(shard.0)].push_back(Letter::Done { conn, request, result: Ok(ticket) });
        if let Some((code, purge, except)) = void {
            self.post(Void { user, name, before_us, code, purge, except });
        }
        Some(user)
    }

    /// An operator shuts an account, or opens it again.
    pub fn set_disabled(&mut self, user: usize, is_disabled: bool) {
        let account = &mut self.list[user];
        account.standing = match (account.standing, is_disabled) {
            (Standing::Active, true) => Standing::Disabled,
            (Standing::Disabled, false) => Standing::Active,
            _ => return,
        };
        let void = self.void(user);
        self.post(void);
    }

    /// An operator deletes an account. Says whether there was one.
    pub fn delete(&mut self, user: usize, wall_us: u64) -> bool {
        let before_us = self.moment(wall_us);
        let account = &mut self.list[user];
        if !matches!(account.standing, Standing::Active | Standing::Disabled) {
            return false;
        }
        (account.standing, account.valid_from_us) = (Standing::Purging, before_us);
        account.generation += 1;
        let void = self.void(user);
        self.post(void);
        true
    }

    /// What is void of a user, for as long as it may matter.
    pub fn void(&self, user: usize) -> Void {
        let Account { name, standing, valid_from_us, .. } = &self.list[user];
        let is_disabled = *standing == Standing::Disabled;
        let (before_us, code) = match standing {
            Standing::Disabled => (u64::MAX, Code::AccountDisabled),
            Standing::Purging => (*valid_from_us, Code::AccountDisabled),
            Standing::Free | Standing::Active => (*valid_from_us, Code::CredentialExpired),
        };
        debug_assert!(!is_disabled || before_us == u64::MAX);
        Void { user, name: name.clone(), before_us, code, purge: *standing == Standing::Purging, except: None }
    }

    /// Nothing is left of a deleted account.
    pub fn on_purged(&mut self, user: usize) {
        if self.list[user].standing == Standing::Purging {
            self.list[user].standing = Standing::Free;
        }
    }

    /// The gateway is gone, and with it whatever was not done or not delivered.
    pub fn on_crash(&mut self) {
        self.pending.clear();
        self.letters.iter_mut().for_each(VecDeque::clear);
    }

    /// Whether a letter waits for this shard.
    pub fn has_letter(&self, shard: ShardIndex) -> bool {
        !self.letters[usize::from(shard.0)].is_empty()
    }

    /// The next letter to this shard.
    pub fn take_letter(&mut self, shard: ShardIndex) -> Option<Delivery> {
        Some(match self.letters[usize::from(shard.0)].pop_front()? {
            Letter::Done { conn, request, result } => Delivery::Done(Input::AccountDone { conn, request, result }),
            Letter::Void(void) => Delivery::Void(void),
        })
    }

    /// The shard that a user lives on.
    pub fn home(&self, user: usize) -> ShardIndex {
        let shard_count = u16::try_from(self.letters.len()).expect("few shards");
        home(&self.key, shard_count, &self.list[user].name)
    }

    fn post(&mut self, void: Void) {
        let to = self.home(void.user);
        self.letters[usize::from(to.0)].push_back(Letter::Void(void));
    }
}

/// A ticket.
pub fn seal(user: Name<'_>, device: Device<'_>, proven_us: u64) -> Box<[u8]> {
    format!("{user}/{device}/{proven_us}").into_bytes().into()
}

/// When the proof behind a ticket was given, if the ticket is of this device.
fn open(user: Name<'_>, device: Device<'_>, bytes: &[u8]) -> Option<u64> {
    let text = std::str::from_utf8(bytes).ok()?;
    text.strip_prefix(&format!("{user}/{device}/"))?.parse().ok()
}

/// Whose ticket it is, and when its proof was given.
pub fn look_into(bytes: &[u8]) -> Option<(&str, &str, u64)> {
    let mut parts = std::str::from_utf8(bytes).ok()?.split('/');
    Some((parts.next()?, parts.next()?, parts.next()?.parse().ok()?))
}
