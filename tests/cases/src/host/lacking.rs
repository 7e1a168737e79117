// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! What a kernel or a host does not have. A case that needs it is skipped, and is no failure.

use guest_agent::worker::Fault;

/// The kernel or the host lacks what a case needs. The text says what.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct Lacking(pub String);

impl Lacking {
    /// What the guest's kernel lacks, if a system call failed for that reason: ENOSYS is what Linux
    /// answers to a call that it was built without.
    pub fn of(fault: &Fault) -> Option<Self> {
        let lacking = fault.errno == Some(libc::ENOSYS);
        lacking.then(|| Self(format!("the kernel has no such system call: {fault}")))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_missing_system_call_is_lacking() {
        let fault = |errno| Fault {
            doing: "io_uring_setup".to_owned(),
            errno,
            message: "Function not implemented".to_owned(),
        };
        let found = Lacking::of(&fault(Some(libc::ENOSYS))).unwrap();
        assert!(found.to_string().contains("io_uring_setup"));
        assert!(Lacking::of(&fault(Some(libc::EOPNOTSUPP))).is_none());
        assert!(Lacking::of(&fault(None)).is_none());
    }
}
