// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! The requests of each kind of work, and the checks of their replies.

use fuse_backend_rs::abi::fuse_abi::ForgetOne;
use virtiofs_driver::{Body, FileOffset, FuseError, GuestSpan, Handle, NodeId, Reply, Request};

use super::fixture::{LISTING, Scene};

/// One request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    /// GETATTR of the data file.
    GetAttr,
    /// LOOKUP of the name with this number, and whether it is forgotten afterwards.
    Lookup { name: u32, forget: bool },
    /// OPEN of the data file.
    Open,
    /// RELEASE of the handle.
    Release(Handle),
    /// READDIRPLUS from the cookie with this number.
    List(usize),
    /// READ of this many bytes.
    Read(FileOffset, u32),
    /// WRITE of this many bytes.
    Write(FileOffset, u32),
    /// BATCH_FORGET of the remembered nodes. It is not part of an operation.
    Forget,
}

/// The consequence of a reply.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// The operation is done, and has moved this many bytes.
    Done(u32),
    /// The operation continues with another request.
    Then(Step),
    /// The operation is done, and this node has to be forgotten.
    Forget(NodeId),
    /// The request was not part of an operation.
    Aside,
}

impl Step {
    /// The request; names are `names[number]`.
    pub fn request<'a>(
        self,
        scene: &Scene,
        names: &'a [String],
        forgotten: &'a [ForgetOne],
        buffer: impl FnOnce(u32) -> GuestSpan,
    ) -> Request<'a> {
        let Scene { data, handle, .. } = *scene;
        match self {
            Self::GetAttr => Request::new(data, Body::getattr(None)),
            Self::Lookup { name, .. } => {
                Request::new(scene.names, Body::lookup(&names[name as usize]))
            }
            Self::Open => Request::new(data, Body::open(libc::O_RDONLY)),
            Self::Release(handle) => Request::new(data, Body::release(handle)),
            Self::List(cookie) => {
                let (from, into) = (scene.cookies[cookie], buffer(LISTING));
                let body = Body::readdirplus(scene.listing, from, into);
                Request::new(scene.many, body)
            }
            Self::Read(at, len) => Request::new(data, Body::read(handle, at, buffer(len))),
            Self::Write(at, len) => Request::new(data, Body::write(handle, at, buffer(len))),
            Self::Forget => Request::new(NodeId(0), Body::batch_forget(forgotten)),
        }
    }

    /// Checks the reply, and returns its consequence.
    pub fn outcome(self, reply: Result<Reply, FuseError>) -> Result<Outcome, Wrong> {
        let reply = reply?;
        match (self, &reply) {
            (Self::GetAttr, Reply::Attr(_)) | (Self::Release(_), Reply::Empty) => {
                Ok(Outcome::Done(0))
            }
            (Self::Lookup { forget, .. }, Reply::Entry(entry)) if entry.nodeid != 0 => match forget
            {
                true => Ok(Outcome::Forget(NodeId(entry.nodeid))),
                false => Ok(Outcome::Done(0)),
            },
            (Self::Open, Reply::Opened(open)) => Ok(Outcome::Then(Self::Release(Handle(open.fh)))),
            (Self::List(_), Reply::Data(len)) if *len > 0 => Ok(Outcome::Done(*len)),
            (Self::Read(_, wanted), Reply::Data(len)) if len == &wanted => {
                Ok(Outcome::Done(wanted))
            }
            (Self::Write(_, wanted), Reply::Written(len)) if len == &wanted => {
                Ok(Outcome::Done(wanted))
            }
            (Self::Forget, Reply::Empty) => Ok(Outcome::Aside),
            _ => Err(Wrong::Says(format!("{self:?} was answered by {reply:?}"))),
        }
    }
}

/// Why a reply ends the measurement.
#[derive(Debug, thiserror::Error)]
pub enum Wrong {
    /// The daemon answered an error, or the queue failed.
    #[error("the request failed")]
    Failed(#[from] FuseError),
    /// The reply is not the expected one.
    #[error("{0}")]
    Says(String),
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_short_read_is_no_read() {
        let step = Step::Read(FileOffset(0), 4096);
        assert_eq!(
            step.outcome(Ok(Reply::Data(4096))).unwrap(),
            Outcome::Done(4096)
        );
        for wrong in [Reply::Data(4095), Reply::Data(0), Reply::Empty] {
            assert!(step.outcome(Ok(wrong)).is_err());
        }
    }

    #[test]
    fn a_negative_entry_is_no_entry() {
        let step = Step::Lookup {
            name: 0,
            forget: true,
        };
        let mut entry = virtiofs_driver::fuse::EntryOut::default();
        assert!(step.outcome(Ok(Reply::Entry(entry))).is_err());
        entry.nodeid = 7;
        let outcome = step.outcome(Ok(Reply::Entry(entry)));
        assert_eq!(outcome.unwrap(), Outcome::Forget(NodeId(7)));
    }

    #[test]
    fn what_is_opened_is_released() {
        let open = virtiofs_driver::fuse::OpenOut {
            fh: 3,
            ..Default::default()
        };
        let outcome = Step::Open.outcome(Ok(Reply::Opened(open))).unwrap();
        assert_eq!(outcome, Outcome::Then(Step::Release(Handle(3))));
    }
}
