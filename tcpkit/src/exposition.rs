//! The text format that Prometheus reads (exposition format 0.0.4), as far as several write it.

use std::fmt::{self, Write as _};

/// A label's value: backslash, quotation mark and the end of a line are escaped.
pub(crate) struct LabelValue<'a>(pub(crate) &'a str);

impl fmt::Display for LabelValue<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for c in self.0.chars() {
            match c {
                '\\' => f.write_str("\\\\")?,
                '"' => f.write_str("\\\"")?,
                '\n' => f.write_str("\\n")?,
                c => f.write_char(c)?,
            }
        }
        Ok(())
    }
}
