// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
//! QEMU's command line, option by option: what a machine adds to or changes in the plain one.

use std::num::NonZeroU16;

use qemu_guest::accel::Accel;
use qemu_guest::vm::machine::{
    Boot, ByteSize, Channel, Console, Machine, OnReset, Pmem, ShareDevice, ShareKind,
};

const PLAIN: &str = "\
    -nodefaults -no-user-config -display none \
    -machine q35,memory-backend=mem -object memory-backend-memfd,id=mem,size=1G,share=on \
    -m 1G -smp 2 -accel tcg,thread=multi -cpu max -no-reboot \
    -kernel /boot/vmlinuz -initrd /boot/initrd -append CONSOLE \
    -chardev stdio,id=console,mux=on,signal=off -serial chardev:console -object monitor-hmp,id=hmp-monitor,chardev=console";

/// What is another under KVM.
const TCG: &str = "-accel tcg,thread=multi -cpu max -no-reboot -kernel /boot/vmlinuz -initrd /boot/initrd \
    -append CONSOLE";

fn boot() -> Boot {
    Boot {
        kernel: "/boot/vmlinuz".into(),
        initrd: Some("/boot/initrd".into()),
        append: Vec::new(),
    }
}

fn plain() -> Machine {
    Machine::new(Accel::Tcg, boot())
}

/// The arguments as one line; the kernel's own, if they are the usual ones, as `CONSOLE`.
fn line(machine: &Machine) -> String {
    let args = machine.args();
    let words = args.iter().map(|arg| match arg.to_str().unwrap() {
        "console=ttyS0 panic=-1 no_timer_check init_on_alloc=1" => "CONSOLE",
        other => other,
    });
    words.collect::<Vec<_>>().join(" ")
}

fn share(kind: ShareKind, queues: u16) -> ShareDevice {
    ShareDevice {
        tag: "my,tag".parse().unwrap(),
        socket: "/run/a,b.sock".into(),
        queues: NonZeroU16::new(queues).unwrap(),
        kind,
        reconnects: false,
    }
}

#[test]
fn the_plain_machine() {
    assert_eq!(line(&plain()), PLAIN);
}

/// What is expected of the plain line once `replaced` became `by`.
struct Case {
    machine: Machine,
    replaced: &'static str,
    by: &'static str,
}

#[test]
fn each_part_changes_its_own_arguments_only() {
    let cases = [
        Case {
            machine: Machine {
                accel: Accel::Kvm,
                ..plain()
            },
            replaced: TCG,
            by: "-accel kvm -cpu host -no-reboot -kernel /boot/vmlinuz -initrd /boot/initrd \
                 -append console=ttyS0 panic=-1 no_timer_check",
        },
        Case {
            machine: Machine {
                memory: ByteSize::mib(768),
                ..plain()
            },
            replaced: "size=1G,share=on -m 1G",
            by: "size=768M,share=on -m 768M",
        },
        Case {
            machine: Machine {
                cpus: NonZeroU16::MIN,
                ..plain()
            },
            replaced: "-smp 2",
            by: "-smp 1",
        },
        Case {
            machine: Machine {
                on_reset: OnReset::Restart,
                ..plain()
            },
            replaced: " -no-reboot",
            by: "",
        },
        Case {
            machine: Machine {
                console: Console::File("/run/c.log".into()),
                ..plain()
            },
            replaced: "stdio,id=console,mux=on,signal=off -serial chardev:console -object monitor-hmp,id=hmp-monitor,chardev=console",
            by: "file,id=console,path=/run/c.log -serial chardev:console",
        },
        Case {
            machine: Machine {
                boot: Some(Boot {
                    append: vec!["quiet".into(), "nokaslr".into()],
                    ..boot()
                }),
                ..plain()
            },
            replaced: "CONSOLE",
            by: "console=ttyS0 panic=-1 no_timer_check init_on_alloc=1 quiet nokaslr",
        },
        Case {
            machine: Machine {
                boot: Some(Boot {
                    initrd: None,
                    ..boot()
                }),
                ..plain()
            },
            replaced: " -initrd /boot/initrd",
            by: "",
        },
        Case {
            machine: Machine {
                boot: None,
                ..plain()
            },
            replaced: " -kernel /boot/vmlinuz -initrd /boot/initrd -append CONSOLE",
            by: "",
        },
    ];
    for case in cases {
        assert!(PLAIN.contains(case.replaced), "{}", case.replaced);
        assert_eq!(line(&case.machine), PLAIN.replace(case.replaced, case.by));
    }
}

#[test]
fn devices_are_appended() {
    let cases = [
        (
            Machine {
                monitor: Some(Channel::Dial("/run/q".into())),
                ..plain()
            },
            "-chardev socket,id=qmp,path=/run/q -object monitor-qmp,id=qmp-monitor,chardev=qmp",
        ),
        (
            Machine {
                agent: Some(Channel::Listen("/run/a".into())),
                ..plain()
            },
            "-chardev socket,id=agent,path=/run/a,server=on,wait=off -device virtio-serial-pci \
             -device virtserialport,chardev=agent,name=daxlab.agent",
        ),
        (
            Machine {
                shares: vec![share(ShareKind::Window, 2)],
                ..plain()
            },
            "-chardev socket,id=fs0,path=/run/a,,b.sock -device vhost-user-test-device-pci,\
             chardev=fs0,virtio-id=26,num_vqs=3,vq_size=1024,config_size=44",
        ),
        (
            Machine {
                shares: vec![share(ShareKind::Plain, 1), share(ShareKind::Plain, 2)],
                ..plain()
            },
            "-chardev socket,id=fs0,path=/run/a,,b.sock -device vhost-user-fs-pci,chardev=fs0,\
             tag=my,,tag,num-request-queues=1,queue-size=1024 \
             -chardev socket,id=fs1,path=/run/a,,b.sock -device vhost-user-fs-pci,chardev=fs1,\
             tag=my,,tag,num-request-queues=2,queue-size=1024",
        ),
        (
            Machine {
                extra: vec!["-trace".into(), "x".into()],
                ..plain()
            },
            "-trace x",
        ),
    ];
    for (machine, appended) in cases {
        assert_eq!(line(&machine), format!("{PLAIN} {appended}"));
    }
}

#[test]
fn persistent_memory_gets_room_beside_the_ram() {
    let pmem = Pmem {
        image: "/img".into(),
        size: ByteSize::mib(512),
    };
    let line = line(&Machine {
        pmem: vec![pmem],
        ..plain()
    });
    let appended = " -object memory-backend-file,id=pmem0,mem-path=/img,size=512M,share=on \
                    -device virtio-pmem-pci,memdev=pmem0";
    let expected = PLAIN.replace("-m 1G", "-m 1G,slots=1,maxmem=2560M") + appended;
    assert_eq!(line, expected);
}
