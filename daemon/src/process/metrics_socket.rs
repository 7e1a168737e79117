// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! The socket at which the daemon serves metrics.
//!
//! It is opened together with the VMM's socket, before the sandbox. A Unix socket is created,
//! locked and removed like the VMM's, with a pid file beside it; only its owner can connect.

use std::net::TcpListener;
use std::path::Path;

use log::info;

use super::error::StartError;
use super::listen::{self, CreatedFiles};
use super::stop::StopRequests;
use crate::config::{MetricsAddress, MetricsEndpoint, SocketFile};
use crate::metrics::{Listener, Place};

/// The option that names the socket.
const OPTION: &str = "--metrics";

/// Opens the socket, nonblocking: the system call filter allows no later change of that.
pub(super) fn listen(
    endpoint: &MetricsEndpoint,
    stop: &StopRequests,
) -> Result<(Place, CreatedFiles), StartError> {
    let failed = |source| StartError::Metrics {
        address: endpoint.address.clone(),
        source,
    };
    let (listener, files) = match &endpoint.address {
        MetricsAddress::Unix(path) => {
            let (listener, files) = listen::create(&socket_file(path), OPTION, stop)?;
            listener.set_nonblocking(true).map_err(failed)?;
            (Listener::Unix(listener), files)
        }
        MetricsAddress::Tcp(address) => {
            let listener = TcpListener::bind(address).map_err(failed)?;
            listener.set_nonblocking(true).map_err(failed)?;
            (Listener::Tcp(listener), CreatedFiles::default())
        }
    };
    // Logged here because the system call filter does not allow getsockname(2).
    info!("metrics at {listener}");
    let place = Place {
        listener,
        anywhere: endpoint.anywhere,
    };
    Ok((place, files))
}

/// The socket's file, if it is a Unix socket.
pub(super) fn file(endpoint: &MetricsEndpoint) -> Option<SocketFile> {
    match &endpoint.address {
        MetricsAddress::Tcp(_) => None,
        MetricsAddress::Unix(path) => Some(socket_file(path)),
    }
}

fn socket_file(path: &Path) -> SocketFile {
    SocketFile {
        path: path.to_owned(),
        group: None,
    }
}
