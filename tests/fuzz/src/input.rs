// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! The meaning of an input's bytes.
//!
//! The crate `arbitrary` reads inputs strictly from front to end, so a seed can be written in the
//! same form: [`Encode`] is the inverse. An operation is a byte for its kind, followed by its
//! operands, so a changed byte changes only one thing.

use arbitrary::{Arbitrary, Result, Unstructured};

/// Writes what [`Arbitrary`] reads.
pub trait Encode {
    /// Appends the value.
    fn encode(&self, to: &mut Vec<u8>);
}

macro_rules! encode_number {
    ($($number:ty),*) => {$(
        impl Encode for $number {
            fn encode(&self, to: &mut Vec<u8>) {
                to.extend(self.to_le_bytes());
            }
        }
    )*};
}
encode_number!(u8, u16, u32, u64, i16);

/// Bytes, preceded by their number as a u16.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Bytes(pub Vec<u8>);

impl<'a> Arbitrary<'a> for Bytes {
    fn arbitrary(u: &mut Unstructured<'a>) -> Result<Self> {
        let len = usize::from(u.arbitrary::<u16>()?).min(u.len());
        Ok(Self(u.bytes(len)?.to_vec()))
    }
}

impl Encode for Bytes {
    fn encode(&self, to: &mut Vec<u8>) {
        (self.0.len() as u16).encode(to);
        to.extend(&self.0);
    }
}

/// Operations up to the end of the input, limited to what fits into a second.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Program<T>(pub Vec<T>);

/// The longest program.
pub const MAX_OPERATIONS: usize = 256;

impl<'a, T: Arbitrary<'a>> Arbitrary<'a> for Program<T> {
    fn arbitrary(u: &mut Unstructured<'a>) -> Result<Self> {
        let mut operations = Vec::new();
        while !u.is_empty() && operations.len() < MAX_OPERATIONS {
            operations.push(u.arbitrary()?);
        }
        Ok(Self(operations))
    }
}

impl<T: Encode> Encode for Program<T> {
    fn encode(&self, to: &mut Vec<u8>) {
        self.0.iter().for_each(|operation| operation.encode(to));
    }
}

/// Reads a whole input. If the bytes end within an operand, the rest of the operand is zeros.
pub fn decode<'a, T: Arbitrary<'a>>(bytes: &'a [u8]) -> Option<T> {
    Unstructured::new(bytes).arbitrary().ok()
}

/// The bytes of an input.
pub fn encode(value: &impl Encode) -> Vec<u8> {
    let mut bytes = Vec::new();
    value.encode(&mut bytes);
    bytes
}

/// Declares an enum of operations, or a struct of operands, that can be read and written.
#[macro_export]
macro_rules! operations {
    ($(#[$outer:meta])* $vis:vis enum $name:ident {
        $($(#[$inner:meta])* $variant:ident { $($(#[$field_doc:meta])* $field:ident: $type:ty),* $(,)? }),+ $(,)?
    }) => {
        $(#[$outer])*
        #[derive(Debug, Clone, PartialEq, Eq)]
        $vis enum $name { $($(#[$inner])* $variant { $($(#[$field_doc])* $field: $type),* }),+ }

        impl<'a> arbitrary::Arbitrary<'a> for $name {
            fn arbitrary(u: &mut arbitrary::Unstructured<'a>) -> arbitrary::Result<Self> {
                const KINDS: u8 = [$(stringify!($variant)),+].len() as u8;
                let kind = u.arbitrary::<u8>()? % KINDS;
                let mut next = 0..;
                $(if next.next() == Some(kind) {
                    return Ok(Self::$variant { $($field: u.arbitrary()?),* });
                })+
                unreachable!("{kind} is less than {KINDS}")
            }
        }

        impl $crate::input::Encode for $name {
            fn encode(&self, to: &mut Vec<u8>) {
                let mut kind = 0_u8;
                $(
                    if let Self::$variant { $($field),* } = self {
                        to.push(kind);
                        $($crate::input::Encode::encode($field, to);)*
                        return;
                    }
                    kind += 1;
                )+
                let _ = kind;
            }
        }
    };
    ($(#[$outer:meta])* $vis:vis struct $name:ident {
        $($(#[$field_doc:meta])* $field:ident: $type:ty),+ $(,)?
    }) => {
        $(#[$outer])*
        #[derive(Debug, Clone, PartialEq, Eq)]
        $vis struct $name { $($(#[$field_doc])* pub $field: $type),+ }

        impl<'a> arbitrary::Arbitrary<'a> for $name {
            fn arbitrary(u: &mut arbitrary::Unstructured<'a>) -> arbitrary::Result<Self> {
                Ok(Self { $($field: u.arbitrary()?),+ })
            }
        }

        impl $crate::input::Encode for $name {
            fn encode(&self, to: &mut Vec<u8>) {
                $($crate::input::Encode::encode(&self.$field, to);)+
            }
        }
    };
}

#[cfg(test)]
mod tests {
    use super::{Bytes, Program, decode, encode};

    operations! {
        /// For the test.
        pub enum Operation {
            /// Without operands.
            First {},
            /// With some.
            Second { number: u16, bytes: Bytes },
        }
    }

    #[test]
    fn what_is_written_is_read() {
        let program = Program(vec![
            Operation::Second {
                number: 0x1234,
                bytes: Bytes(vec![1, 2, 3]),
            },
            Operation::First {},
        ]);
        assert_eq!(decode(&encode(&program)), Some(program));
    }

    #[test]
    fn every_byte_string_is_an_input() {
        for len in 0..300 {
            let bytes = vec![0xff; len];
            assert!(
                decode::<Program<Operation>>(&bytes).is_some(),
                "{len} bytes"
            );
        }
    }
}
