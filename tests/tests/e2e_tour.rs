//! The programs over TLS, with passwords, as a new user meets them: the second half of the README's tour, and what is said when
//! something is wrong.

#![forbid(unsafe_code)]

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
    time::Duration,
};

use gateway_tests::e2e::{Admin, Gateway, LIMIT, Process, Setup, loadgen_bin, quiet_address, shardwire_bin, until};
use serde_json::Value;

const PASSWORD: &str = "correct horse battery";

/// A gateway with TLS, and a home directory for those who chat.
struct Place {
    gateway: Gateway,
    home: tempfile::TempDir,
}

impl Place {
    fn new() -> Place {
        let setup = Setup::new().arg("--listen").arg(&quiet_address()).arg("--tls-listen").arg(&quiet_address());
        Place { gateway: setup.start(), home: tempfile::tempdir().expect("a temporary directory") }
    }

    /// `shardwire chat --user USER ...` over TLS, in a directory where `serve --dev` is not: whom to trust is said.
    fn chat(&self, user: &str, args: &[&str]) -> Command {
        let mut command = Command::new(shardwire_bin());
        command.args(["chat", "--user", user, "--tls", "--server"]).arg(self.gateway.tls_addr().to_string());
        command.arg("--ca").arg(self.gateway.data_dir().join("dev-ca.pem"));
        command.arg("--store").arg(self.home.path()).args(args).current_dir(self.home.path());
        command.env_remove("SHARDWIRE_TOKEN");
        command
    }

    fn password_file(&self, password: &str) -> PathBuf {
        let path = self.home.path().join("password");
        fs::write(&path, format!("{password}\n")).expect("the temporary directory can be written");
        path
    }

    /// The chat ends by itself, and badly; what it said.
    fn refused(&self, user: &str, args: &[&str]) -> String {
        let mut chat = Process::start(self.chat(user, args));
        let status = chat.wait(LIMIT);
        assert!(!status.success(), "{status}");
        chat.stderr()
    }
}

#[test]
fn who_registers_chats_and_comes_back_after_a_kill_without_a_password() {
    let mut place = Place::new();
    let file = place.password_file(PASSWORD);
    let file = file.to_str().expect("a path of plain characters");
    let mut alice = Process::start(place.chat("alice", &["--to", "bob", "--register", "--password-file", file]));
    let mut bob = Process::start(place.chat("bob", &["--to", "alice", "--register", "--password-file", file]));
    for (person, name) in [(&alice, "alice"), (&bob, "bob")] {
        person.line_where(LIMIT, |line| line == format!("— the account {name} is made —"));
    }
    alice.type_line("are you there?");
    bob.line_where(LIMIT, |line| line.contains("alice") && line.ends_with("are you there?"));
    alice.line_where(LIMIT, |line| line == "#1 ✓ received");

    bob.close_stdin();
    assert!(bob.wait(LIMIT).success());
    let said = place.refused("bob", &["--to", "alice", "--register", "--password-file", file]);
    assert!(said.contains("logged in here") && said.contains("leave out --register"), "{said}");
    alice.type_line("while you were away");
    alice.line_where(LIMIT, |line| line == "#2 ✓ stored");
    place.gateway.kill();
    alice.line_where(LIMIT, |line| line.contains("connection lost"));
    alice.type_line("and while the gateway was");
    place.gateway = place.gateway.start_again();
    alice.line_where(LIMIT, |line| line == "#3 ✓ stored");

    // Nobody asks for a password, and there is no terminal to ask on.
    let mut bob = Process::start(place.chat("bob", &["--to", "alice"]));
    for text in ["while you were away", "and while the gateway was"] {
        let line = bob.line_where(LIMIT, |line| line.contains("alice:"));
        assert!(line.ends_with(text), "{line}");
    }
    bob.type_line("all of it");
    alice.line_where(LIMIT, |line| line.ends_with("all of it"));
    bob.type_line("/logout");
    assert!(bob.wait(LIMIT).success());
    let said = place.refused("bob", &["--to", "alice"]);
    assert!(said.contains("signed out") && said.contains("--password"), "{said}");
}

/// A chat on a terminal of its own, and all that has been seen on it.
struct Terminal {
    process: Process,
    screen: PathBuf,
}

impl Terminal {
    fn chat(place: &Place, user: &str, args: &[&str]) -> Terminal {
        let chat = place.chat(user, args);
        // In single quotes: no path of a test has one.
        let words = std::iter::once(chat.get_program()).chain(chat.get_args());
        let line: Vec<_> = words.map(|word| format!("'{}'", word.to_string_lossy())).collect();
        let screen = place.home.path().join(format!("screen of {user} {}", args.join(" ")));
        let mut script = Command::new("script");
        script.args(["--quiet", "--flush", "--return", "--command", &line.join(" ")]).arg(&screen);
        script.env_remove("SHARDWIRE_TOKEN").current_dir(place.home.path());
        Terminal { process: Process::start(script), screen }
    }

    fn seen(&self) -> String {
        String::from_utf8_lossy(&fs::read(&self.screen).unwrap_or_default()).into_owned()
    }

    /// Types a line once that has been seen.
    fn when(&mut self, text: &str, line: &str) {
        until(&format!("{text:?} on the screen"), || self.seen().contains(text));
        self.process.type_line(line);
    }
}

#[test]
fn a_password_is_asked_for_on_the_terminal_and_never_shown() {
    let place = Place::new();
    let mut alice = Terminal::chat(&place, "alice", &["--register"]);
    alice.when("new account alice (8 bytes or more): ", PASSWORD);
    alice.when("once more: ", PASSWORD);
    alice.when("connected", "/logout");
    assert!(alice.process.wait(LIMIT).success(), "{}", alice.seen());
    // With another one there is no way in.
    let mut mallory = Terminal::chat(&place, "alice", &["--password"]);
    mallory.when("password of alice: ", "wrong horse battery");
    assert!(!mallory.process.wait(LIMIT).success());
    let seen = mallory.seen();
    assert!(seen.contains("(200)") && seen.contains("password is wrong"), "{seen}");
    assert!(!alice.seen().contains("horse") && !seen.contains("horse"), "{seen}");
}

#[test]
fn each_refusal_says_what_helps() {
    let place = Place::new();
    let file = place.password_file(PASSWORD);
    let file = file.to_str().expect("a path of plain characters");
    Process::start(place.chat("alice", &["--register", "--password-file", file]))
        .line_where(LIMIT, |line| line.contains("connected"));
    let elsewhere = ["--device", "other", "--password-file", file];
    let said = place.refused("alice", &[&elsewhere[..], &["--register"]].concat());
    assert!(said.contains("(207)") && said.contains("leave out --register"), "{said}");
    let said = place.refused("nobody", &elsewhere);
    assert!(said.contains("(200)") && said.contains("--register makes one"), "{said}");
    let said = place.refused("nobody", &[]);
    assert!(said.contains("how do you log in?") && said.contains("--password"), "{said}");
    let short = place.password_file("short");
    let said = place.refused("carol", &["--register", "--password-file", short.to_str().expect("plain")]);
    assert!(said.contains('8') && !said.contains("short "), "{said}");
}

#[test]
fn a_password_stays_on_this_machine_or_goes_over_tls() {
    let place = Place::new();
    let file = place.password_file(PASSWORD);
    let mut chat = Command::new(shardwire_bin());
    chat.args(["chat", "--user", "alice", "--server", "192.0.2.1:7400", "--password-file"]).arg(file);
    chat.arg("--store").arg(place.home.path());
    let mut chat = Process::start(chat);
    assert!(!chat.wait(LIMIT).success());
    assert!(chat.stderr().contains("use --tls"), "{}", chat.stderr());
}

#[test]
fn tls_that_cannot_be_ends_the_chat_with_the_reason() {
    let (place, other) = (Place::new(), Place::new());
    let file = place.password_file(PASSWORD);
    let chat = |address: String, ca: &Path| {
        let mut command = Command::new(shardwire_bin());
        command.args(["chat", "--user", "alice", "--tls", "--server", &address, "--ca"]).arg(ca);
        command.arg("--password-file").arg(&file).arg("--store").arg(place.home.path());
        let mut chat = Process::start(command);
        assert!(!chat.wait(LIMIT).success());
        chat.stderr()
    };
    let (own, foreign) = (place.gateway.data_dir().join("dev-ca.pem"), other.gateway.data_dir().join("dev-ca.pem"));
    let tls = place.gateway.tls_addr().to_string();
    let said = chat(tls.clone(), &foreign);
    assert!(said.contains("not signed by anybody who is trusted"), "{said}");
    let said = chat(place.gateway.addr().to_string(), &own);
    assert!(said.contains("it does not speak TLS"), "{said}");
    let said = chat(tls, &place.home.path().join("none.pem"));
    assert!(said.contains("--ca") && said.contains("No such file"), "{said}");
}

#[test]
fn the_load_generator_resumes_its_sessions_and_finds_nothing_wrong_across_a_kill() {
    let mut place = Place::new();
    let (json, html) = (place.home.path().join("report.json"), place.home.path().join("report.html"));
    let admin = Admin::of(&place.gateway.data_dir());
    let mut command = Command::new(loadgen_bin());
    command.arg("--target").arg(place.gateway.tls_addr().to_string()).arg("--tls");
    command.arg("--ca").arg(place.gateway.data_dir().join("dev-ca.pem"));
    command.arg("--token-key").arg(place.gateway.data_dir().join("dev-key.pem"));
    command.args("--users 300 --rate 1000 --duration 6s --offline-share 0.1".split_whitespace());
    command.arg("--json").arg(&json).arg("--html").arg(&html);
    let mut load = Process::start(command);
    until("messages flow", || admin.metrics().sum("shardwire_messages_accepted_total", &[]) >= 500.0);
    place.gateway.kill();
    place.gateway = place.gateway.start_again();
    let status = load.wait(RUN_LIMIT);
    assert!(status.success(), "{status}\n{}", load.stderr());
    let report: Value = serde_json::from_slice(&fs::read(json).expect("a report")).expect("a report in JSON");
    for count in ["lost", "duplicated", "reordered", "corrupted", "refused", "unresolved"] {
        assert_eq!(report[count], 0, "{count}: {report:#}");
    }
    assert_eq!(report["sent"], report["delivered"]);
    // Those who were connected, and those who came back: all of them have a ticket from before.
    assert!(report["handshakes"].as_u64() >= Some(570), "{report:#}");
    assert!(report["handshakes_resumed"].as_u64() >= Some(250), "{report:#}");
    let page = fs::read_to_string(html).expect("a page");
    assert!(page.contains("Nothing lost") && page.contains("</html>"), "{page}");
}

#[test]
fn the_load_generator_says_why_there_is_no_tls() {
    let (place, other) = (Place::new(), Place::new());
    let said = |address: String, ca: PathBuf| {
        let mut command = Command::new(loadgen_bin());
        command.args(["--target", &address, "--tls", "--users", "2", "--ca"]).arg(ca);
        command.arg("--token-key").arg(place.gateway.data_dir().join("dev-key.pem"));
        let mut load = Process::start(command);
        assert_eq!(load.wait(LIMIT).code(), Some(2));
        load.stderr()
    };
    let text = said(place.gateway.tls_addr().to_string(), other.gateway.data_dir().join("dev-ca.pem"));
    assert!(text.contains("not signed by anybody who is trusted"), "{text}");
    let text = said(place.gateway.addr().to_string(), place.gateway.data_dir().join("dev-ca.pem"));
    assert!(text.contains("it does not speak TLS"), "{text}");
    let text = said(place.gateway.tls_addr().to_string(), place.gateway.data_dir().join("dev-key.pem"));
    assert!(text.contains("it has a key"), "{text}");
}

/// What the load generator may need: logins, the run, those who come back, and a slow machine.
const RUN_LIMIT: Duration = Duration::from_secs(180);
