// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! A page in the queue to a TCP peer that does not read: FOLL_GET until the peer does.
//!
//! Over the loopback device the receiver gets a copy, so the sender's own queue holds the page.
//! First enough ordinary bytes are sent to close the peer's window, then the page is queued behind
//! them.

use std::io::{self, ErrorKind, Read as _, Write as _};
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::os::fd::AsRawFd as _;
use std::{mem, ptr};

use rustix::event::{PollFd, PollFlags, poll};
use rustix::net::sockopt::{set_socket_recv_buffer_size, set_socket_send_buffer_size_force};
use serde::{Deserialize, Serialize};

use crate::files::{Mapping, difference};
use crate::worker::{Fault, HandleTable, Op};

/// Room for the ordinary bytes and the page.
const SEND_BUFFER: usize = 4 << 20;
/// The kernel raises this to its minimum.
const RECEIVE_BUFFER: usize = 1;
/// Ordinary bytes, many times what such a receive buffer takes.
const FILLER: usize = 1 << 20;

/// Both ends of a connection with a page in its queue.
struct Connection {
    sender: TcpStream,
    receiver: TcpStream,
}

/// Sends a part of a mapping with MSG_ZEROCOPY behind enough other bytes. Gives how many bytes are
/// queued and not acknowledged.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct ZeroCopySend {
    pub name: String,
    pub map: String,
    pub at: usize,
    pub len: usize,
}

impl Op for ZeroCopySend {
    const NAME: &'static str = "zerocopy-send";
    type Yield = u64;

    fn run(self, handles: &mut HandleTable) -> Result<u64, Fault> {
        let page = handles.get::<Mapping>(&self.map)?.part(self.at, self.len)?;
        let mut connection = connect().map_err(Fault::of("connecting to ourselves"))?;
        connection
            .sender
            .write_all(&vec![0; FILLER])
            .map_err(Fault::of("sending ordinary bytes"))?;
        let socket = connection.sender.as_raw_fd();
        // SAFETY: the page is mapped for the time of the call; later the queue has a reference of
        // its own.
        let sent = unsafe { libc::send(socket, page.cast(), self.len, libc::MSG_ZEROCOPY) };
        if usize::try_from(sent) != Ok(self.len) {
            let error = io::Error::last_os_error();
            return Err(Fault::of("send with MSG_ZEROCOPY")(error));
        }
        let queued = queued(socket).map_err(Fault::of("asking for the queue's length"))?;
        handles.keep(&self.name, connection);
        Ok(queued)
    }
}

/// Brings the loopback device up: no other program configures a network in the lab's guests.
fn loopback_up() -> io::Result<()> {
    // SAFETY: all zeros is a valid ifreq.
    let mut request: libc::ifreq = unsafe { mem::zeroed() };
    for (to, from) in request.ifr_name.iter_mut().zip(b"lo") {
        *to = from.cast_signed();
    }
    request.ifr_ifru.ifru_flags = (libc::IFF_UP | libc::IFF_RUNNING) as libc::c_short;
    let any = std::net::UdpSocket::bind((Ipv4Addr::UNSPECIFIED, 0))?;
    // SAFETY: the kernel reads the structure of this ioctl.
    let set = unsafe {
        libc::ioctl(
            any.as_raw_fd(),
            libc::SIOCSIFFLAGS,
            ptr::from_mut(&mut request),
        )
    };
    if set < 0 {
        return Err(io::Error::last_os_error());
    }
    Ok(())
}

fn connect() -> io::Result<Connection> {
    loopback_up()?;
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
    // The accepted socket inherits this size, which decides its window.
    set_socket_recv_buffer_size(&listener, RECEIVE_BUFFER)?;
    let sender = TcpStream::connect(listener.local_addr()?)?;
    let (receiver, _) = listener.accept()?;
    set_socket_send_buffer_size_force(&sender, SEND_BUFFER)?;
    let on: libc::c_int = 1;
    let len = mem::size_of_val(&on) as libc::socklen_t;
    // SAFETY: the option is an int, which the kernel reads.
    let set = unsafe {
        libc::setsockopt(
            sender.as_raw_fd(),
            libc::SOL_SOCKET,
            libc::SO_ZEROCOPY,
            ptr::from_ref(&on).cast(),
            len,
        )
    };
    if set < 0 {
        return Err(io::Error::last_os_error());
    }
    Ok(Connection { sender, receiver })
}

/// SIOCOUTQ: bytes that the peer has not acknowledged.
fn queued(socket: i32) -> io::Result<u64> {
    let mut bytes: libc::c_int = 0;
    // SAFETY: the kernel writes an int.
    let asked = unsafe { libc::ioctl(socket, libc::TIOCOUTQ, ptr::from_mut(&mut bytes)) };
    if asked < 0 {
        return Err(io::Error::last_os_error());
    }
    Ok(bytes.cast_unsigned().into())
}

/// Reads all that was sent, and waits until the kernel reports that it has released the page.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct ZeroCopyReceive {
    pub name: String,
    /// How many bytes of the mapping were sent.
    pub len: usize,
    /// Where in the file they were.
    pub offset: u64,
    pub seed: u64,
}

/// What came.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Received {
    /// The first difference from the pattern in words.
    pub wrong: Option<String>,
}

impl Op for ZeroCopyReceive {
    const NAME: &'static str = "zerocopy-receive";
    type Yield = Received;

    fn run(self, handles: &mut HandleTable) -> Result<Received, Fault> {
        let failed = || "receiving";
        let connection: &mut Connection = handles.get_mut(&self.name)?;
        let mut bytes = vec![0; FILLER + self.len];
        connection
            .receiver
            .read_exact(&mut bytes)
            .map_err(Fault::of(failed()))?;
        wait_for_completion(&connection.sender).map_err(Fault::of(failed()))?;
        Ok(Received {
            wrong: difference(Some(self.seed), self.offset, &bytes[FILLER..]),
        })
    }
}

/// The notification is in the error queue: Linux' Documentation/networking/msg_zerocopy.rst.
fn wait_for_completion(sender: &TcpStream) -> io::Result<()> {
    let mut control = [0_u8; 256];
    loop {
        // SAFETY: a message without data, with room for control data that lives until the call
        // returns; all zeros is a valid msghdr.
        let received = unsafe {
            let mut message: libc::msghdr = mem::zeroed();
            message.msg_control = control.as_mut_ptr().cast();
            message.msg_controllen = control.len();
            libc::recvmsg(sender.as_raw_fd(), &mut message, libc::MSG_ERRQUEUE)
        };
        if received >= 0 {
            return Ok(());
        }
        let error = io::Error::last_os_error();
        if error.kind() != ErrorKind::WouldBlock {
            return Err(error);
        }
        // POLLERR is always reported.
        poll(&mut [PollFd::new(sender, PollFlags::empty())], None)?;
    }
}
