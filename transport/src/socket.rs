//! UDP sockets with room: one of them serves a thousand peers, and what does not fit until it is read is lost.

use std::io;
use std::net::{SocketAddr, UdpSocket};
use std::sync::Arc;

use quinn::{Endpoint, EndpointConfig, ServerConfig, TokioRuntime};
use socket2::{Domain, Protocol, Socket, Type};

/// An endpoint on a socket of its own. Needs a tokio runtime.
pub(crate) fn endpoint(
    address: SocketAddr,
    config: EndpointConfig,
    server: Option<ServerConfig>,
) -> io::Result<Endpoint> {
    Endpoint::new(config, server, bind(address)?, Arc::new(TokioRuntime))
}

/// A bound socket. The system may give smaller buffers than asked for; then more is sent again.
fn bind(address: SocketAddr) -> io::Result<UdpSocket> {
    let socket = Socket::new(Domain::for_address(address), Type::DGRAM, Some(Protocol::UDP))?;
    if address.is_ipv6() {
        // Both families where the system can.
        let _ = socket.set_only_v6(false);
    }
    let _ = socket.set_recv_buffer_size(BUFFER);
    let _ = socket.set_send_buffer_size(BUFFER);
    socket.set_nonblocking(true)?;
    socket.bind(&address.into())?;
    Ok(socket.into())
}

/// Linux gives an unprivileged process at most net.core.rmem_max, and counts twice what a packet holds.
const BUFFER: usize = 8 << 20;
