// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! The socket at which the daemon shows what it does.
//!
//! It is opened with the one for the VMM, before there is a sandbox. A Unix socket is made, locked
//! and removed as that one is, with a pid file beside it; nobody but its owner can connect.

use std::net::TcpListener;
use std::path::Path;

use log::info;

use super::error::StartError;
use super::listen::{self, CreatedFiles};
use super::stop::StopRequests;
use crate::config::{MetricsAddress, MetricsEndpoint, SocketFile};
use crate::metrics::{Listener, Place};

/// The option that it is for.
const OPTION: &str = "--metrics";

/// Opens the socket. It does not block: nothing could make it so once the filter is loaded.
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
    // The system call filter would not let the socket be asked for its address.
    info!("metrics at {listener}");
    let place = Place {
        listener,
        anywhere: endpoint.anywhere,
    };
    Ok((place, files))
}

/// The file that the socket is, if it is one.
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
