// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! File systems under the share that fail or are slow.
