//! Hot frames with one fault each, as `hot.txt` lists them.

use wire::Code;

use super::Refusal;
use crate::{payload, samples::named};

pub(super) fn all() -> Vec<Refusal> {
    include_str!("hot.txt").lines().filter(|line| !line.is_empty() && !line.starts_with("# ")).map(refusal).collect()
}

fn refusal(line: &'static str) -> Refusal {
    let cells: Vec<_> = line.split(" | ").map(str::trim).collect();
    let [name, code, sample_name, damage, what] = cells[..] else {
        panic!("five cells are needed: {line}");
    };
    let frame = named(sample_name).frame;
    let mut payload = payload(&frame);
    for step in damage.split("; ") {
        damage_once(&mut payload, step);
    }
    Refusal { name, what, frame_type: frame.frame_type(), payload, code: code_named(code) }
}

fn damage_once(bytes: &mut Vec<u8>, step: &str) {
    let words: Vec<_> = step.split(' ').collect();
    match words[..] {
        ["cut", len] => bytes.truncate(len.parse().expect("a length")),
        ["set", index, value] => {
            let index: usize = index.parse().expect("an index");
            bytes[index] = value.parse().expect("a byte");
        }
        ["add", text] => bytes.extend_from_slice(text.as_bytes()),
        ["add-hex", digits] => bytes.extend(digits.as_bytes().chunks(2).map(|pair| {
            let pair = std::str::from_utf8(pair).expect("ASCII");
            u8::from_str_radix(pair, 16).expect("two digits")
        })),
        _ => panic!("no such damage: {step}"),
    }
}

fn code_named(name: &str) -> Code {
    let found = Code::ALL.iter().find(|code| format!("{code:?}") == name);
    *found.unwrap_or_else(|| panic!("no such code: {name}"))
}
