// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! The messages between host and worker, and the state that the worker keeps between two requests.

use std::any::{Any, type_name};
use std::collections::BTreeMap;
use std::io;

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

/// An operation of a worker. Host and guest share the type: its fields are the request's, and its
/// code is the guest's.
pub trait Op: Serialize + DeserializeOwned {
    /// Its name on the wire.
    const NAME: &'static str;
    /// The result of a success.
    type Yield: Serialize + DeserializeOwned;

    /// Runs the op, in the guest.
    ///
    /// # Errors
    ///
    /// The kernel's error, or an error of the request.
    fn run(self, handles: &mut HandleTable) -> Result<Self::Yield, Fault>;
}

/// A request, as a line.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Request {
    /// The op's name.
    pub op: String,
    /// The op's own fields.
    pub with: serde_json::Value,
}

impl Request {
    /// The request for `op`.
    ///
    /// # Panics
    ///
    /// Never: ops are plain data.
    pub fn of<O: Op>(op: &O) -> Self {
        Self {
            op: O::NAME.to_owned(),
            with: serde_json::to_value(op).expect("an op is plain data"),
        }
    }
}

/// When an op ran, on the guest's monotonic clock, in nanoseconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Span {
    /// Just before.
    pub began_ns: u64,
    /// Just after.
    pub ended_ns: u64,
}

/// The answer to a request, as a line.
#[derive(Debug, Serialize, Deserialize)]
pub struct Answer {
    /// When the op ran.
    pub span: Span,
    /// The op's [`Yield`](Op::Yield), or why there is none.
    pub outcome: Result<serde_json::Value, Fault>,
}

/// Why an op failed in the guest.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
#[error("{doing}: {message}")]
pub struct Fault {
    /// What was being done.
    pub doing: String,
    /// The kernel's error number, where the kernel refused.
    pub errno: Option<i32>,
    /// The reason, in words.
    pub message: String,
}

impl Fault {
    /// Something that the kernel has no number for: a wrong request, or a wrong result.
    pub fn new(doing: impl Into<String>, message: impl Into<String>) -> Self {
        Self {
            doing: doing.into(),
            errno: None,
            message: message.into(),
        }
    }

    /// For `map_err`: the kernel refused `doing`.
    pub fn of<E: Into<io::Error>>(doing: impl Into<String>) -> impl FnOnce(E) -> Self {
        let doing = doing.into();
        move |error| {
            let error: io::Error = error.into();
            Self {
                doing,
                errno: error.raw_os_error(),
                message: error.to_string(),
            }
        }
    }
}

/// Files, mappings and pins by the names that the host gave them.
#[derive(Default)]
pub struct HandleTable(BTreeMap<String, Box<dyn Any>>);

impl HandleTable {
    /// Keeps `thing` under `name`; what had the name before is dropped.
    pub fn keep<T: 'static>(&mut self, name: &str, thing: T) {
        self.0.insert(name.to_owned(), Box::new(thing));
    }

    /// What is kept under `name`.
    ///
    /// # Errors
    ///
    /// If there is nothing, or something of another type.
    pub fn get<T: 'static>(&self, name: &str) -> Result<&T, Fault> {
        let found = self.0.get(name).and_then(|thing| thing.downcast_ref());
        found.ok_or_else(|| missing::<T>(name))
    }

    /// The same, to change it.
    ///
    /// # Errors
    ///
    /// As [`get`](Self::get).
    pub fn get_mut<T: 'static>(&mut self, name: &str) -> Result<&mut T, Fault> {
        let found = self.0.get_mut(name).and_then(|thing| thing.downcast_mut());
        found.ok_or_else(|| missing::<T>(name))
    }

    /// Takes what is kept under `name` out of the table; `None` as [`get`](Self::get) fails.
    pub fn take<T: 'static>(&mut self, name: &str) -> Option<T> {
        self.0.get(name)?.downcast_ref::<T>()?;
        self.0.remove(name)?.downcast().ok().map(|thing| *thing)
    }

    /// Drops what is kept under `name`.
    ///
    /// # Errors
    ///
    /// If there is nothing.
    pub fn close(&mut self, name: &str) -> Result<(), Fault> {
        let gone = self.0.remove(name).map(drop);
        gone.ok_or_else(|| Fault::new(format!("closing {name}"), "there is no such thing"))
    }
}

fn missing<T>(name: &str) -> Fault {
    let kind = type_name::<T>().rsplit("::").next().unwrap_or_default();
    Fault::new(
        format!("looking for {name}"),
        format!("there is no {kind} of that name"),
    )
}
