use std::collections::BTreeSet;

use super::key::{KEYS, Kind, Unset};
use super::*;

/// What the command line, the environment and a file called `f.toml` come to.
fn gather(flags: Flags, variables: &[(&str, &str)], toml: &str) -> Result<Effective, Mistakes> {
    let variables = variables.iter().map(|(name, value)| (name.into(), value.into()));
    Effective::gather(Some((Path::new("f.toml"), toml)), variables, flags.given, flags.dev)
}

fn load(flags: Flags, variables: &[(&str, &str)], toml: &str) -> Result<Config, String> {
    let effective = gather(flags, variables, toml).map_err(|mistakes| mistakes.to_string())?;
    effective.check().map_err(|error| error.to_string())
}

fn dev() -> Flags {
    Flags { dev: true, ..Flags::default() }
}

#[test]
fn flags_win_over_the_environment_and_that_over_the_file() {
    let toml = "shards = 3\ndata_dir = 'file'\n[messages]\nunknown_recipients = 'refuse'\n[session]\nheartbeat_s = 100";
    let variables = [("SHARDWIRE__SHARDS", "4"), ("SHARDWIRE__SESSION__HEARTBEAT_S", "200")];
    let flags = Flags { given: vec![(&SHARDS, "--shards", Value::Whole(5))], ..dev() };
    let config = load(flags, &variables, toml).unwrap();
    assert_eq!(config.shards, Some(5));
    assert_eq!(config.session.heartbeat_s, 200);
    assert_eq!(config.data_dir, Path::new("file"));
    assert_eq!(config.messages.unknown_recipients, UnknownRecipients::Refuse);
}

/// A file in the file `f.toml`, and all that is said about it.
const IN_THE_FILE: &[(&str, &str)] = &[
    // The form.
    ("shards = ", "f.toml:1:10: not TOML: string values must be quoted, expected literal string"),
    ("shards = 1\nshards = 2", "f.toml:2:1: not TOML: duplicate key"),
    ("[log\nlevel = 'info'", "f.toml:1:5: not TOML: unclosed table, expected `]`"),
    ("data_dir = 'here", "f.toml:1:17: not TOML: invalid literal string, expected `'`"),
    // Names.
    ("\n  shard = 2", "f.toml:2:3: there is no key shard; the nearest is shards"),
    (
        "[session]\nhartbeat_s = 60",
        "f.toml:2:1: there is no key session.hartbeat_s; the nearest is session.heartbeat_s",
    ),
    ("heartbeat_s = 60", "f.toml:1:1: there is no key heartbeat_s; the nearest is session.heartbeat_s"),
    ("colour = 'red'", "f.toml:1:1: there is no key colour"),
    ("[sesion]\nheartbeat_s = 60", "f.toml:1:2: there is no section [sesion]; the nearest is [session]"),
    (
        "listen = '127.0.0.1:1'",
        "f.toml:1:10: listen is a section: write [listen] on a line of its own, and its keys below",
    ),
    (
        "[[listen]]\ntcp = 'none'",
        "f.toml:1:1: listen is a section: write [listen] on a line of its own, and its keys below",
    ),
    // Types.
    ("shards = '2'", "f.toml:1:10: shards: 1 to 64 shards, without quotes"),
    ("shards = true", "f.toml:1:10: shards: 1 to 64 shards, not true"),
    ("shards = 2.5", "f.toml:1:10: shards: 1 to 64 shards, not a number with a fraction"),
    ("[listen]\nallow_plain_tcp = 1", "f.toml:2:19: listen.allow_plain_tcp: true or false, not the number 1"),
    (
        "[listen]\ntcp = 7400",
        "f.toml:2:7: listen.tcp: an IP address and a port, such as \"127.0.0.1:7400\", or \"none\", not the number 7400",
    ),
    ("data_dir = ['a', 'b']", "f.toml:1:12: data_dir: the path of a file or directory, not a list"),
    ("[shards]\ncount = 2", "f.toml:1:1: shards: 1 to 64 shards, not a section"),
    // Ranges.
    ("shards = 0", "f.toml:1:10: shards: 1 to 64 shards, not 0"),
    ("shards = 65", "f.toml:1:10: shards: 1 to 64 shards, not 65"),
    ("[session]\nheartbeat_s = -1", "f.toml:2:15: session.heartbeat_s: 25 to 1680 seconds, not -1"),
    (
        "[session]\npayload_len_max = 0x1000000",
        "f.toml:2:19: session.payload_len_max: 4096 to 16777215 bytes, not 16777216",
    ),
    ("shards = 99999999999999999999", "f.toml:1:10: shards: 1 to 64 shards, not 99999999999999999999"),
    (
        "[messages]\nunknown_recipients = 'drop'",
        "f.toml:2:22: messages.unknown_recipients: \"store\" or \"refuse\", not \"drop\"",
    ),
    (
        "[listen]\ntcp = 'localhost:7400'",
        "f.toml:2:7: listen.tcp: an IP address and a port, such as \"127.0.0.1:7400\", or \"none\", not \"localhost:7400\"",
    ),
    ("data_dir = ''", "f.toml:1:12: data_dir: the path of a file or directory, not \"\""),
    // Secrets are not repeated.
    ("[login]\npasswords = 'hunter2'", "f.toml:2:13: login.passwords: true or false, and no other text"),
    (
        "[tls]\nkey_file = '''-----BEGIN\nPRIVATE'''",
        "f.toml:2:12: tls.key_file: the path of a file or directory, and not what is to be in the file",
    ),
    // What does not go together.
    (
        "[listen]\ntcp = '0.0.0.0:1'",
        "f.toml:2:1: 0.0.0.0:1 can be reached from other machines, and plain TCP shows tokens and messages to every one on the way: use TLS (listen.tls), or accept that with --allow-plain-tcp",
    ),
    ("[listen]\ntcp = 'none'", "f.toml:2:1: nobody could connect: set an address at listen.tcp or at listen.tls"),
    (
        "[listen]\ntls = '127.0.0.1:1'",
        "f.toml:2:1: TLS needs a certificate: set tls.certificate_file and tls.key_file, or try things out with --dev",
    ),
    ("[tls]\ncertificate_file = 'a'", "f.toml:2:1: a certificate without its key: set tls.key_file too"),
    ("[tls]\nkey_file = 'a'", "f.toml:2:1: a key without its certificate: set tls.certificate_file too"),
    (
        "[login]\npasswords = false",
        "f.toml:2:1: nobody could log in: give --token-key FILE, the public key of whoever signs your tokens, allow passwords (login.passwords), or try things out with --dev",
    ),
    (
        "[login]\npasswords = false\nregister = true\ntoken_key_file = 'k'",
        "f.toml:3:1: people who register choose a password, and login.passwords is false: set one of the two otherwise",
    ),
    (
        "[admin]\nlisten = '[::]:1'",
        "f.toml:2:1: [::]:1 can be reached from other machines, and the admin listener is for this one only: use 127.0.0.1",
    ),
    (
        "[admin]\nlisten = '127.0.0.1:7400'",
        "f.toml:2:1: admin.listen (127.0.0.1:7400) and listen.tcp (127.0.0.1:7400) need the same port: give one of them another",
    ),
    // More than one.
    (
        "shards = 0\n[log]\nlevel = 'loud'\ncolour = 1",
        "3 mistakes in the configuration:\n  f.toml:1:10: shards: 1 to 64 shards, not 0\n  f.toml:3:9: log.level: \"error\" or \"warn\" or \"info\" or \"debug\" or \"trace\", not \"loud\"\n  f.toml:4:1: there is no key log.colour",
    ),
];

#[test]
fn each_mistake_in_a_file_is_told_with_its_place_and_what_would_be_right() {
    for (toml, expected) in IN_THE_FILE {
        assert_eq!(load(Flags::default(), &[], toml).unwrap_err(), *expected, "{toml}");
    }
}

/// A variable, its value, and what is said about it.
const IN_THE_ENVIRONMENT: &[(&str, &str, &str)] = &[
    ("SHARDWIRE__SHARDS", "70", "SHARDWIRE__SHARDS: 1 to 64 shards, not 70"),
    ("SHARDWIRE__SHARDS", "many", "SHARDWIRE__SHARDS: 1 to 64 shards, not \"many\""),
    ("SHARDWIRE__SHARD", "2", "SHARDWIRE__SHARD: there is no such key; the nearest is SHARDWIRE__SHARDS"),
    (
        "SHARDWIRE__SESSION_HEARTBEAT_S",
        "60",
        "SHARDWIRE__SESSION_HEARTBEAT_S: there is no such key; the nearest is SHARDWIRE__SESSION__HEARTBEAT_S",
    ),
    ("SHARDWIRE__shards", "2", "SHARDWIRE__shards: there is no such key; the nearest is SHARDWIRE__SHARDS"),
    ("SHARDWIRE__LOGIN__PASSWORDS", "hunter2", "SHARDWIRE__LOGIN__PASSWORDS: true or false, and no other text"),
    ("SHARDWIRE__DATA_DIR", "", "SHARDWIRE__DATA_DIR: the path of a file or directory, not \"\""),
    (
        "SHARDWIRE__LISTEN__TCP",
        "none",
        "SHARDWIRE__LISTEN__TCP: nobody could connect: set an address at listen.tcp or at listen.tls",
    ),
];

#[test]
fn each_mistake_in_the_environment_is_told_with_the_name_of_the_variable() {
    for (variable, value, expected) in IN_THE_ENVIRONMENT {
        let variables = [(*variable, *value), ("SHARDWIRE_TOKEN", "not ours"), ("PATH", "/bin")];
        assert_eq!(load(Flags::default(), &variables, "").unwrap_err(), *expected);
    }
}

#[test]
fn dev_is_for_loopback_only_and_has_a_key_of_its_own() {
    let everywhere = "0.0.0.0:1".parse().unwrap();
    let given = vec![(&LISTEN_TCP, "--listen", Value::Address(Some(everywhere)))];
    let message = load(Flags { given, ..dev() }, &[], "").unwrap_err();
    assert!(message.starts_with("--listen: --dev is for this machine only"), "{message}");
    let message = load(dev(), &[], "login.token_key_file = 'key.pem'").unwrap_err();
    assert!(message.starts_with("f.toml:1:7: --dev") && message.contains("key.pem"), "{message}");
}

#[test]
fn dev_lets_people_register_unless_told_otherwise() {
    let register = |flags, toml| load(flags, &[], toml).unwrap().login.register;
    assert!(register(dev(), "") && !register(Flags::default(), ""));
    assert!(!register(dev(), "login.register = false") && !register(dev(), "login.passwords = false"));
}

#[test]
fn listeners_on_one_port_collide_unless_their_addresses_differ() {
    let toml = |tcp, tls| {
        format!(
            "admin.listen = 'none'\n[listen]\ntcp = '{tcp}'\ntls = '{tls}'\nallow_plain_tcp = true\n[tls]\nkey_file='k'\ncertificate_file='c'"
        )
    };
    let collide = |tcp, tls| load(Flags::default(), &[], &toml(tcp, tls)).is_err();
    assert!(
        collide("127.0.0.1:5", "127.0.0.1:5")
            && collide("0.0.0.0:5", "127.0.0.1:5")
            && collide("127.0.0.1:5", "[::]:5")
    );
    assert!(!collide("127.0.0.1:5", "127.0.0.2:5") && !collide("127.0.0.1:5", "127.0.0.1:6"));
    assert!(!collide("127.0.0.1:0", "127.0.0.1:0"));
    let message = load(Flags::default(), &[], "listen.tcp = '127.0.0.1:7401'").unwrap_err();
    assert!(message.starts_with("f.toml:1:8: admin.listen"), "{message}");
}

#[test]
fn what_is_printed_can_be_loaded_and_is_the_same() {
    let toml = "data_dir = 'with \"quotes\"'\n[listen]\ntls = '127.0.0.1:1'\n[log]\nformat = 'json'";
    let effective = gather(dev(), &[("SHARDWIRE__SHARDS", "4")], toml).unwrap();
    let printed = effective.to_string();
    for line in [
        "data_dir = 'with \"quotes\"'  # f.toml:1:1",
        "shards = 4  # SHARDWIRE__SHARDS",
        "tls = \"127.0.0.1:1\"  # f.toml:3:1",
        "tcp = \"127.0.0.1:7400\"  # default",
        "register = true  # --dev",
        "# key_file is not set: --dev makes one for itself",
    ] {
        assert!(printed.lines().any(|printed| printed == line), "{line}:\n{printed}");
    }
    let again = gather(dev(), &[], &printed).unwrap();
    assert_eq!(again.check().unwrap(), effective.check().unwrap());
}

const EXAMPLE: &str = include_str!("../../config.example.toml");

#[test]
fn the_example_is_what_holds_when_nothing_is_set() {
    let example = load(Flags::default(), &[], EXAMPLE).unwrap();
    assert_eq!(example, load(Flags::default(), &[], "").unwrap());
}

#[test]
fn the_example_has_every_key_with_its_default_its_kind_and_a_reason() {
    let mut section = None;
    let mut seen = BTreeSet::new();
    for paragraph in EXAMPLE.split("\n\n").skip(1) {
        let (comments, others): (Vec<_>, Vec<_>) =
            paragraph.lines().partition(|line| line.starts_with("# ") && !is_setting(line));
        for line in others {
            if let Some(name) = line.strip_prefix('[') {
                section = name.strip_suffix(']');
                continue;
            }
            let name = line.trim_start_matches("# ").split(" = ").next().unwrap();
            let name = section.map_or_else(|| name.to_owned(), |section| format!("{section}.{name}"));
            let key = KEYS.iter().find(|key| key.name == name).unwrap_or_else(|| panic!("no key: {line}"));
            let takes = match &key.kind {
                Kind::Address => "an IP address and a port, or \"none\"".to_owned(),
                Kind::Path => "a path".to_owned(),
                kind => kind.to_string(),
            };
            let last = match &key.unset {
                Unset::Default(_) => format!("# Takes: {takes}."),
                Unset::Absent(what) => format!("# Takes: {takes}. Not set: {what}."),
            };
            assert_eq!(line.starts_with('#'), matches!(key.unset, Unset::Absent(_)), "{line}");
            assert_eq!(comments.last(), Some(&last.as_str()), "{name}");
            assert!(comments.len() >= 2, "{name}: no reason");
            assert!(seen.insert(name), "twice: {line}");
        }
    }
    assert_eq!(seen, KEYS.iter().map(|key| key.name.to_owned()).collect());
    // What cannot stand there as a default can stand there all the same.
    let uncommented: String = EXAMPLE
        .lines()
        .map(|line| if is_setting(line) { &line[2..] } else { line })
        .fold(String::new(), |text, line| text + line + "\n");
    load(Flags::default(), &[], &uncommented).unwrap();
}

fn is_setting(line: &str) -> bool {
    line.strip_prefix("# ").and_then(|line| line.split_once(" = ")).is_some_and(|(name, _)| !name.contains(' '))
}

#[test]
fn a_file_without_an_end_is_refused() {
    let error = read_file(Path::new("/dev/zero")).unwrap_err().to_string();
    assert_eq!(error, "/dev/zero: cannot read the configuration: it is longer than 1 MiB");
}

#[test]
fn there_are_thirty_keys_at_most() {
    assert!(KEYS.len() <= 30);
}
