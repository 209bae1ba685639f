//! The configuration through the real program: what it says of mistakes, where it takes settings from, and how it ends.

#![forbid(unsafe_code)]

use std::{
    fs,
    os::unix::fs::PermissionsExt,
    path::Path,
    process::{Command, Output},
};

use gateway_tests::e2e::{Setup, shardwire_bin};

/// Runs `shardwire` with these arguments and variables until it ends.
fn run(dir: &Path, args: &[&str], variables: &[(&str, &str)]) -> (i32, String, String) {
    let mut command = Command::new(shardwire_bin());
    command.args(args).envs(variables.iter().copied()).current_dir(dir);
    let Output { status, stdout, stderr } = command.output().expect("the program can be started");
    let text = |bytes| String::from_utf8(bytes).expect("it speaks UTF-8");
    (status.code().expect("it ends by itself"), text(stdout), text(stderr))
}

/// A directory with this configuration in `shardwire.toml`.
fn dir_with(toml: &str) -> tempfile::TempDir {
    let dir = tempfile::tempdir().expect("a temporary directory");
    fs::write(dir.path().join("shardwire.toml"), toml).expect("it can be written");
    dir
}

fn check(toml: &str, args: &[&str], variables: &[(&str, &str)]) -> (i32, String, String) {
    let dir = dir_with(toml);
    run(dir.path(), &[&["check-config", "--config", "shardwire.toml"], args].concat(), variables)
}

#[test]
fn a_good_configuration_is_a_line_and_exit_code_0() {
    let (code, stdout, stderr) = check("", &[], &[]);
    assert_eq!((code, stdout.as_str(), stderr.as_str()), (0, "the configuration can be used\n", ""));
}

#[test]
fn the_example_can_be_used() {
    let example = Path::new(env!("CARGO_MANIFEST_DIR")).join("../gateway/config.example.toml");
    let (code, _, stderr) = check(&fs::read_to_string(example).expect("it is there"), &[], &[]);
    assert_eq!((code, stderr.as_str()), (0, ""));
}

/// A file, and all that check-config says about it.
const REFUSED: &[(&str, &str)] = &[
    ("shards = \n", "shardwire.toml:1:10: not TOML: string values must be quoted, expected literal string"),
    (
        "[session]\nhartbeat_s = 60",
        "shardwire.toml:2:1: there is no key session.hartbeat_s; the nearest is session.heartbeat_s",
    ),
    ("[sesion]", "shardwire.toml:1:2: there is no section [sesion]; the nearest is [session]"),
    ("shards = '2'", "shardwire.toml:1:10: shards: 1 to 64 shards, without quotes"),
    ("shards = 65", "shardwire.toml:1:10: shards: 1 to 64 shards, not 65"),
    (
        "[listen]\ntcp = '0.0.0.0:7400'",
        "shardwire.toml:2:1: 0.0.0.0:7400 can be reached from other machines, and plain TCP shows tokens and messages to every one on the way: use TLS (listen.tls), or accept that with --allow-plain-tcp",
    ),
    (
        "[admin]\nlisten = '127.0.0.1:7400'",
        "shardwire.toml:2:1: admin.listen (127.0.0.1:7400) and listen.tcp (127.0.0.1:7400) need the same port: give one of them another",
    ),
    (
        "[login]\ntoken_key_file = 'missing.pem'",
        "shardwire.toml:2:1: login.token_key_file: missing.pem: cannot read the key: No such file or directory (os error 2)",
    ),
    ("[admin]\ntoken_file = '/'", "shardwire.toml:2:1: admin.token_file: cannot read /: is a directory"),
    ("data_dir = 'shardwire.toml/data'", "shardwire.toml:1:1: data_dir: shardwire.toml is not a directory"),
];

#[test]
fn what_is_refused_is_told_exactly_with_exit_code_1() {
    for (toml, expected) in REFUSED {
        let (code, stdout, stderr) = check(toml, &[], &[]);
        assert_eq!((code, stdout.as_str(), stderr), (1, "", format!("shardwire: {expected}\n")), "{toml}");
    }
}

#[test]
fn all_mistakes_are_told_at_once() {
    let (code, _, stderr) = check("shards = 0\nlog.level = 'loud'", &[], &[("SHARDWIRE__SHARD", "1")]);
    assert_eq!(code, 1);
    let lines: Vec<_> = stderr.lines().collect();
    assert_eq!(lines.len(), 4, "{stderr}");
    assert!(lines[0].contains("3 mistakes") && lines[3].contains("SHARDWIRE__SHARDS"), "{stderr}");
}

#[test]
fn a_file_that_cannot_be_read_is_told_by_its_name() {
    let dir = dir_with("");
    let path = dir.path().join("shardwire.toml");
    fs::write(&path, [0xff, 0xfe]).expect("it can be written");
    let args = ["check-config", "--config", "shardwire.toml"];
    assert_eq!(
        run(dir.path(), &args, &[]).2,
        "shardwire: shardwire.toml: cannot read the configuration: stream did not contain valid UTF-8\n"
    );
    fs::remove_file(&path).expect("it is there");
    assert_eq!(
        run(dir.path(), &args, &[]).2,
        "shardwire: shardwire.toml: cannot read the configuration: No such file or directory (os error 2)\n"
    );
}

#[test]
fn a_flag_with_a_bad_value_is_a_mistake_of_use() {
    for args in [["--shards", "0"], ["--listen", "localhost:1"], ["--log-level", "loud"], ["--colour", "red"]] {
        let (code, stdout, stderr) = check("", &args, &[]);
        assert_eq!((code, stdout.as_str()), (2, ""), "{args:?}");
        assert!(stderr.contains(args[0]), "{args:?}: {stderr}");
    }
}

#[test]
fn what_is_printed_names_each_source_and_can_be_used_as_a_file() {
    let dir = dir_with("data_dir = 'here'\n[log]\nformat = 'json'");
    let variables = [("SHARDWIRE__SESSION__HEARTBEAT_S", "100")];
    let args = ["config", "print", "--config", "shardwire.toml", "--shards", "3"];
    let (code, printed, stderr) = run(dir.path(), &args, &variables);
    assert_eq!((code, stderr.as_str()), (0, ""));
    for line in [
        "data_dir = \"here\"  # shardwire.toml:1:1",
        "shards = 3  # --shards",
        "heartbeat_s = 100  # SHARDWIRE__SESSION__HEARTBEAT_S",
        "format = \"json\"  # shardwire.toml:3:1",
        "level = \"info\"  # default",
    ] {
        assert!(printed.lines().any(|printed| printed == line), "{line}:\n{printed}");
    }
    fs::write(dir.path().join("shardwire.toml"), &printed).expect("it can be written");
    let (code, again, _) = run(dir.path(), &["config", "print", "--config", "shardwire.toml"], &[]);
    assert_eq!(code, 0);
    let values = |text: &str| {
        let values = text.lines().map(|line| line.split("  # ").next().unwrap_or_default().to_owned());
        values.collect::<Vec<_>>()
    };
    assert_eq!(values(&again), values(&printed));
}

#[test]
fn the_gateway_refuses_what_check_config_refuses() {
    let message = Setup::new().config("[log]\nlevl = 'info'").start_refused();
    assert!(message.contains(".toml:2:1: there is no key log.levl; the nearest is log.level"), "{message}");
}

#[test]
fn the_environment_is_heard() {
    let setup = Setup::new().shards(None);
    let mut command = setup.command();
    command.env("SHARDWIRE__SHARDS", "3");
    let process = gateway_tests::e2e::Process::start(command);
    let ready = process.line(gateway_tests::e2e::LIMIT).expect("it serves");
    assert!(ready.ends_with(" shards=3"), "{ready}");
}

/// Root reads everything: for it there is no such file, and the test says so and ends.
#[test]
fn a_key_file_that_is_closed_to_the_gateway_is_told() {
    let dir = dir_with("[login]\ntoken_key_file = 'key.pem'");
    let key = dir.path().join("key.pem");
    fs::write(&key, "").expect("it can be written");
    fs::set_permissions(&key, fs::Permissions::from_mode(0o0)).expect("it is ours");
    if fs::read(&key).is_ok() {
        println!("skipped: nothing is closed to root");
        return;
    }
    let (code, _, stderr) = run(dir.path(), &["check-config", "--config", "shardwire.toml"], &[]);
    assert_eq!(code, 1);
    assert!(stderr.contains("login.token_key_file: key.pem: cannot read the key: Permission denied"), "{stderr}");
}
