// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! Enums whose variants have names in files and reports.

/// Defines an enum whose variants have names: in JSON, as text, and in a list of all.
#[macro_export]
macro_rules! words {
    ($(#[$meta:meta])* $kind:ident { $($(#[$doc:meta])* $variant:ident = $word:literal,)+ }) => {
        $(#[$meta])*
        #[derive(
            Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize,
            serde::Deserialize,
        )]
        pub enum $kind {
            $($(#[$doc])* #[serde(rename = $word)] $variant,)+
        }

        impl $kind {
            /// All variants.
            pub const ALL: &'static [Self] = &[$(Self::$variant),+];

            /// Its name.
            pub fn name(self) -> &'static str {
                match self {
                    $(Self::$variant => $word,)+
                }
            }
        }
    };
}
