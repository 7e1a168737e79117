// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! Which descriptors are free, and to which request the others belong.

/// A request that the device holds.
#[derive(Debug, Clone, Copy, Default)]
struct InFlight {
    token: u64,
    /// The number of its descriptors; 0 if no request has this head.
    descriptors: u16,
}

/// The driver's own state; the device can't change it.
#[derive(Debug)]
pub(super) struct Chains {
    free: Vec<u16>,
    /// The descriptor after each one in its chain.
    next: Vec<u16>,
    in_flight: Vec<InFlight>,
    requests: usize,
}

impl Chains {
    pub(super) fn new(size: usize) -> Self {
        Self {
            free: (0..size).rev().map(|index| index as u16).collect(),
            next: vec![0; size],
            in_flight: vec![InFlight::default(); size],
            requests: 0,
        }
    }

    pub(super) fn free(&self) -> usize {
        self.free.len()
    }

    pub(super) fn requests(&self) -> usize {
        self.requests
    }

    /// Takes one descriptor. The caller has checked that one is free.
    pub(super) fn take(&mut self) -> u16 {
        self.free.pop().expect("the caller has looked")
    }

    pub(super) fn link(&mut self, index: u16, next: u16) {
        self.next[usize::from(index)] = next;
    }

    /// Records a request.
    pub(super) fn begin(&mut self, head: u16, token: u64, descriptors: u16) {
        self.in_flight[usize::from(head)] = InFlight { token, descriptors };
        self.requests += 1;
    }

    /// Frees the descriptors of the request with this head, and returns its token, if there is one.
    pub(super) fn end(&mut self, head: u32) -> Option<u64> {
        let request = self.in_flight.get_mut(usize::try_from(head).ok()?)?;
        let InFlight { token, descriptors } = std::mem::take(request);
        if descriptors == 0 {
            return None;
        }
        let mut index = head as u16;
        for _ in 0..descriptors {
            self.free.push(index);
            index = self.next[usize::from(index)];
        }
        self.requests -= 1;
        Some(token)
    }
}

#[cfg(test)]
mod tests {
    use super::Chains;

    #[test]
    fn a_chain_ends_once() {
        let mut chains = Chains::new(4);
        let (head, next) = (chains.take(), chains.take());
        chains.link(head, next);
        chains.begin(head, 7, 2);
        assert_eq!((chains.free(), chains.requests()), (2, 1));
        assert_eq!(chains.end(next.into()), None, "not a head");
        assert_eq!(chains.end(4), None, "not in the table");
        assert_eq!(chains.end(head.into()), Some(7));
        assert_eq!(chains.end(head.into()), None, "returned already");
        assert_eq!((chains.free(), chains.requests()), (4, 0));
    }
}
