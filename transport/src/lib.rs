//! Quorate over QUIC: who may talk to whom, and how bytes get there. The machines are not known here.
//!
//! ```text
//! coordinator                                            participant
//!   Authority ─ pin, certificates                          Connector ─ enrol, certify, connect
//!   Server<Handler>  ◀══════ QUIC, TLS 1.3, mutual ══════▶  Session ─ frames in order [WIRE-4]
//!     connected, frame, admit, contribution, model          Exchanges ─ upload, download, beside them
//!     enrol, key                                            Session::renew
//! ```
//!
//! A coordinator makes an [`Authority`] once and opens a [`Server`] with its [`Handler`]. A participant makes a
//! [`Connector`], enrols, gets a [`Certificate`] and opens [`Session`]s. Decisions: `docs/decisions/0013-transport.md`.
//!
//! # Security
//!
//! Mutual TLS binds every connection to a registered identity key ([ID-1]); it does not replace the signatures of
//! the protocol. 0-RTT and resumption are off on both sides. All that a peer can make the other side hold or wait
//! for is bounded by [`Limits`].

mod authority;
mod binding;
mod enrol;
mod error;
mod framing;
#[doc(hidden)]
pub mod fuzzing;
mod handler;
mod limits;
mod member;
mod pace;
mod reset;
mod server;
mod session;
mod socket;
mod staging;
mod stranger;
mod tls;
mod transfer;

pub use authority::{Authority, AuthorityError, Pin, PinError};
pub use binding::Binding;
pub use enrol::{Enrolled, Granted, Renewed, Welcome};
pub use error::{Closed, Refusal, TransportError};
pub use handler::{FrameSender, Handler, Peer, SendError, Uploaded};
pub use limits::Limits;
pub use server::{Counts, Server};
pub use session::{Certificate, Connector, Incoming, Session};
pub use staging::UploadHeader;
pub use tls::install_cryptography;
pub use transfer::{Exchanges, MAX_SIGNATURE, Receipt};
