//! Options of `quorate trust`.

use std::path::PathBuf;

use clap::{Args, Subcommand};
use quorate_keys::KeyId;

use crate::coordinator::At;
use crate::keys::LogAt;

/// Make, sign, verify and install trust roots
#[derive(Args)]
#[command(after_help = EXAMPLES)]
pub struct TrustArgs {
    #[command(subcommand)]
    pub command: TrustCommand,
}

const EXAMPLES: &str = "The first root is signed by two of three people here, each on a machine of their own; the next one replaces cy's key. What
parties pin is the fingerprint of the first.

Examples:
  quorate trust key root/ada@1 --out ada.root                    prints root/ada@1=PUBLIC
  quorate trust new --threshold 2 --root root/ada@1=… --root root/bo@1=… --root root/cy@1=… --out root.1.json
  quorate trust sign root.1.json --key root/ada@1=ada.root
  quorate trust sign root.1.json --key root/bo@1=bo.root
  quorate trust install root.1.json --config my-coordinator/coordinator.toml
  quorate trust next root.1.json --remove root/cy@1 --root root/cy@2=… --out root.2.json
  quorate trust show root.1.json
  quorate trust verify root.1.json root.2.json --pin FINGERPRINT";

#[derive(Subcommand)]
pub enum TrustCommand {
    /// Make a root key for a person
    #[command(after_help = EXAMPLES)]
    Key {
        /// Its id: root/NAME@VERSION
        key: KeyId,
        /// File of the private key, which must not be there yet
        #[arg(long, value_name = "FILE")]
        out: PathBuf,
    },
    /// Write the first root: who signs it, and the keys that the audit log tells
    #[command(after_help = EXAMPLES)]
    New {
        #[command(flatten)]
        content: ContentArgs,
    },
    /// Write the root that follows: exactly one version up
    #[command(after_help = EXAMPLES)]
    Next {
        /// The root in force
        current: PathBuf,
        #[command(flatten)]
        content: ContentArgs,
        /// Root keys that sign no more
        #[arg(long, value_name = "KEY")]
        remove: Vec<KeyId>,
    },
    /// Sign a root; the key may be one of this root or of the one before
    #[command(after_help = EXAMPLES)]
    Sign {
        /// The root
        file: PathBuf,
        /// Id and file of a private root key
        #[arg(long, value_name = "KEY=FILE", required = true)]
        key: Vec<String>,
    },
    /// Show what a root says, and its fingerprint
    #[command(after_help = EXAMPLES)]
    Show {
        /// The root
        file: PathBuf,
        /// Print the root as JSON
        #[arg(long)]
        json: bool,
    },
    /// Verify a chain of roots from a pinned one on; exit code 1 if a step is refused or the last has expired
    #[command(after_help = EXAMPLES)]
    Verify {
        /// The roots, one version after the other
        #[arg(required = true)]
        files: Vec<PathBuf>,
        /// Fingerprint of the first
        #[arg(long, value_name = "FINGERPRINT")]
        pin: String,
        /// Print the result as JSON
        #[arg(long)]
        json: bool,
    },
    /// Give a root to the coordinator; it takes it up by itself, between rounds
    #[command(after_help = EXAMPLES)]
    Install {
        /// The root
        file: PathBuf,
        #[command(flatten)]
        at: At,
    },
}

/// What a root says.
#[derive(Args)]
pub struct ContentArgs {
    /// How many root keys must sign [default: as before]
    #[arg(long, value_name = "N")]
    pub threshold: Option<u32>,
    /// A root key: KEY=PUBLIC
    #[arg(long, value_name = "KEY=PUBLIC")]
    pub root: Vec<String>,
    /// How long the root is valid
    #[arg(long, value_name = "TIME", default_value = "730d")]
    pub ttl: String,
    /// File to be written
    #[arg(long, value_name = "FILE")]
    pub out: PathBuf,
    #[command(flatten)]
    pub log: LogAt,
}
