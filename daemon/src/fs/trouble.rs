// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! Failures that say nothing about a file.

use std::io;

use shared_window::ViewError;

/// Whether the host failed for a reason that is not the file's: no descriptor or memory left, or a
/// disk or server that fails. The same call may succeed later.
#[must_use]
pub fn is_trouble(error: &io::Error) -> bool {
    matches!(
        error.raw_os_error(),
        Some(
            libc::EIO
                | libc::ESTALE
                | libc::EMFILE
                | libc::ENFILE
                | libc::ENOMEM
                | libc::ENOSPC
                | libc::EDQUOT
                | libc::EINTR
                | libc::EAGAIN
                | libc::ETIMEDOUT
        )
    )
}

/// [`is_trouble`] for a view that could not be opened. A view server that is gone is not the file's
/// fault either.
#[must_use]
pub fn is_trouble_with_view(error: &ViewError) -> bool {
    match error {
        ViewError::System { source, .. } => is_trouble(source),
        ViewError::ServerGone | ViewError::Protocol(_) => true,
        _ => false,
    }
}
