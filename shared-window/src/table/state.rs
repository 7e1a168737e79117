// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! The states of a range of the window, and the moves between them.
//!
//! ```text
//!                            mapped
//!   (free) ──▶ Mapping ────────────────────▶ Live ───────┐
//!     ▲           │ │ lost                               │ unmap started
//!     │  refused  │ └──────────▶ Indeterminate ──────────┤
//!     ├───────────┘                   ▲                  ▼
//!     │                               └──────────── Unmapping
//!     │                    unmap failed                  │
//!     └──────────────────────────────────────────────────┘
//!                            unmapped
//! ```
//!
//! `Mapping` and `Unmapping` last as long as a call to the VMM. `Indeterminate` means that a call
//! ended and it is unknown whether the VMM has the mapping: the range is refused to new mappings
//! until an unmap of it has succeeded.

use thiserror::Error;

/// The state of a range. A free range has none.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum RangeState {
    /// The VMM is being asked to map.
    Mapping,
    /// The mapping is in effect.
    Live,
    /// The VMM is being asked to unmap.
    Unmapping,
    /// It is unknown whether the VMM has the mapping.
    Indeterminate,
}

/// An event of a range.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum RangeEvent {
    /// The VMM has mapped it.
    Mapped,
    /// The VMM answered that it has not mapped it.
    MapRefused,
    /// The VMM was asked to map it, and the outcome is unknown.
    MapLost,
    /// The VMM is about to be asked to unmap it.
    UnmapStarted,
    /// The VMM has no such mapping any more.
    Unmapped,
    /// The VMM was asked to unmap it and may still have it.
    UnmapFailed,
}

/// A transition that is not in the diagram: a bug of this crate.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[error("a range that is {from:?} can't take {event:?}")]
pub(crate) struct IllegalTransition {
    from: RangeState,
    event: RangeEvent,
}

impl RangeState {
    /// The state after `event`; `None` if the range is free then.
    pub(crate) fn after(self, event: RangeEvent) -> Result<Option<Self>, IllegalTransition> {
        use {RangeEvent as E, RangeState as S};
        match (self, event) {
            (S::Mapping, E::Mapped) => Ok(Some(S::Live)),
            (S::Mapping, E::MapRefused) => Ok(None),
            (S::Mapping, E::MapLost) => Ok(Some(S::Indeterminate)),
            (S::Live | S::Indeterminate, E::UnmapStarted) => Ok(Some(S::Unmapping)),
            (S::Unmapping, E::Unmapped) => Ok(None),
            (S::Unmapping, E::UnmapFailed) => Ok(Some(S::Indeterminate)),
            (from, event) => Err(IllegalTransition { from, event }),
        }
    }

    /// The event of a call to the VMM that never returned.
    pub(crate) fn abandoned(self) -> Option<RangeEvent> {
        match self {
            Self::Mapping => Some(RangeEvent::MapLost),
            Self::Unmapping => Some(RangeEvent::UnmapFailed),
            Self::Live | Self::Indeterminate => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const STATES: [RangeState; 4] = [
        RangeState::Mapping,
        RangeState::Live,
        RangeState::Unmapping,
        RangeState::Indeterminate,
    ];
    const EVENTS: [RangeEvent; 6] = [
        RangeEvent::Mapped,
        RangeEvent::MapRefused,
        RangeEvent::MapLost,
        RangeEvent::UnmapStarted,
        RangeEvent::Unmapped,
        RangeEvent::UnmapFailed,
    ];

    #[test]
    fn exactly_the_moves_of_the_diagram_are_legal() {
        use {RangeEvent as E, RangeState as S};
        let diagram = [
            (S::Mapping, E::Mapped, Some(S::Live)),
            (S::Mapping, E::MapRefused, None),
            (S::Mapping, E::MapLost, Some(S::Indeterminate)),
            (S::Live, E::UnmapStarted, Some(S::Unmapping)),
            (S::Indeterminate, E::UnmapStarted, Some(S::Unmapping)),
            (S::Unmapping, E::Unmapped, None),
            (S::Unmapping, E::UnmapFailed, Some(S::Indeterminate)),
        ];
        for from in STATES {
            for event in EVENTS {
                let drawn = diagram.iter().find(|(f, e, _)| (*f, *e) == (from, event));
                let expected = drawn
                    .map(|(_, _, to)| *to)
                    .ok_or(IllegalTransition { from, event });
                assert_eq!(from.after(event), expected);
            }
        }
    }

    #[test]
    fn an_abandoned_call_leaves_the_range_indeterminate() {
        for state in STATES {
            if let Some(event) = state.abandoned() {
                assert_eq!(state.after(event), Ok(Some(RangeState::Indeterminate)));
            }
        }
    }

    #[test]
    fn an_illegal_move_names_both_sides() {
        let error = RangeState::Live.after(RangeEvent::Mapped).unwrap_err();
        assert_eq!(error.to_string(), "a range that is Live can't take Mapped");
    }
}
