//! Sends every message back to whoever sent it.
//!
//! ```text
//! SHARDWIRE_TOKEN=$(shardwire token mint --user echo) cargo run --example echo -- 127.0.0.1:7400 echo [COUNT]
//! ```
//!
//! With COUNT it ends once so many answers are safe.

#![forbid(unsafe_code)]

use std::env;
use std::error::Error;
use std::ops::ControlFlow;

use shardwire_sdk::adapter::monoio::Session;
use shardwire_sdk::{Client, Config, Credential, Event, MemoryStore};
use wire::{Device, Name};

fn main() -> Result<(), Box<dyn Error>> {
    let mut args = env::args().skip(1);
    let (Some(address), Some(user)) = (args.next(), args.next()) else {
        return Err("usage: SHARDWIRE_TOKEN=TOKEN echo ADDRESS USER [COUNT]".into());
    };
    let count = args.next().map(|count| count.parse()).transpose()?;
    run(&address, &user, env::var("SHARDWIRE_TOKEN")?, count)
}

/// Answers until `count` answers are safe, or for ever.
pub fn run(address: &str, user: &str, token: String, count: Option<u64>) -> Result<(), Box<dyn Error>> {
    let user = Name::parse_user(user.as_bytes())?;
    let config = Config::new(user.into(), Device::parse(b"echo")?.into(), Credential::Token(token.into()));
    // A store in memory ends with the process: what comes again in the next is answered again.
    let client = Client::new(config, MemoryStore::default(), getrandom::u64()?)?;
    let session = Session::new(client, address);
    let mut safe_count = 0;
    let mut runtime = monoio::RuntimeBuilder::<monoio::IoUringDriver>::new().enable_timer().build()?;
    runtime.block_on(session.run(|session, event| {
        match event {
            Event::Message(message) if message.from() != user => {
                println!("{}: {}", message.from(), message.body().escape_ascii());
                let back = session.send(message.from(), message.kind, message.flags, message.body());
                if let Err(error) = back {
                    return ControlFlow::Break(Err(error.into()));
                }
            }
            Event::Accepted { .. } => {
                safe_count += 1;
                if Some(safe_count) == count {
                    return ControlFlow::Break(Ok(()));
                }
            }
            Event::Ended { code } => return ControlFlow::Break(Err(format!("ended with code {code}").into())),
            _ => {}
        }
        ControlFlow::Continue(())
    }))
}
