//! `docs/protocol.md` is written by hand for people; its tables must say what the code does.

use std::{fs, path::PathBuf};

use wire::{
    Code,
    code::{Fault, Retry},
    frame_type, limits,
};

fn text() -> String {
    let path: PathBuf = [env!("CARGO_MANIFEST_DIR"), "..", "docs", "protocol.md"].iter().collect();
    fs::read_to_string(path).expect("docs/protocol.md")
}

/// The cells of every table row whose first cell passes.
fn rows(is_row: impl Fn(&str) -> bool) -> Vec<Vec<String>> {
    text()
        .lines()
        .filter_map(|line| line.strip_prefix("| ")?.strip_suffix(" |"))
        .map(|line| line.split(" | ").map(|cell| cell.trim().to_owned()).collect::<Vec<_>>())
        .filter(|cells| cells.first().is_some_and(|cell| is_row(cell)))
        .collect()
}

#[test]
fn the_table_of_codes_is_that_of_the_code() {
    let printed = rows(|cell| cell.len() == 3 && cell.parse::<u16>().is_ok());
    let expected: Vec<Vec<String>> = Code::ALL
        .iter()
        .map(|code| {
            let fault = match code.fault() {
                Fault::Client => "client",
                Fault::Application => "application",
                Fault::Network => "network",
                Fault::Server => "server",
                Fault::Nobody => "nobody",
            };
            let retry = match code.retry() {
                Retry::Never => "never",
                Retry::Now => "now",
                Retry::Slot => "slot",
            };
            [&code.number().to_string(), &format!("{code:?}"), fault, retry, code.text()].map(String::from).to_vec()
        })
        .collect();
    assert_eq!(printed, expected);
}

#[test]
fn the_table_of_frames_is_that_of_the_code() {
    let printed: Vec<(String, String)> = rows(|cell| cell.starts_with("0x") && cell.len() == 4)
        .into_iter()
        .map(|cells| (cells[0].clone(), cells[1].clone()))
        .collect();
    let expected: Vec<_> =
        frame_type::ALL.iter().map(|(number, name)| (format!("{number:#04x}"), (*name).to_owned())).collect();
    assert_eq!(printed, expected);
}

#[test]
fn the_table_of_limits_is_that_of_the_code() {
    let expected = [
        ("HEADER_LEN", limits::HEADER_LEN as u64),
        ("PAYLOAD_LEN_MAX", limits::PAYLOAD_LEN_MAX as u64),
        ("CLIENT_PAYLOAD_LEN_MAX", limits::CLIENT_PAYLOAD_LEN_MAX as u64),
        ("HELLO_PAYLOAD_LEN_MAX", limits::HELLO_PAYLOAD_LEN_MAX as u64),
        ("HELLO_TIMEOUT", limits::HELLO_TIMEOUT.as_secs()),
        ("FRAME_TIMEOUT", limits::FRAME_TIMEOUT.as_secs()),
        ("NAME_LEN_MAX", limits::NAME_LEN_MAX as u64),
        ("DEVICE_LEN_MAX", limits::DEVICE_LEN_MAX as u64),
        ("ACCOUNT_PASSWORD_LEN_MAX", limits::ACCOUNT_PASSWORD_LEN_MAX as u64),
        ("PASSWORD_LEN_MIN", *limits::PASSWORD_LEN_RANGE.start() as u64),
        ("PASSWORD_LEN_MAX", *limits::PASSWORD_LEN_RANGE.end() as u64),
        ("STORE_LEN", limits::STORE_LEN as u64),
        ("CLIENT_TEXT_LEN_MAX", limits::CLIENT_TEXT_LEN_MAX as u64),
        ("DEVICE_COUNT_MAX", limits::DEVICE_COUNT_MAX as u64),
        ("IN_FLIGHT_MAX", limits::IN_FLIGHT_MAX),
        ("HEARTBEAT_S_MIN", u64::from(*limits::HEARTBEAT_S_RANGE.start())),
        ("HEARTBEAT_S_MAX", u64::from(*limits::HEARTBEAT_S_RANGE.end())),
        ("VERSION", u64::from(limits::VERSION)),
    ];
    for (name, value) in expected {
        let row = rows(|cell| cell.trim_matches('`') == name);
        let printed = row.first().map(|cells| cells[1].replace(',', ""));
        assert_eq!(printed, Some(value.to_string()), "{name}");
    }
}

/// Every block ```` ```hex NAME ```` with its bytes: what stands before `;` on each line.
fn examples() -> Vec<(String, Vec<u8>)> {
    let text = text();
    let blocks = text.split("```hex ").skip(1);
    blocks
        .map(|block| {
            let mut lines = block.lines().take_while(|line| *line != "```");
            let name = lines.next().expect("the vector's name").to_owned();
            let digits = lines.filter_map(|line| line.split(';').next());
            let bytes = digits
                .flat_map(str::split_whitespace)
                .map(|pair| u8::from_str_radix(pair, 16).expect("two digits"))
                .collect();
            (name, bytes)
        })
        .collect()
}

#[test]
fn the_examples_are_golden_vectors() {
    let examples = examples();
    assert!(examples.len() >= 4);
    for (name, bytes) in examples {
        let file = format!("{name}.bin");
        let path: PathBuf = [env!("CARGO_MANIFEST_DIR"), "vectors", "v1", &file].iter().collect();
        assert_eq!(fs::read(path).ok(), Some(bytes), "{file}");
    }
}
