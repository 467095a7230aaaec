//! Opens the connections that ureq uses: a connector of our own in place of its
//! chain, pinned to its version, since that interface is outside its promises.
//!
//! Sockets, a proxy's tunnel and TLS are made here, so that blocks go straight
//! through all of them, and that a call which a signal interrupts asks whether
//! to go on. What takes too long in all is a time-out, which says no more; but a
//! name look-up cannot be ended (that would take a thread).

use std::io;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Instant;

use rustls::ClientConfig;
use rustls::pki_types::ServerName;
use ureq::config::Config;
use ureq::http::Uri;
use ureq::unversioned::resolver::{DefaultResolver, ResolvedSocketAddrs, Resolver};
use ureq::unversioned::transport::{ConnectionDetails, Connector, NextTimeout};
use ureq::{Error, Proxy, ProxyProtocol, Timeout};

use crate::net::connection::{Connection, Shared};
use crate::net::proxy;
use crate::net::socket::{SharedFlow, Socket};
use crate::net::tls::Tls;
use crate::net::wire::{Channel, Wire, left};

/// Opens connections to servers, directly or through a proxy.
pub struct Dialer {
    /// Shared with the connections.
    pub shared: Arc<Shared>,
    /// See [`Flow`](crate::net::socket::Flow).
    pub flow: SharedFlow,
    /// How TLS is done, where it will be.
    pub tls: Option<Arc<ClientConfig>>,
}

impl std::fmt::Debug for Dialer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Dialer")
    }
}

/// Looks names up, and says so before.
pub struct Names {
    /// See [`Flow`](crate::net::socket::Flow).
    pub flow: SharedFlow,
}

impl std::fmt::Debug for Names {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Names")
    }
}

impl Resolver for Names {
    /// With a limit, ureq would start a thread.
    fn resolve(
        &self,
        uri: &Uri,
        config: &Config,
        _: NextTimeout,
    ) -> Result<ResolvedSocketAddrs, Error> {
        let forever = NextTimeout::default();
        let resolve = || DefaultResolver::default().resolve(uri, config, forever);
        let host = uri.host().unwrap_or_default();
        if host.trim_matches(['[', ']']).parse::<IpAddr>().is_ok() {
            return resolve();
        }
        self.flow.look_up(true);
        let found = resolve();
        self.flow.look_up(false);
        found
    }
}

impl Connector for Dialer {
    type Out = Connection;

    fn connect(
        &self,
        details: &ConnectionDetails,
        _: Option<()>,
    ) -> Result<Option<Connection>, Error> {
        let limit = details.timeout.not_zero().map(|limit| *limit);
        let end = limit.map(|limit| Instant::now() + limit);
        let wire = self.dial(details, end).map_err(|e| match e {
            Error::Io(e) if e.kind() == io::ErrorKind::TimedOut => Error::Timeout(Timeout::Connect),
            e => e,
        })?;
        let (config, shared) = (details.config, &self.shared);
        Ok(Some(Connection::new(
            wire,
            details.needs_tls(),
            config,
            shared,
        )))
    }
}

impl Dialer {
    /// A connection to the server.
    fn dial(&self, details: &ConnectionDetails, end: Option<Instant>) -> Result<Wire, Error> {
        let proxy = details.config.proxy();
        let channel = match proxy.filter(|proxy| !proxy.is_no_proxy(details.uri)) {
            Some(proxy) => Channel::Tunnel(Box::new(self.tunnel(details, proxy, end)?)),
            None => {
                let limit = left(None, end)?;
                let socket = Socket::connect(&details.addrs, limit, self.flow.clone());
                Channel::Socket(socket?)
            }
        };
        self.finish(channel, details.uri, details.needs_tls(), end)
    }

    /// A connection to a proxy that passes everything on to the server.
    fn tunnel(
        &self,
        details: &ConnectionDetails,
        proxy: &Proxy,
        end: Option<Instant>,
    ) -> Result<Wire, Error> {
        let resolver = details.resolver;
        let addrs = resolver.resolve(proxy.uri(), details.config, details.timeout)?;
        let socket = Socket::connect(&addrs, left(None, end)?, self.flow.clone())?;
        let tls = proxy.protocol() == ProxyProtocol::Https;
        let mut wire = self.finish(Channel::Socket(socket), proxy.uri(), tls, end)?;
        proxy::enter(&mut wire, proxy, details.uri, end)?;
        Ok(wire)
    }

    /// What goes through this channel: TLS, after its handshake, or not.
    fn finish(
        &self,
        channel: Channel,
        uri: &Uri,
        tls: bool,
        end: Option<Instant>,
    ) -> Result<Wire, Error> {
        if !tls {
            return Ok(Wire::plain(channel));
        }
        let config = self.tls.clone().ok_or(Error::TlsRequired)?;
        let host = uri.host().unwrap_or_default();
        let host = host.trim_matches(['[', ']']).to_string();
        let name = ServerName::try_from(host)
            .map_err(|e| io::Error::new(io::ErrorKind::InvalidInput, e))?;
        let session = Tls::new(config, name)?;
        Ok(Wire::tls(channel, session, end)?)
    }
}
