//! A frame as JSON, for the golden vectors. Numbers of 64 bits are strings (many languages' JSON loses them), bytes are hex.

use serde_json::{Value, json};
use wire::{
    Frame,
    frame::{Account, AccountOp, Credential, Hello, SafeBy, Welcome},
    frame_type,
};

pub(crate) fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

pub(crate) fn type_name(frame_type: u8) -> Value {
    frame_type::name(frame_type).map_or(Value::Null, Value::from)
}

pub(crate) fn fields(frame: &Frame<'_>) -> Value {
    match frame {
        Frame::Ping(ping) | Frame::Pong(ping) => json!({ "token": ping.token }),
        Frame::Send(send) => json!({
            "mid": wide(send.mid.0), "device_no": send.mid.device_no().0, "counter": wide(send.mid.counter().0),
            "span": send.span, "flags": send.flags.0, "kind": send.kind, "to": send.to.as_str(), "body": hex(send.body),
        }),
        Frame::SendAck(acks) => acks
            .iter()
            .map(|ack| {
                json!({ "counter": wide(ack.counter.0), "safe_by": safe_by(ack.safe_by), "self_id": wide(ack.self_id.0) })
            })
            .collect(),
        Frame::SendNack(nack) => json!({ "counter": wide(nack.counter.0), "code": nack.code }),
        Frame::Deliver(deliver) => json!({
            "id": wide(deliver.id.0), "mid": wide(deliver.mid.0), "device_no": deliver.mid.device_no().0,
            "counter": wide(deliver.mid.counter().0), "flags": deliver.flags.0, "kind": deliver.kind,
            "from": deliver.from.as_str(), "to": deliver.to.as_str(), "body": hex(deliver.body),
        }),
        Frame::DeliverAck(ack) => json!({ "id": wide(ack.id.0) }),
        Frame::Read(read) => json!({
            "mid": wide(read.mid.0), "from": read.from.as_str(), "conversation": read.conversation.as_str(),
        }),
        Frame::Receipt(receipts) => json!({
            "from": receipts.from.as_str(), "conversation": receipts.conversation.as_str(),
            "marks": receipts.marks.iter()
                .map(|mark| json!({ "delivered": wide(mark.delivered.0), "read": wide(mark.read.0) }))
                .collect::<Value>(),
        }),
        Frame::Typing(typing) => json!({
            "state": typing.state, "peer": typing.peer.as_str(), "conversation": typing.conversation.as_str(),
        }),
        Frame::Presence(presences) => presences
            .iter()
            .map(|one| json!({ "state": one.state, "idle_min": one.idle_min, "user": one.user.as_str() }))
            .collect(),
        Frame::Credit(credit) => json!({ "entries": credit.entries, "bytes": credit.bytes }),
        Frame::Gap(gap) => json!({ "first": wide(gap.first.0), "last": wide(gap.last.0), "reason": gap.reason }),
        Frame::Hello(hello) => hello_fields(hello),
        Frame::Welcome(welcome) => welcome_fields(welcome),
        Frame::Error(error) => json!({ "code": error.code, "frame_type": error.frame_type, "text": error.text }),
        Frame::GoAway(goaway) => json!({
            "code": goaway.code, "slot_start_ms": goaway.slot_start_ms, "slot_len_ms": goaway.slot_len_ms, "text": goaway.text,
        }),
        Frame::Logout(logout) => json!({ "forget": logout.forget }),
        Frame::Account(account) => account_fields(account),
        Frame::AccountDone(done) => json!({
            "request": done.request, "code": done.code, "text": done.text, "ticket": hex(done.ticket), "retry_ms": done.retry_ms,
        }),
    }
}

fn hello_fields(hello: &Hello<'_>) -> Value {
    let (credential, value) = match hello.credential {
        Credential::Token(token) => ("token", token.to_owned()),
        Credential::Password(password) => ("password", password.to_owned()),
        Credential::Ticket(ticket) => ("ticket", hex(ticket)),
    };
    json!({
        "version_min": hello.version_min, "version_max": hello.version_max, "features": wide(hello.features),
        "user": hello.user.as_str(), credential: value, "device": hello.device.as_str(),
        "incarnation": wide(hello.incarnation.0), "lowest_unresolved": wide(hello.lowest_unresolved.0),
        "highest_sent": wide(hello.highest_sent.0), "last_id": wide(hello.last_id.0),
        "credit_entries": hello.credit.entries, "credit_bytes": hello.credit.bytes,
        "client_name": hello.client_name, "client_version": hello.client_version,
        "store": hex(hello.store),
    })
}

fn welcome_fields(welcome: &Welcome<'_>) -> Value {
    json!({
        "version": welcome.version, "features": wide(welcome.features), "device_no": welcome.device_no.0,
        "boot": wide(welcome.boot), "head": wide(welcome.head.0), "oldest": wide(welcome.oldest.0),
        "heartbeat_s": welcome.heartbeat_s, "payload_len_max": welcome.payload_len_max,
        "in_flight_max": welcome.in_flight_max, "stored_is_synced": welcome.stored_is_synced,
        "ticket": hex(welcome.ticket), "server_time_us": wide(welcome.server_time_us),
        "store": hex(welcome.store),
    })
}

fn account_fields(Account { request, op }: &Account<'_>) -> Value {
    let mut fields = json!({ "request": request, "op": op.number() });
    let mut set = |field: &str, text: &str| fields[field] = text.into();
    match op {
        AccountOp::Register { user, password } => {
            set("user", user.as_str());
            set("password", password);
        }
        AccountOp::ChangePassword { password, new_password } => {
            set("password", password);
            set("new_password", new_password);
        }
        AccountOp::Delete { password } => set("password", password),
    }
    fields
}

fn safe_by(safe_by: SafeBy) -> &'static str {
    match safe_by {
        SafeBy::Received => "received",
        SafeBy::Stored => "stored",
        SafeBy::Duplicate => "duplicate",
    }
}

fn wide(number: u64) -> String {
    number.to_string()
}
