// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! O_DIRECT by Linux AIO: until the device answers, the worker is free, for example to unmap the
//! page while it is pinned.

use std::ptr;

use serde::{Deserialize, Serialize};

use super::Transfer;
use crate::worker::{Fault, HandleTable, Op};

/// struct iocb of linux/aio_abi.h, little-endian.
#[repr(C)]
#[derive(Default)]
struct Iocb {
    data: u64,
    key: u32,
    rw_flags: u32,
    opcode: u16,
    priority: i16,
    fd: u32,
    buffer: u64,
    bytes: u64,
    offset: i64,
    reserved: u64,
    flags: u32,
    result_fd: u32,
}

const IOCB_CMD_PREAD: u16 = 0;
const IOCB_CMD_PWRITE: u16 = 1;

/// struct io_event of linux/aio_abi.h.
#[repr(C)]
#[derive(Clone, Copy, Default)]
struct Event {
    data: u64,
    object: u64,
    result: i64,
    result2: i64,
}

/// A context with one transfer under way.
struct Context {
    id: libc::c_ulong,
    transfer: Transfer,
}

impl Drop for Context {
    fn drop(&mut self) {
        // SAFETY: `id` is from io_setup. This waits for the transfer.
        unsafe { libc::syscall(libc::SYS_io_destroy, self.id) };
    }
}

/// Starts a transfer and returns at once.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct AioSubmit {
    pub name: String,
    pub transfer: Transfer,
}

impl Op for AioSubmit {
    const NAME: &'static str = "aio-submit";
    type Yield = ();

    fn run(self, handles: &mut HandleTable) -> Result<(), Fault> {
        let Self { name, transfer } = self;
        let (fd, page) = transfer.parts(handles)?;
        let mut context = Context { id: 0, transfer };
        let id: *mut libc::c_ulong = &mut context.id;
        // SAFETY: the kernel writes the new context's id.
        let made = unsafe { libc::syscall(libc::SYS_io_setup, 1_u32, id) };
        checked("io_setup", made)?;
        let transfer = &context.transfer;
        let mut control = Iocb {
            opcode: if transfer.write {
                IOCB_CMD_PWRITE
            } else {
                IOCB_CMD_PREAD
            },
            fd: fd.cast_unsigned(),
            buffer: page.expose_provenance() as u64,
            bytes: transfer.len as u64,
            offset: transfer.offset.cast_signed(),
            ..Iocb::default()
        };
        let mut list = [ptr::from_mut(&mut control)];
        // SAFETY: the list has one control block, which the kernel copies. The page may be unmapped
        // while the device works: the kernel holds its own pin.
        let submitted =
            unsafe { libc::syscall(libc::SYS_io_submit, context.id, 1_i64, list.as_mut_ptr()) };
        checked("io_submit", submitted)?;
        handles.keep(&name, context);
        Ok(())
    }
}

/// Waits for the end of a transfer. Gives the number of bytes.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct AioReap {
    pub name: String,
}

impl Op for AioReap {
    const NAME: &'static str = "aio-reap";
    type Yield = usize;

    fn run(self, handles: &mut HandleTable) -> Result<usize, Fault> {
        let context: &Context = handles.get(&self.name)?;
        let mut event = Event::default();
        let no_limit: *const libc::timespec = ptr::null();
        // SAFETY: room for one event, and no time limit.
        let reaped = unsafe {
            libc::syscall(
                libc::SYS_io_getevents,
                context.id,
                1_i64,
                1_i64,
                ptr::from_mut(&mut event),
                no_limit,
            )
        };
        checked("io_getevents", reaped)?;
        context.transfer.result(event.result)
    }
}

fn checked(call: &str, result: libc::c_long) -> Result<(), Fault> {
    if result < 0 {
        return Err(Fault::of(call)(std::io::Error::last_os_error()));
    }
    Ok(())
}
