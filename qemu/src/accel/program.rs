// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
//! The probe guest: a firmware image that does an ordinary guest's work and then ends QEMU.
//!
//! Real mode alone proves nothing, nor do plain instructions in long mode: if the hardware never
//! enters the guest, KVM may emulate both, one by one. So the program enters long mode with paging
//! and does SSE2 arithmetic, which every 64-bit CPU has and KVM's emulator (arch/x86/kvm/
//! emulate.c) has not. It does so a million times: milliseconds for a CPU.

use std::arch::global_asm;

use sha2::{Digest as _, Sha256};

/// I/O port of QEMU's `isa-debug-exit` device.
pub(super) const EXIT_PORT: u16 = 0xf4;
/// The value that the program writes to the port at its end.
const DONE: u8 = 0x15;
/// QEMU's exit status for that value: `isa-debug-exit` ends QEMU with `value * 2 + 1`.
pub(super) const DONE_STATUS: i32 = (DONE as i32) << 1 | 1;

/// QEMU takes firmware in multiples of this and maps it right below 1 MiB.
const ROM_SIZE: usize = 64 << 10;
/// The program's offset in the image.
const ENTRY: u16 = 0xf000;
/// The offset in the image where the CPU starts after a reset.
const RESET_VECTOR: usize = 0xfff0;

global_asm!(
    ".pushsection .rodata.kvm_probe, \"a\", @progbits",
    ".globl daxlab_kvm_probe",
    ".globl daxlab_kvm_probe_end",
    "daxlab_kvm_probe:",
    ".code16",
    "cli",
    "xorw %ax, %ax",
    "movw %ax, %ds",
    // Page tables at 0x1000, 0x2000 and 0x3000: the first 2 MiB, identity-mapped.
    "movl $0x2003, 0x1000",
    "movl $0x3003, 0x2000",
    "movl $0x0083, 0x3000",
    "movw $0xf000, %ax",
    "movw %ax, %es",
    "lgdtl %es:({entry} + 5f - daxlab_kvm_probe)",
    // CR4.PAE and CR4.OSFXSR.
    "movl %cr4, %eax",
    "orl $0x220, %eax",
    "movl %eax, %cr4",
    "movl $0x1000, %eax",
    "movl %eax, %cr3",
    // EFER.LME, then CR0.PG and CR0.PE: long mode at once.
    "movl $0xc0000080, %ecx",
    "rdmsr",
    "orl $0x100, %eax",
    "wrmsr",
    "movl %cr0, %eax",
    "orl $0x80000001, %eax",
    "movl %eax, %cr0",
    "ljmpl $8, $(0xf0000 + {entry} + 2f - daxlab_kvm_probe)",
    ".code64",
    "2:",
    "movw $16, %ax",
    "movw %ax, %ds",
    "movw %ax, %es",
    "movw %ax, %ss",
    "movl $0x100000, %edi",
    "movl $1000000, %ecx",
    "movq %rcx, %xmm0",
    "3:",
    "movq %rcx, (%rdi,%rcx)",
    "lock xaddq %rax, (%rdi)",
    "paddq %xmm0, %xmm0",
    "mulpd %xmm0, %xmm1",
    "decl %ecx",
    "jnz 3b",
    "movb ${done}, %al",
    "outb %al, ${port}",
    "4:",
    "hlt",
    "jmp 4b",
    // Null, 64-bit code and data descriptors, and the register's image.
    ".balign 8",
    "6:",
    ".quad 0, 0x00af9b000000ffff, 0x00cf93000000ffff",
    "5:",
    ".word 23",
    ".long 0xf0000 + {entry} + 6b - daxlab_kvm_probe",
    "daxlab_kvm_probe_end:",
    ".popsection",
    entry = const ENTRY,
    done = const DONE,
    port = const EXIT_PORT,
    options(att_syntax),
);

unsafe extern "C" {
    static daxlab_kvm_probe: u8;
    static daxlab_kvm_probe_end: u8;
}

/// The firmware image.
pub(super) fn rom() -> Vec<u8> {
    let program: &[u8] = {
        let start = &raw const daxlab_kvm_probe;
        let len = (&raw const daxlab_kvm_probe_end).addr() - start.addr();
        // SAFETY: both symbols are defined by the assembly above, in this order and in one
        // read-only section, so the bytes between them are initialised and never change.
        unsafe { std::slice::from_raw_parts(start, len) }
    };
    // All bytes outside the program halt the CPU.
    let mut rom = vec![0xf4; ROM_SIZE];
    rom[usize::from(ENTRY)..][..program.len()].copy_from_slice(program);
    // A far jump to F000:ENTRY, the copy below 1 MiB, which the page tables map.
    let [low, high] = ENTRY.to_le_bytes();
    rom[RESET_VECTOR..][..5].copy_from_slice(&[0xea, low, high, 0x00, 0xf0]);
    rom
}

/// A digest that changes with the program.
pub(super) fn digest() -> String {
    let digest = Sha256::digest(rom());
    digest.iter().map(|byte| format!("{byte:02x}")).collect()
}
