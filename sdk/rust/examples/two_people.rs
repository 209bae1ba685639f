//! Alice writes to Bob, Bob answers, both on one thread.
//!
//! ```text
//! TOKEN_ALICE=$(shardwire token mint --user alice) TOKEN_BOB=$(shardwire token mint --user bob) \
//!     cargo run --example two_people -- 127.0.0.1:7400
//! ```

#![forbid(unsafe_code)]

use std::env;
use std::error::Error;
use std::ops::ControlFlow;

use shardwire_sdk::adapter::monoio::Session;
use shardwire_sdk::{Client, Config, Credential, Event, MemoryStore};
use wire::frame::SendFlags;
use wire::{Device, Name};

fn main() -> Result<(), Box<dyn Error>> {
    let address = env::args().nth(1).ok_or("usage: TOKEN_ALICE=TOKEN TOKEN_BOB=TOKEN two_people ADDRESS")?;
    for line in run(&address, env::var("TOKEN_ALICE")?, env::var("TOKEN_BOB")?)? {
        println!("{line}");
    }
    Ok(())
}

/// Lets them talk, and gives what each of them read.
pub fn run(address: &str, alice_token: String, bob_token: String) -> Result<[String; 2], Box<dyn Error>> {
    let (alice, bob) = (Name::parse_user(b"alice")?, Name::parse_user(b"bob")?);
    let alices = session(address, alice, alice_token)?;
    let bobs = session(address, bob, bob_token)?;
    alices.send(bob, TEXT, SendFlags(0), b"Hello Bob")?;
    let mut runtime = monoio::RuntimeBuilder::<monoio::IoUringDriver>::new().enable_timer().build()?;
    runtime.block_on(async {
        let bob_reads = monoio::spawn(async move { answer(&bobs, alice).await });
        let alice_read = read(&alices).await?;
        let bob_read = bob_reads.await?;
        Ok([format!("bob read: {bob_read}"), format!("alice read: {alice_read}")])
    })
}

fn session(address: &str, user: Name<'_>, token: String) -> Result<Session<MemoryStore>, Box<dyn Error>> {
    let config = Config::new(user.into(), Device::parse(b"example")?.into(), Credential::Token(token.into()));
    let client = Client::new(config, MemoryStore::default(), getrandom::u64()?)?;
    Ok(Session::new(client, address))
}

/// Runs until a message has come.
async fn read(session: &Session<MemoryStore>) -> Result<String, String> {
    session
        .run(|_, event| match event {
            Event::Message(message) => ControlFlow::Break(Ok(String::from_utf8_lossy(message.body()).into_owned())),
            Event::Ended { code } => ControlFlow::Break(Err(format!("ended with code {code}"))),
            _ => ControlFlow::Continue(()),
        })
        .await
}

/// Runs until a message has come, and the answer to it is safe.
async fn answer(session: &Session<MemoryStore>, to: Name<'_>) -> Result<String, String> {
    let mut read = None;
    session
        .run(|session, event| {
            match event {
                Event::Message(message) => {
                    read = Some(String::from_utf8_lossy(message.body()).into_owned());
                    if let Err(error) = session.send(to, TEXT, SendFlags(0), b"Hello Alice") {
                        return ControlFlow::Break(Err(error.to_string()));
                    }
                }
                Event::Accepted { .. } => return ControlFlow::Break(Ok(read.take().unwrap_or_default())),
                Event::Ended { code } => return ControlFlow::Break(Err(format!("ended with code {code}"))),
                _ => {}
            }
            ControlFlow::Continue(())
        })
        .await
}

/// The kind of a text message.
const TEXT: u8 = 0;
