//! `quorate participant join`.

use std::net::ToSocketAddrs as _;

use quorate_participant::Client;
use quorate_protocol::policy::{NamedCommittee, Policy};

use super::args::JoinArgs;
use super::{failure, runtime, token};
use crate::error::Failure;

/// Joins and says who the device is.
pub fn join(args: &JoinArgs) -> Result<(), Failure> {
    let addresses = args.address.to_socket_addrs();
    let address = addresses.ok().and_then(|mut addresses| addresses.next()).ok_or_else(|| {
        Failure::usage(format!(
            "{}: no such address; give host and port, such as 192.0.2.1:4433",
            args.address
        ))
    })?;
    let token = token::token(args)?;
    let policy = Policy { named: args.trust_committee, ..Policy::default() };
    if args.trust_committee == NamedCommittee::Anybody {
        eprintln!(
            "note: against a coordinator that names its own ids as the committee, nothing is protected"
        );
    }
    let runtime = runtime()?;
    let builder = Client::builder(&args.state).policy(policy);
    let builder = match args.root {
        Some(fingerprint) => builder.root(fingerprint),
        None => builder,
    };
    let builder = builder.signed_models(args.signed_models);
    let client = runtime.block_on(async { builder.join(address, args.pin, token).await });
    let client = client.map_err(|error| failure(&error))?;
    println!("joined {:?} as party {}", client.deployment(), client.id().index);
    println!("key {}", client.id().key_hash);
    println!("next: quorate participant run --state {} --task mnist --shard 1/20", args.state.display());
    Ok(())
}
