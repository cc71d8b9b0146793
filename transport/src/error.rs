//! What can go wrong between two ends, and the codes that travel. No error carries text of a peer.

use std::io;
use std::time::Duration;

use quinn::{ConnectionError, VarInt};
use thiserror::Error;

use crate::authority::AuthorityError;

macro_rules! codes {
    ($(#[$doc:meta])* $name:ident: $number:ty { $($(#[$of:meta])* $case:ident = $value:literal, $text:literal;)* }) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
        pub enum $name { $($(#[$of])* #[error($text)] $case,)* }

        impl $name {
            /// As it travels.
            #[must_use]
            pub const fn code(self) -> $number {
                match self { $(Self::$case => $value,)* }
            }

            /// The case of a code, if it is one.
            #[must_use]
            pub const fn from_code(code: $number) -> Option<Self> {
                match code { $($value => Some(Self::$case),)* _ => None }
            }
        }
    };
}

codes! {
    /// Why the coordinator refused a request. The connection stays.
    Refusal: u8 {
        /// No such round, or not its time.
        NotNow = 1, "not now";
        /// Longer than the coordinator takes, or of another length than it expects.
        Length = 2, "wrong length";
        /// No room; try again later.
        Busy = 3, "no room: try again later";
        /// It broke a rule of the protocol.
        Invalid = 4, "against the rules";
        /// No such model, or no such party.
        Unknown = 5, "unknown";
        /// The token entitles to nothing.
        Token = 6, "the token entitles to nothing";
        /// The coordinator could not do it.
        Failed = 7, "the coordinator could not do it";
        /// The party's key is not renewed: it was revoked or replaced, or another next key was asked for ([RENEW-2]).
        Enrol = 8, "this key is not renewed: enrol again, with a new token in a new folder";
    }
}

codes! {
    /// Why a connection was closed.
    Closed: u32 {
        /// Nothing left to say.
        Done = 0, "done";
        /// No certificate where one is needed.
        Unauthenticated = 1, "no certificate";
        /// The party may not connect any more.
        Revoked = 2, "revoked";
        /// The same party has connected again.
        Replaced = 3, "replaced by a newer connection";
        /// Slower than the least rate, or silent when it was its turn.
        Slow = 4, "too slow";
        /// Bytes that are no exchange of this protocol.
        Protocol = 5, "bytes out of protocol";
        /// Too many connections.
        Full = 6, "too many connections";
        /// The coordinator is going down.
        Shutdown = 7, "shutdown";
        /// Others take their turn; the reason says when to come back.
        Later = 8, "others take their turn";
    }
}

impl Closed {
    pub(crate) fn close(self, connection: &quinn::Connection) {
        connection.close(VarInt::from_u32(self.code()), b"");
    }

    /// Asks the other side to come back after a time.
    pub(crate) fn part(connection: &quinn::Connection, after: Duration) {
        let milliseconds = u32::try_from(after.as_millis()).unwrap_or(u32::MAX);
        connection.close(VarInt::from_u32(Self::Later.code()), &milliseconds.to_le_bytes());
    }
}

/// How a connection ended.
pub(crate) fn ended(connection: &quinn::Connection) -> TransportError {
    match connection.close_reason() {
        Some(error) => of(&error),
        None => TransportError::Lost(None),
    }
}

/// What an end of a connection says to a party.
pub(crate) fn of(error: &ConnectionError) -> TransportError {
    let ConnectionError::ApplicationClosed(close) = error else { return TransportError::Lost(None) };
    let code = u32::try_from(close.error_code.into_inner()).ok().and_then(Closed::from_code);
    if code == Some(Closed::Later) {
        // Without a time: as if there were no code.
        let time = close.reason.as_ref().try_into().map(u32::from_le_bytes);
        return time.map_or(TransportError::Lost(None), |ms| {
            TransportError::Later(Duration::from_millis(ms.into()))
        });
    }
    TransportError::Lost(code)
}

/// Why an endpoint could not be opened, or an exchange failed.
#[derive(Debug, Error)]
pub enum TransportError {
    /// The socket.
    #[error("the socket: {0}")]
    Io(#[from] io::Error),
    /// A certificate could not be made.
    #[error(transparent)]
    Authority(#[from] AuthorityError),
    /// Keys and certificates do not make a TLS configuration.
    #[error("TLS does not take this configuration")]
    Tls,
    /// No connection: nobody there, too slow, or the TLS handshake failed on either side.
    #[error("no connection to the coordinator")]
    Unreachable,
    /// The connection ended, or was closed for this reason.
    #[error("the connection ended{}", .0.map(|reason| format!(": {reason}")).unwrap_or_default())]
    Lost(Option<Closed>),
    /// There are more parties than places: the coordinator asks to come back after this time.
    #[error("others take their turn: the coordinator asks to come back in {} s", .0.as_secs_f32())]
    Later(Duration),
    /// The coordinator had no room for a handshake.
    #[error("the coordinator has no room at this moment")]
    Crowded,
    /// The other side did not answer in time, or is slower than the least rate.
    #[error("the other side is too slow")]
    Slow,
    /// Bytes that are no exchange of this protocol.
    #[error("bytes out of protocol")]
    Protocol,
    /// The coordinator refused the request.
    #[error("refused: {0}")]
    Refused(#[from] Refusal),
    /// What the coordinator said at enrolment does not hold together, or is not what was pinned.
    #[error("the enrolment does not verify")]
    Enrolment,
    /// Longer than the caller takes.
    #[error("longer than allowed")]
    Length,
}
