// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! Lines on standard error, made without allocating.

use crate::sys;

/// A line; text that doesn't fit is dropped.
pub(crate) struct Line {
    bytes: [u8; 256],
    len: usize,
}

impl Default for Line {
    fn default() -> Self {
        Self {
            bytes: [0; 256],
            len: 0,
        }
    }
}

impl Line {
    pub(crate) fn text(&mut self, text: &str) -> &mut Self {
        for (place, byte) in self.bytes.iter_mut().skip(self.len).zip(text.bytes()) {
            *place = byte;
            self.len += 1;
        }
        self
    }

    pub(crate) fn number(&mut self, mut number: usize) -> &mut Self {
        let mut digits = [0_u8; 20];
        let mut count = 0;
        for place in digits.iter_mut().rev() {
            *place = b'0' + (number % 10) as u8;
            count += 1;
            number /= 10;
            if number == 0 {
                break;
            }
        }
        let shown = digits.len() - count;
        let digits = digits.get(shown..).unwrap_or(&[]);
        self.text(core::str::from_utf8(digits).unwrap_or("?"))
    }

    /// Writes the line.
    pub(crate) fn end(&mut self) {
        self.text("\n");
        sys::say(self.bytes.get(..self.len).unwrap_or(&[]));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_decimal() {
        let mut line = Line::default();
        line.text("n=").number(0).text(" ").number(4_096).text(" ");
        line.number(usize::MAX);
        assert_eq!(&line.bytes[..line.len], b"n=0 4096 18446744073709551615");
    }
}
