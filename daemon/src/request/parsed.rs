// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! A request between its ring and whoever serves it.

use fuse_backend_rs::abi::virtio_fs::{RemovemappingOne, SetupmappingIn};
use virtiofsd::fuse::Opcode;

use crate::adapter::{ChainError, HeadIndex, Mapped, Request};
use crate::request::message::{self, Header, MessageError};
use crate::ring::poller::Taken;
use crate::ring::quiesce::InFlightGuard;
use crate::window::operations::{OpenFile, SetupError};

/// A request that was read off its chain, if that was one.
pub(crate) struct Opened {
    pub(crate) head: HeadIndex,
    pub(crate) guard: InFlightGuard,
    pub(crate) read: Result<(Request, Result<Header, MessageError>), ChainError>,
    /// Of the window, if it has stepped aside for that.
    pub(crate) asked: Option<Asked>,
    /// A daemon before this one had begun to serve it.
    pub(crate) again: bool,
}

/// What a request asks of the window.
pub(crate) enum Asked {
    /// Boxed, because each request is as large as this one.
    Map(Box<Wanted>),
    Unmap(Vec<RemovemappingOne>),
}

/// A mapping that is asked for.
pub(crate) struct Wanted {
    pub(crate) range: SetupmappingIn,
    /// The file that is to be mapped, if it has been opened.
    pub(crate) file: Option<Result<OpenFile, SetupError>>,
}

impl Asked {
    /// Reads it off the guest's memory; nothing if the request is about something else.
    pub(crate) fn read(header: &Header, request: &Request) -> Result<Option<Self>, MessageError> {
        Ok(match header.opcode() {
            Some(Opcode::SetupMapping) => Some(Self::Map(Box::new(Wanted {
                range: message::setup_mapping(header, request)?,
                file: None,
            }))),
            Some(Opcode::RemoveMapping) => {
                Some(Self::Unmap(message::remove_mapping(header, request)?))
            }
            _ => None,
        })
    }
}

impl Opened {
    /// Reads it; buffers that are no memory may lie in files that are `mapped`.
    pub(crate) fn new(taken: Taken, mapped: Option<&dyn Mapped>) -> Self {
        let Taken {
            chain,
            guard,
            memory,
            again,
        } = taken;
        let head = HeadIndex(chain.head_index());
        let read = Request::read_with(chain, memory, mapped).map(|request| {
            let header = Header::of(&request);
            (request, header)
        });
        Self {
            head,
            guard,
            read,
            asked: None,
            again,
        }
    }

    /// The mapping that is asked for and by what header, once it has stepped aside for the window.
    pub(crate) fn wanted(&mut self) -> Option<(&Header, &mut Wanted)> {
        match (&self.read, &mut self.asked) {
            (Ok((_, Ok(header))), Some(Asked::Map(wanted))) => Some((header, wanted)),
            _ => None,
        }
    }

    /// Steps aside for the window, if it is a request of sense about mappings; whether it is. From
    /// then on it touches neither ring nor guest memory until it has its ring back.
    pub(crate) fn enter_window(&mut self) -> bool {
        if let Ok((request, Ok(header))) = &self.read
            && let Ok(Some(asked)) = Asked::read(header, request)
        {
            self.asked = Some(asked);
            self.guard.enter_window();
        }
        self.asked.is_some()
    }
}
