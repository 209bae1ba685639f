//! Control frames: FlatBuffers tables to values and back. The verifier runs once, with limits that fit our flat tables.

use flatbuffers::{FlatBufferBuilder, Follow, Verifiable, VerifierOptions, root_with_opts};

use crate::{
    Counter, Device, DeviceNo, Id, Incarnation, WireError,
    decode::{credit, out_of_range, user},
    frame::{Account, AccountDone, AccountOp, Credential, ErrorInfo, GoAway, Hello, Logout, Welcome},
    frame_type,
    generated::shardwire::{
        AccountDoneTable, AccountDoneTableArgs, AccountTable, AccountTableArgs, ErrorTable, ErrorTableArgs,
        GoAwayTable, GoAwayTableArgs, HelloTable, HelloTableArgs, LogoutTable, LogoutTableArgs, WelcomeTable,
        WelcomeTableArgs,
    },
    limits::{
        ACCOUNT_PASSWORD_LEN_MAX, CLIENT_PAYLOAD_LEN_MAX, CLIENT_TEXT_LEN_MAX, HEARTBEAT_S_RANGE, IN_FLIGHT_MAX,
        PAYLOAD_LEN_MAX, STORE_LEN,
    },
};

/// What a control frame's table may cost to verify.
///
/// A FlatBuffers table can be reached many times inside one buffer, so work and apparent size are not bounded by the buffer's
/// length: with the crate's defaults 332 bytes make the verifier walk a million tables. Ours are flat. The apparent size allows for an
/// encoder that writes equal strings once.
pub fn verifier_options() -> VerifierOptions {
    VerifierOptions {
        max_depth: 4,
        max_tables: 16,
        max_apparent_size: 2 * CLIENT_PAYLOAD_LEN_MAX,
        ignore_missing_null_terminator: false,
    }
}

fn root<'a, T>(frame_type: u8, payload: &'a [u8]) -> Result<T::Inner, WireError>
where
    T: Follow<'a> + Verifiable + 'a,
{
    // The exact slice: `size_prefixed_root` would trust a prefix that it does not check.
    root_with_opts::<T>(&verifier_options(), payload)
        .map_err(|_| WireError::Malformed { frame_type, what: "its table does not verify" })
}

pub(crate) fn read_hello(payload: &[u8]) -> Result<Hello<'_>, WireError> {
    const FRAME_TYPE: u8 = frame_type::HELLO;
    let table = root::<HelloTable<'_>>(FRAME_TYPE, payload)?;
    if table.version_min() > table.version_max() {
        return Err(out_of_range(FRAME_TYPE, "version_min is at most version_max"));
    }
    let device = Device::parse(table.device().unwrap_or_default().as_bytes())
        .map_err(|error| WireError::BadName { frame_type: FRAME_TYPE, error })?;
    let (lowest_unresolved, highest_sent) = (table.lowest_unresolved(), table.highest_sent());
    if highest_sent > Counter::MAX.0
        || lowest_unresolved == 0
        || lowest_unresolved > highest_sent + 1
        || highest_sent - (lowest_unresolved - 1) > IN_FLIGHT_MAX
    {
        return Err(out_of_range(
            FRAME_TYPE,
            "1 <= lowest_unresolved <= highest_sent + 1, and highest_sent - lowest_unresolved < 64",
        ));
    }
    let (client_name, client_version) =
        (table.client_name().unwrap_or_default(), table.client_version().unwrap_or_default());
    if client_name.len() > CLIENT_TEXT_LEN_MAX || client_version.len() > CLIENT_TEXT_LEN_MAX {
        return Err(out_of_range(FRAME_TYPE, "client_name and client_version have at most 64 bytes"));
    }
    let store = store(FRAME_TYPE, table.store().map(|bytes| bytes.bytes()))?;
    Ok(Hello {
        version_min: table.version_min(),
        version_max: table.version_max(),
        features: table.features(),
        user: user(FRAME_TYPE, table.user().unwrap_or_default().as_bytes())?,
        credential: credential(&table)?,
        device,
        incarnation: Incarnation(table.incarnation()),
        lowest_unresolved: Counter(lowest_unresolved),
        highest_sent: Counter(highest_sent),
        last_id: Id(table.last_id()),
        credit: credit(FRAME_TYPE, table.credit_entries(), table.credit_bytes())?,
        client_name,
        client_version,
        store,
    })
}

fn store(frame_type: u8, name: Option<&[u8]>) -> Result<&[u8], WireError> {
    let name = name.unwrap_or_default();
    if !name.is_empty() && name.len() != STORE_LEN {
        return Err(out_of_range(frame_type, "store has 16 bytes, or none"));
    }
    Ok(name)
}

/// Empty counts as absent: some languages' builders write empty strings.
fn credential<'a>(table: &HelloTable<'a>) -> Result<Credential<'a>, WireError> {
    let token = table.token().filter(|text| !text.is_empty());
    let password = table.password().filter(|text| !text.is_empty());
    let ticket = table.ticket().map(|bytes| bytes.bytes()).filter(|bytes| !bytes.is_empty());
    match (token, password, ticket) {
        (Some(token), None, None) => Ok(Credential::Token(token)),
        (None, Some(password), None) => Ok(Credential::Password(password)),
        (None, None, Some(ticket)) => Ok(Credential::Ticket(ticket)),
        _ => Err(WireError::OneCredential),
    }
}

pub(crate) fn read_welcome(payload: &[u8]) -> Result<Welcome<'_>, WireError> {
    const FRAME_TYPE: u8 = frame_type::WELCOME;
    let table = root::<WelcomeTable<'_>>(FRAME_TYPE, payload)?;
    if table.device_no() == 0 {
        return Err(out_of_range(FRAME_TYPE, "device_no is 1 and up"));
    }
    if !HEARTBEAT_S_RANGE.contains(&table.heartbeat_s()) {
        return Err(out_of_range(FRAME_TYPE, "heartbeat_s is 25 to 1680"));
    }
    if table.payload_len_max() as usize > PAYLOAD_LEN_MAX || table.payload_len_max() == 0 {
        return Err(out_of_range(FRAME_TYPE, "payload_len_max is 1 to 16,777,215"));
    }
    if table.in_flight_max() == 0 || u64::from(table.in_flight_max()) > IN_FLIGHT_MAX {
        return Err(out_of_range(FRAME_TYPE, "in_flight_max is 1 to 64"));
    }
    let store = store(FRAME_TYPE, table.store().map(|bytes| bytes.bytes()))?;
    Ok(Welcome {
        version: table.version(),
        features: table.features(),
        device_no: DeviceNo(table.device_no()),
        boot: table.boot(),
        head: Id(table.head()),
        oldest: Id(table.oldest()),
        heartbeat_s: table.heartbeat_s(),
        payload_len_max: table.payload_len_max(),
        in_flight_max: table.in_flight_max(),
        stored_is_synced: table.stored_is_synced(),
        ticket: table.ticket().map(|bytes| bytes.bytes()).unwrap_or_default(),
        server_time_us: table.server_time_us(),
        store,
    })
}

pub(crate) fn read_error(payload: &[u8]) -> Result<ErrorInfo<'_>, WireError> {
    let table = root::<ErrorTable<'_>>(frame_type::ERROR, payload)?;
    Ok(ErrorInfo { code: table.code(), frame_type: table.frame_type(), text: table.text().unwrap_or_default() })
}

pub(crate) fn read_goaway(payload: &[u8]) -> Result<GoAway<'_>, WireError> {
    let table = root::<GoAwayTable<'_>>(frame_type::GOAWAY, payload)?;
    Ok(GoAway {
        code: table.code(),
        slot_start_ms: table.slot_start_ms(),
        slot_len_ms: table.slot_len_ms(),
        text: table.text().unwrap_or_default(),
    })
}

pub(crate) fn read_logout(payload: &[u8]) -> Result<Logout, WireError> {
    let table = root::<LogoutTable<'_>>(frame_type::LOGOUT, payload)?;
    Ok(Logout { forget: table.forget() })
}

pub(crate) fn read_account(payload: &[u8]) -> Result<Account<'_>, WireError> {
    const FRAME_TYPE: u8 = frame_type::ACCOUNT;
    let table = root::<AccountTable<'_>>(FRAME_TYPE, payload)?;
    let name = table.user().unwrap_or_default();
    let (password, new_password) = (table.password().unwrap_or_default(), table.new_password().unwrap_or_default());
    if password.len().max(new_password.len()) > ACCOUNT_PASSWORD_LEN_MAX {
        return Err(out_of_range(FRAME_TYPE, "a password has at most 1,024 bytes"));
    }
    // What an op has no use for is not passed over: somebody who names a user means that one and no other.
    let op = match (table.op(), name.is_empty(), new_password.is_empty()) {
        (1, _, true) => AccountOp::Register { user: user(FRAME_TYPE, name.as_bytes())?, password },
        (2, true, _) => AccountOp::ChangePassword { password, new_password },
        (3, true, true) => AccountOp::Delete { password },
        (1..=3, ..) => return Err(out_of_range(FRAME_TYPE, "user is for op 1 only, new_password for op 2 only")),
        _ => return Err(out_of_range(FRAME_TYPE, "op is 1 to 3")),
    };
    Ok(Account { request: table.request(), op })
}

pub(crate) fn read_account_done(payload: &[u8]) -> Result<AccountDone<'_>, WireError> {
    let table = root::<AccountDoneTable<'_>>(frame_type::ACCOUNT_DONE, payload)?;
    Ok(AccountDone {
        request: table.request(),
        code: table.code(),
        text: table.text().unwrap_or_default(),
        ticket: table.ticket().map(|bytes| bytes.bytes()).unwrap_or_default(),
        retry_ms: table.retry_ms(),
    })
}

pub(crate) fn write_hello(hello: &Hello<'_>, out: &mut Vec<u8>) {
    let mut builder = FlatBufferBuilder::new();
    let user = Some(builder.create_string(hello.user.as_str()));
    let device = Some(builder.create_string(hello.device.as_str()));
    let client_name = Some(builder.create_string(hello.client_name));
    let client_version = Some(builder.create_string(hello.client_version));
    let mut args = HelloTableArgs {
        version_min: hello.version_min,
        version_max: hello.version_max,
        features: hello.features,
        user,
        device,
        incarnation: hello.incarnation.0,
        lowest_unresolved: hello.lowest_unresolved.0,
        highest_sent: hello.highest_sent.0,
        last_id: hello.last_id.0,
        credit_entries: hello.credit.entries,
        credit_bytes: hello.credit.bytes,
        client_name,
        client_version,
        ..HelloTableArgs::default()
    };
    match hello.credential {
        Credential::Token(token) => args.token = Some(builder.create_string(token)),
        Credential::Password(password) => args.password = Some(builder.create_string(password)),
        Credential::Ticket(ticket) => args.ticket = Some(builder.create_vector(ticket)),
    }
    args.store = (!hello.store.is_empty()).then(|| builder.create_vector(hello.store));
    let table = HelloTable::create(&mut builder, &args);
    builder.finish_minimal(table);
    out.extend_from_slice(builder.finished_data());
}

pub(crate) fn write_welcome(welcome: &Welcome<'_>, out: &mut Vec<u8>) {
    let mut builder = FlatBufferBuilder::new();
    let ticket = (!welcome.ticket.is_empty()).then(|| builder.create_vector(welcome.ticket));
    let store = (!welcome.store.is_empty()).then(|| builder.create_vector(welcome.store));
    let table = WelcomeTable::create(
        &mut builder,
        &WelcomeTableArgs {
            version: welcome.version,
            features: welcome.features,
            device_no: welcome.device_no.0,
            boot: welcome.boot,
            head: welcome.head.0,
            oldest: welcome.oldest.0,
            heartbeat_s: welcome.heartbeat_s,
            payload_len_max: welcome.payload_len_max,
            in_flight_max: welcome.in_flight_max,
            stored_is_synced: welcome.stored_is_synced,
            ticket,
            server_time_us: welcome.server_time_us,
            store,
        },
    );
    builder.finish_minimal(table);
    out.extend_from_slice(builder.finished_data());
}

pub(crate) fn write_error(error: &ErrorInfo<'_>, out: &mut Vec<u8>) {
    let mut builder = FlatBufferBuilder::new();
    let text = Some(builder.create_string(error.text));
    let args = ErrorTableArgs { code: error.code, frame_type: error.frame_type, text };
    let table = ErrorTable::create(&mut builder, &args);
    builder.finish_minimal(table);
    out.extend_from_slice(builder.finished_data());
}

pub(crate) fn write_goaway(goaway: &GoAway<'_>, out: &mut Vec<u8>) {
    let mut builder = FlatBufferBuilder::new();
    let text = Some(builder.create_string(goaway.text));
    let GoAway { code, slot_start_ms, slot_len_ms, .. } = *goaway;
    let table = GoAwayTable::create(&mut builder, &GoAwayTableArgs { code, slot_start_ms, slot_len_ms, text });
    builder.finish_minimal(table);
    out.extend_from_slice(builder.finished_data());
}

pub(crate) fn write_logout(logout: Logout, out: &mut Vec<u8>) {
    let mut builder = FlatBufferBuilder::new();
    let table = LogoutTable::create(&mut builder, &LogoutTableArgs { forget: logout.forget });
    builder.finish_minimal(table);
    out.extend_from_slice(builder.finished_data());
}

pub(crate) fn write_account(account: &Account<'_>, out: &mut Vec<u8>) {
    let mut builder = FlatBufferBuilder::new();
    let (user, password, new_password) = match account.op {
        AccountOp::Register { user, password } => (Some(user.as_str()), password, None),
        AccountOp::ChangePassword { password, new_password } => (None, password, Some(new_password)),
        AccountOp::Delete { password } => (None, password, None),
    };
    let args = AccountTableArgs {
        request: account.request,
        op: account.op.number(),
        user: user.map(|text| builder.create_string(text)),
        password: Some(builder.create_string(password)),
        new_password: new_password.map(|text| builder.create_string(text)),
    };
    let table = AccountTable::create(&mut builder, &args);
    builder.finish_minimal(table);
    out.extend_from_slice(builder.finished_data());
}

pub(crate) fn write_account_done(done: &AccountDone<'_>, out: &mut Vec<u8>) {
    let mut builder = FlatBufferBuilder::new();
    let args = AccountDoneTableArgs {
        request: done.request,
        code: done.code,
        text: Some(builder.create_string(done.text)),
        ticket: (!done.ticket.is_empty()).then(|| builder.create_vector(done.ticket)),
        retry_ms: done.retry_ms,
    };
    let table = AccountDoneTable::create(&mut builder, &args);
    builder.finish_minimal(table);
    out.extend_from_slice(builder.finished_data());
}
