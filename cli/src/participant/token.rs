//! Where a one-time token comes from, and its text form.

use std::io::Read as _;
use std::path::Path;

use quorate_keys::{EnrolmentToken, parse_token};

use super::args::JoinArgs;
use crate::error::Failure;

/// Holds a token where neither option is given.
const VARIABLE: &str = "QUORATE_TOKEN";
/// Longest file that can be a token.
const MOST: u64 = 4096;

/// The token of the options or of the environment.
pub fn token(args: &JoinArgs) -> Result<EnrolmentToken, Failure> {
    let text = match (&args.token, &args.token_file) {
        (Some(token), _) => token.clone(),
        (None, Some(file)) => {
            read(file).map_err(|error| Failure::usage(format!("{}: {error}", file.display())))?
        }
        (None, None) => std::env::var(VARIABLE).map_err(|_| {
            Failure::usage(format!(
                "no token: give --token-file FILE, or set {VARIABLE}; the operator issues one"
            ))
        })?,
    };
    parse_token(text.trim()).map_err(Failure::usage)
}

fn read(file: &Path) -> std::io::Result<String> {
    let mut text = String::new();
    if file == Path::new("-") {
        std::io::stdin().take(MOST).read_to_string(&mut text)?;
    } else {
        std::fs::File::open(file)?.take(MOST).read_to_string(&mut text)?;
    }
    Ok(text)
}
