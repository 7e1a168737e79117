// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! What scenarios do with actors: one short function for each step.

use anyhow::Result;
use guest_agent::files::{Map, Open, Touch};
use guest_agent::removals::Removal;

use crate::host::Worker;

/// Length of a page.
pub(super) const PAGE: usize = 4096;

/// Opens a file and names it `name`.
pub(super) async fn open(actor: &mut Worker, name: &str, path: &str) -> Result<()> {
    let open = Open {
        name: name.to_owned(),
        path: path.to_owned(),
        direct: false,
    };
    Ok(actor.ask(open).await?)
}

/// Maps a page of an open file and names the mapping `name`. Returns its address.
pub(super) async fn map(actor: &mut Worker, name: &str, file: &str, offset: u64) -> Result<u64> {
    Ok(actor.ask(mapping(name, file, offset)).await?)
}

/// The op that maps a page.
pub(super) fn mapping(name: &str, file: &str, offset: u64) -> Map {
    Map {
        name: name.to_owned(),
        file: file.to_owned(),
        offset,
        len: PAGE,
        private: false,
    }
}

/// The op that stores to the first page of a mapping the bytes that are already there.
pub(super) fn storing(map: &str) -> Touch {
    Touch {
        map: map.to_owned(),
        at: 0,
        len: PAGE,
        store: true,
    }
}

/// The op that reads a page.
pub(super) fn reading(path: &str, offset: u64) -> Removal {
    Removal::Read {
        path: path.to_owned(),
        offset,
        len: PAGE,
    }
}

/// The op that loads from a new mapping of a page.
pub(super) fn loading(path: &str, offset: u64) -> Removal {
    Removal::Touch {
        path: path.to_owned(),
        offset,
    }
}

/// The op that changes a file's length.
pub(super) fn resizing(path: &str, len: u64) -> Removal {
    Removal::Truncate {
        path: path.to_owned(),
        len,
    }
}
