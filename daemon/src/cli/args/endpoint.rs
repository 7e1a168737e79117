// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! Where the VMM connects, and how many threads answer it.

use std::num::NonZeroU16;
use std::os::fd::RawFd;
use std::path::PathBuf;

use clap::Args;

use crate::cli::values;

/// Options about the vhost-user socket and the device behind it.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Device")]
pub struct EndpointArgs {
    /// Create the vhost-user socket at PATH, and PATH.pid beside it
    ///
    /// A socket left over at PATH is replaced; anything else there is an error, and so is a
    /// running daemon that holds PATH.pid.
    #[arg(
        long,
        value_name = "PATH",
        required_unless_present_any = ["fd", "socket", "print_capabilities"]
    )]
    pub socket_path: Option<PathBuf>,

    /// Older name of --socket-path (deprecated)
    #[arg(
        long,
        value_name = "PATH",
        required_unless_present_any = ["fd", "socket_path", "print_capabilities"]
    )]
    pub socket: Option<PathBuf>,

    /// Give the socket to this group, with group access
    ///
    /// Without it only the daemon's own user can connect.
    #[arg(long, value_name = "GROUP", conflicts_with_all = ["fd", "print_capabilities"])]
    pub socket_group: Option<String>,

    /// Use this inherited file descriptor: a listening, unconnected Unix socket
    ///
    /// No socket and no pid file are created then.
    #[arg(
        long,
        value_name = "FD",
        required_unless_present_any = ["socket", "socket_path", "print_capabilities"],
        conflicts_with_all = ["socket_path", "socket"]
    )]
    pub fd: Option<RawFd>,

    /// Name that the guest mounts the share by, at most 36 bytes
    ///
    /// The device's configuration is then offered by the daemon. QEMU's vhost-user-test-device
    /// takes it from there and so needs this option; its vhost-user-fs device has its own `tag`.
    #[arg(long, value_parser = values::tag)]
    pub tag: Option<String>,

    /// Number of request queues, 1 to 63; with several, each has a thread of its own
    ///
    /// QEMU's num_vqs is one more: the high-priority queue. One request queue shares its thread with
    /// that, as there is rarely anything on it.
    #[arg(long, value_name = "N", default_value = "1", value_parser = values::request_queues)]
    pub request_queues: NonZeroU16,

    /// Number of further threads that process requests; 0 leaves them to the queues' threads
    #[arg(long, value_name = "N", default_value_t = 0)]
    pub thread_pool_size: usize,

    /// After a request, watch the queue for the next one for so many microseconds, 0 to 1000
    ///
    /// Saves a guest that waits for each reply the time in which the daemon is woken, at the cost of
    /// processor time. It is given up while requests come more slowly, and where daemon and guest share
    /// a processor. 50 is a good value; 0 never watches.
    #[arg(
        long,
        value_name = "MICROSECONDS",
        default_value_t = 0,
        value_parser = clap::value_parser!(u16).range(..=1000)
    )]
    pub poll: u16,
}
