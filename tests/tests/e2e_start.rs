//! Starts that must be refused with a message that names cause and fix, and machines that are short of something.

#![forbid(unsafe_code)]

use std::{fs, net::TcpListener, process::Command};

use gateway_tests::e2e::{Conn, HelloSpec, LIMIT, Person, Process, Setup, copy_dir, drive_until, shardwire_bin};

/// A data directory of two shards with one message for bob in it, and a stopped gateway.
fn store_with_a_message() -> Setup {
    let setup = Setup::new();
    let mut gateway = setup.start();
    let mut people = [Person::new("alice", &gateway.keys().token("alice"), gateway.addr())];
    people[0].send("bob", "kept");
    drive_until("it is stored", &mut people, |people| people[0].safe().len() == 1);
    gateway.ask_to_end();
    assert!(gateway.wait(LIMIT).success());
    setup
}

/// The message is still there.
fn assert_kept(setup: &Setup) {
    let gateway = setup.start();
    let mut people = [Person::new("bob", &gateway.keys().token("bob"), gateway.addr())];
    drive_until("bob has it", &mut people, |people| people[0].inbox_count() == 1);
    assert_eq!(people[0].inbox(), ["kept"]);
}

#[test]
fn another_shard_count_is_refused_and_nothing_is_lost() {
    let setup = store_with_a_message();
    let message = setup.clone().shards(Some(3)).start_refused();
    assert!(message.contains("2 shards") && message.contains("--shards 2"), "{message}");
    assert_kept(&setup);
}

#[test]
fn a_store_in_use_is_refused_and_its_user_goes_on() {
    let setup = Setup::new();
    let gateway = setup.start();
    let message = setup.start_refused();
    assert!(message.contains("in use") && message.contains("--data-dir"), "{message}");
    Conn::login(gateway.addr(), &HelloSpec::new("alice", &gateway.keys().token("alice"))).ping();
}

#[test]
fn a_port_in_use_is_refused_by_name() {
    let taken = TcpListener::bind("127.0.0.1:0").expect("the system has ports");
    let addr = taken.local_addr().expect("it is bound").to_string();
    let message = Setup::new().arg("--listen").arg(&addr).start_refused();
    assert!(message.contains(&addr) && message.contains("in use") && message.contains("--listen"), "{message}");
}

#[test]
fn the_port_of_another_gateway_is_refused_too() {
    // Both would set SO_REUSEPORT, with which the system lets them share it.
    let gateway = Setup::new().start();
    let addr = gateway.addr().to_string();
    let message = Setup::new().arg("--listen").arg(&addr).start_refused();
    assert!(message.contains(&addr) && message.contains("in use"), "{message}");
}

#[test]
fn a_newer_format_is_refused_and_left_alone() {
    let setup = store_with_a_message();
    let path = setup.data_dir().join("store");
    let bytes = fs::read(&path).unwrap();
    let mut newer = bytes.clone();
    newer[8] = 200;
    fs::write(&path, &newer).unwrap();
    let message = setup.start_refused();
    assert!(message.contains("format 200"), "{message}");
    assert_eq!(fs::read(&path).unwrap(), newer);
    fs::write(&path, &bytes).unwrap();
    assert_kept(&setup);
}

#[test]
fn a_directory_of_something_else_is_refused_and_left_alone() {
    let setup = Setup::new();
    fs::create_dir(setup.data_dir()).unwrap();
    fs::write(setup.data_dir().join("thesis.txt"), "years of work").unwrap();
    let message = setup.start_refused();
    assert!(message.contains("thesis.txt"), "{message}");
    let names: Vec<_> = fs::read_dir(setup.data_dir()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    assert_eq!(names, ["thesis.txt"]);
}

#[test]
fn a_shard_of_another_store_is_refused() {
    let (setup, other) = (store_with_a_message(), store_with_a_message());
    let shard = setup.data_dir().join("shard-00");
    let aside = setup.data_dir().join("../aside");
    fs::rename(&shard, &aside).unwrap();
    copy_dir(&other.data_dir().join("shard-00"), &shard);
    let message = setup.start_refused();
    assert!(message.contains("shard 0"), "{message}");
    fs::remove_dir_all(&shard).unwrap();
    fs::rename(&aside, &shard).unwrap();
    assert_kept(&setup);
}

#[test]
fn a_missing_shard_is_refused_and_not_begun_anew() {
    let setup = store_with_a_message();
    let shard = setup.data_dir().join("shard-01");
    let aside = setup.data_dir().join("../aside");
    fs::rename(&shard, &aside).unwrap();
    let message = setup.start_refused();
    assert!(message.contains("shard-01"), "{message}");
    assert!(!shard.exists());
    fs::rename(&aside, &shard).unwrap();
    assert_kept(&setup);
}

#[test]
fn a_mistake_in_the_configuration_is_refused_with_its_line() {
    let message = Setup::new().config("shards = 1").config("hartbeat = 1").start_refused();
    assert!(message.contains(".toml:2:1: ") && message.contains("hartbeat"), "{message}");
    let message = Setup::new().config("session.heartbeat_s = 5").start_refused();
    assert!(message.contains("heartbeat_s"), "{message}");
}

#[test]
fn without_a_way_to_log_in_it_says_which_flags_there_are() {
    let folder = tempfile::tempdir().unwrap();
    let mut command = Command::new(shardwire_bin());
    command.args(["serve", "--listen", "127.0.0.1:0", "--data-dir"]).arg(folder.path().join("data"));
    command.env("SHARDWIRE__LOGIN__PASSWORDS", "false");
    let mut process = Process::start(command);
    assert_eq!(process.line(LIMIT), None);
    assert!(!process.wait(LIMIT).success());
    process.until_stderr_has("--token-key");
    process.until_stderr_has("--dev");
}

#[test]
fn every_command_has_help() {
    for command_line in [
        "",
        "chat",
        "check-config",
        "config",
        "config print",
        "drain",
        "log",
        "log inspect",
        "log verify",
        "serve",
        "token",
        "token mint",
        "users",
        "users add",
        "users passwd",
        "users list",
        "users disable",
        "users enable",
        "users delete",
    ] {
        let mut command = Command::new(shardwire_bin());
        command.args(command_line.split_whitespace()).arg("--help");
        let mut process = Process::start(command);
        process.line_where(LIMIT, |line| line.contains("Usage: shardwire"));
        assert!(process.wait(LIMIT).success());
    }
}

/// Needs a file system that can be filled without harm, hence root: without it the test says so and ends.
#[test]
fn a_full_disk_refuses_what_it_cannot_store_and_stores_again_when_there_is_room() {
    let Some(disk) = SmallDisk::mount() else {
        println!("skipped: mounting a tmpfs is not permitted here");
        return;
    };
    let setup = Setup::new().data_dir_at(&disk.path().join("data"));
    let gateway = setup.start();
    let keys = gateway.keys();
    let mut people = [
        Person::new("alice", &keys.token("alice"), gateway.addr()),
        Person::new("carol", &keys.token("carol"), gateway.addr()),
    ];
    disk.fill();
    // To bob, who is away: sooner or later there is no room.
    let body = "x".repeat(60_000);
    let mut offered = 0;
    while people[0].refused().is_empty() {
        assert!(offered < 20_000, "a full disk was never noticed");
        for _ in 0..32 {
            people[0].send("bob", &format!("{offered:06}{body}"));
            offered += 1;
        }
        drive_until("each has an outcome", &mut people, |people| people[0].waiting_count() == 0);
    }
    let full = wire::Code::StorageFull.number();
    assert!(people[0].refused().iter().all(|(_, code)| *code == full));
    // What needs no disk goes on.
    people[0].send("carol", "still here?");
    drive_until("carol has it", &mut people, |people| people[1].inbox_count() == 1 && people[0].waiting_count() == 0);
    disk.make_room();
    let stored_before = people[0].safe().len();
    drive_until("it stores again", &mut people, |people| {
        if people[0].waiting_count() == 0 && people[0].safe().len() == stored_before {
            people[0].send("bob", &format!("{offered:06} after all"));
            offered += 1;
        }
        people[0].safe().len() > stored_before
    });
    gateway.process().until_stderr_has("the log stores again");
    // Whatever was acknowledged is there, once, in order; and nothing that was refused.
    let expected: Vec<String> =
        people[0].safe().iter().map(|(body, _)| body.clone()).filter(|body| body != "still here?").collect();
    let mut bob = [Person::new("bob", &keys.token("bob"), gateway.addr())];
    drive_until("bob has everything", &mut bob, |people| people[0].inbox_count() >= expected.len());
    assert!(bob[0].inbox() == expected, "{} came, {} were stored", bob[0].inbox_count(), expected.len());
    drop(gateway);
}

/// A tmpfs of its own that is unmounted at the end.
struct SmallDisk {
    folder: tempfile::TempDir,
}

impl SmallDisk {
    const LEN: u64 = 512 << 20;

    fn mount() -> Option<SmallDisk> {
        let folder = tempfile::tempdir().expect("a temporary directory");
        let size = format!("size={}", SmallDisk::LEN);
        let done = Command::new("mount")
            .args(["-t", "tmpfs", "-o", &size, "tmpfs"])
            .arg(folder.path())
            .output()
            .is_ok_and(|output| output.status.success());
        done.then_some(SmallDisk { folder })
    }

    fn path(&self) -> &std::path::Path {
        self.folder.path()
    }

    /// Takes all the room there is.
    fn fill(&self) {
        let chunk = vec![1; 1 << 20];
        let mut file = fs::File::create(self.path().join("filler")).expect("the disk is empty");
        while std::io::Write::write_all(&mut file, &chunk).is_ok() {}
    }

    fn make_room(&self) {
        fs::remove_file(self.path().join("filler")).expect("the filler is there");
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        // Lazily: a gateway that is being killed may still have files open here.
        let _ = Command::new("umount").arg("--lazy").arg(self.folder.path()).output();
    }
}
