// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! Programs drawn at random: a few actors of the lab pin, remove and access pages of a few files.
//!
//! ```text
//!   draw ── Program ──▶ play, on a guest ── Deviation ──▶ shrink ── a smaller Program
//!              │            ▲
//!              └── model ───┘   who must wait for whom, and what each page holds
//! ```
//! The model knows no kernel. It says which steps are possible, which step has to wait for which
//! pin, and what each page holds. A program is drawn, checked and shrunk by the model alone, so the
//! same seed gives the same program everywhere.

mod deviation;
mod draw;
mod model;
mod play;
mod program;
mod shrink;
mod text;

pub use deviation::{Deviation, Kind};
pub use draw::draw;
pub use model::{Model, Owed, Refusal, sound};
pub use play::{Played, play};
pub use program::{Act, Actor, FileId, MapSize, Program, RANGE_PAGES, Step, Who};
pub use shrink::Shrinker;
pub use text::ParseError;
