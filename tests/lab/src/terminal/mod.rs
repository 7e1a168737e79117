// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! A guest command on this process's own terminal or pipes.
