//! Every limit of an endpoint, in one place.

use std::sync::Arc;
use std::time::Duration;

use quinn::{IdleTimeout, TransportConfig, VarInt};

/// Limits of an endpoint. The defaults serve 1,000 parties on a small server.
#[derive(Clone, Debug)]
pub struct Limits {
    /// Most members connected at one time.
    pub connections: usize,
    /// Members connected, beside those with a duty, beyond which the endpoint's owner lets them take turns ([`FrameSender::part`]).
    ///
    /// [`FrameSender::part`]: crate::FrameSender::part
    pub places: usize,
    /// The shortest time for which one that is waited for holds its place while others wait.
    pub turn: Duration,
    /// Most handshakes at one time.
    pub handshakes: usize,
    /// Most connections without a certificate at one time: enrolments. They never use up what members need.
    pub strangers: usize,
    /// A handshake from an address not yet validated costs a Retry if more than this many are under way; 0: always.
    pub retry_above: usize,
    /// Most streams a party may have open at one time.
    pub streams: u32,
    /// Bytes of a stream that may wait to be read; a connection may have twice as many.
    pub window: u32,
    /// A connection without any packet for so long is closed.
    pub idle: Duration,
    /// Longest handshake.
    pub handshake: Duration,
    /// Longest time for a request of fixed form, from the first byte awaited to the last, and for its answer.
    pub request: Duration,
    /// Slowest transfer, in bytes a second, judged over [`Limits::rate_window`].
    pub rate: u64,
    /// Time over which the rate is judged.
    pub rate_window: Duration,
    /// Bytes of unfinished uploads over all parties.
    pub staging: u64,
    /// Frames that may wait for one party, …
    pub queue_frames: usize,
    /// … and their bytes. A party that lets more pile up is disconnected.
    pub queue_bytes: usize,
    /// Life of a party's certificate.
    pub party_certificate: Duration,
    /// Life of the coordinator's certificate; renewed at half of it.
    pub server_certificate: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            connections: 4_096,
            places: 2_048,
            turn: Duration::from_secs(2),
            handshakes: 512,
            strangers: 128,
            retry_above: 64,
            streams: 4,
            window: 256 << 10,
            idle: Duration::from_secs(30),
            handshake: Duration::from_secs(10),
            request: Duration::from_secs(10),
            rate: 4 << 10,
            rate_window: Duration::from_secs(10),
            staging: 256 << 20,
            // What 128 dealers sent to one holder of a collective key, and more.
            queue_frames: 192,
            queue_bytes: 48 << 20,
            party_certificate: Duration::from_secs(3_600),
            server_certificate: Duration::from_secs(30 * 86_400),
        }
    }
}

impl Limits {
    /// What QUIC itself has to know. Only parties open streams, and only in both directions. Both ends keep the
    /// connection alive: the shorter of their idle times counts, and neither knows the other's.
    pub(crate) fn transport(&self, streams: u32) -> Arc<TransportConfig> {
        let mut config = TransportConfig::default();
        let idle = IdleTimeout::try_from(self.idle).unwrap_or_else(|_| VarInt::MAX.into());
        config
            .max_concurrent_bidi_streams(streams.into())
            .max_concurrent_uni_streams(VarInt::from_u32(0))
            .stream_receive_window(self.window.into())
            .receive_window(self.window.saturating_mul(2).into())
            .send_window(u64::from(self.window) * 4)
            .datagram_receive_buffer_size(None)
            .max_idle_timeout(Some(idle))
            .keep_alive_interval(Some(self.idle / 3));
        Arc::new(config)
    }
}
