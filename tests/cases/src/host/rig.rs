// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! A guest that runs cases: a share with a window, ext4 and xfs on persistent memory, and the disk.

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::{env, fs};

use anyhow::{Context as _, Error, Result};
use guest_agent::files::{KernelLog, Reserve, TRACEFS};
use qemu_guest::accel::AccelChoice;
use qemu_guest::artifacts::{KernelSpec, Progress, QemuSpec};
use qemu_guest::vm::agent::{AgentError, Errno};
use qemu_guest::vm::machine::{ByteSize, NbdDisk};
use qemu_guest::vm::process::{Dax, RunDir, Share};
use qemu_guest::vm::{Parts, Vm, VmSpec, Wanted};

use super::blocks::BigBlocks;
use super::delayed::{HELD_FROM, SIZE};
use super::held_share::{self, HeldShare, Release};
use super::{Counter, Disk, FileSystem, Images, Lacking, NO_BIG_BLOCKS, Worker};
use crate::cases::version;

/// Size of the window: small, so that it fills quickly.
pub const WINDOW: ByteSize = ByteSize::mib(16);
/// The free space of ext4 and xfs: just enough for a case's files, so that freed blocks soon get
/// another owner.
pub const FREE: u64 = 24 << 20;
/// The distance between the disk offsets of two cases.
const DISK_STEP: u64 = 1 << 20;
/// Modules in addition to those of every guest.
const MODULES: [&str; 4] = ["virtio_blk", "virtio_pmem", "ext4", "xfs"];
/// A kernel that has lost a task to an oops must not go on: its later results mean nothing.
const APPEND: [&str; 2] = ["quiet", "oops=panic"];
/// Checksum modules that the modules above ask for by name, if they are modules.
const OPTIONAL_MODULES: [&str; 3] = ["crc32c_generic", "crc32c_intel", "nd_pmem"];

/// The parts that all rigs of one kernel start from.
pub struct RigParts {
    parts: Parts,
    accel: AccelChoice,
}

impl RigParts {
    /// Fetches and builds the missing parts.
    ///
    /// # Errors
    ///
    /// If a part can't be fetched or built.
    pub fn obtain(
        kernel: &KernelSpec,
        modules_dir: Option<&Path>,
        accel: AccelChoice,
        qemu: &QemuSpec,
        progress: Progress,
    ) -> Result<Self> {
        let wanted = Wanted {
            qemu: qemu.clone(),
            kernel: kernel.clone(),
            modules_dir: modules_dir.map(Path::to_owned),
            unpacked: true,
            modules: MODULES.map(str::to_owned).into(),
            optional_modules: OPTIONAL_MODULES.map(str::to_owned).into(),
            ..Wanted::default()
        };
        Ok(Self {
            parts: Parts::obtain(&wanted, progress)?,
            accel,
        })
    }

    /// The same with a QEMU that dies of a lost page of a mapped file.
    #[must_use]
    pub fn without_guard(self) -> Self {
        Self {
            parts: self.parts.without_guard(),
            ..self
        }
    }

    /// The release name that the kernel reports.
    pub fn release(&self) -> &str {
        &self.parts.kernel.release
    }

    /// QEMU, kernel and daemon.
    pub fn parts(&self) -> &Parts {
        &self.parts
    }
}

/// A running guest.
pub struct Rig {
    /// The first field to be dropped: a daemon can't end while it waits.
    held_release: Release,
    vm: Vm,
    disk: Disk,
    /// The worker that watches the others.
    watcher: Worker,
    /// The file systems that the kernel does not have.
    lacking: Vec<FileSystem>,
    /// Whether xfs has exchanges of ranges.
    exchange: bool,
    /// Unmounted before the share is removed.
    big_blocks: Option<BigBlocks>,
    held_share: HeldShare,
    /// The shared folder, in `dir`.
    share: PathBuf,
    /// Where its daemon shows metrics.
    metrics: PathBuf,
    /// The folder of images and of the disk's socket. If daxlab is killed, its next run removes the
    /// folder.
    _dir: RunDir,
    next: AtomicU64,
    spoiled: bool,
}

impl Rig {
    /// Boots a guest and mounts everything.
    ///
    /// # Errors
    ///
    /// If a step fails. Nothing is left behind then.
    pub async fn boot(parts: &RigParts) -> Result<Self> {
        // Images and files may be too large for the folder in which other runs keep their sockets.
        let dir = RunDir::create_in(&env::temp_dir())?;
        let share = dir.join("share");
        fs::create_dir(&share)?;
        let big_blocks = BigBlocks::make(&share)
            .inspect_err(|error| log::info!("no folder of big blocks: {error}"))
            .ok();
        let images = Images::make(dir.path(), version(parts.release()) >= Some(EXCHANGES))?;
        let disk = Disk::serve(&dir.path().join("disk.sock"))?;
        let mut held_share = HeldShare::mount(&dir.path().join("held"))?;
        held_share.mount_file_in(&share)?;
        let held_release = held_share.release_at_end();
        let metrics = dir.join("metrics");
        let mut show_metrics = OsString::from("--metrics=");
        show_metrics.push(&metrics);
        let shared = Share {
            dax: Dax::Always,
            extra: vec![held_share::THREADS.into(), show_metrics],
            ..Share::new(&share, "fuse".parse()?).with_window(WINDOW)
        };
        let spec = VmSpec {
            accel: parts.accel,
            append: APPEND.map(str::to_owned).into(),
            pmem: images.pmem,
            disks: vec![NbdDisk {
                socket: disk.path().to_owned(),
            }],
            ..VmSpec::default().share(shared).share(held_share.share()?)
        };
        let vm = Vm::boot(&parts.parts, spec).await?;
        let ready = async {
            let mut lacking = Vec::new();
            for fs in FileSystem::ALL {
                match mount(&vm, fs).await {
                    Err(error) if is_unknown(&error) => lacking.push(fs),
                    mounted => mounted?,
                }
            }
            let (tag, target) = (held_share::TAG, held_share::MOUNT_POINT);
            vm.mount(tag, target, "").await?;
            // For the kernel's warnings. A kernel without debugfs warns once.
            let debugfs = vm
                .agent()
                .mount("debugfs", "/sys/kernel/debug", "debugfs", "");
            debugfs.await.ok();
            // For the count of wake-ups. A kernel without tracefs has no such count.
            let tracefs = vm.agent().mount("tracefs", TRACEFS, "tracefs", "");
            tracefs.await.ok();
            let mut watcher = Worker::start(vm.agent(), "watcher").await?;
            for fs in [FileSystem::Ext4, FileSystem::Xfs] {
                if lacking.contains(&fs) {
                    continue;
                }
                let path = format!("{}/ballast", fs.mount_point());
                watcher.ask(Reserve { path, leave: FREE }).await?;
            }
            watcher.ask(KernelLog {}).await?;
            anyhow::Ok((watcher, lacking))
        };
        let (watcher, lacking) = ready.await.with_context(|| {
            let boot = vm.agent().boot();
            format!(
                "{}\nthe guest's console:\n{}",
                boot.problems.join("\n"),
                vm.guest().console_tail()
            )
        })?;
        Ok(Self {
            held_release,
            vm,
            disk,
            watcher,
            lacking,
            exchange: images.exchange,
            big_blocks,
            held_share,
            share,
            metrics,
            _dir: dir,
            next: AtomicU64::new(0),
            spoiled: false,
        })
    }

    /// QEMU and the daemons.
    pub fn vm(&self) -> &Vm {
        &self.vm
    }

    /// QEMU and the daemons, to wait for their end.
    pub fn vm_mut(&mut self) -> &mut Vm {
        &mut self.vm
    }

    /// The disk.
    pub fn disk(&self) -> &Disk {
        &self.disk
    }

    /// The second share, whose file is not accessed by DAX.
    pub fn held_share(&self) -> &HeldShare {
        &self.held_share
    }

    /// Makes all servers answer their delayed requests, so that the guest's processes can end.
    pub fn release_all(&self) {
        self.disk.release_all();
        self.held_share.release_all();
    }

    /// The worker that watches the others.
    pub fn watcher(&mut self) -> &mut Worker {
        &mut self.watcher
    }

    /// Starts an actor.
    ///
    /// # Errors
    ///
    /// If the guest can't start it.
    pub async fn actor(&self, name: &'static str) -> Result<Worker> {
        Ok(Worker::start(self.vm.agent(), name).await?)
    }

    /// Mounts a file system that a case has unmounted.
    ///
    /// # Errors
    ///
    /// If the guest can't mount it.
    pub async fn mount(&self, fs: FileSystem) -> Result<()> {
        mount(&self.vm, fs).await
    }

    /// Checks that the share has a folder of [`BIG_BLOCKS`](super::BIG_BLOCKS).
    ///
    /// # Errors
    ///
    /// [`Lacking`], if it does not.
    pub fn needs_big_blocks(&self) -> Result<(), Lacking> {
        match self.big_blocks {
            Some(_) => Ok(()),
            None => Err(Lacking(NO_BIG_BLOCKS.to_owned())),
        }
    }

    /// Checks that xfs has XFS_IOC_EXCHANGE_RANGE.
    ///
    /// # Errors
    ///
    /// [`Lacking`], if it does not.
    pub fn needs_exchange(&self) -> Result<(), Lacking> {
        let why = "XFS_IOC_EXCHANGE_RANGE needs Linux 6.10, and xfs_db on the host";
        match self.exchange {
            true => Ok(()),
            false => Err(Lacking(why.to_owned())),
        }
    }

    /// Checks that the kernel has a file system.
    ///
    /// # Errors
    ///
    /// [`Lacking`], if it does not.
    pub fn needs(&self, fs: FileSystem) -> Result<(), Lacking> {
        match self.lacking.contains(&fs) {
            true => Err(Lacking(format!("the kernel has no {fs}"))),
            false => Ok(()),
        }
    }

    /// A counter of the share's daemon.
    ///
    /// # Errors
    ///
    /// If the daemon does not answer.
    pub fn count(&self, counter: Counter) -> Result<u64> {
        counter.read(&self.metrics)
    }

    /// The host's path of a file in the share.
    pub fn on_host(&self, name: &str) -> PathBuf {
        self.share.join(name)
    }

    /// A disk and file offset that no other case uses now, and a number for names. Offsets are
    /// reused after a while.
    pub fn fresh(&self) -> (u64, u64) {
        const PLACES: u64 = (SIZE - HELD_FROM) / DISK_STEP;
        let number = self.next.fetch_add(1, Ordering::Relaxed);
        (HELD_FROM + number % PLACES * DISK_STEP, number)
    }

    /// The number that the next case will get.
    pub fn next_number(&self) -> u64 {
        self.next.load(Ordering::Relaxed)
    }

    /// Marks this guest as unusable for further cases: its disk has failed. QEMU disconnects from a
    /// server whose reply it could not store.
    pub fn spoil(&mut self) {
        self.spoiled = true;
    }

    /// Whether the next case needs another guest.
    pub fn is_spoiled(&self) -> bool {
        self.spoiled
    }

    /// Shuts the guest down.
    ///
    /// # Errors
    ///
    /// If the guest does not end, or ends with an error.
    pub async fn end(self) -> Result<()> {
        self.release_all();
        drop(self.watcher);
        drop(self.held_release);
        self.vm.power_off().await
    }
}

/// The first release whose xfs has exchanges of ranges.
const EXCHANGES: (u32, u32) = (6, 10);

/// Whether a mount failed because the kernel does not know the file system.
fn is_unknown(error: &Error) -> bool {
    let errno = match error.downcast_ref() {
        Some(AgentError::Refused { source, .. }) => source.errno,
        _ => None,
    };
    errno == Some(Errno(libc::ENODEV))
}

async fn mount(vm: &Vm, fs: FileSystem) -> Result<()> {
    let (source, options) = fs.source();
    let mounted = vm.mount_device(source, fs.mount_point(), fs.fstype(), options);
    mounted.await.with_context(|| format!("mounting {fs}"))
}
