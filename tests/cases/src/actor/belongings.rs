// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! What an actor holds between two orders.

use std::any::{Any, type_name};
use std::collections::BTreeMap;

use super::Fault;

/// Files, mappings and pins by the names that the host gave them.
#[derive(Default)]
pub struct Belongings(BTreeMap<String, Box<dyn Any>>);

impl Belongings {
    /// Keeps `thing` under `name`; what had the name before is let go of.
    pub fn keep<T: 'static>(&mut self, name: &str, thing: T) {
        self.0.insert(name.to_owned(), Box::new(thing));
    }

    /// What is kept under `name`.
    ///
    /// # Errors
    ///
    /// If there is nothing, or something of another kind.
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

    /// Lets go of what is kept under `name`.
    ///
    /// # Errors
    ///
    /// If there is nothing.
    pub fn drop(&mut self, name: &str) -> Result<(), Fault> {
        let gone = self.0.remove(name).map(std::mem::drop);
        gone.ok_or_else(|| Fault::order(format!("letting go of {name}"), "there is no such thing"))
    }
}

fn missing<T>(name: &str) -> Fault {
    let kind = type_name::<T>().rsplit("::").next().unwrap_or_default();
    Fault::order(
        format!("looking for {name}"),
        format!("there is no {kind} of that name"),
    )
}
