// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! FUSE messages as Linux sends them.

use virtiofs_driver::fuse::FsOptions;
use virtiofs_driver::{Body, InitOptions, NodeId, Request};

/// A request with its header. All have the same number: no input has two of them in flight.
pub fn request(node: NodeId, body: Body<'_>) -> Vec<u8> {
    Request::new(node, body).to_bytes(7)
}

/// INIT of a kernel that has all features.
pub fn init() -> Vec<u8> {
    let options = InitOptions {
        flags: FsOptions::all(),
        ..InitOptions::linux()
    };
    request(NodeId(0), Body::init(&options))
}
