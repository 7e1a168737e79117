// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! The part of the NBD protocol (its doc/proto.md) that QEMU's client speaks with a server without
//! structured replies and metadata contexts. All numbers are big-endian.

use std::io::{self, ErrorKind};

use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};

const MAGIC: u64 = 0x4e42_444d_4147_4943;
const OPTION_MAGIC: u64 = 0x4948_4156_454f_5054;
const OPTION_REPLY_MAGIC: u64 = 0x0003_e889_0455_65a9;
const REQUEST_MAGIC: u32 = 0x2560_9513;
const REPLY_MAGIC: u32 = 0x6744_6698;

/// Handshake flags: fixed newstyle, no zeroes at its end.
const HANDSHAKE_FLAGS: u16 = 1 | 2;
/// Export flags: has flags, takes FLUSH.
const EXPORT_FLAGS: u16 = 1 | 4;

const OPT_ABORT: u32 = 2;
const OPT_INFO: u32 = 6;
const OPT_GO: u32 = 7;

const REP_ACK: u32 = 1;
const REP_INFO: u32 = 3;
const REP_UNSUPPORTED: u32 = 0x8000_0001;
const INFO_EXPORT: u16 = 0;

/// The longest data of an option that is accepted; no client sends as much.
const MAX_OPTION: u32 = 1 << 16;
/// The longest request (the protocol's limit where none is negotiated).
const MAX_REQUEST: u32 = 32 << 20;

/// Commands of a request.
pub(super) mod command {
    pub const READ: u16 = 0;
    pub const WRITE: u16 = 1;
    pub const DISCONNECT: u16 = 2;
    pub const FLUSH: u16 = 3;
}

/// EINVAL as the protocol numbers it.
pub(super) const INVALID: u32 = 22;

/// A request with its data.
pub(super) struct Wire {
    pub(super) command: u16,
    pub(super) cookie: u64,
    pub(super) offset: u64,
    pub(super) len: u32,
    pub(super) data: Vec<u8>,
}

/// Agrees on the only export. `Ok(false)` if the client ends the negotiation.
pub(super) async fn handshake<S>(stream: &mut S, size: u64) -> io::Result<bool>
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    stream.write_u64(MAGIC).await?;
    stream.write_u64(OPTION_MAGIC).await?;
    stream.write_u16(HANDSHAKE_FLAGS).await?;
    let _client_flags = stream.read_u32().await?;
    loop {
        expect(stream.read_u64().await?, OPTION_MAGIC, "an option")?;
        let option = stream.read_u32().await?;
        let len = stream.read_u32().await?;
        if len > MAX_OPTION {
            return Err(invalid(format!("an option of {len} bytes")));
        }
        let mut data = vec![0; len as usize];
        stream.read_exact(&mut data).await?;
        match option {
            OPT_ABORT => {
                reply_option(stream, option, REP_ACK, &[]).await?;
                return Ok(false);
            }
            OPT_GO | OPT_INFO => {
                let mut info = INFO_EXPORT.to_be_bytes().to_vec();
                info.extend(size.to_be_bytes());
                info.extend(EXPORT_FLAGS.to_be_bytes());
                reply_option(stream, option, REP_INFO, &info).await?;
                reply_option(stream, option, REP_ACK, &[]).await?;
                if option == OPT_GO {
                    return Ok(true);
                }
            }
            _ => reply_option(stream, option, REP_UNSUPPORTED, &[]).await?,
        }
    }
}

async fn reply_option<S: AsyncWrite + Unpin>(
    stream: &mut S,
    option: u32,
    kind: u32,
    data: &[u8],
) -> io::Result<()> {
    stream.write_u64(OPTION_REPLY_MAGIC).await?;
    stream.write_u32(option).await?;
    stream.write_u32(kind).await?;
    stream.write_u32(data.len() as u32).await?;
    stream.write_all(data).await?;
    stream.flush().await
}

/// Reads the next request.
pub(super) async fn request<S: AsyncRead + Unpin>(stream: &mut S) -> io::Result<Wire> {
    expect(
        stream.read_u32().await?.into(),
        REQUEST_MAGIC.into(),
        "a request",
    )?;
    let _flags = stream.read_u16().await?;
    let mut wire = Wire {
        command: stream.read_u16().await?,
        cookie: stream.read_u64().await?,
        offset: stream.read_u64().await?,
        len: stream.read_u32().await?,
        data: Vec::new(),
    };
    if wire.len > MAX_REQUEST {
        return Err(invalid(format!("a request of {} bytes", wire.len)));
    }
    if wire.command == command::WRITE {
        wire.data.resize(wire.len as usize, 0);
        stream.read_exact(&mut wire.data).await?;
    }
    Ok(wire)
}

/// The reply to the request `cookie`, ready to be sent.
pub(super) fn reply(cookie: u64, error: u32, data: &[u8]) -> Vec<u8> {
    let mut bytes = REPLY_MAGIC.to_be_bytes().to_vec();
    bytes.extend(error.to_be_bytes());
    bytes.extend(cookie.to_be_bytes());
    bytes.extend(data);
    bytes
}

fn expect(found: u64, magic: u64, what: &str) -> io::Result<()> {
    if found != magic {
        return Err(invalid(format!("{found:#x} instead of {what}")));
    }
    Ok(())
}

fn invalid(what: String) -> io::Error {
    io::Error::new(ErrorKind::InvalidData, what)
}
