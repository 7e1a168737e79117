// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! A removal as a call in C, which is true where the call fails.

use guest_agent::removals::{RangeMode, Removal};

use super::Reason;

/// The call. Files are named as in the program: file and other, with descriptors fd and other.
pub(super) fn removal_call(removal: &Removal) -> Result<String, Reason> {
    Ok(match removal {
        Removal::Truncate { path, len } => format!("truncate(\"{path}\", {len})"),
        Removal::OpenTruncate { path, create } => {
            let create = if *create { " | O_CREAT" } else { "" };
            format!("open(\"{path}\", O_RDWR | O_TRUNC{create}, 0600) < 0")
        }
        Removal::Fallocate {
            mode, offset, len, ..
        } => {
            format!("fallocate(fd, {}, {offset}, {len})", flags(*mode))
        }
        Removal::Clone {
            path,
            from,
            offset,
            len,
        } => format!(
            "ioctl({}, FICLONERANGE, &(struct file_clone_range){{ {}, {offset}, {len}, {offset} }})",
            descriptor(path),
            descriptor(from)
        ),
        Removal::CopyOver { offset, len, .. } => format!(
            "copy_file_range(other, &(off_t){{ {offset} }}, fd, &(off_t){{ {offset} }}, {len}, 0) < 0"
        ),
        Removal::Unlink { path } => format!("unlink(\"{path}\")"),
        Removal::RenameOver { path, from } => format!("rename(\"{from}\", \"{path}\")"),
        Removal::DropCaches => "system(\"echo 3 >/proc/sys/vm/drop_caches\")".to_owned(),
        Removal::Stat { path } => format!("stat(\"{path}\", &(struct stat){{ 0 }})"),
        Removal::Dedupe { .. } => return Err("clone shows the same with a smaller structure"),
        Removal::Exchange { .. } => {
            return Err("the system's headers don't have the call; clone shows the same");
        }
        Removal::SetDax { .. } => {
            return Err("the flag says how the next open is, and frees nothing");
        }
        Removal::Umount { .. } => return Err("umount is refused while a file is open"),
        Removal::Read { .. } | Removal::Touch { .. } => {
            return Err(
                "the lab fills the window to its last range first; worker-stalls-others and \
                        self-deadlock show what comes of it",
            );
        }
    })
}

fn descriptor(path: &str) -> &'static str {
    match path {
        "file" => "fd",
        _ => "other",
    }
}

fn flags(mode: RangeMode) -> &'static str {
    match mode {
        RangeMode::Reserve => "0",
        RangeMode::Punch => "FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE",
        RangeMode::Zero => "FALLOC_FL_ZERO_RANGE",
        RangeMode::Collapse => "FALLOC_FL_COLLAPSE_RANGE",
        RangeMode::Insert => "FALLOC_FL_INSERT_RANGE",
    }
}
