//! `shardwire log`: what it says of a good store, of damaged copies, and of one that is in use.

#![forbid(unsafe_code)]

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use gateway_tests::e2e::{Conn, Gateway, HelloSpec, LIMIT, Person, Process, Setup, drive, drive_until, shardwire_bin};
use serde_json::Value;
use tempfile::TempDir;

/// What a command printed, and its exit code.
struct Answer {
    code: i32,
    stdout: String,
    stderr: String,
}

fn log(args: &[&str], dir: &Path) -> Answer {
    let mut command = Command::new(shardwire_bin());
    let output = command.arg("log").args(args).arg("--data-dir").arg(dir).output().expect("the program runs");
    Answer {
        code: output.status.code().expect("it ends by itself"),
        stdout: String::from_utf8(output.stdout).expect("text"),
        stderr: String::from_utf8(output.stderr).expect("text"),
    }
}

fn verify(dir: &Path) -> Answer {
    log(&["verify"], dir)
}

fn json(args: &[&str], dir: &Path) -> (i32, Value) {
    let answer = log(&[args, &["--json"]].concat(), dir);
    let value = serde_json::from_str(&answer.stdout).unwrap_or_else(|error| panic!("{error}: {}", answer.stdout));
    (answer.code, value)
}

/// Damage found, as file and offset.
fn damage(dir: &Path) -> Vec<(String, u64)> {
    let (code, document) = json(&["verify"], dir);
    assert_eq!(code, 5, "{document:#}");
    assert_eq!(document["result"], "damaged");
    let of_shards = document["shards"].as_array().expect("shards").iter().flat_map(|shard| {
        let findings = shard["findings"].as_array().expect("findings").iter();
        findings.filter(|finding| finding["is_damage"] == true)
    });
    let all = document["damage"].as_array().expect("damage").iter().chain(of_shards);
    all.map(|finding| {
        (finding["file"].as_str().expect("a file").to_owned(), finding["offset"].as_u64().expect("a place"))
    })
    .collect()
}

/// A data directory around the store that version 1 wrote: it is shard 1 of 4.
struct Fixture {
    folder: TempDir,
}

const SEALED: &str = "segment-00000001";
const OPEN: &str = "segment-00000002";

impl Fixture {
    fn new() -> Fixture {
        let folder = tempfile::tempdir().expect("a temporary directory");
        let mut store = [0; 64];
        store[..8].copy_from_slice(b"SHRDWIRE");
        store[8] = 1;
        store[12] = 4;
        store[16..32].copy_from_slice(b"0123456789abcdef");
        let crc = crc32c::crc32c(&store[..60]);
        store[60..].copy_from_slice(&crc.to_le_bytes());
        fs::write(folder.path().join("store"), store).expect("it can be written");
        for shard in 0..4 {
            fs::create_dir(folder.path().join(format!("shard-{shard:02}"))).expect("it can be made");
        }
        let fixture = Fixture { folder };
        let from = Path::new(env!("CARGO_MANIFEST_DIR")).join("../storage/fixtures/v1");
        for (name, len) in [("super", 8_192), (SEALED, 65_536), (OPEN, 65_536)] {
            // Zeros at the end are left out in the repository.
            let mut bytes = fs::read(from.join(name)).expect("the fixture");
            bytes.resize(len, 0);
            fs::write(fixture.file(name), bytes).expect("it can be written");
        }
        fixture
    }

    fn dir(&self) -> &Path {
        self.folder.path()
    }

    fn file(&self, name: &str) -> PathBuf {
        self.dir().join("shard-01").join(name)
    }

    fn change(&self, name: &str, change: impl FnOnce(&mut Vec<u8>)) {
        let mut bytes = fs::read(self.file(name)).expect("it is there");
        change(&mut bytes);
        fs::write(self.file(name), bytes).expect("it can be written");
    }

    /// Every file and what is in it.
    fn content(&self) -> BTreeMap<PathBuf, Vec<u8>> {
        let mut content = BTreeMap::new();
        for dir in [self.dir().to_owned(), self.dir().join("shard-01")] {
            for entry in fs::read_dir(dir).expect("it can be read").map(|entry| entry.expect("an entry").path()) {
                if entry.is_file() {
                    content.insert(entry.clone(), fs::read(&entry).expect("it can be read"));
                }
            }
        }
        content
    }
}

#[test]
fn a_good_store_is_clean_and_stays_as_it_is() {
    let store = Fixture::new();
    let before = store.content();
    let answer = verify(store.dir());
    assert_eq!((answer.code, answer.stdout.lines().last()), (0, Some("clean")), "{}", answer.stdout);
    assert!(answer.stdout.contains("shard-01: read 2 segments"), "{}", answer.stdout);
    assert_eq!(log(&["inspect"], store.dir()).code, 0);
    assert!(store.content() == before, "nothing is written, not even a lock");
}

#[test]
fn a_flipped_bit_in_any_region_is_found_in_its_file_at_or_before_its_place() {
    // Headers, batch headers, records, bodies, the seal; then the superblocks.
    for place in [3, 50, 4_200, 8_192, 8_200, 8_215, 8_300, 9_000, 20_000, 40_001, 58_400, 58_456] {
        let store = Fixture::new();
        store.change(SEALED, |bytes| bytes[place] ^= 4);
        let found = damage(store.dir());
        assert!(!found.is_empty(), "byte {place}");
        assert!(
            found.iter().all(|(file, offset)| file == SEALED && *offset <= place as u64),
            "byte {place}: {found:?}"
        );
    }
    for (place, offset) in [(0, 0), (60, 0), (4_000, 0), (4_100, 4_096), (8_000, 4_096)] {
        let store = Fixture::new();
        store.change("super", |bytes| bytes[place] ^= 4);
        assert_eq!(damage(store.dir()), [("super".to_owned(), offset)], "byte {place}");
    }
}

#[test]
fn damage_is_told_with_file_and_offset() {
    let store = Fixture::new();
    store.change(SEALED, |bytes| {
        let at = bytes.windows(5).position(|window| window == b"hello").expect("it is there");
        bytes[at] ^= 0x20;
    });
    let answer = verify(store.dir());
    assert_eq!(answer.code, 5);
    let line = answer.stdout.lines().find(|line| line.starts_with("DAMAGE")).expect("it is told");
    assert!(line.contains("shard-01/segment-00000001 at byte 8296:") && line.contains("record 2 is lost"), "{line}");
    assert_eq!(answer.stdout.lines().last(), Some("DAMAGED: 1 findings"));
}

#[test]
fn a_torn_tail_is_told_and_is_clean() {
    let store = Fixture::new();
    let (_, document) = json(&["verify"], store.dir());
    let end = usize::try_from(document["shards"][1]["segments"][1]["end"].as_u64().unwrap()).unwrap();
    // The attest is gone, and half of the batch before it.
    store.change(OPEN, |bytes| bytes[end - 60..].fill(0));
    let answer = verify(store.dir());
    assert_eq!((answer.code, answer.stdout.lines().last()), (0, Some("clean")), "{}", answer.stdout);
    assert!(answer.stdout.lines().any(|line| line.starts_with("note") && line.contains(OPEN)), "{}", answer.stdout);
}

#[test]
fn files_cut_short_zeroed_swapped_copied_or_gone_are_found() {
    let found_in = |name: &str, spoil: &dyn Fn(&Fixture)| {
        let store = Fixture::new();
        spoil(&store);
        let found = damage(store.dir());
        assert!(found.iter().any(|(file, _)| file == name), "{name}: {found:?}");
    };
    for len in [0, 4_096, 8_192, 30_000, 65_000] {
        found_in(SEALED, &|store| store.change(SEALED, |bytes| bytes.truncate(len)));
    }
    for start in [0, 4_096, 8_192, 40_960, 57_344] {
        found_in(SEALED, &|store| store.change(SEALED, |bytes| bytes[start..start + 4_096].fill(0)));
    }
    for name in [SEALED, OPEN] {
        found_in(name, &|store| {
            let aside = store.file("aside");
            fs::rename(store.file(SEALED), &aside).unwrap();
            fs::rename(store.file(OPEN), store.file(SEALED)).unwrap();
            fs::rename(aside, store.file(OPEN)).unwrap();
        });
    }
    found_in("segment-00000007", &|store| {
        fs::copy(store.file(SEALED), store.file("segment-00000007")).unwrap();
    });
    found_in("super", &|store| fs::remove_file(store.file("super")).unwrap());
    found_in("store", &|store| fs::write(store.dir().join("store"), [7; 64]).unwrap());
    found_in("shard-02", &|store| fs::remove_dir(store.dir().join("shard-02")).unwrap());
}

#[test]
fn a_segment_of_another_store_is_found() {
    // A gateway's own, with what it stored.
    let stranger = stored();
    let store = Fixture::new();
    let (_, document) = json(&["inspect"], &stranger.data_dir());
    let shard = document["shards"].as_array().unwrap().iter().find(|shard| shard["segments"][0]["file"].is_string());
    let shard = shard.expect("something was stored")["shard"].as_u64().unwrap();
    fs::copy(stranger.data_dir().join(format!("shard-{shard:02}/{SEALED}")), store.file(SEALED)).unwrap();
    let found = damage(store.dir());
    assert!(found.contains(&(SEALED.to_owned(), 0)), "{found:?}");
}

#[test]
fn what_cannot_be_checked_is_not_called_damaged() {
    let missing = tempfile::tempdir().unwrap();
    let answer = verify(&missing.path().join("nothing/here"));
    assert_eq!(answer.code, 1);
    assert!(answer.stderr.contains("nothing/here"), "{}", answer.stderr);
    let answer = verify(missing.path());
    assert_eq!(answer.code, 1);
    assert!(answer.stderr.contains("there is no store"), "{}", answer.stderr);
    let newer = Fixture::new();
    newer.change("super", |bytes| {
        bytes[12] = 9;
        let crc = crc32c::crc32c(&bytes[12..4_096]);
        bytes[8..12].copy_from_slice(&crc.to_le_bytes());
    });
    let answer = verify(newer.dir());
    assert_eq!(answer.code, 1, "{}", answer.stdout);
    assert!(answer.stderr.contains("newer version"), "{}", answer.stderr);
    let store = Fixture::new();
    // A directory where a file should be cannot be read by anybody.
    fs::remove_file(store.file(OPEN)).unwrap();
    fs::create_dir(store.file(OPEN)).unwrap();
    assert_eq!(verify(store.dir()).code, 1);
}

#[test]
fn a_segment_is_told_record_by_record_and_bodies_only_when_asked_for() {
    let store = Fixture::new();
    let one = ["inspect", "--shard", "1", "--segment", "1", "--limit", "1"];
    let answer = log(&one, store.dir());
    assert_eq!(answer.code, 0, "{}", answer.stderr);
    for part in ["data batch", "LSN 1 device", "user user1", "LSN 2 message", "mid 1:41", "body_len 5"] {
        assert!(answer.stdout.contains(part), "{part}: {}", answer.stdout);
    }
    assert!(!answer.stdout.contains("68656c6c6f"), "{}", answer.stdout);
    let answer = log(&[&one[..], &["--bodies"]].concat(), store.dir());
    assert!(answer.stdout.contains("body 68656c6c6f"), "{}", answer.stdout);
    // From a place on; and the whole as a document.
    let (_, document) =
        json(&["inspect", "--shard", "1", "--segment", SEALED, "--from", "8193", "--limit", "2"], store.dir());
    let batches = document["shards"][0]["batches"].as_array().expect("batches");
    assert_eq!(batches.len(), 2);
    assert!(batches[0]["offset"].as_u64() > Some(8_192) && batches[0]["records"][0]["lsn"].as_u64() > Some(4));
    let answer = log(&["inspect", "--segment", "1"], store.dir());
    assert!(answer.code == 1 && answer.stderr.contains("--shard"), "{}", answer.stderr);
    let answer = log(&["inspect", "--shard", "1", "--segment", "99"], store.dir());
    assert!(answer.code == 1 && answer.stderr.contains("segment-00000063"), "{}", answer.stderr);
}

#[test]
fn the_document_has_the_keys_that_are_documented() {
    let docs = fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/operations.md")).unwrap();
    let store = Fixture::new();
    store.change(SEALED, |bytes| bytes[9_000] ^= 1);
    let (_, verified) = json(&["verify"], store.dir());
    let (_, inspected) = json(&["inspect", "--shard", "1", "--segment", "1", "--bodies"], store.dir());
    let mut keys = Vec::new();
    gather_keys(&verified, &mut keys);
    gather_keys(&inspected, &mut keys);
    for key in keys {
        assert!(docs.contains(&format!("`{key}`")), "{key} is not in docs/operations.md");
    }
}

fn gather_keys(value: &Value, keys: &mut Vec<String>) {
    match value {
        Value::Object(map) => {
            for (key, value) in map {
                keys.push(key.clone());
                gather_keys(value, keys);
            }
        }
        Value::Array(values) => values.iter().for_each(|value| gather_keys(value, keys)),
        _ => {}
    }
}

/// A store of a gateway that has ended, with messages for bob.
fn stored() -> Setup {
    let setup = Setup::new();
    let mut gateway = setup.start();
    let mut people = [Person::new("alice", &gateway.keys().token("alice"), gateway.addr())];
    (0..50).for_each(|number| people[0].send("bob", &format!("message {number}")));
    drive_until("all is stored", &mut people, |people| people[0].safe().len() == 50);
    gateway.ask_to_end();
    assert!(gateway.wait(LIMIT).success());
    setup
}

#[test]
fn a_store_that_ended_well_is_clean_and_damage_is_what_a_start_says() {
    let setup = stored();
    assert_eq!(verify(&setup.data_dir()).code, 0);
    let mut files = Vec::new();
    for shard in ["shard-00", "shard-01"] {
        let path = setup.data_dir().join(shard).join(SEALED);
        let bytes = fs::read(&path).unwrap_or_default();
        files.extend(bytes.windows(10).position(|window| window == b"message 17").map(|at| (path.clone(), at)));
    }
    let [(path, at)] = &files[..] else { panic!("{files:?}") };
    let mut bytes = fs::read(path).unwrap();
    bytes[*at] ^= 1;
    fs::write(path, bytes).unwrap();
    let [(file, offset)] = &damage(&setup.data_dir())[..] else { panic!("one place") };
    let gateway = setup.start();
    gateway.process().until_stderr_has("DAMAGED");
    let said = gateway.process().stderr();
    let line = said.lines().find(|line| line.contains("DAMAGED")).expect("it is said");
    assert!(line.contains(file) && line.contains(&offset.to_string()), "{line}");
}

#[test]
fn the_log_of_a_running_gateway_under_load_is_clean_and_so_is_what_a_kill_leaves() {
    let mut gateway = Gateway::start();
    let keys = gateway.keys();
    let mut people = [
        Person::new("alice", &keys.token("alice"), gateway.addr()),
        Person::new("carol", &keys.token("carol"), gateway.addr()),
    ];
    let dir = gateway.data_dir();
    let body = "x".repeat(20_000);
    // Some 200 MB, so that segments are sealed and begun while they are looked at.
    let mut looks = Vec::new();
    for round in 0..100 {
        for person in &mut people {
            (0..50).for_each(|_| person.send("bob", &body));
        }
        if round % 20 == 10 {
            let mut command = Command::new(shardwire_bin());
            command.args(["log", "verify", "--data-dir"]).arg(&dir);
            looks.push(Process::start(command));
        }
        drive_until("it is safe", &mut people, |people| people.iter().all(|person| person.waiting_count() == 0));
    }
    for look in &mut looks {
        let status = look.wait(LIMIT);
        let said: String = std::iter::from_fn(|| look.line(LIMIT)).map(|line| line + "\n").collect();
        assert_eq!(status.code(), Some(0), "{said}\n{}", look.stderr());
        assert!(said.contains("uses this store"), "{said}");
    }
    let inspected = log(&["inspect"], &dir);
    assert!(inspected.code == 0 && inspected.stdout.contains("sealed"), "{}", inspected.stdout);
    // In the middle of a write, or not.
    (0..50).for_each(|_| people[0].send("bob", &body));
    drive(&mut people, std::time::Duration::from_millis(5));
    gateway.kill();
    let answer = verify(&dir);
    assert_eq!(answer.code, 0, "{}", answer.stdout);
    let gateway = gateway.start_again();
    Conn::login(gateway.addr(), &HelloSpec::new("dave", &keys.token("dave"))).ping();
    assert!(!gateway.process().stderr().contains("DAMAGED"));
}
