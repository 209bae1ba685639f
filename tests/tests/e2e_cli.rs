//! What the commands say of a command line that is not one, or that asks for what is not there; and how they end.

#![forbid(unsafe_code)]

use std::{
    path::Path,
    process::{Command, Output, Stdio},
};

use gateway_tests::e2e::shardwire_bin;

/// Runs `shardwire` with these words in an empty directory, until it ends.
fn run(dir: &Path, words: &str, data_dir: Option<&str>) -> (i32, String, String) {
    let mut command = Command::new(shardwire_bin());
    command.args(words.split_whitespace()).current_dir(dir).stdin(Stdio::null());
    command.env("HOME", dir).env_remove("XDG_DATA_HOME").env_remove("SHARDWIRE_TOKEN");
    match data_dir {
        Some(data_dir) => command.env("SHARDWIRE__DATA_DIR", data_dir),
        None => command.env_remove("SHARDWIRE__DATA_DIR"),
    };
    let Output { status, stdout, stderr } = command.output().expect("the program can be started");
    let text = |bytes| String::from_utf8(bytes).expect("it speaks UTF-8");
    (status.code().expect("it ends by itself"), text(stdout), text(stderr))
}

/// A command line, its exit code, and what stands on standard error.
const REFUSED: &[(&str, i32, &str)] = &[
    ("", 2, "Usage: shardwire"),
    ("sereve", 2, "serve"),
    ("serve extra", 2, "extra"),
    ("serve --listen none", 1, "nobody could connect"),
    ("serve --config missing.toml", 1, "missing.toml: cannot read the configuration"),
    ("config print --config missing.toml", 1, "missing.toml: cannot read the configuration"),
    ("check-config --tls-cert a.pem", 1, "--tls-cert: a certificate without its key"),
    ("users", 2, "Usage: shardwire users"),
    ("users list", 1, "shardwire-data: there is no store"),
    ("users add alice", 1, "shardwire-data: there is no store"),
    ("users disable #group", 1, "the account's name"),
    ("log inspect", 1, "shardwire-data: there is no store"),
    ("log verify --data-dir elsewhere", 1, "elsewhere: there is no store"),
    ("log verify --segment first", 2, "--segment"),
    ("log inspect --from 3", 2, "--segment"),
    ("drain", 1, "shardwire-data: no gateway"),
    ("token mint", 2, "--user"),
    ("token mint --user alice", 1, "shardwire-data/dev-key.pem does not exist"),
    ("token mint --user #group", 1, "--user"),
    ("token mint --user alice --ttl 5", 2, "--ttl"),
    ("token mint --user alice --key missing.pem", 1, "missing.pem: cannot read the key"),
    ("chat --user alice", 1, "how do you log in?"),
    ("chat --user #group --token t", 1, "--user"),
    ("chat --user alice --token t --to b,b", 1, "--to"),
    ("chat --user alice --tls --ca missing.pem --token t", 1, "missing.pem"),
];

#[test]
fn what_is_refused_has_its_exit_code_and_its_reason_on_standard_error() {
    let dir = tempfile::tempdir().expect("a temporary directory");
    for (words, expected, reason) in REFUSED {
        let (code, stdout, stderr) = run(dir.path(), words, None);
        assert_eq!((code, stdout.as_str()), (*expected, ""), "{words}: {stderr}");
        assert!(stderr.contains(reason), "{words}: {stderr}");
    }
    let left: Vec<_> = std::fs::read_dir(dir.path()).expect("it is there").map(|entry| entry.unwrap().path()).collect();
    assert!(left.is_empty(), "a refused command leaves nothing behind: {left:?}");
}

#[test]
fn the_data_directory_of_the_environment_is_that_of_every_command() {
    let dir = tempfile::tempdir().expect("a temporary directory");
    for words in ["users list", "log verify", "drain", "token mint --user alice", "chat --user alice"] {
        let (code, _, stderr) = run(dir.path(), words, Some("from-the-environment"));
        assert_eq!(code, 1, "{words}");
        assert!(stderr.contains("from-the-environment"), "{words}: {stderr}");
        let (_, _, stderr) =
            run(dir.path(), &format!("{words} --data-dir from-the-flag"), Some("from-the-environment"));
        assert!(stderr.contains("from-the-flag"), "{words}: {stderr}");
    }
}
