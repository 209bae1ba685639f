//! Golden vectors: `vectors/v1/NAME.bin` is a frame with its header, `NAME.json` says what it must become. Every client in every
//! language can be held against them; those of a released version stay for ever. `cargo test -p wire -- --ignored write_vectors`
//! writes them anew.

use std::{collections::BTreeSet, fs, path::PathBuf};

use serde_json::{Value, json};
use wire::{Code, Cut, WireError, cut, limits::PAYLOAD_LEN_MAX};

use crate::{encoded, future, hostile, json, refusals, samples};

pub(crate) enum Expect {
    /// `exact`: encoding the values gives the same bytes. Without it only the meaning is the same.
    Taken {
        exact: bool,
    },
    Refused(Code),
    Skipped,
    Incomplete,
}

pub(crate) struct Case {
    name: &'static str,
    what: &'static str,
    bytes: Vec<u8>,
    /// The limit to cut with.
    payload_len_max: usize,
    expect: Expect,
}

impl Case {
    pub(crate) fn new(name: &'static str, what: &'static str, frame_type: u8, payload: &[u8], expect: Expect) -> Case {
        let [a, b, c, ..] = payload.len().to_le_bytes();
        let bytes = [&[a, b, c, frame_type], payload].concat();
        Case { name, what, bytes, payload_len_max: PAYLOAD_LEN_MAX, expect }
    }

    fn json(&self) -> Value {
        let mut json = json!({
            "what": self.what,
            "type": self.bytes[3],
            "frame": json::type_name(self.bytes[3]),
            "payload_len_max": self.payload_len_max,
        });
        match self.expect {
            Expect::Taken { exact } => {
                let frame = wire::decode(self.bytes[3], &self.bytes[4..]).expect(self.name).expect(self.name);
                json["outcome"] = "taken".into();
                json["exact"] = exact.into();
                json["fields"] = json::fields(&frame);
            }
            Expect::Refused(code) => {
                json["outcome"] = "refused".into();
                json["code"] = code.number().into();
                json["ends_connection"] = (code != Code::UnknownType).into();
            }
            Expect::Skipped => json["outcome"] = "skipped".into(),
            Expect::Incomplete => json["outcome"] = "incomplete".into(),
        }
        json
    }

    fn text(&self) -> String {
        format!("{:#}\n", self.json())
    }
}

fn cases() -> Vec<Case> {
    let taken = samples::all().into_iter().map(|sample| Case {
        name: sample.name,
        what: sample.what,
        bytes: encoded(&sample.frame),
        payload_len_max: PAYLOAD_LEN_MAX,
        expect: Expect::Taken { exact: true },
    });
    let refused = refusals::all().into_iter().map(|refusal| {
        Case::new(refusal.name, refusal.what, refusal.frame_type, &refusal.payload, Expect::Refused(refusal.code))
    });
    let too_large = Case {
        name: "too-large",
        what: "The header alone: it announces a byte more than the limit.",
        bytes: vec![0x01, 0x10, 0, wire::frame_type::HELLO],
        payload_len_max: 4096,
        expect: Expect::Refused(Code::FrameTooLarge),
    };
    let incomplete = Case {
        name: "incomplete",
        what: "The last byte is still to come: neither a frame nor an error.",
        bytes: vec![4, 0, 0, wire::frame_type::PING, 1, 2, 3],
        payload_len_max: PAYLOAD_LEN_MAX,
        expect: Expect::Incomplete,
    };
    taken.chain(refused).chain(future::cases()).chain([too_large, incomplete]).collect()
}

fn path(file: &str) -> PathBuf {
    [env!("CARGO_MANIFEST_DIR"), "vectors", "v1", file].iter().collect()
}

/// Every file of the folder, without its ending.
fn names_on_disk() -> BTreeSet<String> {
    let entries = fs::read_dir(path("")).expect("the folder of the vectors");
    entries
        .map(|entry| entry.expect("an entry").file_name().into_string().expect("a plain name"))
        .map(|file| file.split('.').next().expect("a stem").to_owned())
        .collect()
}

#[test]
#[ignore = "writes the vectors"]
fn write_vectors() {
    for case in cases() {
        fs::write(path(&format!("{}.bin", case.name)), &case.bytes).expect("written");
        fs::write(path(&format!("{}.json", case.name)), case.text()).expect("written");
    }
    fs::write(hostile::path(hostile::TABLES), hostile::many_tables()).expect("written");
    fs::write(hostile::path(hostile::STRINGS), hostile::large_strings()).expect("written");
}

#[test]
fn names_of_cases_are_unique() {
    let mut seen = BTreeSet::new();
    for case in cases() {
        assert!(seen.insert(case.name), "{} is there twice", case.name);
    }
}

#[test]
fn every_case_is_on_the_disk_as_it_would_be_written() {
    let on_disk = names_on_disk();
    for case in cases() {
        assert!(on_disk.contains(case.name), "{} is missing: write the vectors", case.name);
        assert_eq!(fs::read(path(&format!("{}.bin", case.name))).ok(), Some(case.bytes.clone()), "{}.bin", case.name);
        // By meaning: whether keys are sorted depends on what else is built in the workspace.
        let text = fs::read_to_string(path(&format!("{}.json", case.name))).expect("its meaning");
        let json: Value = serde_json::from_str(&text).expect("JSON");
        assert_eq!(json, case.json(), "{}.json", case.name);
    }
}

#[test]
fn every_vector_becomes_what_it_says() {
    for name in names_on_disk() {
        let bytes = fs::read(path(&format!("{name}.bin"))).expect("its bytes");
        let text = fs::read_to_string(path(&format!("{name}.json"))).expect("its meaning");
        check(&name, &bytes, &serde_json::from_str(&text).expect("JSON"));
    }
}

fn check(name: &str, bytes: &[u8], json: &Value) {
    let payload_len_max = json["payload_len_max"].as_u64().and_then(|max| usize::try_from(max).ok());
    let (frame_type, payload) = match cut(bytes, payload_len_max.expect("a limit")) {
        Ok(Cut::Frame { frame_type, payload, len }) => {
            assert_eq!(len, bytes.len(), "{name}");
            (frame_type, payload)
        }
        Ok(Cut::Need(_)) => return assert_eq!(json["outcome"], "incomplete", "{name}"),
        Err(error) => return check_refused(name, &error, json),
    };
    assert_eq!(json["type"], frame_type, "{name}");
    match wire::decode(frame_type, payload) {
        Ok(Some(frame)) => {
            assert_eq!(json["outcome"], "taken", "{name}");
            assert_eq!(json["fields"], json::fields(&frame), "{name}");
            if json["exact"] == true {
                assert_eq!(encoded(&frame), bytes, "{name}");
            }
        }
        Ok(None) => assert_eq!(json["outcome"], "skipped", "{name}"),
        Err(error) => check_refused(name, &error, json),
    }
}

fn check_refused(name: &str, error: &WireError, json: &Value) {
    assert_eq!(json["outcome"], "refused", "{name}: {error}");
    assert_eq!(json["code"], error.code().number(), "{name}: {error}");
    assert_eq!(json["ends_connection"], error.is_fatal(), "{name}: {error}");
}
