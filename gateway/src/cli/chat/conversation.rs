//! Between the person and the client: lines in, what happens out.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::future::pending;
use std::io::{self, Write};
use std::ops::ControlFlow;
use std::process;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use anyhow::{Context, anyhow, bail};
use shardwire_sdk::adapter::Trouble;
use shardwire_sdk::adapter::monoio::Session;
use shardwire_sdk::{Client, Event, SendError, Store, Welcomed};
use wire::frame::{SafeBy, SendFlags};
use wire::{Code, Counter, Id, Name, NameBuf};

use super::input::Lines;
use super::login::Login;
use super::text::{self, Line, TEXT};

/// What a chat knows besides its client. Everything it says goes to one writer.
pub(super) struct Conversation<W = io::Stdout> {
    user: NameBuf,
    server: String,
    login: Login,
    state: RefCell<State<W>>,
}

struct State<W> {
    out: W,
    to: Option<NameBuf>,
    /// What is not safe yet, by its number in the protocol.
    unsafe_lines: BTreeMap<Counter, Sent>,
    /// Lines get small numbers of this process's own.
    last_number: u64,
    refused_count: u64,
    /// Messages up to here came while this chat was away.
    away_until: Id,
    is_away_told: bool,
    link: LinkState,
    /// There was a session.
    has_been_up: bool,
    /// How long another attempt to make an account has no use.
    account_retry_ms: u32,
    /// A minted token was refused once since the last session.
    is_token_renewed: bool,
    /// Input has ended.
    is_leaving: bool,
}

struct Sent {
    number: u64,
    to: NameBuf,
}

/// What was last said about the connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum LinkState {
    /// Nothing.
    Untold,
    Up,
    Down,
}

type Outcome = ControlFlow<anyhow::Result<()>>;

impl Conversation {
    /// Says what is left from earlier, if anything is.
    pub(super) fn new<S: Store>(
        client: &Client<S>,
        to: Option<NameBuf>,
        login: Login,
        server: &str,
    ) -> Conversation<io::Stdout> {
        Conversation::on(io::stdout(), client, to, login, server)
    }
}

impl<W: Write> Conversation<W> {
    fn on<S: Store>(out: W, client: &Client<S>, to: Option<NameBuf>, login: Login, server: &str) -> Conversation<W> {
        let mut state = State {
            out,
            to,
            unsafe_lines: BTreeMap::new(),
            last_number: 0,
            refused_count: 0,
            // What the store holds unread came before this process.
            away_until: Id(u64::MAX),
            is_away_told: false,
            link: LinkState::Untold,
            has_been_up: false,
            account_retry_ms: 0,
            is_token_renewed: false,
            is_leaving: false,
        };
        for waiting in client.ledger().outbox.iter() {
            let number = state.number(waiting.counter, waiting.to());
            let text = text::plain(waiting.body());
            state.say(&format!("#{number} → {}: {text} (from an earlier chat, not safe yet)", waiting.to()));
        }
        Conversation { user: client.user().into(), server: server.to_owned(), login, state: RefCell::new(state) }
    }

    /// Sends line after line, until told to quit. At the end of input, until everything is safe.
    pub(super) async fn take_lines<S: Store + 'static>(
        &self,
        session: &Session<S>,
        mut lines: Lines,
    ) -> anyhow::Result<()> {
        while let Some(line) = lines.next().await.context("reading input")? {
            match Line::parse(&line) {
                Line::Empty => {}
                Line::To(name) => self.turn_to(name),
                Line::Quit => return Ok(()),
                Line::Logout => session.with(|client, _| client.logout(false)),
                Line::Help => self.say(HELP),
                Line::Unknown(word) => self.say(&format!("there is no {word}: /help")),
                Line::Say { to, text } => self.send(session, to, text).await?,
            }
        }
        self.state.borrow_mut().is_leaving = true;
        let is_safe = self.state.borrow().unsafe_lines.is_empty();
        if !is_safe {
            // The last outcome ends it.
            pending::<()>().await;
        }
        self.state.borrow().verdict()
    }

    /// What happened; breaks off when there is no more to come.
    pub(super) fn on_event<S: Store + 'static>(&self, session: &Session<S>, event: Event) -> Outcome {
        match event {
            Event::Welcomed(welcomed) => self.on_welcomed(&welcomed),
            Event::Message(message) => {
                let mut state = self.state.borrow_mut();
                state.say_away_once(message.id);
                state.say(&text::message(&message, self.user.as_name(), now_us()));
            }
            Event::Accepted { counter, safe_by, .. } => return self.on_accepted(counter, safe_by),
            Event::Refused { counter, code, known } => return self.on_refused(counter, code, known),
            Event::Renumbered { old, new } => {
                let mut state = self.state.borrow_mut();
                if let Some(sent) = state.unsafe_lines.remove(&old) {
                    state.unsafe_lines.insert(new, sent);
                }
            }
            Event::Gap { first, last, .. } => {
                let (first, last) = (text::time(first.0, now_us()), text::time(last.0, now_us()));
                self.say(&format!(
                    "— messages that came between {first} and {last} were removed before you had them —"
                ));
            }
            Event::Error { code, text, .. } => {
                self.say(&format!("— the gateway objects ({code}): {} —", text::plain(text.as_bytes())));
            }
            Event::Disconnect { code } => self.on_lost(session, code),
            Event::Lost => return self.on_unreachable(session),
            Event::Ended { code } => return self.on_ended(session, code),
            Event::AccountDone { .. } => self.say(&format!("— the account {} is made —", self.user)),
            // The end of the client follows, with the same code.
            Event::AccountFailed { retry_ms, .. } => self.state.borrow_mut().account_retry_ms = retry_ms,
            Event::StoreFailed(error) => return ControlFlow::Break(Err((*error).into())),
            // A place among earlier messages: this screen does not go back.
            _ => {}
        }
        ControlFlow::Continue(())
    }

    fn turn_to(&self, name: &str) {
        match Name::parse(name.as_bytes()) {
            Ok(name) => {
                self.state.borrow_mut().to = Some(name.into());
                self.say(&format!("— you are talking to {name} —"));
            }
            Err(error) => self.say(&format!("/to NAME: {error}")),
        }
    }

    async fn send<S: Store + 'static>(&self, session: &Session<S>, to: Option<&str>, line: &str) -> anyhow::Result<()> {
        let current = self.state.borrow().to.clone();
        let to = match to.map(|to| Name::parse(to.as_bytes()).map(NameBuf::from)) {
            Some(Ok(to)) => Some(to),
            Some(Err(error)) => {
                self.not_sent(&error.to_string());
                return Ok(());
            }
            None => current,
        };
        let Some(to) = to else {
            self.not_sent("to whom? /to NAME, or @NAME and the text");
            return Ok(());
        };
        loop {
            match session.send(to.as_name(), TEXT, SendFlags(0), line.as_bytes()) {
                Ok(counter) => {
                    let mut state = self.state.borrow_mut();
                    let number = state.number(counter, to.as_name());
                    let wait = if state.link == LinkState::Down { " (kept until there is a connection)" } else { "" };
                    state.say(&format!("#{number} → {to}: {}{wait}", text::plain(line.as_bytes())));
                    return Ok(());
                }
                // Input is faster than the gateway: it waits in its pipe.
                Err(SendError::OutboxFull) => monoio::time::sleep(FULL_WAIT).await,
                Err(SendError::Store(error)) => return Err(error.into()),
                Err(error) => {
                    self.not_sent(&error.to_string());
                    return Ok(());
                }
            }
        }
    }

    fn on_welcomed(&self, welcomed: &Welcomed) {
        let mut state = self.state.borrow_mut();
        let again = if state.link == LinkState::Untold { "" } else { " again" };
        let rest = match state.unsafe_lines.len() {
            0 => String::new(),
            1 => ", 1 line on its way".to_owned(),
            count => format!(", {count} lines on their way"),
        };
        state.say(&format!("— connected{again} to {} as {}{rest} —", self.server, self.user));
        state.link = LinkState::Up;
        state.has_been_up = true;
        state.away_until = welcomed.head;
        state.is_away_told = false;
        state.is_token_renewed = false;
    }

    fn on_accepted(&self, counter: Counter, safe_by: SafeBy) -> Outcome {
        let how = match safe_by {
            SafeBy::Received => "received",
            SafeBy::Stored => "stored",
            SafeBy::Duplicate => "safe",
        };
        let mut state = self.state.borrow_mut();
        if let Some(Sent { number, .. }) = state.unsafe_lines.remove(&counter) {
            state.say(&format!("#{number} ✓ {how}"));
        }
        state.leave_if_done()
    }

    fn on_refused(&self, counter: Counter, code: u16, known: bool) -> Outcome {
        let mut state = self.state.borrow_mut();
        state.refused_count += 1;
        if let Some(Sent { number, to }) = state.unsafe_lines.remove(&counter) {
            let why = reason(code);
            state.say(&if known {
                format!("#{number} ✗ not delivered to {to}: {why}")
            } else {
                format!("#{number} ? not known whether {to} got it before the gateway restarted. Now it says: {why}")
            });
        }
        state.leave_if_done()
    }

    /// What somebody has to put right first ends a chat that has not begun.
    fn on_unreachable<S: Store + 'static>(&self, session: &Session<S>) -> Outcome {
        let is_begun = self.state.borrow().has_been_up;
        match session.trouble() {
            Some(Trouble::Tls(error)) if error.is_lasting() && !is_begun => {
                ControlFlow::Break(Err(anyhow!("no TLS with {}: {error}", self.server)))
            }
            _ => {
                self.on_lost(session, None);
                ControlFlow::Continue(())
            }
        }
    }

    fn on_lost<S: Store + 'static>(&self, session: &Session<S>, code: Option<u16>) {
        let mut state = self.state.borrow_mut();
        let why = code.map(reason).or_else(|| session.trouble().map(|trouble| trouble.to_string()));
        let Some(wait) = session.reconnect_in() else {
            return;
        };
        let why = why.map(|why| format!(": {why}")).unwrap_or_default();
        match state.link {
            LinkState::Up => {
                state.say(&format!("— connection lost{why}; back in {} —", seconds(wait)));
            }
            LinkState::Untold => {
                state.say(&format!("— no connection to {}{why}; trying again until there is —", self.server));
            }
            LinkState::Down => {}
        }
        state.link = LinkState::Down;
    }

    fn on_ended<S: Store + 'static>(&self, session: &Session<S>, code: u16) -> Outcome {
        let known = Code::from_number(code);
        if known == Some(Code::LoggedOut) {
            self.say("— signed out —");
            return ControlFlow::Break(Ok(()));
        }
        if known == Some(Code::CredentialExpired) && self.renew(session) {
            return ControlFlow::Continue(());
        }
        let wait = match self.state.borrow().account_retry_ms {
            0 => String::new(),
            ms => format!("; try again in {}", seconds(Duration::from_millis(ms.into()))),
        };
        let advice = self.login.advice(known);
        let what = if self.state.borrow().has_been_up { "ended the session" } else { "did not let you in" };
        let why = self.login.reason(known, self.user.as_name()).unwrap_or_else(|| reason(code));
        ControlFlow::Break(Err(anyhow!("the gateway {what} ({code}): {why}{advice}{wait}")))
    }

    /// Another token for one that is over, unless that did not help just now.
    fn renew<S: Store + 'static>(&self, session: &Session<S>) -> bool {
        let mut state = self.state.borrow_mut();
        let Login::Minted(_) = self.login else {
            return false;
        };
        if std::mem::replace(&mut state.is_token_renewed, true) {
            return false;
        }
        let Ok(credential) = self.login.credential(self.user.as_name()) else {
            return false;
        };
        session.with(|client, now_us| {
            client.set_credential(credential);
            client.restart(now_us);
        });
        true
    }

    /// A line of input that does not become a message.
    fn not_sent(&self, why: &str) {
        let mut state = self.state.borrow_mut();
        state.refused_count += 1;
        state.say(&format!("not sent: {why}"));
    }

    fn say(&self, line: &str) {
        self.state.borrow_mut().say(line);
    }
}

impl<W: Write> State<W> {
    fn number(&mut self, counter: Counter, to: Name<'_>) -> u64 {
        self.last_number += 1;
        self.unsafe_lines.insert(counter, Sent { number: self.last_number, to: to.into() });
        self.last_number
    }

    /// Writes one line. When nobody reads any more, the process ends here: the message at hand must not count as shown.
    fn say(&mut self, line: &str) {
        if writeln!(self.out, "{line}").and_then(|()| self.out.flush()).is_err() {
            process::exit(1);
        }
    }

    fn say_away_once(&mut self, id: Id) {
        if id != Id::NONE && id <= self.away_until && !self.is_away_told {
            self.is_away_told = true;
            self.say("— while you were away —");
        }
    }

    fn leave_if_done(&self) -> Outcome {
        if self.is_leaving && self.unsafe_lines.is_empty() {
            ControlFlow::Break(self.verdict())
        } else {
            ControlFlow::Continue(())
        }
    }

    fn verdict(&self) -> anyhow::Result<()> {
        match self.refused_count {
            0 => Ok(()),
            1 => bail!("a message was not delivered"),
            count => bail!("{count} messages were not delivered"),
        }
    }
}

fn reason(code: u16) -> String {
    match Code::from_number(code) {
        Some(code) => code.text().trim_end_matches('.').to_owned(),
        None => format!("code {code}"),
    }
}

fn seconds(wait: Duration) -> String {
    match wait.as_secs() {
        0 => "a moment".to_owned(),
        seconds => format!("{seconds} s"),
    }
}

fn now_us() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_micros()).unwrap_or(u64::MAX)
}

/// How long input waits before it tries again to get into a full outbox.
const FULL_WAIT: Duration = Duration::from_millis(20);

const HELP: &str = "\
TEXT         send a line to whom you are talking to (// and @@ for a text that begins with / or @)
@NAME TEXT   send a line to somebody else
/to NAME     talk to NAME from now on
/logout      sign this device out and end; what comes waits for it
/quit        end; what is not safe yet is sent the next time
#1 → bob     your line 1 is kept here and on its way
#1 ✓ stored  it is safe: on the gateway's disk (received: on every device of bob)";

#[cfg(test)]
mod tests {
    use shardwire_sdk::{Config, Credential, MemoryStore};
    use wire::{Device, DeviceNo};

    use super::*;

    struct Stage {
        conversation: Conversation<Vec<u8>>,
        session: Session<MemoryStore>,
    }

    fn name(text: &str) -> Name<'_> {
        Name::parse(text.as_bytes()).unwrap()
    }

    fn stage_on(store: MemoryStore) -> Stage {
        let device = Device::parse(b"chat").unwrap();
        let config = Config::new(name("alice").into(), device.into(), Credential::Token("t".into()));
        let client = Client::new(config, store, 1).unwrap();
        let login = Login::Token("t".to_owned());
        let to = Some(name("bob").into());
        let conversation = Conversation::on(Vec::new(), &client, to, login, "gateway:1");
        Stage { conversation, session: Session::new(client, "127.0.0.1:1") }
    }

    fn stage() -> Stage {
        stage_on(MemoryStore::default())
    }

    impl Stage {
        fn happens(&self, event: Event) -> Outcome {
            self.conversation.on_event(&self.session, event)
        }

        fn welcomed(&self) {
            let welcomed = Welcomed {
                device_no: DeviceNo(1),
                boot: 1,
                head: Id(0),
                oldest: Id::NONE,
                heartbeat_s: 60,
                stored_is_synced: true,
                server_time_us: 0,
            };
            assert!(self.happens(Event::Welcomed(welcomed)).is_continue());
        }

        fn types(&self, to: Option<&str>, line: &str) {
            let mut runtime = monoio::RuntimeBuilder::<monoio::IoUringDriver>::new().build().unwrap();
            runtime.block_on(self.conversation.send(&self.session, to, line)).unwrap();
        }

        fn said(&self) -> String {
            String::from_utf8(std::mem::take(&mut self.conversation.state.borrow_mut().out)).unwrap()
        }
    }

    fn accepted(counter: u64, safe_by: SafeBy) -> Event {
        Event::Accepted { counter: Counter(counter), safe_by, self_id: Id::NONE }
    }

    fn refused(counter: u64, known: bool) -> Event {
        Event::Refused { counter: Counter(counter), code: Code::Blocked.number(), known }
    }

    #[test]
    fn each_line_is_shown_as_sent_and_then_as_safe() {
        let stage = stage();
        stage.welcomed();
        stage.types(None, "hello");
        stage.types(Some("carol"), "hi");
        assert!(stage.happens(accepted(2, SafeBy::Stored)).is_continue());
        assert!(stage.happens(accepted(1, SafeBy::Received)).is_continue());
        assert_eq!(
            stage.said(),
            "— connected to gateway:1 as alice —\n#1 → bob: hello\n#2 → carol: hi\n#2 ✓ stored\n#1 ✓ received\n"
        );
    }

    #[test]
    fn a_line_without_connection_is_said_to_be_kept() {
        let stage = stage();
        stage.welcomed();
        assert!(stage.happens(Event::Lost).is_continue());
        stage.said();
        stage.types(None, "hello");
        stage.welcomed();
        assert_eq!(
            stage.said(),
            "#1 → bob: hello (kept until there is a connection)\n\
             — connected again to gateway:1 as alice, 1 line on its way —\n"
        );
    }

    #[test]
    fn a_line_to_nobody_is_not_sent() {
        let stage = stage();
        stage.conversation.state.borrow_mut().to = None;
        stage.types(None, "hello");
        stage.types(Some("b o b"), "hello");
        assert!(stage.said().lines().all(|line| line.starts_with("not sent: ")));
        assert_eq!(stage.session.with(|client, _| client.unresolved_count()), 0);
    }

    #[test]
    fn a_refusal_says_why_and_whether_it_is_known() {
        let stage = stage();
        stage.welcomed();
        stage.types(None, "one");
        stage.types(None, "two");
        stage.said();
        assert!(stage.happens(refused(1, true)).is_continue());
        assert!(stage.happens(refused(2, false)).is_continue());
        let said = stage.said();
        assert!(said.starts_with("#1 ✗ not delivered to bob: The recipient does not take messages"), "{said}");
        assert!(said.contains("#2 ? not known whether bob got it"), "{said}");
    }

    #[test]
    fn at_the_end_of_input_the_last_outcome_ends_the_chat_and_a_refusal_fails_it() {
        for (event, is_good) in [(accepted(1, SafeBy::Stored), true), (refused(1, true), false)] {
            let stage = stage();
            stage.welcomed();
            stage.types(None, "one");
            stage.types(None, "two");
            stage.conversation.state.borrow_mut().is_leaving = true;
            assert!(stage.happens(accepted(2, SafeBy::Stored)).is_continue());
            match stage.happens(event) {
                ControlFlow::Break(result) => assert_eq!(result.is_ok(), is_good),
                ControlFlow::Continue(()) => panic!("nothing more will come"),
            }
        }
    }

    #[test]
    fn a_message_that_gets_another_number_keeps_its_own_on_the_screen() {
        let stage = stage();
        stage.types(None, "one");
        stage.types(None, "two");
        stage.said();
        assert!(stage.happens(Event::Renumbered { old: Counter(2), new: Counter(1) }).is_continue());
        assert!(stage.happens(accepted(1, SafeBy::Stored)).is_continue());
        assert_eq!(stage.said(), "#2 ✓ stored\n");
    }

    #[test]
    fn what_an_earlier_chat_left_unsafe_is_shown_at_the_beginning() {
        let stage = stage();
        stage.types(None, "hello");
        let mut store = MemoryStore::default();
        stage.session.with(|client, _| store.clone_from(client.store()));
        assert_eq!(stage_on(store).said(), "#1 → bob: hello (from an earlier chat, not safe yet)\n");
    }

    #[test]
    fn an_outage_is_told_once_and_so_is_its_end() {
        let stage = stage();
        stage.welcomed();
        stage.said();
        for _ in 0..3 {
            assert!(stage.happens(Event::Lost).is_continue());
        }
        stage.welcomed();
        assert_eq!(stage.said(), "— connection lost; back in a moment —\n— connected again to gateway:1 as alice —\n");
    }

    #[test]
    fn a_session_that_was_ended_ends_the_chat_and_says_what_helps() {
        let stage = stage();
        let outcome = stage.happens(Event::Ended { code: Code::Replaced.number() });
        let ControlFlow::Break(Err(error)) = outcome else { panic!("it goes on") };
        assert!(error.to_string().contains("--device"), "{error}");
        assert!(matches!(stage.happens(Event::Ended { code: Code::LoggedOut.number() }), ControlFlow::Break(Ok(()))));
    }
}
