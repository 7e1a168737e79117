// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
//! The parts of a guest.

use std::ffi::OsString;
use std::num::NonZeroU16;
use std::path::PathBuf;

use guest_agent::wire::PORT_NAME;

use super::option::Opt;
use super::{ByteSize, NbdDisk, ShareDevice};
use crate::accel::Accel;

/// The guest's RAM must be shared with the daemons, which get it as this memory back end's fd.
const MEMORY_ID: &str = "mem";
/// The start of every guest's kernel command line: a console that is kept, and a panic that ends
/// the guest (with [`OnReset::Exit`] also QEMU) instead of a hang. The timer check counts ticks in
/// a stretch of CPU time. An emulated guest on a busy host misses some, and Linux would panic
/// (`IO-APIC + timer doesn't work`).
const KERNEL_ARGS: &str = "console=ttyS0 panic=-1 no_timer_check";
/// Under TCG, the guest's CPU clears each page that Linux allocates. QEMU translates the code of a
/// page once, and translates it anew after a store of the guest's CPU or of a device that QEMU has
/// itself. It does not see what a vhost-user back end writes. Without a store in between, a page that
/// had one program's code would go on running it when the daemon has read another's into it. Debian's
/// kernels clear pages by default.
const TCG_ARGS: &str = "init_on_alloc=1";

/// What the guest boots.
#[derive(Debug, Clone)]
pub struct Boot {
    /// A bzImage, or an ELF file with a PVH entry.
    pub kernel: PathBuf,
    /// The initramfs with the guest agent; none, if the root is a disk.
    pub initrd: Option<PathBuf>,
    /// Further words for the kernel's command line.
    pub append: Vec<String>,
}

/// One end of a byte channel between a guest's device and the host.
#[derive(Debug, Clone)]
pub enum Channel {
    /// QEMU connects to a socket that already listens at this path.
    Dial(PathBuf),
    /// QEMU listens at this path and boots without waiting for a client.
    Listen(PathBuf),
}

/// Where the guest's serial console goes.
#[derive(Debug, Clone)]
pub enum Console {
    /// Written to a file.
    File(PathBuf),
    /// On QEMU's own standard input and output, with QEMU's monitor behind Ctrl-A C.
    Stdio,
}

/// What QEMU does when the guest reboots.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OnReset {
    /// Ends, as at a power-off.
    Exit,
    /// Boots again.
    Restart,
}

/// A file that the guest sees as persistent memory.
#[derive(Debug, Clone)]
pub struct Pmem {
    /// The file; the guest's stores go to it.
    pub image: PathBuf,
    /// Its size.
    pub size: ByteSize,
}

/// A guest. The fields are independent of each other; [`Machine::new`] gives the usual ones.
#[derive(Debug, Clone)]
pub struct Machine {
    /// What runs the guest's CPUs.
    pub accel: Accel,
    /// The guest's RAM.
    pub memory: ByteSize,
    /// The guest's CPUs.
    pub cpus: NonZeroU16,
    /// Kernel, initramfs and kernel arguments; none, if the BIOS boots a disk.
    pub boot: Option<Boot>,
    /// The serial console.
    pub console: Console,
    /// The guest agent's port.
    pub agent: Option<Channel>,
    /// QEMU's control channel (QMP).
    pub monitor: Option<Channel>,
    /// Whether a reboot ends QEMU.
    pub on_reset: OnReset,
    /// The virtio-fs devices.
    pub shares: Vec<ShareDevice>,
    /// The virtio-pmem devices.
    pub pmem: Vec<Pmem>,
    /// The virtio-blk devices.
    pub disks: Vec<NbdDisk>,
    /// Arguments passed to QEMU as they are, after all others.
    pub extra: Vec<OsString>,
}

impl Machine {
    /// A guest with 1 GiB, two CPUs, a console on stdio, and no other device.
    pub fn new(accel: Accel, boot: Boot) -> Self {
        Self {
            accel,
            memory: ByteSize::mib(1024),
            cpus: NonZeroU16::new(2).unwrap_or(NonZeroU16::MIN),
            boot: Some(boot),
            console: Console::Stdio,
            agent: None,
            monitor: None,
            on_reset: OnReset::Exit,
            shares: Vec::new(),
            pmem: Vec::new(),
            disks: Vec::new(),
            extra: Vec::new(),
        }
    }

    /// QEMU's arguments for this guest.
    pub fn args(&self) -> Vec<OsString> {
        let mut args = self.base_args();
        if let Some(boot) = &self.boot {
            args.extend(self.boot_args(boot));
        }
        args.extend(self.console_args());
        for (index, share) in self.shares.iter().enumerate() {
            args.extend(share.args(index));
        }
        for (index, pmem) in self.pmem.iter().enumerate() {
            args.extend(pmem.args(index));
        }
        for (index, disk) in self.disks.iter().enumerate() {
            args.extend(disk.args(index));
        }
        args.extend(self.extra.iter().cloned());
        args
    }

    fn base_args(&self) -> Vec<OsString> {
        let mut args = words("-nodefaults -no-user-config -display none");
        let machine = Opt::new("q35").set("memory-backend", MEMORY_ID);
        let backend = Opt::new("memory-backend-memfd")
            .set("id", MEMORY_ID)
            .with("size", self.memory)
            .set("share", "on");
        push(&mut args, "-machine", machine);
        push(&mut args, "-object", backend);
        push(&mut args, "-m", self.memory_option());
        args.extend(["-smp".into(), self.cpus.to_string().into()]);
        args.extend(self.accel.args());
        if self.on_reset == OnReset::Exit {
            args.push("-no-reboot".into());
        }
        args
    }

    /// RAM, and room for the devices whose memory is plugged beside it.
    fn memory_option(&self) -> Opt {
        let option = Opt::new(&self.memory.to_string());
        if self.pmem.is_empty() {
            return option;
        }
        let plugged: u64 = self.pmem.iter().map(|pmem| pmem.size.bytes()).sum();
        // Each device's memory is aligned to 1 GiB at worst.
        let slack = (self.pmem.len() as u64) << 30;
        let limit = ByteSize::new(self.memory.bytes() + plugged + slack);
        option.with("slots", self.pmem.len()).with("maxmem", limit)
    }

    fn boot_args(&self, boot: &Boot) -> Vec<OsString> {
        let of_tcg = (self.accel == Accel::Tcg).then_some(TCG_ARGS);
        let append = [KERNEL_ARGS]
            .into_iter()
            .chain(of_tcg)
            .chain(boot.append.iter().map(String::as_str));
        let mut args = vec!["-kernel".into(), boot.kernel.clone().into()];
        if let Some(initrd) = &boot.initrd {
            args.extend(["-initrd".into(), initrd.clone().into()]);
        }
        args.push("-append".into());
        args.push(append.collect::<Vec<_>>().join(" ").into());
        args
    }

    fn console_args(&self) -> Vec<OsString> {
        let mut args = Vec::new();
        let console = match &self.console {
            Console::File(path) => Opt::new("file").set("id", "console").set("path", path),
            Console::Stdio => Opt::new("stdio")
                .set("id", "console")
                .set("mux", "on")
                .set("signal", "off"),
        };
        push(&mut args, "-chardev", console);
        args.extend(words("-serial chardev:console"));
        if matches!(self.console, Console::Stdio) {
            args.extend(words("-object monitor-hmp,id=hmp-monitor,chardev=console"));
        }
        if let Some(channel) = &self.monitor {
            push(&mut args, "-chardev", channel.chardev("qmp"));
            args.extend(words("-object monitor-qmp,id=qmp-monitor,chardev=qmp"));
        }
        if let Some(channel) = &self.agent {
            push(&mut args, "-chardev", channel.chardev("agent"));
            args.extend(words("-device virtio-serial-pci"));
            let port = Opt::new("virtserialport")
                .set("chardev", "agent")
                .set("name", PORT_NAME);
            push(&mut args, "-device", port);
        }
        args
    }
}

impl Channel {
    fn chardev(&self, id: &str) -> Opt {
        let socket = Opt::new("socket").set("id", id);
        match self {
            Self::Dial(path) => socket.set("path", path),
            Self::Listen(path) => socket
                .set("path", path)
                .set("server", "on")
                .set("wait", "off"),
        }
    }
}

impl Pmem {
    fn args(&self, index: usize) -> Vec<OsString> {
        let id = format!("pmem{index}");
        let backend = Opt::new("memory-backend-file")
            .set("id", &id)
            .set("mem-path", &self.image)
            .with("size", self.size)
            .set("share", "on");
        let mut args = Vec::new();
        push(&mut args, "-object", backend);
        push(
            &mut args,
            "-device",
            Opt::new("virtio-pmem-pci").set("memdev", &id),
        );
        args
    }
}

fn push(args: &mut Vec<OsString>, flag: &str, value: Opt) {
    args.extend([flag.into(), value.into()]);
}

fn words(text: &str) -> Vec<OsString> {
    text.split(' ').map(Into::into).collect()
}
