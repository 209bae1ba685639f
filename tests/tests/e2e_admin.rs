//! The admin listener: numbers that move when they should, health that tells the truth, and nobody who gets in its way.

#![forbid(unsafe_code)]

use std::{
    fs,
    io::Write,
    os::unix::fs::PermissionsExt,
    process::{Command, Stdio},
    thread,
};

use gateway_tests::e2e::{
    Admin, Conn, Gateway, HelloSpec, LIMIT, Metrics, Person, Process, Setup, drive_until, read_to_end, until,
};
use rustix::process::Signal;

/// A gateway and its admin listener.
fn start() -> (Gateway, Admin) {
    let gateway = Setup::new().start();
    let admin = Admin::of(&gateway.data_dir());
    (gateway, admin)
}

fn person(name: &str, gateway: &Gateway) -> Person {
    Person::new(name, &gateway.keys().token(name), gateway.addr())
}

#[test]
fn a_delivered_message_is_counted_on_its_way() {
    let (gateway, admin) = start();
    let before = admin.metrics();
    assert_eq!(before.sum("shardwire_shard_up", &[]), 2.0);
    assert_eq!(before.sum("shardwire_messages_accepted_total", &[]), 0.0);
    let mut people = [person("alice", &gateway), person("bob", &gateway)];
    drive_until("both are online", &mut people, |people| people.iter().all(Person::is_online));
    people[0].send("bob", "hello");
    drive_until("it is delivered", &mut people, |people| people[0].safe().len() == 1);
    let after = admin.metrics();
    for name in ["accepted", "acknowledged", "delivered"] {
        assert_eq!(after.sum(&format!("shardwire_messages_{name}_total"), &[]), 1.0, "{name}");
    }
    for name in ["duplicate", "ephemeral", "refused"] {
        assert_eq!(after.sum(&format!("shardwire_messages_{name}_total"), &[]), 0.0, "{name}");
    }
    for name in ["safe", "acknowledge"] {
        assert_eq!(after.sum(&format!("shardwire_message_{name}_seconds_count"), &[]), 1.0, "{name}");
    }
    assert_eq!(after.sum("shardwire_frames_received_total", &["type=\"send\""]), 1.0);
    assert_eq!(after.sum("shardwire_frames_sent_total", &["type=\"deliver\""]), 1.0);
    assert_eq!(after.sum("shardwire_frames_sent_total", &["type=\"welcome\""]), 2.0);
    assert_eq!(after.sum("shardwire_logins_total", &["credential=\"token\"", "result=\"ok\""]), 2.0);
    assert_eq!(after.sum("shardwire_sessions", &[]), 2.0);
    assert_eq!(after.sum("shardwire_devices", &[]), 2.0);
    assert_eq!(after.sum("shardwire_connections", &["transport=\"plain\""]), 2.0);
    assert_eq!(after.sum("shardwire_connections_accepted_total", &[]), 2.0);
    assert_eq!(after.sum("shardwire_guest_connections", &[]), 0.0);
    assert_eq!(after.sum("shardwire_messages_under_way", &[]), 0.0);
    assert_eq!(after.sum("shardwire_outbox_bytes", &[]), 0.0);
    assert!(after.sum("shardwire_turn_seconds_count", &[]) > before.sum("shardwire_turn_seconds_count", &[]));
    // The devices were registered.
    let commits = |metrics: &Metrics| metrics.sum("shardwire_store_commit_seconds_count", &[]);
    assert!(commits(&after) > commits(&before));
}

#[test]
fn a_stored_message_is_counted_in_the_store_until_it_is_fetched() {
    let (gateway, admin) = start();
    let mut people = [person("alice", &gateway)];
    drive_until("she is online", &mut people, |people| people[0].is_online());
    let before = admin.metrics();
    people[0].send("bob", "for later");
    drive_until("it is stored", &mut people, |people| people[0].safe().len() == 1);
    let stored = admin.metrics();
    assert_eq!(stored.sum("shardwire_messages_spilled_total", &[]), 1.0);
    assert_eq!(stored.sum("shardwire_store_inboxes", &[]), 1.0);
    assert_eq!(stored.sum("shardwire_messages_delivered_total", &[]), 0.0);
    let grew = |name: &str| stored.sum(name, &[]) > before.sum(name, &[]);
    assert!(grew("shardwire_store_records_total") && grew("shardwire_store_written_bytes_total"));
    assert!(grew("shardwire_store_used_bytes") && grew("shardwire_store_commit_seconds_count"));
    assert_eq!(stored.sum("shardwire_store_state", &["state=\"ok\""]), 2.0);
    let mut people = [person("bob", &gateway)];
    drive_until("bob has it", &mut people, |people| people[0].inbox_count() == 1);
    drive_until("nothing is stored any more", &mut people, |_| {
        admin.metrics().sum("shardwire_store_inboxes", &[]) == 0.0
    });
    assert_eq!(admin.metrics().sum("shardwire_messages_delivered_total", &[]), 1.0);
}

#[test]
fn refusals_are_counted_by_their_code() {
    let (gateway, admin) = start();
    let mut alice = Conn::login(gateway.addr(), &HelloSpec::new("alice", &gateway.keys().token("alice")));
    let first = alice.send_bytes(1, 0, "#nowhere", b"hello");
    alice.write(&first);
    alice.expect_nack(1);
    // The same again: it was refused, and stays refused.
    alice.write(&first);
    alice.expect_nack(1);
    let second = alice.send_bytes(2, 0, "bob", &vec![0; 64 * 1024]);
    alice.write(&second);
    alice.expect_goaway();
    let mut wrong = Conn::open(gateway.addr());
    wrong.write(&HelloSpec::new("alice", "not a token").bytes());
    wrong.expect_goaway();
    let metrics = admin.metrics();
    assert_eq!(metrics.sum("shardwire_messages_refused_total", &["code=\"not_a_member\""]), 1.0);
    assert_eq!(metrics.sum("shardwire_messages_refused_total", &[]), 1.0);
    assert_eq!(metrics.sum("shardwire_messages_duplicate_total", &[]), 1.0);
    assert_eq!(metrics.sum("shardwire_frames_malformed_total", &[]), 1.0);
    assert_eq!(metrics.sum("shardwire_logins_total", &["credential=\"token\"", "result=\"wrong\""]), 1.0);
    for code in ["bad_credential", "frame_too_large"] {
        assert_eq!(metrics.sum("shardwire_sessions_closed_total", &[&format!("code=\"{code}\"")]), 1.0, "{code}");
    }
}

#[test]
fn what_the_documents_say_is_what_a_scrape_gives() {
    let (_gateway, admin) = start();
    let metrics = admin.metrics();
    let document = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/operations.md");
    let document = fs::read_to_string(document).expect("it is there");
    let mut names = metrics.names();
    names.sort_unstable();
    let mut documented: Vec<_> = document
        .lines()
        .filter_map(|line| line.strip_prefix("| `")?.split('`').next())
        .filter(|name| name.starts_with("shardwire_") || name.starts_with("process_"))
        .collect();
    documented.sort_unstable();
    assert_eq!(names, documented);
}

#[test]
fn promtool_finds_nothing_to_complain_about() {
    let (gateway, admin) = start();
    let mut people = [person("alice", &gateway), person("bob", &gateway)];
    people[0].send("bob", "hello");
    drive_until("it is delivered", &mut people, |people| people[0].safe().len() == 1);
    let command =
        Command::new("promtool").args(["check", "metrics"]).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn();
    let Ok(mut promtool) = command else {
        println!("skipped: there is no promtool here (Debian: it is in the package prometheus)");
        assert!(std::env::var_os("SHARDWIRE_STRICT").is_none(), "nothing is skipped in a strict run");
        return;
    };
    let text = admin.metrics().text().to_owned();
    promtool.stdin.take().expect("it is piped").write_all(text.as_bytes()).expect("it reads");
    let output = promtool.wait_with_output().expect("it ends");
    assert!(output.status.success() && output.stdout.is_empty(), "{}", String::from_utf8_lossy(&output.stdout));
    let rules = concat!(env!("CARGO_MANIFEST_DIR"), "/../deploy/prometheus-rules.yml");
    let output = Command::new("promtool").args(["check", "rules", rules]).output().expect("it was there a moment ago");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}

#[test]
fn a_gateway_that_serves_is_alive_and_ready_and_lists_what_that_needs() {
    let (_gateway, admin) = start();
    assert_eq!((admin.get("/livez").status, admin.get("/livez").body.as_str()), (200, "ok\n"));
    assert_eq!((admin.get("/readyz").status, admin.get("/readyz").body.as_str()), (200, "ready\n"));
    let verbose = admin.get("/readyz?verbose");
    let expected = "[+] gateway: serving\n[+] shard 0: takes messages\n[+] shard 1: takes messages\nready\n";
    assert_eq!((verbose.status, verbose.body.as_str()), (200, expected));
    let index = admin.get("/");
    for route in ["/metrics", "/livez", "/readyz", "/drain", "/accounts"] {
        assert!(index.body.contains(route), "{}", index.body);
    }
}

#[test]
fn a_gateway_that_recovers_is_alive_and_not_ready() {
    if Command::new("strace").arg("-V").output().is_err() {
        println!("skipped: there is no strace here (Debian: apt-get install strace)");
        assert!(std::env::var_os("SHARDWIRE_STRICT").is_none(), "nothing is skipped in a strict run");
        return;
    }
    let setup = Setup::new().shards(Some(1));
    let mut gateway = setup.start();
    gateway.ask_to_end();
    assert!(gateway.wait(LIMIT).success());
    // Recovery begins with a look into the shard's directory, and that takes a minute. As a grandchild: the gateway keeps its
    // place, and gets the signals.
    let folder = gateway.data_dir().join("shard-00");
    let inject = "inject=getdents64:delay_enter=60000000";
    let folder = folder.to_str().expect("text");
    let slow = setup.under(&[
        "strace",
        "-D",
        "-f",
        "-qq",
        "-o",
        "/dev/null",
        "-P",
        folder,
        "-e",
        "trace=getdents64",
        "-e",
        inject,
    ]);
    let mut process = Process::start(slow.command());
    let admin = Admin::of(&gateway.data_dir());
    assert_eq!(admin.get("/livez").status, 200);
    let answer = admin.get("/readyz");
    assert_eq!(answer.status, 503);
    assert_eq!(answer.body, "[-] gateway: recovering\n[-] shard 0: recovering\nnot ready\n");
    assert_eq!(admin.metrics().sum("shardwire_stage", &["stage=\"recovering\""]), 1.0);
    process.end_tracing();
    assert!(process.line(LIMIT).is_some_and(|line| line.starts_with("ready ")), "it goes on");
    assert_eq!(admin.get("/readyz").status, 200);
    process.signal(Signal::TERM);
    assert!(process.wait(LIMIT).success());
}

#[test]
fn drain_takes_the_token_and_nothing_else() {
    let (mut gateway, admin) = start();
    let host = admin.address();
    let bare = admin.ask(&format!("POST /drain HTTP/1.1\r\nHost: {host}\r\nContent-Length: 0\r\n\r\n"));
    assert_eq!((bare.status, bare.body.as_str()), (401, "needs Authorization: Bearer TOKEN\n"));
    assert!(bare.header.contains("www-authenticate: bearer"), "{}", bare.header);
    let (last, rest) = (admin.token().chars().last().expect("it has 64"), &admin.token()[..63]);
    let almost = format!("{rest}{}", if last == '0' { '1' } else { '0' });
    for token in ["", "x", rest, &almost, &format!("{}0", admin.token())] {
        assert_eq!(admin.post("/drain", token, "").status, 401, "{token}");
    }
    let basic = format!("POST /drain HTTP/1.1\r\nHost: {host}\r\nAuthorization: Basic {}\r\n\r\n", admin.token());
    assert_eq!(admin.ask(&basic).status, 401);
    assert_eq!(admin.get("/readyz").status, 200, "it goes on");
    let answer = admin.post("/drain", admin.token(), "");
    assert_eq!((answer.status, answer.body.as_str()), (202, "draining\n"));
    assert!(gateway.wait(LIMIT).success());
    assert!(!gateway.data_dir().join("admin-address").exists(), "it ended in good order");
    let mode = fs::metadata(gateway.data_dir().join("admin-token")).expect("it stays").permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
}

#[test]
fn a_gateway_that_drains_is_alive_and_not_ready() {
    if Command::new("strace").arg("-V").output().is_err() {
        println!("skipped: there is no strace here (Debian: apt-get install strace)");
        assert!(std::env::var_os("SHARDWIRE_STRICT").is_none(), "nothing is skipped in a strict run");
        return;
    }
    let setup = Setup::new().shards(Some(1)).config("drain.deadline_s = 60");
    let mut gateway = setup.start();
    let spare = gateway.data_dir().join("shard-00/spare-00000000");
    until("there is a spare", || spare.exists());
    gateway.ask_to_end();
    assert!(gateway.wait(LIMIT).success());
    // What begins the log takes a minute, so a record that is under way keeps the drain from ending.
    let (spare, trace) = (spare.to_str().expect("text"), "trace=rename,renameat,renameat2");
    let inject = "inject=rename,renameat,renameat2:delay_enter=60000000";
    let slow = setup.under(&["strace", "-D", "-f", "-qq", "-o", "/dev/null", "-P", spare, "-e", trace, "-e", inject]);
    let mut gateway = slow.start();
    let admin = Admin::of(&gateway.data_dir());
    let mut alice = Conn::open(gateway.addr());
    alice.write(&HelloSpec::new("alice", &gateway.keys().token("alice")).bytes());
    until("her device is on its way to the disk", || {
        admin.metrics().sum("shardwire_disk_operations_in_flight", &[]) >= 1.0
    });
    assert_eq!(admin.post("/drain", admin.token(), "").status, 202);
    until("it drains", || admin.get("/readyz").status == 503);
    assert!(admin.get("/readyz?verbose").body.starts_with("[-] gateway: draining\n[+] shard 0: takes messages\n"));
    assert_eq!(admin.get("/livez").status, 200);
    assert_eq!(admin.metrics().sum("shardwire_stage", &["stage=\"draining\""]), 1.0);
    gateway.process().end_tracing();
    assert!(gateway.wait(LIMIT).success());
}

#[test]
fn what_is_asked_wrongly_is_answered_clearly() {
    let (_gateway, admin) = start();
    let host = admin.address();
    let status = |request: &str| admin.ask(&request.replace("HOST", &format!("Host: {host}"))).status;
    assert_eq!(status("GET /nothing HTTP/1.1\r\nHOST\r\n\r\n"), 404);
    assert_eq!(status("DELETE /metrics HTTP/1.1\r\nHOST\r\n\r\n"), 405);
    assert_eq!(status("GET /drain HTTP/1.1\r\nHOST\r\n\r\n"), 405);
    assert_eq!(status("GET /metrics HTTP/1.1\r\n\r\n"), 400);
    for name in ["evil.example", "127.0.0.1.evil.example:80", "10.1.2.3"] {
        assert_eq!(status(&format!("GET /metrics HTTP/1.1\r\nHost: {name}\r\n\r\n")), 421, "{name}");
    }
    assert_eq!(status("GET /livez HTTP/1.1\r\nHost: localhost:1\r\n\r\n"), 200);
    let long = "x".repeat(64 * 1024);
    assert_eq!(admin.post("/drain", admin.token(), &long).status, 413);
    assert_eq!(admin.post("/accounts", admin.token(), "{").status, 400);
    assert_eq!(admin.post("/accounts", admin.token(), "{\"command\":\"obey\"}").status, 400);
    assert_eq!(admin.get("/readyz").status, 200, "it goes on");
}

#[test]
fn accounts_are_listed_with_the_token_only() {
    let (_gateway, admin) = start();
    let list = "{\"command\":\"list\",\"after\":\"\"}";
    assert_eq!(admin.post("/accounts", "wrong", list).status, 401);
    let add = "{\"command\":\"add\",\"user\":\"alice\",\"password\":\"a good password\"}";
    let answer = admin.post("/accounts", admin.token(), add);
    assert_eq!((answer.status, answer.body.as_str()), (200, "{\"answer\":\"done\"}"));
    assert_eq!(admin.post("/accounts", admin.token(), add).status, 409);
    let answer = admin.post("/accounts", admin.token(), list);
    assert_eq!(answer.status, 200);
    assert!(answer.body.contains("\"user\":\"alice\""), "{}", answer.body);
}

#[test]
fn garbage_and_those_who_say_nothing_keep_nobody_out() {
    let (_gateway, admin) = start();
    for garbage in
        [&b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03"[..], b"\0\0\0\0", b"GET\r\n\r\n", b"\xff\xfe\r\n\r\n"]
    {
        let answer = admin.send(&[garbage, &[b'x'; 100_000]].concat());
        assert!(answer.is_empty() || answer.starts_with("HTTP/1.1 4"), "{answer}");
    }
    // More than it takes at once: the others wait until the time of these is over.
    let mut silent: Vec<_> = (0..20).map(|_| admin.connect()).collect();
    silent[0].write_all(b"GET /metrics HTTP/1.1\r\nHost: local").expect("it is open");
    assert_eq!(admin.get("/livez").status, 200);
    let answer = read_to_end(&mut silent[0]);
    assert!(answer.is_empty() || answer.starts_with("HTTP/1.1 4"), "{answer}");
}

#[test]
fn many_who_scrape_are_all_answered() {
    let (gateway, admin) = start();
    let mut people = [person("alice", &gateway), person("bob", &gateway)];
    let scrapers: Vec<_> = (0..8)
        .map(|_| {
            let admin = admin.clone();
            thread::spawn(move || (0..10).for_each(|_| assert_eq!(admin.metrics().sum("shardwire_shard_up", &[]), 2.0)))
        })
        .collect();
    (0..50).for_each(|n| people[0].send("bob", &n.to_string()));
    drive_until("all is delivered", &mut people, |people| {
        people[0].safe().len() == 50 && people[1].inbox_count() == 50
    });
    scrapers.into_iter().for_each(|scraper| scraper.join().expect("it was answered"));
    assert_eq!(admin.metrics().sum("shardwire_messages_accepted_total", &[]), 50.0);
}

#[test]
fn an_admin_address_in_use_is_refused_by_name_and_none_is_none() {
    let (_gateway, admin) = start();
    let address = admin.address().to_string();
    let message = Setup::new().arg("--admin-listen").arg(&address).start_refused();
    assert!(
        message.contains(&address) && message.contains("in use") && message.contains("--admin-listen"),
        "{message}"
    );
    let without = Setup::new().arg("--admin-listen").arg("none").start();
    assert!(!without.data_dir().join("admin-address").exists());
}
